"""Lines of labels into a file, and where an earlier export of them ended.

Owns whole lines: what is written is never half a label, whatever breaks off. A line is cut at
line feeds alone, because texts in it may hold every other separator there is.
"""

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final

_BLOCK: Final = 65_536


class LabelsError(Exception):
    """A file is no export that could be gone on with; the message says what to do."""


def whole_lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The lines in `chunks`, each with its end; what comes after the last end is left out."""
    rest = b""
    for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield line + b"\n"


def cursor_of(line: bytes) -> str:
    """What an export goes on after, in a line of it.

    Raises:
        LabelsError: there is none.
    """
    try:
        label: Any = json.loads(line)
        cursor = label["cursor"]
    except (ValueError, TypeError, KeyError) as error:
        raise LabelsError("its last line is no label: is it another file?") from error
    return str(cursor)


def end_of(file: BinaryIO) -> str | None:
    """Cut off half a last line, stand at the end, and return the last label's cursor, if any.

    Raises:
        LabelsError: the last line is no label.
    """
    size = file.seek(0, os.SEEK_END)
    start, tail = size, b""
    # From the end: until there is a whole line, with the end of the one before it.
    while start and b"\n" not in tail[: tail.rfind(b"\n")]:
        start = max(0, start - _BLOCK)
        file.seek(start)
        tail = file.read(size - start)
    whole = tail[: tail.rfind(b"\n") + 1]
    if start + len(whole) < size:
        file.truncate(start + len(whole))
    file.seek(0, os.SEEK_END)
    lines = whole.split(b"\n")[:-1]
    return cursor_of(lines[-1]) if lines else None


def opened(path: Path, *, resume: bool) -> tuple[BinaryIO, str | None]:
    """The file to write to, and the cursor of its last label.

    Raises:
        LabelsError: it is there, and not to be gone on with; or it is no export.
    """
    there = path.exists() and path.stat().st_size > 0
    if there and not resume:
        raise LabelsError(
            f"{path} is there already: go on after its last line with --resume, or name another "
            "file"
        )
    file = path.open("r+b" if there else "wb")
    try:
        return file, end_of(file) if there else None
    except LabelsError as error:
        file.close()
        raise LabelsError(f"{path}: {error}") from error
