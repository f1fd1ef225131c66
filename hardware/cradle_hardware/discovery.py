"""Serial ports in sight, as the operating system lists them. Nothing is sent to any port: who they are is not asked."""

from cradle_hardware.link import DriverMissing, LinkInfo

# What usually has a vendor and product number: (vid, pid): board. Also what udev/70-cradlesync.rules covers.
BOARDS = {
    (0x2E8A, 0x0005): "Raspberry Pi Pico with MicroPython",
    (0x2E8A, 0x000A): "Raspberry Pi Pico",
    (0x2E8A, 0x000C): "Raspberry Pi Debug Probe",
    (0x303A, 0x1001): "ESP32-S3 or ESP32-C3",
    (0x303A, 0x4001): "ESP32-S2 or ESP32-S3 with MicroPython",
    (0xF055, 0x9800): "pyboard",
    (0xF055, 0x9801): "pyboard",
    (0x0D28, 0x0204): "micro:bit",
    (0x10C4, 0xEA60): "CP210x serial adapter",
    (0x1A86, 0x7523): "CH340 serial adapter",
    (0x1A86, 0x55D4): "CH9102 serial adapter",
    (0x0403, 0x6001): "FT232 serial adapter",
    (0x0403, 0x6015): "FT231X serial adapter",
    (0x0525, 0xA4A7): "Linux USB gadget",
}


def serial_ports() -> list[LinkInfo]:
    """Every serial port of this machine, in the order of their names."""
    try:
        from serial.tools.list_ports import comports
    except ImportError as error:
        raise DriverMissing("serial links", "serial") from error
    found = [
        LinkInfo(
            address="serial:" + port.device,
            name=port.product or port.name or "",
            vid=port.vid,
            pid=port.pid,
            serial_number=port.serial_number or "",
            board=board(port.vid, port.pid),
        )
        for port in comports()
    ]
    return sorted(found)


def board(vid: int | None, pid: int | None) -> str:
    """What usually has these numbers; "" is not known."""
    return BOARDS.get((vid or 0, pid or 0), "")
