"""What tests ask of a call, and where the golden bytes are. No pytest here: the tests run on both interpreters."""

import json

FOLDER = __file__.rsplit("tests", 1)[0] + "protocol/vectors/"


def load(name):
    """A vector file."""
    with open(FOLDER + name + ".json") as file:
        return json.load(file)


def raises(error, code, function, *args):
    """Does the call raise this error with this status code, or one of these?"""
    codes = code if isinstance(code, tuple) else (code,)
    try:
        function(*args)
    except error as found:
        assert found.code in codes, "status %d, not %r: %s" % (found.code, codes, found)
        return True
    raise AssertionError("nothing was raised")
