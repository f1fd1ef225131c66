"""What is particular to the metadata of a stick: it is another replica for each desktop."""

from pathlib import Path

from cradle_desktop.stick.agent import become
from cradle_device.host import HostMetadata
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
