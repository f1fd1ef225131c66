"""Messages of one object type's sync. Versions are (tick, key) with the agent's replica keys, whoever sends them.

CHANGES_REPLY, FETCH_REPLY and APPLY have no table here: their parts carry records (`records`) back to back.
"""

from cradle_protocol.wire import constants as c
from cradle_protocol.wire.codec import BLOB16, BLOB32, DIGEST, ID, STRING, U8, U16, U32, U48, VERSION, list_of
from cradle_protocol.wire.message import Message

TYPE_CHECKING = False
if TYPE_CHECKING:
    Version = tuple[int, int]


class SyncOpen(Message):
    """Scan the store and open a channel on this object type."""

    KIND = c.SYNC_OPEN
    flags: int  # PREVIEW
    type: str
    desktop_replica: bytes  # 16 bytes
    known: int  # the newest tick of the agent's replica that the desktop has seen: an agent behind it was set back
    FIELDS = (("flags", U8), ("type", STRING), ("desktop_replica", ID), ("known", U32))


class SyncOpenReply(Message):
    """What the store holds, after the scan. May come in parts; the table is that of the joined bodies."""

    KIND = c.SYNC_OPEN_REPLY
    channel: int  # names the open type in the requests that follow
    store_id: bytes  # 16 bytes, which store instance this is
    replica_id: bytes  # 16 bytes
    tick: int  # the replica's newest tick
    objects: int  # live ones
    scanned: int  # objects that the scan had to look into
    flags: int  # UNITS_MODE, CLOCK_TRUSTED, RENAMES; of names there: CASELESS, FAT_NAMES, COMPOSED
    name_max: int  # longest name that the store can hold, bytes of UTF-8
    path_max: int  # longest identity that the store can hold, bytes of UTF-8
    replicas: "list[bytes]"  # ids by the agent's replica key; 0 is its own
    knowledge: bytes  # of the replica, in the agent's keys (`sync.knowledge`)
    forgotten: bytes  # its forgotten knowledge
    staged: "list[tuple[bytes, Version, int]]"  # (item id, content version, bytes held) of contents half received
    skipped: "list[tuple[int, str]]"  # (status, identity) of what the scan had to leave out
    generation: int  # of the store's filter; 0: it never had one
    filter: bytes  # what a desktop set, for desktops to read
    FIELDS = (
        ("channel", U8), ("store_id", ID), ("replica_id", ID), ("tick", U32), ("objects", U32), ("scanned", U32),
        ("flags", U8), ("name_max", U8), ("path_max", U16), ("replicas", list_of(U16, ("id", ID))),
        ("knowledge", BLOB32), ("forgotten", BLOB32),
        ("staged", list_of(U16, ("id", ID), ("version", VERSION), ("length", U48))),
        ("skipped", list_of(U16, ("status", U8), ("path", STRING))), ("generation", U32), ("filter", BLOB16),
    )  # fmt: skip


class Replicas(Message):
    """Give these replica ids keys, in this order, before versions of theirs are sent."""

    KIND = c.REPLICAS
    channel: int
    ids: "list[bytes]"  # 16 bytes each, none of them in the agent's map
    FIELDS = (("channel", U8), ("ids", list_of(U16, ("id", ID))))


class ReplicasReply(Message):
    """Done: the first of them got this key, the others the next ones."""

    KIND = c.REPLICAS_REPLY
    first_key: int
    FIELDS = (("first_key", U16),)


class Changes(Message):
    """What do you have, from this id on, that this knowledge lacks? May come in parts, like SYNC_OPEN_REPLY."""

    KIND = c.CHANGES
    channel: int
    credit: int  # bytes of records that the answer may hold
    start: bytes  # 16 bytes, the lowest item id wanted
    knowledge: bytes  # the desktop's, in the agent's keys
    FIELDS = (("channel", U8), ("credit", U32), ("start", ID), ("knowledge", BLOB32))


class ChangesEnd(Message):
    """The last part of the answer to CHANGES."""

    KIND = c.CHANGES_END
    complete: int  # 1 if the enumeration reached the highest id
    next: bytes  # 16 bytes, where to go on if not
    FIELDS = (("complete", U8), ("next", ID))


