"""Run one dual test file under MicroPython: every test_* function, in the order of their names.

Usage: micropython -X heapsize=192k run_dual.py FOLDER MODULE. Exits 1 if a test failed.
"""

import gc
import sys

BOARD = 1 << 19  # bytes: no board has a larger heap, and to collect a larger one so often takes minutes
SMALL = gc.mem_free() < BOARD
if SMALL:
    gc.threshold(4096)  # as device/boot has it, before anything is imported: it keeps a small heap in one piece


def run(folder, name):
    sys.path.insert(0, folder)
    module = __import__(name)
    if SMALL:
        gc.threshold(32768)  # what lasts lies together by now
    tests = sorted(n for n in dir(module) if n.startswith("test_"))
    failed = 0
    for test in tests:
        gc.collect()
        try:
            getattr(module, test)()
        except Exception as error:  # noqa: BLE001
            failed += 1
            print("FAILED", test)
            sys.print_exception(error)
    print("ran", len(tests), "failed", failed)
    return 1 if failed or not tests else 0


sys.exit(run(sys.argv[1], sys.argv[2]))
