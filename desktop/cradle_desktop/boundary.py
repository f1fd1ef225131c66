"""One place where the errors of the layers below become sentences with an exit code. It handles none of them."""

from collections.abc import Iterator
from contextlib import contextmanager

from cradle_desktop.errors import DeviceError, Held, StoreMissing, StoreTrouble, UserError, by_code
from cradle_desktop.lock import Locked
from cradle_desktop.metadata.interface import StateError
from cradle_hardware.link import LinkError
from cradle_protocol.errors import NO_STORE, ProtocolError
from cradle_protocol.provider.store import StoreError


@contextmanager
def sentences(store: str = "") -> Iterator[None]:
    """Turn what is raised inside into a `UserError`. `store` says which store a `StoreError` is about."""
    try:
        yield
    except StateError as error:
        raise UserError(error.text) from error
    except Locked as error:
        raise Held(error.text) from error
    except StoreError as error:
        raise store_trouble(error, store) from error
    except LinkError as error:
        raise by_code(str(error), error.exit_code) from error
    except ProtocolError as error:
        raise DeviceError(f"the device broke the protocol ({error}); update its agent, then try again") from error


def store_trouble(error: StoreError, store: str) -> UserError:
    """A store as a whole cannot be used."""
    if error.status == NO_STORE:
        return StoreMissing(
            f"{store or 'the store'} is missing or is no store of ours any more: nothing was changed or deleted; bring "
            f"it back, or run 'cradle enable' once more to begin with what is there"
        )
    return StoreTrouble(f"{store or 'the store'} cannot be used: {error.text}; mend that, then try again")
