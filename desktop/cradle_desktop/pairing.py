"""Making and ending a partnership from the desktop's side: over a cable by possession, over a network by a code.

Nothing here decides who is trusted: the session compares, the device counts tries. A key is kept as soon as both ends
have it, and proved at once in the same conversation.
"""

import os
import re
from collections.abc import Callable

from cradle_desktop.apart import check_free, check_no_state
from cradle_desktop.config import home, nested, store_location
from cradle_desktop.connection import LINK_ERRORS
from cradle_desktop.errors import LinkGone, NotPaired, Usage, UserError
from cradle_desktop.opening import Ears, Greeting, another_device, greet, is_stick
from cradle_desktop.partnership.registry import NAME_LIMIT, Partnership, Registry, tidy_name
from cradle_hardware.address import is_address, parse_address
from cradle_protocol.errors import LIMIT, NO_ENTROPY, NOT_ALLOWED, WRONG_CODE
from cradle_protocol.wire import constants as c
from cradle_protocol.wire.events import PAIRED
from cradle_protocol.wire.fingerprint import fingerprint
from cradle_protocol.wire.proof import KEY_SIZE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cradle_desktop.opening import Ears
    from cradle_protocol.wire.session import Identity

CODE = re.compile(r"\d{6}")
# Words that `cradle conflicts` takes for something else than a partner.
RESERVED = ("show", "resolve")
# Seconds for one step of a pairing. A CPython agent on a Pi Zero needs about one for its half of SPAKE2.
STEP = 30.0


def tidy_code(text: str) -> str:
    """Six digits, however they were grouped: 418302, 418-302, 418 302."""
    code = text.replace("-", "").replace(" ", "")
    if not CODE.fullmatch(code) or not code.isascii():
        raise Usage(f"{text!r} is no pairing code; it has six digits, as the device shows them")
    return code


def check_name(name: str) -> None:
    """Is it a name that a partner can have?"""
    if tidy_name(name) != name or name in RESERVED or is_address(name):
        raise Usage(
            f"{name!r} cannot be a partner's name; use at most {NAME_LIMIT} letters, digits, '.', '-' and '_', begin "
            f"with a letter or a digit, and take neither 'show' nor 'resolve'"
        )


