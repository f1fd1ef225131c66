"""The parts of protocol/SPEC.md that follow from the code, as text; run as a program, it prints them."""

from cradle_protocol import errors
from cradle_protocol.wire import codec, framing, link, pace, state
from cradle_protocol.wire import constants as c
from protocol.wire import vectors
from protocol.wire.checks import load

FAMILIES = ("session", "pairing", "sync", "stream", "notice")


def type_text(kind):
    """A field type in the words of SPEC 6.2."""
    code = kind[0]
    if code == codec.UINT:
        return "u%d" % (8 * kind[1])
    if code == codec.FIXED:
        return "bytes%d" % kind[1]
    if code == codec.TEXT:
        return "text"
    if code in (codec.BLOB, codec.VIEW):
        return "blob%d" % (8 * kind[1])
    if code == codec.PAIR:
        return "version"
    if code == codec.LIST:
        return "list%d(%s)" % (8 * kind[1], table_text(kind[2]))
    if code == codec.RECORD:
        return "(%s)" % table_text(kind[1])
    _, index, mask, value, then, otherwise = kind
    condition = "field %d & 0x%02X == 0x%02X" % (index, mask, value)
    return "%s if %s%s" % (type_text(then), condition, " else " + type_text(otherwise) if otherwise else "")


def table_text(fields):
    return ", ".join(["%s %s" % (name, type_text(kind)) for name, kind in fields])


def message_lines():
    """A line for each message, by kind."""
    lines = []
    for cls in sorted(vectors.MESSAGES, key=lambda cls: cls.KIND):
        name = vectors.file_name(cls).upper()
        lines.append("| 0x%02X | %s | %s |" % (cls.KIND, name, table_text(cls.FIELDS) or "(empty)"))
    return lines


def record_lines():
    return ["| %s | %s |" % (name, table_text(vectors.RECORDS[name]) or "(empty)") for name in vectors.RECORDS]


def status_lines():
    return ["| %d | %s |" % (code, errors.STATUS_TEXT[code]) for code in sorted(errors.STATUS_TEXT)]


def state_lines():
    """The table of the link machine."""
    lines = []
    for (desktop, before, what), (after, method) in state.TABLE.items():
        ends = "desktop" if desktop else "device"
        if (not desktop, before, what) in state.TABLE:
            if not desktop:
                continue
            ends = "both"
        action = method.strip("_").replace("_", " ")
        lines.append("| %s | %s | %s | %s | %s |" % (state.STATES[before], what, ends, state.STATES[after], action))
    return sorted(lines)


LIMITS = (
    ("longest body before the proof; least that may be announced", c.UNPROVEN_MESSAGE, "bytes"),
    ("longest body that may be announced", c.MESSAGE_LIMIT, "bytes"),
    ("requests are numbered up to", c.REQUEST_LIMIT, ""),
    ("sentence of an ERROR", c.ERROR_TEXT, "characters"),
    ("window", c.WINDOW_LIMIT, "frames"),
    ("least information that may be announced", c.INFO_LEAST, "octets"),
    ("numbers in one SREJ or answer", c.MISSING_LIMIT, ""),
    ("time between two SABME", link.CONNECT_MS, "ms"),
    ("SABME, or polls, without a sign of life before the peer is lost", link.RETRIES, ""),
    ("first wait for an answer", pace.T1_FIRST_MS, "ms"),
    ("least wait for an answer", pace.T1_LEAST_MS, "ms"),
    ("least wait toward a busy peer", pace.T1_BUSY_MS, "ms"),
    ("longest wait for an answer", pace.T1_MOST_MS, "ms"),
    ("frame check sequence", framing.FCS_SIZE, "octets"),
)


def limit_lines():
    return ["| %s | %d%s |" % (what, number, " " + unit if unit else "") for what, number, unit in LIMITS]


def exchange_lines():
    """The worked exchange, from its vector file."""
    held = load("exchange")
    return [
        "%s %s" % ("->" if step["from"] == "desktop" else "<-", step["bytes"])
        for step in held["link"] + held["session"]
    ]


PARTS = (message_lines, record_lines, status_lines, state_lines, limit_lines, exchange_lines)

if __name__ == "__main__":
    for part in PARTS:
        print("\n".join(part()) + "\n")  # noqa: T201
