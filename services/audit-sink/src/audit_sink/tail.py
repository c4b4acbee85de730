"""The last records of a log, from its files or from the hot store: two readers, one shape."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from audit_sink.checkpoint import MAX_BYTES
from audit_sink.folder import Folder, MissingFileError
from audit_sink.store import Reader
from audit_sink.strays import MAX_BUNDLE
from audit_sink.tiles import entries_name, split_bundle
from audit_sink.tree import WIDTH


class LogView(Protocol):
    """A log that is read, not checked. May raise FileProblemError, UnavailableError, ValueError."""

    def size(self) -> int:
        """Return how many records there are."""

    def records(self, start: int, end: int) -> Iterator[bytes]:
        """Yield records [start, end)."""


@contextmanager
def files_view(path: Path) -> Iterator[LogView]:
    """Open the log in a folder. Raises FileProblemError."""
    folder = Folder(path)
    try:
        yield _Files(folder)
    finally:
        folder.close()


@contextmanager
def rows_view(dsn: str) -> Iterator[LogView]:
    """Open the log in a hot store."""
    reader = Reader(dsn, "placet audit tail")
    try:
        yield _Rows(reader)
    finally:
        reader.close()


class _Files:
    def __init__(self, folder: Folder) -> None:
        self._folder = folder

    def size(self) -> int:
        note = self._folder.read("checkpoint", MAX_BYTES).split(b"\n")
        if len(note) < 2 or not note[1].isdigit():  # noqa: PLR2004 - the line that says the size
            raise ValueError("the checkpoint says no size")
        return int(note[1][:18])

    def records(self, start: int, end: int) -> Iterator[bytes]:
        for index in range(start // WIDTH, -(-end // WIDTH)):
            first = index * WIDTH
            entries = self._bundle(index, min(WIDTH, end - first))
            yield from entries[max(0, start - first) : end - first]

    def _bundle(self, index: int, width: int) -> list[bytes]:
        try:
            data = self._folder.read(entries_name(index, width).path, MAX_BUNDLE)
        except MissingFileError:
            data = self._folder.read(entries_name(index, WIDTH).path, MAX_BUNDLE)
        return split_bundle(data, WIDTH)[0]


class _Rows:
    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def size(self) -> int:
        return self._reader.size()

    def records(self, start: int, end: int) -> Iterator[bytes]:
        for at in range(start, end, WIDTH):
            for record, _ in self._reader.records(at, min(end, at + WIDTH)):
                yield record
