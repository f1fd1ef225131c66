# MicroPython manifest: freezes or copies this package alone. `include("protocol")` in a board's own manifest.
#
# Everything but what says of itself that it is for CPython only. It runs in MicroPython's manifest tool, which gives
# it `package` and this folder as the current one.
import os

MARK = '"""CPython only'


def _for_boards(folder):
    """Paths below the package of the modules that a board loads."""
    found = []
    for place, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(place, name)
            if name.endswith(".py"):
                with open(path, encoding="utf-8") as file:
                    if file.read(len(MARK)) != MARK:
                        found.append(os.path.relpath(path, folder))
    return sorted(found)


package("cradle_protocol", files=_for_boards("cradle_protocol"))  # noqa: F821
