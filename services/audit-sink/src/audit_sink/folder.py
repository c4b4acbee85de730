"""Reading a folder that somebody hostile may have filled.

Owns what is refused before a byte is believed: links, devices, pipes, files longer than they may
be, anything outside the folder. Refuses to know what the files mean.
"""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

_DEEPEST: Final = 16
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class FileProblemError(Exception):
    """A file is not there or may not be read. `path` is relative to the folder."""

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(f"{path}: {problem}")
        self.path = path
        self.problem = problem


class MissingFileError(FileProblemError):
    """There is no such file."""


class Folder:
    """A folder that is read without leaving it. The folder itself may be reached by a link."""

    def __init__(self, root: Path) -> None:
        """Open `root`. Raises FileProblemError."""
        try:
            self._root = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except (OSError, ValueError) as error:
            raise FileProblemError(str(root), f"no folder to read: {_why(error)}") from error

    def close(self) -> None:
        """Let go of the folder."""
        os.close(self._root)

    def read(self, path: str, most: int) -> bytes:
        """Return the bytes of the regular file at `path`, `most` at most.

        Raises:
            MissingFileError: there is none.
            FileProblemError: a link, no regular file, longer than `most`, or not readable.
        """
        with self._opened(path) as descriptor:
            return _bounded(path, descriptor, most)

    def read_range(self, path: str, start: int, count: int) -> bytes:
        """Return at most `count` bytes from `start` on. Raises as `read` does."""
        with self._opened(path) as descriptor:
            try:
                if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                    raise FileProblemError(path, "no regular file")
                return os.pread(descriptor, count, start)
            except (OSError, OverflowError, ValueError) as error:
                raise FileProblemError(path, f"cannot be read there: {error}") from error

    def size(self, path: str) -> int:
        """Return how long the file at `path` is. Raises as `read` does."""
        with self._opened(path) as descriptor:
            return os.fstat(descriptor).st_size

    @contextmanager
    def _opened(self, path: str) -> Iterator[int]:
        *folders, name = path.split("/")
        with self._inside(path, folders) as parent:
            try:
                descriptor = os.open(name, _FILE, dir_fd=parent)
            except OSError as error:
                raise _problem(path, error) from error
            try:
                yield descriptor
            finally:
                os.close(descriptor)

    def walk(self) -> Iterator[str]:
        """Yield the path of every file, in order; nothing whose name begins with a dot.

        Raises:
            FileProblemError: something that is neither a folder nor a regular file, or too deep.
        """
        yield from self._walk([])

    def _walk(self, folders: list[str]) -> Iterator[str]:
        where = "/".join(folders)
        if len(folders) > _DEEPEST:
            raise FileProblemError(where, "folders nested deeper than any log's")
        with self._inside(where, folders) as descriptor:
            try:
                with os.scandir(descriptor) as found:
                    entries = sorted(found, key=lambda entry: entry.name)
            except OSError as error:
                raise _problem(where, error) from error
        for entry in entries:
            if entry.name.startswith("."):
                continue
            path = "/".join([*folders, entry.name])
            if entry.is_symlink():
                raise FileProblemError(path, "a symbolic link; a log has none")
            if entry.is_dir(follow_symlinks=False):
                yield from self._walk([*folders, entry.name])
            else:
                yield path

    @contextmanager
    def _inside(self, path: str, folders: list[str]) -> Iterator[int]:
        descriptor = os.dup(self._root)
        try:
            for folder in folders:
                try:
                    deeper = os.open(folder, _FOLDER, dir_fd=descriptor)
                except (OSError, ValueError) as error:
                    raise _problem(path, error) from error
                os.close(descriptor)
                descriptor = deeper
            yield descriptor
        finally:
            os.close(descriptor)


def _bounded(path: str, descriptor: int, most: int) -> bytes:
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise FileProblemError(path, "no regular file")
        pieces, left = [], most + 1
        while left > 0 and (piece := os.read(descriptor, left)):
            pieces.append(piece)
            left -= len(piece)
    except OSError as error:
        raise _problem(path, error) from error
    if left <= 0:
        size = max(status.st_size, most + 1)
        raise FileProblemError(path, f"{size} bytes, where at most {most} belong")
    return b"".join(pieces)


def _problem(path: str, error: OSError | ValueError) -> FileProblemError:
    if isinstance(error, FileNotFoundError):
        return MissingFileError(path, "missing")
    if isinstance(error, OSError) and error.errno == errno.ELOOP:
        return FileProblemError(path, "a symbolic link; a log has none")
    if isinstance(error, OSError) and error.errno == errno.ENOTDIR:
        return FileProblemError(path, "a link or a file where a folder belongs")
    return FileProblemError(path, f"cannot be read: {_why(error)}")


def _why(error: OSError | ValueError) -> str:
    return (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
