"""What keeps the metadata of this desktop's replicas: the interface that SQLite implements and PostgreSQL can.

Not the metadata of one replica: that is `cradle_protocol.sync.metadata.Metadata`, which `open_replica` returns.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cradle_protocol.sync.metadata import Metadata


class StateError(Exception):
    """The state cannot be used. `text` is one sentence for the user: what happened and what to do."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


class ReplicaInfo:
    """What is known of a replica without opening it.

    location  where its store is, as the user's `enable` resolved it (an absolute path, an address)
    type      object type name
    id        16 bytes, the replica's id
    store_id  16 bytes, the store that was found at the location; b"" before the first sync
    objects   living items at the last commit
    """

    def __init__(self, location: str, object_type: str, replica_id: bytes, store_id: bytes, objects: int) -> None:
        self.location, self.type, self.id = location, object_type, replica_id
        self.store_id, self.objects = store_id, objects


class MetadataStore:
    """Metadata of several replicas, keyed by the location of the store and the object type."""

    def open_replica(self, location: str, object_type: str, units: int, store_id: bytes = b"") -> "Metadata":
        """The replica's metadata; made, with a fresh replica id, where there are none.

        A store id other than the recorded one means that another store lies at the location now: its metadata start
        anew under a new replica id, so that nothing is concluded from what the old store held.
        """
        raise NotImplementedError

    def preview_replica(self, location: str, object_type: str, units: int, store_id: bytes = b"") -> "Metadata":
        """What `open_replica` would give, for a preview: nothing is made or noted. Do not commit what it gives."""
        raise NotImplementedError

    def replica(self, location: str, object_type: str) -> "ReplicaInfo | None":
        """What is known of one replica; nothing is made."""
        raise NotImplementedError

    def replicas(self) -> "list[ReplicaInfo]":
        """All replicas, by location and type."""
        raise NotImplementedError

    def drop_replica(self, location: str, object_type: str) -> None:
        """Forget a replica and all its items; no error if there is none."""
        raise NotImplementedError
