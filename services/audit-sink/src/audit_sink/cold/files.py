"""A cold store in a folder: the default where there is no bucket.

Owns durability, and that nothing is followed out of the folder or written over. An object is
written under `.tmp`, synced, linked into place (a link never replaces, as a rename would) and its
folder synced. A crash leaves at most a file under `.tmp`, which a later start sweeps. A folder has
no versions and no lock: whoever may write there can change it, and `verify --cold` finds it out.
"""

import errno
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from audit_sink.cold.store import ColdConflictError, ColdRefusedError, Stored, checked_name
from audit_sink.folder import FileProblemError, Folder, MissingFileError
from conveyor.errors import UnavailableError

VERSION: Final = "-"
"""The one version that anything in a folder has."""
_TMP: Final = ".tmp"
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_STALE: Final = 3_600  # seconds: nothing is written for that long


class FolderCold:
    """`Cold` in a folder, which may itself be reached by a link."""

    def __init__(self, folder: Path, *, create: bool = False) -> None:
        """Open `folder`; with `create` make it, and sweep what a crash left.

        Raises:
            FileProblemError: there is none, or it cannot be read.
        """
        self._path = folder
        if create:
            with _told(folder):
                folder.mkdir(parents=True, exist_ok=True)
        self._folder = Folder(folder)
        if create:
            self._sweep()

    def close(self) -> None:
        """Let go of the folder."""
        self._folder.close()

    def put_once(self, name: str, data: bytes) -> str:
        """Create the object, durably."""
        *folders, last = checked_name(name).split("/")
        with _told(self._path), self._made(folders) as parent, self._made([_TMP]) as temporary:
            if self._is_there(name, data):
                return VERSION
            draft = f"{last}.{secrets.token_hex(8)}"
            _write(draft, temporary, data)
            try:
                os.link(draft, last, src_dir_fd=temporary, dst_dir_fd=parent, follow_symlinks=False)
            except FileExistsError:
                self._is_there(name, data)
            finally:
                os.unlink(draft, dir_fd=temporary)
            os.fsync(parent)
        return VERSION

    def get(self, name: str, version: str, most: int) -> bytes:
        """Return the object."""
        _check_version(name, version)
        return self._folder.read(checked_name(name), most)

    def get_range(self, name: str, version: str, start: int, count: int) -> bytes:
        """Return a piece of the object."""
        _check_version(name, version)
        return self._folder.read_range(checked_name(name), start, count)

    def listed(self, prefix: str = "") -> Iterator[Stored]:
        """Yield what is there. Raises FileProblemError for links, devices and the like."""
        for path in self._folder.walk():
            if path.startswith(prefix):
                yield Stored(name=path, version=VERSION, size=self._folder.size(path))

    def _is_there(self, name: str, data: bytes) -> bool:
        try:
            found = self._folder.read(name, len(data))
        except MissingFileError:
            return False
        except FileProblemError as error:
            raise ColdConflictError(f"{name} is there and {error.problem}") from error
        if found != data:
            raise ColdConflictError(f"{name} is there and holds other bytes")
        return True

    @contextmanager
    def _made(self, folders: list[str]) -> Iterator[int]:
        """Open a folder inside, made where it is missing; no link is followed."""
        descriptor = os.open(self._path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for folder in folders:
                with suppress(FileExistsError):
                    os.mkdir(folder, 0o750, dir_fd=descriptor)
                    os.fsync(descriptor)
                deeper = os.open(folder, _FOLDER, dir_fd=descriptor)
                os.close(descriptor)
                descriptor = deeper
            yield descriptor
        finally:
            os.close(descriptor)

    def _sweep(self) -> None:
        with _told(self._path), self._made([_TMP]) as temporary:
            for name in os.listdir(temporary):  # noqa: PTH208 - by descriptor: no link is followed
                status = os.stat(name, dir_fd=temporary, follow_symlinks=False)
                if time.time() - status.st_mtime > _STALE:
                    os.unlink(name, dir_fd=temporary)


def _write(name: str, folder: int, data: bytes) -> None:
    with os.fdopen(os.open(name, _NEW, 0o440, dir_fd=folder), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _check_version(name: str, version: str) -> None:
    if version != VERSION:
        raise MissingFileError(name, f"no version {version[:80]!r}: a folder has none")


@contextmanager
def _told(folder: Path) -> Iterator[None]:
    """Say what the disk says in the port's words: what may pass by itself is tried again."""
    try:
        yield
    except (PermissionError, NotADirectoryError, FileExistsError) as error:
        raise ColdRefusedError(f"{folder}: cannot be written into: {error}") from error
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise ColdRefusedError(f"{folder}: a symbolic link lies in it") from error
        raise UnavailableError(f"{folder}: {error}") from error
