"""An emulated serial line: paced to its speed, with seeded noise, full duplex, cut and mended at will.

Between two pseudo terminals, so that the real serial drivers are at both ends, or between two links in memory. Runs in
a thread (`EmulatedLine`) or in a process of its own (`LineProcess`, `python -m cradle_hardware.emulated`). It emulates
the wire and the ports, not what a USB adapter adds.
"""

from cradle_hardware.emulated.lane import Meter
from cradle_hardware.emulated.line import EmulatedLine
from cradle_hardware.emulated.noise import Line
from cradle_hardware.emulated.process import LineProcess

__all__ = ["EmulatedLine", "Line", "LineProcess", "Meter"]
