"""A batch of objects that belong together: all of it becomes visible in one step, or all of it fails.

The store gathers and shows it; before that, intents are durable as for any batch, so that a
restart adopts all of it or nothing.
"""

from cradle_protocol.errors import OK
from cradle_protocol.provider.store import StoreError
from cradle_protocol.provider.together import show_together

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cradle_device.apply import Entry
    from cradle_device.install import Installer
    from cradle_protocol.provider.store import ObjectStore


def install(installer: "Installer", store: "ObjectStore", entries: "list[Entry]") -> bool:
    """Install a whole batch at once. Where one change fails, or has failed already, every one has its status: False."""
    status = OK
    for entry in entries:
        status = status or entry.status
    if not status:
        status = _show(installer, store)
    for entry in entries:
        if status and not entry.status:
            installer.fail(entry, status)
    return not status


def _show(installer: "Installer", store: "ObjectStore") -> int:
    """OK, or why nothing is to be seen."""
    try:
        acts = installer.prepare()
        show_together(store, acts, installer.act)
        store.sync()
    except StoreError as error:
        return error.status
    installer.remember(acts)
    return OK
