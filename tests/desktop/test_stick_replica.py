"""What is particular to the metadata of a stick: it is another replica for each desktop."""

from pathlib import Path

from cradle_desktop.stick.agent import StickKeys, StickReplica, StickStore, become, make_stick
from cradle_device.host import HostMetadata
from cradle_device.replica import NO_ID
from cradle_protocol.sync.slices import whole
from cradle_testing.metadata import OWN, file_item


def test_a_replica_is_again_who_it_was(tmp_path: Path) -> None:
    """Its ticks go on where they were, and what was stamped meanwhile is the other one's."""
    meta = HostMetadata(str(tmp_path / "log"), 2, OWN)
    new = b"the new replica."
    for name, replica in (("a", OWN), ("b", new), ("c", OWN), ("d", new)):
        if replica not in meta.replicas:
            meta.renew(replica)
        elif meta.replicas[0] != replica:
            become(meta, replica)
        item = file_item(name)
        item.created = meta.next_version()
        item.versions = [item.created] * 2
        meta.put(item)
        meta.knowledge.raise_own(0, meta.tick)
        meta.commit()
        meta.close()
        meta = HostMetadata(str(tmp_path / "log"), 2, OWN)
    found = {item.identity: (item.created[0], meta.replicas[item.created[1]]) for item in meta.items()}
    assert found == {"a": (1, OWN), "b": (1, new), "c": (2, OWN), "d": (2, new)}
    assert meta.replicas == [new, OWN] and meta.knowledge.vector(bytes(16)) == {0: 2, 1: 2}


def test_the_ids_of_before_a_renewal_are_nobodys(tmp_path: Path) -> None:
    """Whatever made it another replica, no desktop makes it what it was: its ticks of then may be used up."""
    make_stick(str(tmp_path))
    before = [_session(tmp_path, number) for number in (1, 2)]
    assert [told for told, _ in before] == [NO_ID, NO_ID]
    assert [_session(tmp_path, number)[0] for number in (1, 2)] == [replica for _, replica in before]
    replica = _replica(tmp_path, 1)
    replica.meta().renew(b"another replica.")
    replica.close()
    after = [_session(tmp_path, number) for number in (1, 2)]
    assert [told for told, _ in after] == [NO_ID, NO_ID]
    assert len({replica for _, replica in before + after}) == 4


def _replica(folder: Path, number: int) -> StickReplica:
    desktop = b"desktop %8d" % number
    return StickReplica(StickStore(str(folder)), str(folder), StickKeys(OWN, {desktop: OWN + OWN}))


def _session(folder: Path, number: int) -> "tuple[bytes, bytes]":
    """The replica id that this desktop is told, and the one that it meets."""
    replica = _replica(folder, number)
    told = replica.facts()[2]
    whole(replica.check_tick(0))
    replica.meta().commit()
    met = replica.meta().replicas[0]
    replica.close()
    return told, met
