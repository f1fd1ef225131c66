"""Reads protocol/vectors: golden bytes that no change of the code may change. On both interpreters."""

import os

from cradle_protocol.wire.messages import filter, notice, pairing, records, session, stream, sync
from protocol.wire.checks import FOLDER, load

MESSAGES = session.MESSAGES + pairing.MESSAGES + sync.MESSAGES + filter.MESSAGES + stream.MESSAGES + notice.MESSAGES
RECORDS = {
    "change": records.CHANGE_FIELDS,
    "apply_begin": records.BEGIN_FIELDS,
    "apply_change": records.APPLY_CHANGE_FIELDS,
    "apply_data": records.DATA_FIELDS,
    "apply_commit": records.COMMIT_FIELDS,
    "fetch_segment": records.SEGMENT_FIELDS,
    "stream_row": stream.ROW_FIELDS,
    "stream_mark": stream.MARK_FIELDS,
    "stream_gap": stream.GAP_FIELDS,
}


def value(written):
    """JSON has no bytes and no tuples: {"hex": ...} is bytes, and lists stay lists until they are compared."""
    if isinstance(written, dict):
        return bytes.fromhex(written["hex"])
    if isinstance(written, list):
        return [value(part) for part in written]
    return written


def listed(found):
    """Tuples as lists and views as bytes, so that what was decoded compares with what was written."""
    if isinstance(found, (list, tuple)):
        return [listed(part) for part in found]
    return bytes(found) if isinstance(found, memoryview) else found


def file_name(cls):
    """HelloReply -> hello_reply."""
    out = ""
    for letter in cls.__name__:
        out += letter if letter == letter.lower() else "_" + letter.lower()
    return out[1:]


def message_cases():
    """(class, values in the order of the table, bytes) of every case of every message."""
    for cls in MESSAGES:
        held = load(file_name(cls))
        assert held["message"] == cls.__name__ and held["kind"] == cls.KIND
        for case in held["cases"]:
            yield cls, [value(case["fields"][name]) for name, _ in cls.FIELDS], bytes.fromhex(case["bytes"])


def record_cases():
    """(table, values, bytes) of every case of every record."""
    for name in sorted(RECORDS):
        for case in load(name)["cases"]:
            values = [value(case["fields"][field]) for field, _ in RECORDS[name]]
            yield RECORDS[name], values, bytes.fromhex(case["bytes"])


def names():
    """Every vector file there is."""
    return sorted(name[:-5] for name in os.listdir(FOLDER) if name.endswith(".json"))
