"""Addresses: their grammar, and opening or listening at one. Drivers are imported when one of their links is opened."""

from typing import TYPE_CHECKING, NamedTuple

from cradle_hardware.link import AddressError, Link, LinkError, Listener

if TYPE_CHECKING:
    from cradle_hardware.certificate import Certificate

DEFAULT_PORT = 7465  # TCP; in the range that is free for all
DEFAULT_BAUD = 115200  # what boards and adapters use unless told otherwise
MOST_BAUD = 20_000_000  # no UART is faster; more is a slip of the pen
OPEN_TIMEOUT = 10.0  # seconds for name lookup, connection and handshake together, each at most

LATER = ("usb", "mdns", "s3", "azure")  # design, section 9: part of the grammar, not of this version
IN_MEMORY = "/dev/shm/"  # the one place there that holds folders, on Linux
FOLDER_STARTS = ("/", "./", "../", "~")
FORMS = "serial:/dev/ttyACM0, tcp://host:7465, rfc2217://host:port"


class Address(NamedTuple):
    """Where a link leads. Fields that a scheme does not use stay empty. `str()` gives the canonical text."""

    scheme: str
    path: str = ""  # of a port or folder; the name of a loop
    host: str = ""
    port: int = 0
    baud: int = 0  # 0 is DEFAULT_BAUD, and unknown for a USB port, which has none
    plain: bool = False

    def __str__(self) -> str:
        options = [f"baud={self.baud}"] * bool(self.baud) + ["plain=1"] * self.plain
        tail = "?" + "&".join(options) if options else ""
        if self.scheme == "directory":
            return self.path
        if self.host:
            host = f"[{self.host}]" if ":" in self.host else self.host
            return f"{self.scheme}://{host}:{self.port}{tail}"
        return f"{self.scheme}:{self.path}{tail}"


def is_address(text: str) -> bool:
    """Is it meant as an address? If not, it is the name of a partner."""
    return ":" in text or text.startswith(FOLDER_STARTS)


def parse_address(text: str) -> Address:
    """The address that the text spells; AddressError says what is wrong with it."""
    if not text or text != text.strip() or any(ord(c) < 32 for c in text):
        raise AddressError(f"{text!r} is no address: write it like {FORMS}")
    if text.startswith(FOLDER_STARTS):
        return _parse_path(text)
    scheme, colon, rest = text.partition(":")
    if colon and scheme in LATER:
        raise AddressError(f"{scheme}: addresses come in a later version: use one of {FORMS}")
    parser = _PARSERS.get(scheme) if colon else None
    if parser is None:
        raise AddressError(f"{text!r} is no address: write it like {FORMS}")
    return parser(text, scheme, *_split_options(text, rest))


def _parse_path(text: str) -> Address:
    """A bare port as other serial tools take it, or a folder."""
    if text.startswith("/dev/") and not text.startswith(IN_MEMORY):
        return _parse_serial(text, "serial", *_split_options(text, text))
    return Address("directory", path=text)


def _split_options(text: str, rest: str) -> tuple[str, dict[str, str]]:
    """What stands before the question mark, and the options after it."""
    body, mark, tail = rest.partition("?")
    options: dict[str, str] = {}
    for item in tail.split("&") if mark else []:
        name, equals, value = item.partition("=")
        if not equals or not value or name in options:
            raise AddressError(f"{text!r} has a wrong option {item!r}: options look like ?baud=921600 or ?plain=1")
        options[name] = value
    return body, options


def _parse_serial(text: str, scheme: str, body: str, options: dict[str, str]) -> Address:
    if not body.startswith("/"):
        raise AddressError(f"{text!r} names no port: write the whole path, like serial:/dev/ttyACM0")
    return Address("serial", path=body, baud=_take_baud(text, options))


def _parse_rfc2217(text: str, scheme: str, body: str, options: dict[str, str]) -> Address:
    host, port = _host_port(text, body, None)
    return Address("rfc2217", host=host, port=port, baud=_take_baud(text, options))


def _parse_tcp(text: str, scheme: str, body: str, options: dict[str, str]) -> Address:
    plain = options.pop("plain", "0")
    if plain not in ("0", "1"):
        raise AddressError(f"{text!r} has a wrong option: plain is 1 (no TLS) or is left out")
    _refuse_rest(text, options, "plain")
    host, port = _host_port(text, body, DEFAULT_PORT)
    return Address("tcp", host=host, port=port, plain=plain == "1")


