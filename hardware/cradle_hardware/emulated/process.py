"""An emulated line in a process of its own, so that a busy test does not disturb its pace. Lines of JSON both ways."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Self

from cradle_hardware.emulated.lane import Meter
from cradle_hardware.emulated.noise import Line

END_S = 5.0  # for the process to end after its standard input did


class LineProcess:
    """Same methods as an EmulatedLine between pseudo terminals."""

    def __init__(self, line: Line, folder: Path) -> None:
        self.line = line
        arguments = [f"--{name.replace('_', '-')}={_text(value)}" for name, value in line._asdict().items()]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "cradle_hardware.emulated", "--folder", str(folder), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Ctrl-C is for its owner, who then closes it
            env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        ready = self._answer()
        self.desktop_address: str = ready["desktop"]
        self.device_address: str = ready["device"]

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise OSError("the emulated line has ended")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _ask(self, *words: object) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(words) + "\n")
        self._process.stdin.flush()
        return self._answer()

    @property
    def plugged(self) -> bool:
        """Is the desktop's end there?"""
        return bool(self._ask("plugged")["plugged"])

    def cut(self) -> None:
        """Pull the cable at the desktop."""
        self._ask("cut")

    def mend(self) -> None:
        """Plug it in again, under the same name."""
        self._ask("mend")

    def cut_after(self, count: int, to_device: bool) -> None:
        """Cut exactly when so many more bytes have passed in that direction."""
        self._ask("cut_after", count, to_device)

    def meter(self, to_device: bool) -> Meter:
        """What has gone over one direction since the last reset."""
        return Meter(**self._ask("meter", to_device))

    def reset_meters(self) -> None:
        """Start to count anew."""
        self._ask("reset_meters")

    def close(self) -> None:
        """End the process and, with it, the line."""
        process = self._process
        assert process.stdin is not None and process.stdout is not None
        process.stdin.close()
        try:
            process.wait(END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
