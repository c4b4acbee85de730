"""Reading the processes' log files: the end of them, and on as they grow."""

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final, TextIO

from placet.home import Home
from placet.servers.process import ServerError, tail

_EVERY: Final = 0.3


def show(home: Home, name: str | None, *, lines: int, follow: bool) -> None:
    """Print to stdout. With several processes every line starts with its process.

    Raises:
        ServerError: there is no such log; names those there are.
    """
    files = {file.stem: file for file in sorted(home.logs.glob("*.log"))}
    if name is not None and name not in files:
        there = ", ".join(files) or "none yet (placet up)"
        raise ServerError(f"no log of {name!r}; there are: {there}")
    chosen = {name: files[name]} if name else files
    width = 0 if name else max((len(process) for process in chosen), default=0)
    ends = {process: file.stat().st_size for process, file in chosen.items()}
    for process, file in chosen.items():
        if lines and ends[process]:
            _print(process, width, tail(file, lines).splitlines())
    while follow:
        for process, file in chosen.items():
            _print(process, width, _grown(process, file, ends))
        sys.stdout.flush()
        time.sleep(_EVERY)


def _grown(process: str, file: Path, ends: dict[str, int]) -> Iterator[str]:
    size = file.stat().st_size
    if size < ends[process]:
        ends[process] = 0  # it was rotated
    with file.open("rb") as handle:
        handle.seek(ends[process])
        text = handle.read()
    whole = text[: text.rfind(b"\n") + 1]  # a line under way is for the next time
    ends[process] += len(whole)
    yield from whole.decode("utf-8", "replace").splitlines()


def _print(process: str, width: int, lines: "list[str] | Iterator[str]") -> None:
    out: TextIO = sys.stdout
    out.writelines(f"{process:<{width}} | {line}\n" if width else f"{line}\n" for line in lines)
