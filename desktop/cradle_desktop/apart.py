"""Two stores that lie in one another, on one machine: each sync would copy the copies of the last one. Writes nothing.

What can be known: at `enable`, that a folder lies inside a store of somebody else; at a sync, when the device has told
its store's id, whether that id lies around, at, or inside the desktop's folder. Nor does any store hold our own state.
"""

import os
from collections.abc import Iterator

from cradle_desktop.config import nested
from cradle_desktop.errors import Usage, UserError
from cradle_desktop.stick.place import store_id_in

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container

    from cradle_protocol.provider.store import ObjectStore


def around(location: str) -> Iterator[str]:
    """The folders that a folder lies in, the nearest first."""
    while (parent := os.path.dirname(location)) != location:
        location = parent
        yield location


def check_free(
    location: str, known: "Container[str]", advice: str = "name a folder outside of it with --store"
) -> None:
    """Raise Usage if the folder lies inside a store that is none of these locations."""
    for folder in around(os.path.realpath(location)):
        if store_id_in(folder) and folder not in known:
            raise Usage(
                f"{location} lies inside {folder}, which is a store already, of an agent on this machine perhaps: each "
                f"sync would copy the copies; {advice}"
            )


def check_no_state(location: str, state: str) -> None:
    """Raise Usage if a folder holds, or lies in, the one of a desktop's or an agent's keys and records.

    They would travel to partners, and what comes from those could take their place.
    """
    if nested(location, state):
        raise Usage(
            f"{location} holds, or lies in, {state}, where cradle keeps its keys and records, which nobody else may "
            "have; name a folder apart from it"
        )


def check_apart(store: "ObjectStore", location: str, partner: str, theirs: bytes) -> None:
    """Raise UserError if the device's store, which has this id, is, holds or lies in the desktop's."""
    inside = (os.path.join(location, identity) for identity in getattr(store, "nested", ()))
    for folder in (location, *around(os.path.realpath(location)), *inside):
        if theirs and store_id_in(folder) == theirs:
            raise UserError(
                f"{location} and {folder}, which {partner} serves, are one folder or lie in one another: nothing was "
                f"synced, for each sync would copy the copies; name a folder apart from it: 'cradle enable {partner} "
                f"{store.type} --store FOLDER'"
            )