class Pairing:
    """One attempt to pair with the device at an address.

    stick      it is a folder on a stick or card
    objects    that the device has records of, from other desktops, when it pairs for the first time
    by_code, met_again   how it was done
    """

    def __init__(self, registry: Registry, identity: "Identity", address: str, ears: "Ears | None" = None) -> None:
        self.registry, self.identity = registry, identity
        self.stick = is_stick(address)
        self.address, self.ears = store_location(address) if self.stick else str(parse_address(address)), ears
        self.fingerprint = ""
        self.by_code = False
        self.met_again = False
        self.objects = 0

    def run(self, name: str | None, code: "Callable[[str], str]", anew: bool = False) -> Partnership:
        """Pair. `code` is asked for the code when one is needed, with the device's name. Raises UserError.

        A device that proves the key of a partnership is that partner, wherever it was found, and keeps its key;
        `anew`: it gets a new one all the same.
        """
        if name is not None:
            check_name(name)
        if self.stick:
            self._make_stick()
        greeting = self._greet(name=name)
        try:
            self._check_taken(name, greeting.peer.id)
            known = self.registry.by_device(greeting.peer.id)
            if known is not None and not anew and greeting.peer.flags & c.PAIRED:
                try:
                    return self._met_again(greeting, known, name)
                except NotPaired:  # the key is no longer the same on both sides
                    greeting.close()
                    greeting = self._greet()
            digits = ""
            if not _by_cable(greeting) and greeting.peer.flags & c.CODE:
                digits = tidy_code(code(greeting.peer.name))
                greeting.close()
                greeting = self._greet(greeting.peer.id)  # a device does not wait for somebody who looks for a code
            return self._new(greeting, name, digits)
        finally:
            greeting.close()

    def _make_stick(self) -> None:
        """The folder becomes a stick, unless what is synced already, or our own state, is it, in it or around it."""
        from cradle_desktop.stick.agent import make_stick

        for partner in self.registry.all():
            for folder in [one.location for one in partner.types] + self._other_stick(partner):
                if nested(self.address, folder):
                    raise Usage(
                        f"{self.address} cannot be a partner: {folder}, which is synced with {partner.name}, is the "
                        f"same folder or lies in the same place; name a folder beside it"
                    )
        check_free(self.address, (), "name a folder outside of it")
        check_no_state(self.address, home())
        make_stick(self.address)

    def _other_stick(self, partner: Partnership) -> "list[str]":
        """Where a partner's folder is that is another one than ours: a stick that was met before is met again."""
        from cradle_desktop.stick.place import id_at

        there = is_stick(partner.address) and id_at(partner.address) == partner.device_id
        return [partner.address] if there and id_at(self.address) != partner.device_id else []

    def _greet(self, device_id: bytes = b"", name: str | None = None) -> Greeting:
        key = b""
        if self.stick:
            from cradle_desktop.stick.place import id_at

            known = self.registry.by_device(id_at(self.address))
            name, key = (known.name, known.key) if known else (name or os.path.basename(self.address), b"")
        greeting = greet(self.address, self.identity, name=name or "the device", ears=self.ears, key=key)
        if device_id and greeting.peer.id != device_id:
            greeting.close()
            raise another_device("the one that asked for the code", greeting.peer.name, self.address)
        return greeting

    def _met_again(self, greeting: Greeting, known: Partnership, name: str | None) -> Partnership:
        greeting.prove(known.key, known.name)
        self.met_again = True
        return self._keep(greeting, known.key, name)

    def _new(self, greeting: Greeting, name: str | None, digits: str) -> Partnership:
        key = self._key(greeting, digits)
        partner = self._keep(greeting, key, name)
        self._prove(greeting, key, partner.name)
        return partner

    def _check_taken(self, name: str | None, device_id: bytes) -> None:
        other = self.registry.by_name(name) if name is not None else None
        if other is not None and other.device_id != device_id:
            raise Usage(
                f"there is already a partner {other.name!r}, which is another device; choose another --name, or run "
                f"'cradle unpair {other.name}' first"
            )

    def _key(self, greeting: Greeting, digits: str) -> bytes:
        """The new partnership key, held by both ends."""
        flags, session = greeting.peer.flags, greeting.pump.session
        if _by_cable(greeting):
            fresh = os.urandom(KEY_SIZE)
            event = greeting.ask(lambda: session.pair_by_cable(fresh), STEP)
        elif digits and flags & c.CODE:
            from cradle_hardware.pake import Pake

            self.by_code = True
            pake = Pake(digits, True, self.identity.id, greeting.peer.id)
            event = greeting.ask(lambda: session.pair_by_code(pake), STEP)
        else:
            raise NotPaired(
                f"{greeting.peer.name} takes no pairing over this link now; use a cable, or restart its agent so "
                f"that it shows a code"
            )
        if event[0] != PAIRED:
            raise pairing_refused(event[1], event[2], greeting.peer.name)
        return bytes(event[2])

    def _keep(self, greeting: Greeting, key: bytes, name: str | None) -> Partnership:
        peer = greeting.peer
        self.fingerprint = fingerprint(self.identity.id, peer.id, key)
        if name is None and self.registry.by_device(peer.id) is None and tidy_name(peer.name) in RESERVED:
            name = tidy_name(peer.name) + "-1"
        return self.registry.add(
            peer.id, key, peer.name, self.address, name, greeting.pump.link.binding, peer.agent
        )  # fmt: skip

    def _prove(self, greeting: Greeting, key: bytes, name: str) -> None:
        """Use the key once, so that what went wrong shows now and not at the first sync."""
        greeting.peer.flags |= c.PAIRED
        peer = greeting.prove(key, name).peer
        self.objects = sum(objects for _, _, _, objects in peer.types)


def _by_cable(greeting: Greeting) -> bool:
    """May the key cross this link?"""
    return bool(greeting.peer.flags & c.CABLE) and greeting.pump.link.cable


def pairing_refused(status: int, text: str, name: str) -> UserError:
    """Why there is no new key."""
    if status == WRONG_CODE:
        return NotPaired(f"{name} has another code; look at the one it shows now and try again")
    if status == LIMIT:
        return NotPaired(f"{name} takes no more tries ({text}); restart its agent to get a new code")
    if status == NO_ENTROPY:
        return NotPaired(f"{name} has no source of randomness and cannot keep a secret; it refuses to pair")
    if status == NOT_ALLOWED:
        return NotPaired(f"{name} does not allow that ({text}); restart its agent to get a code, or use a cable")
    return NotPaired(f"{name} did not pair: {text}")


def unpair(registry: Registry, partner: Partnership, forget: "Callable[[], None]") -> str:
    """End a partnership on both sides. `forget` asks the device to. Returns why the device was not told, or "".

    A stick need not be told: it holds no key, and what it knows stays on it for other desktops.
    """
    why = ""
    try:
        if not is_stick(partner.address):
            forget()
    except (UserError, LinkGone, *LINK_ERRORS) as error:
        why = str(error)
    registry.remove(partner.name, told=not why)
    return why
