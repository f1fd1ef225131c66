"""`cradle ls` and `cradle status`: which devices there are, and how things stand with the partners."""

import os
import time
from argparse import Namespace

from cradle_desktop.commands.report import GONE, differing
from cradle_desktop.errors import UserError
from cradle_desktop.manager import NOTHING_PAIRED, ServiceManager
from cradle_desktop.output import VERBOSE, Output
from cradle_desktop.partnership.registry import EnabledType, Partnership
from cradle_desktop.sync.filter import Filter

SCHEMA = 1
# A partner in the local network answers in milliseconds; one that takes longer is not in sight.
GLANCE = 1.5


def ls(arguments: Namespace, output: Output) -> int:
    """Partners, in sight or away, and ports that may have an unpaired device. Nothing is sent to a stranger's port.

    Ports that are no USB ports (built-in ones, Bluetooth) are shown to those who ask for more.
    """
    with ServiceManager() as manager:
        partners = manager.partners()
    rows = [(one.address, one.name, "paired" if in_sight(one) else "away", one.agent) for one in partners]
    taken = {address.partition("?")[0] for address, *_ in rows}
    for port in ports(output):
        if port.address.partition("?")[0] not in taken and (port.vid is not None or output.level >= VERBOSE):
            rows.append((port.address, port.name, "not paired", port.board))
    output.document(
        {
            "schema": SCHEMA,
            "devices": [{"address": a, "name": n, "state": s, "description": d} for a, n, s, d in rows],
        }
    )
    output.table(rows)
    if not rows:
        output.say("no device is in sight; a network device is reached by its address: cradle pair tcp://HOST")
    return 0


def ports(output: Output) -> "list[LinkInfo]":
    """Serial ports of this machine; none where the driver is not installed."""
    from cradle_hardware.discovery import serial_ports
    from cradle_hardware.link import DriverMissing

    try:
        return serial_ports()
    except DriverMissing as error:
        output.say(str(error))
        return []


def in_sight(partner: Partnership) -> bool:
    """Is something there where the partner was last? Asks no more than that."""
    from cradle_desktop.stick.place import find
    from cradle_hardware.address import open_link, parse_address
    from cradle_hardware.link import LinkError

    try:
        address = parse_address(partner.address)
        if address.scheme == "serial":
            return os.path.exists(address.path)
        if address.scheme == "directory":
            return bool(find(address.path, partner.device_id, partner.name))
        open_link(address, timeout=GLANCE, pin=partner.certificate).close()
    except (LinkError, UserError, OSError):
        return False
    return True


def status(arguments: Namespace, output: Output) -> int:
    """Partners, what is enabled with them, when they last synced, how many conflicts wait."""
    with ServiceManager() as manager:
        partners = manager.partners() if arguments.partner is None else manager.chosen(arguments.partner)
        found = [described(manager, one) for one in partners]
    output.document({"schema": SCHEMA, "partners": found})
    for one in found:
        show(one, output)
    if not found:
        output.say(NOTHING_PAIRED)
    return 0


def described(manager: ServiceManager, partner: Partnership) -> "dict[str, Any]":
    """One partner as the document has it."""
    return {
        "name": partner.name,
        "device_id": partner.device_id.hex(),
        "address": partner.address,
        "last_sync": None if partner.last_sync is None else stamp(partner.last_sync),
        "conflicts_waiting": manager.waiting(partner.name),
        "types": [described_type(manager, partner, one) for one in partner.types],
    }


def described_type(manager: ServiceManager, partner: Partnership, one: EnabledType) -> "dict[str, Any]":
    """One enabled type as the document has it; of a stream the objects are its rows."""
    found = {
        "type": one.type,
        "store": one.location,
        "policy": one.policy,
        "direction": one.direction,
        "objects": manager.objects(one),
        "deviations": one.deviations,
    }
    if not (wanted := Filter.read(one.filter)).everything():
        found |= {"filter": wanted.words(), "held": one.held, "by_name": one.named}
    stream = manager.stream(partner, one)
    if stream is not None:
        found |= {"objects": stream.rows, "lost": stream.lost, "clock_behind_s": stream.behind_s}
    return found


def show(one: "dict[str, Any]", output: Output) -> None:
    """One partner in words."""
    when = f"last synced {one['last_sync']}" if one["last_sync"] else "never synced"
    waiting = one["conflicts_waiting"]
    conflicts = f", {waiting} conflict{'s' if waiting != 1 else ''} waiting" if waiting else ""
    output.data(f"{one['name']}  {one['address']}  {when}{conflicts}")
    for kind in one["types"]:
        if "lost" in kind:
            lost = f", {kind['lost']} lost: {GONE}" if kind["lost"] else ""
            output.data(f"  {kind['type']}  {kind['objects']} rows in {kind['store']}{lost}")
            continue
        output.data(
            f"  {kind['type']}  {kind['objects']} object{'s' if kind['objects'] != 1 else ''} in {kind['store']}, "
            f"policy {kind['policy']}, direction {kind['direction']}"
        )
        if "filter" in kind:
            known = f", see 'cradle get {one['name']}'" if kind["by_name"] else ""
            output.data(f"    {kind['filter']}: {kind['held']} held there, {kind['by_name']} by name only{known}")
        if kind["deviations"]:
            output.data(f"    {differing(kind['deviations'])} at the last sync: cradle diff {one['name']}")
    if not one["types"]:
        output.data(f"  nothing is enabled: cradle enable {one['name']} files")


def stamp(seconds: float) -> str:
    """A time as ISO 8601 in UTC, for people and programs."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from cradle_hardware.link import LinkInfo
