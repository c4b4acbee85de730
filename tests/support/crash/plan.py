"""The folder between a test and the processes that it crashes: orders in, traces and deaths out.

Owns its files. `orders/<process>` says what is armed, `fired/<serial>` that a point has ended its
process, `traces/<process>` every point that was passed, in order.
"""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import count
from pathlib import Path
from typing import Final

from tests.support.crash.trigger import Side

HOOK: Final = Path(__file__).with_name("hook")
ROOT: Final = Path(__file__).parents[3]


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """Where a process is to die. `process` may be a pattern: whichever gets there first.

    `behind`: only once the same thread has been there before. A place that is passed at rest too
    would be passed long before there is work; `behind` is then the last one before it that only
    work reaches.
    """

    process: str
    side: Side
    behind: Side | None = None

    @property
    def name(self) -> str:
        """What it is called on a command line, and in reports."""
        return " ".join((self.process, *self.side))

    def __str__(self) -> str:
        return self.name if self.behind is None else f"{self.name} (behind {self.behind[0]})"


@dataclass(frozen=True, slots=True)
class Hit:
    """A point that a thread of a process passed."""

    thread: tuple[str, str]
    side: Side


def _elsewhere() -> list[str]:
    known = os.environ.get("PYTHONPATH")
    return [known] if known else []


class Plan:
    """One plan folder, for these processes."""

    def __init__(self, folder: Path, processes: Sequence[str]) -> None:
        self.folder = folder
        self._processes = tuple(processes)
        self._serials = count(1)
        self._armed: dict[str, Point] = {}
        for name in ("orders", "traces", "fired"):
            (folder / name).mkdir(parents=True)
        self._order()

    @property
    def environment(self) -> dict[str, str]:
        """What a stack is started with, so that its processes take orders from here.

        Everything else is compiled once and kept in a folder of ours: they start often.
        """
        return {
            "CRASH_PLAN": str(self.folder),
            "PYTHONPATH": os.pathsep.join((str(HOOK), str(ROOT), *_elsewhere())),
            "PYTHONPYCACHEPREFIX": str(self.folder / "bytecode"),
            "PYTHONDONTWRITEBYTECODE": "",
        }

    def arm(self, points: Sequence[Point]) -> None:
        """Have processes die there, once each, besides where they are to die already."""
        self._armed |= {f"{next(self._serials):05}": point for point in points}
        self._order()

    def disarm(self) -> tuple[list[Point], list[Point]]:
        """Arm nothing any more. Returns what has fired, and what was not reached."""
        armed, self._armed = self._armed, {}
        self._order()
        fired = [point for serial, point in armed.items() if self._has_fired(serial)]
        left = [point for serial, point in armed.items() if not self._has_fired(serial)]
        return fired, left

    def untouched(self) -> set[str]:
        """The processes in which something is armed and nothing has fired."""
        fired = {point.process for serial, point in self._armed.items() if self._has_fired(serial)}
        return {point.process for point in self._armed.values()} - fired

    def mark(self) -> dict[str, int]:
        """Where every trace ends now."""
        files = {process: self.folder / "traces" / process for process in self._processes}
        return {name: file.stat().st_size if file.exists() else 0 for name, file in files.items()}

    def hits(self, process: str, start: int, end: int) -> list[Hit]:
        """What the process passed between two marks."""
        file = self.folder / "traces" / process
        if not file.exists():
            return []
        found = []
        for line in file.read_bytes()[start:end].decode().splitlines():
            pid, thread, place, side = line.split(" ")
            found.append(Hit((pid, thread), (place, side)))
        return found

    def _has_fired(self, serial: str) -> bool:
        return (self.folder / "fired" / serial).exists()

    def _order(self) -> None:
        for process in self._processes:
            armed = [
                {"serial": serial, "side": point.side, "behind": point.behind}
                for serial, point in self._armed.items()
                if fnmatchcase(process, point.process)
            ]
            file = self.folder / "orders" / process
            beside = file.with_suffix(".new")
            beside.write_text(json.dumps(armed), "utf-8")
            beside.replace(file)