def _parse_loop(text: str, scheme: str, body: str, options: dict[str, str]) -> Address:
    _refuse_rest(text, options, "no option")
    return Address("loop", path=body)


def _take_baud(text: str, options: dict[str, str]) -> int:
    value = options.pop("baud", "")
    _refuse_rest(text, options, "baud")
    if not value:
        return 0
    baud = _number(value, MOST_BAUD)
    if not baud:
        raise AddressError(f"{text!r} has a wrong speed: baud is a number like 115200 or 921600")
    return baud


def _refuse_rest(text: str, options: dict[str, str], known: str) -> None:
    if options:
        raise AddressError(f"{text!r} has an option {min(options)!r} that it cannot have: it takes {known}")


def _host_port(text: str, body: str, default: int | None) -> tuple[str, int]:
    """Of //host:port, //[v6]:port, and where there is a default port, //host."""
    place = body.removeprefix("//").removesuffix("/")
    if place.startswith("["):
        host, bracket, tail = place[1:].partition("]")
        colon, digits = tail[:1], tail[1:]
        good = bracket and ":" in host and colon in ("", ":")
    else:
        host, colon, digits = place.partition(":")
        good = not set(host) & set("/@[]?#")
    port = _port_number(digits) if colon else default
    if not body.startswith("//") or not host or not good or port is None:
        raise AddressError(
            f"{text!r} names no host and port: write it like {text.partition(':')[0]}://host:{DEFAULT_PORT}"
        )
    return host, port


def _port_number(digits: str) -> int | None:
    if digits == "0":
        return 0  # to listen at: any free port
    return _number(digits, 65535) or None


def _number(digits: str, most: int) -> int:
    """A decimal number from 1 to `most`, or 0 when it is none."""
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 8):
        return 0
    return int(digits) if int(digits) <= most else 0


_PARSERS = {"serial": _parse_serial, "rfc2217": _parse_rfc2217, "tcp": _parse_tcp, "loop": _parse_loop}


def _address(address: str | Address) -> Address:
    return address if isinstance(address, Address) else parse_address(address)


def open_link(address: str | Address, *, timeout: float = OPEN_TIMEOUT, pin: bytes = b"") -> Link:
    """A link to the device at `address`.

    `pin` is the binding that a TLS server must have: LinkRefused if it has another. b"" takes any; the caller
    then looks at link.binding and lets pairing prove it.
    """
    place = _address(address)
    if place.scheme == "tcp":
        from cradle_hardware import tcp

        return tcp.open_tcp(place, timeout, pin)
    if pin:
        raise AddressError(
            f"{place} has no TLS, but its partner was paired over TLS: use the tcp:// address it was paired at"
        )
    return _open_other(place)


def _open_other(place: Address) -> Link:
    if place.scheme == "serial":
        from cradle_hardware import serial

        return serial.open_serial(place)
    if place.scheme == "rfc2217":
        from cradle_hardware import rfc2217

        return rfc2217.open_rfc2217(place)
    if place.scheme == "loop":
        from cradle_hardware import loopback

        return loopback.open_loop(place.path)
    raise AddressError(f"{place} is a folder, and no link leads to one: use one of {FORMS}")


def listen(address: str | Address, *, certificate: "Certificate | None" = None) -> Listener:
    """Wait for links at `address`. TCP without ?plain=1 needs a certificate."""
    place = _address(address)
    if place.scheme == "tcp":
        from cradle_hardware import tcp

        if certificate is None and not place.plain:
            raise LinkError(f"{place} needs a certificate for TLS: give one, or add ?plain=1")
        return tcp.TcpListener(place, None if place.plain else certificate)
    if place.scheme == "loop":
        from cradle_hardware import loopback

        return loopback.LoopListener(place.path)
    if place.scheme == "serial":
        from cradle_hardware import serial

        return serial.SerialListener(place)
    raise AddressError(f"{place} cannot be listened at: use serial:/dev/ttyGS0 or tcp://0.0.0.0:{DEFAULT_PORT}")
