"""Counts what is asked of a disk, for tests that run on both interpreters: looks, entries read, files opened, calls to
files, renames. Of an agent's log and of its `files` store."""

from cradle_device import system
from cradle_device.providers import disk, files, folder

# What stands for them while a count runs: (module, name, how it is wrapped).
_PLAIN, _FILE, _ENTRIES = 0, 1, 2
_WRAPPED = (
    (system, "open_private", _FILE), (system, "sync_file", _PLAIN), (system, "replace", _PLAIN),
    (system, "remove", _PLAIN), (disk, "open_file", _FILE), (files, "look", _PLAIN), (files, "listing", _ENTRIES),
    (folder, "look", _PLAIN), (folder, "listing", _ENTRIES),
)  # fmt: skip


class Count:
    """Use it in `with`. `total`: operations since then."""

    def __init__(self):
        self.total = 0
        self._real = []

    def __enter__(self):
        for module, name, kind in _WRAPPED:
            real = getattr(module, name)
            self._real.append(real)
            setattr(module, name, self._wrapped(real, kind))
        return self

    def __exit__(self, *_):
        for (module, name, _), real in zip(_WRAPPED, self._real):
            setattr(module, name, real)

    def _wrapped(self, real, kind):
        def call(*args):
            self.total += 1
            return CountedFile(real(*args), self) if kind == _FILE else real(*args)

        def entries(path):
            for entry in real(path):
                self.total += 1
                yield entry

        return entries if kind == _ENTRIES else call


class CountedFile:
    """An open file of which every call counts."""

    def __init__(self, file, count):
        self._file, self._count = file, count

    def read(self, *args):
        self._count.total += 1
        return self._file.read(*args)

    def readinto(self, *args):
        self._count.total += 1
        return self._file.readinto(*args)

    def write(self, *args):
        self._count.total += 1
        return self._file.write(*args)

    def seek(self, *args):
        self._count.total += 1
        return self._file.seek(*args)

    def flush(self):
        self._count.total += 1
        return self._file.flush()

    def close(self):
        self._count.total += 1
        return self._file.close()

    def fileno(self):
        return self._file.fileno()


class Metered:
    """A service whose longest poll, in operations, is noted."""

    def __init__(self, service, count):
        self._service, self._count = service, count
        self.longest = self.polls = 0

    def poll(self):
        before = self._count.total
        moved = self._service.poll()
        self.polls += 1
        self.longest = max(self.longest, self._count.total - before)
        return moved
