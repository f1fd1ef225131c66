"""Objects that become visible together or not at all: what a store of such objects offers, and how it is used.

A store whose objects belong together has a method `together(state)`, on either interpreter. After GATHER nothing that
is installed or removed is visible yet; stamps are as they will be. At SHOW all of it is, in one step that a crash does
not divide; if that raises StoreError, or at DROP, none of it happened.
"""

from cradle_protocol.compat import const
from cradle_protocol.errors import NOT_ALLOWED
from cradle_protocol.provider.store import StoreError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable

    from cradle_protocol.provider.store import ObjectStore

GATHER, SHOW, DROP = const(0), const(1), const(2)


def show_together(store: "ObjectStore", things: "list[Any]", act: "Callable[[Any], object]") -> None:
    """Act on each thing and show all of it at once. Raises StoreError: nothing of it is to be seen."""
    together = getattr(store, "together", None)
    if together is None:
        raise StoreError(NOT_ALLOWED, "this store shows each object by itself")
    shown = False
    together(GATHER)
    try:
        for thing in things:
            act(thing)
        together(SHOW)
        shown = True
    finally:
        if not shown:
            together(DROP)
