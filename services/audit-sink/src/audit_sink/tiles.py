"""The files that the log is published as: `checkpoint`, `tile/<L>/<N>` and `tile/entries/<N>`.

Owns durability and immutability of files: a tile, once there, never changes, and is never seen half
written. Refuses to know what is in them, which records they come from and who signed.

A file is written under `.tmp`, synced, renamed into place, and its folder synced. A crash leaves at
most a file in `.tmp` (swept at the next start) or a tile that nothing refers to yet (the same bytes
are written again). Readers, `verify` among them, skip names that begin with a dot.
"""

import fcntl
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final, Protocol

import structlog

from audit_sink.tree import ENTRIES, TileName

log = structlog.get_logger()

_CHECKPOINT: Final = "checkpoint"
_TMP: Final = ".tmp"


class TileConflictError(Exception):
    """A published tile holds other bytes than the log's records give. Publishing stops.

    Operators: somebody changed the files or the database. Run `placet audit verify`; keep both.
    """


class SecondPublisherError(Exception):
    """Another process publishes into this folder. Stop one of them."""


class Store(Protocol):
    """Where tiles and checkpoints are published. Raises OSError while it is away."""

    def read(self, name: TileName) -> bytes:
        """Return a tile, or the wider one that replaced it. Raises LookupError where none is."""

    def write(self, tiles: Iterable[tuple[TileName, bytes]]) -> None:
        """Make tiles durable before returning. Raises TileConflictError; blocks on the disk."""

    def checkpoint(self) -> bytes | None:
        """Return the published checkpoint, or None where there is none yet."""

    def publish(self, note: bytes) -> None:
        """Replace the checkpoint, atomically; durable on return."""

    def drop_partials(self, full: Iterable[TileName]) -> None:
        """Remove the partial tiles that full ones have replaced. Nothing depends on it."""


class FileStore:
    """`Store` in a folder."""

    def __init__(self, folder: Path) -> None:
        """Create `folder`, take it for this process alone, and sweep what a crash left.

        Raises:
            SecondPublisherError: another live process holds it.
        """
        self._folder = folder
        (folder / _TMP).mkdir(parents=True, exist_ok=True)
        self._lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(self._lock)
            raise SecondPublisherError(f"{folder} is published into by another process") from error
        for left_over in (folder / _TMP).iterdir():
            left_over.unlink()

    def close(self) -> None:
        """Let another process publish here."""
        os.close(self._lock)

    def read(self, name: TileName) -> bytes:
        """Return the tile or bundle, or the full one that replaced it. Raises LookupError."""
        full = TileName(level=name.level, index=name.index)
        for candidate in (name, full):
            with suppress(FileNotFoundError):
                return (self._folder / candidate.path).read_bytes()
        raise LookupError(name.path)

    def write(self, tiles: Iterable[tuple[TileName, bytes]]) -> None:
        """Make `tiles` durable; one that is there already must hold the same bytes."""
        folders: set[Path] = set()
        for name, data in tiles:
            path = self._folder / name.path
            if self._is_there(path, data):
                continue
            folders |= self._make_folder(path.parent)
            self._replace(path, data)
            folders.add(path.parent)
        for folder in folders:
            _sync_folder(folder)

    def checkpoint(self) -> bytes | None:
        """Return the published checkpoint, or None."""
        try:
            return (self._folder / _CHECKPOINT).read_bytes()
        except FileNotFoundError:
            return None

    def publish(self, note: bytes) -> None:
        """Replace the checkpoint: a reader sees the old one or the new one, whole."""
        self._replace(self._folder / _CHECKPOINT, note)
        _sync_folder(self._folder)

    def drop_partials(self, full: Iterable[TileName]) -> None:
        """Remove partial tiles beside full ones. A crash here leaves some; they verify as well."""
        for name in full:
            folder = self._folder / f"{name.path}.p"
            with suppress(FileNotFoundError):
                for partial in folder.iterdir():
                    partial.unlink()
                folder.rmdir()

    def _is_there(self, path: Path, data: bytes) -> bool:
        try:
            found = path.read_bytes()
        except FileNotFoundError:
            return False
        if found != data:
            raise TileConflictError(f"{path.relative_to(self._folder)} holds other bytes")
        return True

    def _make_folder(self, folder: Path) -> set[Path]:
        """Create `folder` and return the folders whose entries that changed."""
        changed: set[Path] = set()
        missing = folder
        while not missing.exists():
            changed.add(missing.parent)
            missing = missing.parent
        folder.mkdir(parents=True, exist_ok=True)
        return changed

    def _replace(self, path: Path, data: bytes) -> None:
        temporary = (
            self._folder / _TMP / path.relative_to(self._folder).as_posix().replace("/", "_")
        )
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(path)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def bundle(entries: Iterable[bytes]) -> bytes:
    """Return entries as C2SP tlog-tiles bundles them: 2 big-endian bytes of length, then bytes."""
    pieces = []
    for entry in entries:
        pieces += [len(entry).to_bytes(2), entry]
    return b"".join(pieces)


def split_bundle(data: bytes, most: int) -> tuple[list[bytes], bool]:
    """Cut a bundle into at most `most` entries; False where it ends inside one."""
    entries: list[bytes] = []
    at = 0
    while at < len(data) and len(entries) < most:
        start = at + 2
        at = start + int.from_bytes(data[at:start])
        if at > len(data):
            return entries, False
        entries.append(data[start:at])
    return entries, True


def entries_name(index: int, width: int) -> TileName:
    """Return the name of an entry bundle."""
    return TileName(level=ENTRIES, index=index, width=width)
