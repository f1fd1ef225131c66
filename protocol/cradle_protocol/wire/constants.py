"""Every number on the wire and the reason for it. SPEC.md has the same numbers; a test holds both together."""

from cradle_protocol.compat import const

# --- Session -------------------------------------------------------------------------------------------------------

VERSION = const(1)  # newest protocol version spoken here
OLDEST = const(1)  # oldest protocol version spoken here

HEADER_SIZE = const(6)  # bytes: u24 length of the body, u8 kind, u16 request
MORE = const(0x80)  # bit in the kind octet: more parts of this request or reply follow
KIND_MASK = const(0x7F)

# Longest body before the proof. Fits every message of the handshake (a proof reply of 15 types), is all the memory that
# a stranger can make a peer hold, and the least that an end may announce.
UNPROVEN_MESSAGE = const(1024)
# Longest body any end may announce: what three bytes of length can say.
MESSAGE_LIMIT = const(0xFFFFFF)
# Request 0 is no request: notices, and errors that end the session.
NO_REQUEST = const(0)
REQUEST_LIMIT = const(0xFFFF)
ERROR_TEXT = const(200)  # characters of an error's sentence: fits an unproven message in any script

# HELLO_REPLY flags
PAIRED = const(1)  # this end holds a key for the desktop's id
CABLE = const(2)  # pairing by possession is allowed on this link
CODE = const(4)  # pairing by code is allowed on this link
REPL = const(8)  # the link is also the device's console

# SYNC_OPEN and STREAM_OPEN flags
PREVIEW = const(1)  # read only: use no tick, write nothing
LEAVE = const(2)  # STREAM_OPEN only: this desktop wants no more rows

# SYNC_OPEN_REPLY flags
UNITS_MODE = const(1)  # the store holds permission bits
CLOCK_TRUSTED = const(2)  # the device's clock was set, by the network or by a desktop
CASELESS = const(4)  # two names that differ by case only are one name there
FAT_NAMES = const(8)  # no name there has one of "*:<>?|\\ or a control character, or ends with a dot or a space
COMPOSED = const(16)  # names there are in Unicode's composed form (NFC)
RENAMES = const(32)  # MOVE is answered: the store can give an object another name

AGE_UNKNOWN = const(0xFFFFFFFF)  # AGES_REPLY: the clock is not trusted, or the object is not what it was

# PASS flags
FULL = const(1)  # the desktop's forgotten knowledge is to be taken over with each range that is learned

# --- Message kinds, 7 bits. The kind of a reply is its request's kind + 1, with exceptions in `session`. --------------

HELLO = const(0x01)
HELLO_REPLY = const(0x02)
PROOF = const(0x03)
PROOF_REPLY = const(0x04)
PAIR_CABLE = const(0x05)
PAIR_SPAKE = const(0x06)
PAIR_SPAKE_REPLY = const(0x07)
PAIR_CONFIRM = const(0x08)
PAIR_DONE = const(0x09)
UNPAIR = const(0x0A)
UNPAIR_REPLY = const(0x0B)
ERROR = const(0x0C)
PING = const(0x0D)
PONG = const(0x0E)
SYNC_OPEN = const(0x10)
SYNC_OPEN_REPLY = const(0x11)
REPLICAS = const(0x12)
REPLICAS_REPLY = const(0x13)
CHANGES = const(0x14)
CHANGES_REPLY = const(0x15)
CHANGES_END = const(0x16)
FETCH = const(0x17)
FETCH_REPLY = const(0x18)
HASH = const(0x19)
HASH_REPLY = const(0x1A)
STASH = const(0x1B)
STASH_REPLY = const(0x1C)
PASS = const(0x1D)
PASS_REPLY = const(0x1E)
APPLY = const(0x1F)
APPLY_REPLY = const(0x20)
SYNC_CLOSE = const(0x21)
SYNC_CLOSE_REPLY = const(0x22)
AGES = const(0x23)
AGES_REPLY = const(0x24)
FILTER = const(0x25)
FILTER_REPLY = const(0x26)
STREAM_OPEN = const(0x28)
STREAM_OPEN_REPLY = const(0x29)
STREAM_READ = const(0x2A)
STREAM_ROWS = const(0x2B)
STREAM_END = const(0x2C)
STREAM_ACK = const(0x2D)
STREAM_ACK_REPLY = const(0x2E)
NOTICE_CHANGED = const(0x30)
NOTICE_STATUS = const(0x31)
NOTICE_CONSOLE = const(0x32)
MOVE = const(0x34)
MOVE_REPLY = const(0x35)

# --- Records inside CHANGES_REPLY, FETCH_REPLY and APPLY -------------------------------------------------------------

# Change record flags
DEAD = const(1)  # a tombstone
IDENTITY = const(2)  # the identity follows; else the item id, which the receiver has met before
CREATED = const(4)  # the creation version follows; else it is the last unit's version
SPREAD = const(8)  # one version per unit; else one for all
LINK = const(16)  # a move: where it went, or came from
VALUES = const(32)  # the units' values follow
GHOST = const(64)  # without content: the sender does not hold it, or the device shall not, by its filter
OID = const(128)  # the sender's number for the object follows, by which its content may be asked for

# Elements of APPLY
BEGIN = const(0)
CHANGE = const(1)
DATA = const(2)
COMMIT = const(3)

LEARN = const(1)  # BEGIN flag: the range is learned when the batch commits
TOGETHER = const(2)  # BEGIN flag: its changes become visible in one step, or all of them fail

# How the content of a CHANGE element comes
CONTENT_NONE = const(0)  # there is none: a tombstone, a directory, a unit without content
CONTENT_FOLLOWS = const(1)  # from its start, in DATA elements of this batch
CONTENT_RESUME = const(2)  # from an offset: the receiver has staged what comes before
CONTENT_STAGED = const(3)  # the receiver has all of it, by an earlier session or by STASH

# Flags of DATA elements and of FETCH_REPLY segments
END = const(1)  # the last of this object; its SHA-256 follows
SEGMENT_FAILED = const(2)  # FETCH_REPLY only: the data is one status octet, nothing more comes for this object
ABORT = const(2)  # DATA elements only: the sender could not read on; the change fails with CHANGED

# Elements of STREAM_ROWS
ROW = const(0)
MARK = const(1)
GAP = const(2)

# --- Link machine on serial lines ------------------------------------------------------------------------------------

# Control octets; the second octet of I and S frames is N(R) << 1 | P/F
RR = const(0x01)
RNR = const(0x05)
REJ = const(0x09)
SREJ = const(0x0D)
UI = const(0x03)
SABME = const(0x7F)  # with P=1, as always here
UA = const(0x73)  # with F=1
DISC = const(0x53)  # with P=1
DM = const(0x1F)  # with F=1

MODULUS_MASK = const(0x7F)  # sequence numbers are modulo 128
WINDOW_LIMIT = const(64)  # frames: selective reject allows half of the modulus
HEAD_SIZE = const(4)  # octets before the information: role, tag, two of control
INFO_LEAST = const(64)  # octets: a smaller frame is mostly overhead; no end may announce less
MISSING_LIMIT = const(32)  # numbers in one SREJ or answer; the next answer has the others

# Parameters in SABME and UA: id octet, length octet, value. Unknown ids are skipped.
XID_VERSION = const(1)  # u8, of the link machine: 1
XID_WINDOW = const(2)  # u8, frames that the sender of this parameter can hold
XID_INFO = const(3)  # u16, longest information it takes
XID_REPL = const(4)  # u8, 1: its port may be a REPL, keep the long escape map toward it

LINK_VERSION = const(1)
