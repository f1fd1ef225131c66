"""Where a stick is, and what tells it from a copy: tables and trees of the kernel, as they look on real machines."""

import os
from pathlib import Path

import pytest

from cradle_desktop.errors import NoDevice
from cradle_desktop.stick.hardware import DISK, FOLDER, copied, joined, marks, serial
from cradle_desktop.stick.place import device_id, find, id_at, mounted, places
from cradle_testing.trees import write_tree

TABLE = r"""21 1 8:2 / / rw,relatime shared:1 - ext4 /dev/sda2 rw
22 21 0:20 / /proc rw - proc proc rw
30 21 8:17 / /media/ann/MY\040STICK rw,nosuid shared:9 master:2 - vfat /dev/sdb1 rw,fmask=0022
31 21 0:45 / /mnt/nas rw - nfs4 nas:/export rw
32 21 0:46 / /media/ann/phone rw - fuse.jmtpfs jmtpfs rw
33 21 8:33 / /media/ann/KARTE rw - fuseblk /dev/sdc1 rw
"""
ID = b"0123456789abcdef"


def make(folder: Path, store_id: bytes = ID) -> str:
    write_tree(folder, {".cradle/store": store_id})
    return str(folder)


def test_disks_that_are_mounted(tmp_path: Path) -> None:
    """Real disks only: a network disk that does not answer must hold up no command."""
    (tmp_path / "table").write_text(TABLE)
    assert mounted(str(tmp_path / "table")) == ["/", "/media/ann/MY STICK", "/media/ann/KARTE"]
    assert mounted(str(tmp_path / "nothing")) == []


def test_a_folder_may_lie_at_any_depth_of_a_disk() -> None:
    found = list(places("/media/ann/STICK/my/files", ["/mnt"]))
    assert found[-3:] == ["/mnt/my/files", "/mnt/files", "/mnt"] and "/mnt/STICK/my/files" in found


def test_a_stick_is_found_where_it_is(tmp_path: Path) -> None:
    recorded, device = str(tmp_path / "media/STICK/files"), device_id(ID)
    other = make(tmp_path / "media/OTHER", b"another stick's!")
    here = make(tmp_path / "media/STICK1/files")
    assert id_at(here) == device != id_at(other)
    mounts = [str(tmp_path / "media/OTHER"), str(tmp_path / "media/STICK1")]
    assert find(recorded, device, "stick", mounts) == here
    assert find(here, device, "stick", []) == here
    with pytest.raises(NoDevice, match="plug it in"):
        find(recorded, device, "stick", mounts[:1])
    with pytest.raises(NoDevice, match="another stick"):
        find(other, device, "stick", [])


def test_two_copies_in_sight(tmp_path: Path) -> None:
    """The one at the known place is taken; where neither is, nobody guesses."""
    one, two = make(tmp_path / "one"), make(tmp_path / "two")
    assert find(one, device_id(ID), "stick", [two]) == one
    with pytest.raises(NoDevice, match="all but one are copies"):
        find(str(tmp_path / "gone"), device_id(ID), "stick", [one, two])


@pytest.mark.parametrize("content", [b"", b"short", b"longer than a store's id"])
def test_what_is_no_id_is_no_stick(tmp_path: Path, content: bytes) -> None:
    assert id_at(make(tmp_path, content)) == b""


# -- marks of hardware


USB = "devices/pci0000:00/0000:00:14.0/usb1"
SCSI = "host6/target6:0:0/6:0:0:0/block/sdb/sdb1"


def test_numbers_that_sysfs_shows(tmp_path: Path) -> None:
    """The nearest that is the disk's own: never the port's, nor the controller's."""
    hub = {f"{USB}/idVendor": b"1d6b\n", f"{USB}/serial": b"0000:00:14.0\n"}
    stick = {f"{USB}/1-2/idVendor": b"0781\n", f"{USB}/1-2/idProduct": b"5581\n", f"{USB}/1-2/serial": b"4C5300\n"}
    nameless = {f"{USB}/1-3/idVendor": b"058f\n", f"{USB}/1-3/idProduct": b"6387\n"}
    card = {"devices/platform/mmc0/mmc0:0001/cid": b"035344534c\n"}
    drive = {"devices/pci0000:00/nvme/nvme0/serial": b"S4EWNX\n"}
    write_tree(tmp_path, {**hub, **stick, **nameless, **card, **drive})
    assert serial(f"{tmp_path}/{USB}/1-2/1-2:1.0/{SCSI}") == "usb 0781:5581 4C5300"
    assert serial(f"{tmp_path}/{USB}/1-3/1-3:1.0/{SCSI}") == ""
    assert serial(f"{tmp_path}/devices/platform/mmc0/mmc0:0001/block/mmcblk0/mmcblk0p1") == "cid 035344534c"
    assert serial(f"{tmp_path}/devices/pci0000:00/nvme/nvme0/nvme0n1/nvme0n1p2") == "disk S4EWNX"
    assert serial(f"{tmp_path}/devices/virtual/block/loop0") == ""


def test_an_encrypted_disk_is_the_disk_below(tmp_path: Path) -> None:
    write_tree(tmp_path, {"devices/platform/mmc0/mmc0:0001/cid": b"0353\n"})
    below = tmp_path / "devices/platform/mmc0/mmc0:0001/block/mmcblk0/mmcblk0p1"
    slaves = tmp_path / "devices/virtual/block/dm-0/slaves"
    for folder in (below, slaves):
        folder.mkdir(parents=True)
    (slaves / "mmcblk0p1").symlink_to(below)
    assert serial(str(slaves.parent)) == "cid 0353"


def test_marks_of_a_folder(tmp_path: Path) -> None:
    """The disk's by its number in sysfs, the folder's own by its inode; a copy by hand has another one."""
    device = os.stat(tmp_path).st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    write_tree(tmp_path, {"sys/devices/mmc0:0001/cid": b"0353\n", "sys/dev/block/": b"", "one/": b"", "two/": b""})
    (tmp_path / "sys/devices/mmc0:0001/mmcblk0").mkdir()
    (tmp_path / "sys/dev/block" / number).symlink_to(tmp_path / "sys/devices/mmc0:0001/mmcblk0")
    one, two = (marks(str(tmp_path / name), str(tmp_path / "sys"), "") for name in ("one", "two"))
    assert one[0] == two[0] and one[0][:1] == DISK
    assert len(one) == 1 or (one[1][:1] == FOLDER and one[1] != two[1])


def test_copies_are_told_by_any_mark_that_both_have() -> None:
    """What one machine does not show says nothing; a reader that is known is no copy each time it comes back."""
    disk, other, folder = b"d12345678", b"d87654321", b"f12345678"
    assert not copied(b"", [disk, folder])
    assert not copied(disk + folder, [disk, folder])
    assert copied(disk + folder, [other, folder])
    assert not copied(disk, [folder])
    assert not copied(joined(disk, [other]), [disk])
    assert joined(disk + folder, [disk]) == disk + folder