class Fetch(Message):
    """Send the content of these objects. Answered by FETCH_REPLY, whose parts carry segments."""

    KIND = c.FETCH
    channel: int
    wanted: "list[tuple[int, Version, int]]"  # (oid, expected content version, offset to start at)
    FIELDS = (("channel", U8), ("wanted", list_of(U16, ("oid", U32), ("version", VERSION), ("offset", U48))))


class Hash(Message):
    """Hash the content of these objects."""

    KIND = c.HASH
    channel: int
    oids: "list[int]"
    FIELDS = (("channel", U8), ("oids", list_of(U16, ("oid", U32))))


class HashReply(Message):
    """The hashes; the digest of one that failed is zeros."""

    KIND = c.HASH_REPLY
    hashes: "list[tuple[int, int, bytes]]"  # (oid, status, SHA-256)
    FIELDS = (("hashes", list_of(U16, ("oid", U32), ("status", U8), ("digest", DIGEST))),)


class Ages(Message):
    """How long ago was the content of these objects written?"""

    KIND = c.AGES
    channel: int
    oids: "list[int]"
    FIELDS = (("channel", U8), ("oids", list_of(U16, ("oid", U32))))


class AgesReply(Message):
    """In the order of the request; AGE_UNKNOWN where the device cannot tell. Ages need no common clock."""

    KIND = c.AGES_REPLY
    ages: "list[int]"  # seconds, by the device's own clock
    FIELDS = (("ages", list_of(U16, ("age", U32))),)


class Stash(Message):
    """Stage, as the content of a target that is to come, a copy of what an item of yours holds now."""

    KIND = c.STASH
    channel: int
    copies: "list[tuple[bytes, bytes, bytes, Version]]"  # (source id, its SHA-256, target id, target content version)
    FIELDS = (
        ("channel", U8),
        ("copies", list_of(U16, ("source", ID), ("digest", DIGEST), ("target", ID), ("version", VERSION))),
    )


class StashReply(Message):
    """A status for each of them, in order."""

    KIND = c.STASH_REPLY
    statuses: "list[int]"
    FIELDS = (("statuses", list_of(U16, ("status", U8))),)


class Move(Message):
    """Give objects of yours other names, each with all that lies in it, where you have exactly what is meant."""

    KIND = c.MOVE
    channel: int
    moves: "list[tuple[bytes, bytes, Version, str]]"  # (source id, proof, version of the change, new identity)
    FIELDS = (
        ("channel", U8),
        ("moves", list_of(U16, ("source", ID), ("proof", ID), ("version", VERSION), ("target", STRING))),
    )


class MoveReply(Message):
    """A status for each of them, in order."""

    KIND = c.MOVE_REPLY
    statuses: "list[int]"
    FIELDS = (("statuses", list_of(U16, ("status", U8))),)


class Pass(Message):
    """A pass begins: what the desktop made its changes with. May come in parts, like SYNC_OPEN_REPLY."""

    KIND = c.PASS
    channel: int
    flags: int  # FULL
    made_with: bytes  # knowledge in the agent's keys
    forgotten: bytes  # the desktop's forgotten knowledge
    FIELDS = (("channel", U8), ("flags", U8), ("made_with", BLOB32), ("forgotten", BLOB32))


class PassReply(Message):
    """Understood."""

    KIND = c.PASS_REPLY


class ApplyReply(Message):
    """What became of one batch."""

    KIND = c.APPLY_REPLY
    applied: int  # changes that are durable now
    failures: "list[tuple[int, int]]"  # (index of the change in the batch, status)
    FIELDS = (("applied", U16), ("failures", list_of(U16, ("index", U16), ("status", U8))))


class SyncClose(Message):
    """Close the channel; everything applied is durable when the reply comes."""

    KIND = c.SYNC_CLOSE
    channel: int
    FIELDS = (("channel", U8),)


class SyncCloseReply(Message):
    """Closed."""

    KIND = c.SYNC_CLOSE_REPLY


MESSAGES = (
    SyncOpen, SyncOpenReply, Replicas, ReplicasReply, Changes, ChangesEnd, Fetch, Hash, HashReply, Ages, AgesReply,
    Stash, StashReply, Move, MoveReply, Pass, PassReply, ApplyReply, SyncClose, SyncCloseReply,
)  # fmt: skip
