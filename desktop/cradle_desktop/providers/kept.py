"""`.cradle/kept`: what an installation or a removal displaced, as long as somebody may want it back. No scan shows it.

A displaced file is renamed into it: nothing is read, and nothing copied but from a disk that is mounted inside the
folder. Knows names, no identities, and no bound: both are the journal's (`cradle_desktop.undo`).
"""

import errno
import os
import stat

from cradle_desktop.providers.folder import Place, acting
from cradle_desktop.providers.kernel import READ
from cradle_desktop.providers.staging import Staging
from cradle_protocol.provider.store import StoreError

KEPT = "kept"


class Kept(Staging):
    """The folder. `next`: the name for the next file that is displaced, "" to let it go; it holds for that one file."""

    FOLDER = KEPT
    next = ""

    def part(self, out: Place) -> bool:
        """Delete a file that was displaced, or keep it where that is wanted. False: it is where it was."""
        name, self.next = self.next, ""
        there = out.stat() if name else None
        if there is None or not stat.S_ISREG(there.st_mode):
            os.unlink(out.name, dir_fd=out.fd)
            return True
        try:
            self.folder.kernel.rename(out.fd, out.name, self.fd(), name)
        except OSError as error:
            if error.errno != errno.EXDEV or not self._copy(out, name):
                return False
            os.unlink(out.name, dir_fd=out.fd)
        return True

    def adopt(self, staging: Staging, staged: str, name: str) -> None:
        """Take over a stage."""
        os.close(staging.read(staged))  # is there one?
        staging.ready.pop(staged, None)
        try:
            self.folder.kernel.rename(staging.fd(), staged, self.fd(), name)
        except OSError as error:
            raise acting(error) from error

    def copy_first(self, place: Place) -> bool:
        """Keep a copy of what is about to be overwritten, where no name can be given to the original."""
        name, self.next = self.next, ""
        return not name or self._copy(place, name)

    def _copy(self, place: Place, name: str) -> bool:
        try:
            source = os.open(place.name, READ, dir_fd=place.fd)
        except OSError:
            return False
        try:
            self.copy(source, name)
        except StoreError:
            self.drop(name)
            return False
        finally:
            os.close(source)
        return True
