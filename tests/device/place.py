"""PLACE: a folder that only this process uses, for tests that run on both interpreters and so have no fixtures.

CPython removes it when it ends; whoever starts MicroPython makes one inside it (`micropython.dual`).
"""

import os

from cradle_protocol.compat import MICROPYTHON

if MICROPYTHON:
    PLACE = os.getenv("CRADLE_TEST_PLACE") or "/tmp/cradle-test"
else:
    import atexit
    import shutil
    import tempfile

    MEMORY = "/dev/shm"  # these tests flush thousands of times, and a disk takes milliseconds each time
    PLACE = tempfile.mkdtemp(prefix="cradle-test-", dir=MEMORY if os.path.isdir(MEMORY) else None)
    atexit.register(shutil.rmtree, PLACE, True)
