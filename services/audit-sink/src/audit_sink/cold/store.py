"""What a cold store promises: objects that are written once, and read back by name and version.

Owns the names that objects may have and the port's errors. Refuses to know what objects mean.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Protocol

from audit_sink.folder import FileProblemError

_NAME: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*")
_LONGEST_NAME: Final = 512


class ColdConflictError(Exception):
    """An object of that name is there and holds other bytes. Nothing was changed.

    Operators: somebody else writes into this store, or it belongs to another log. Archiving stops
    until they are told apart: `placet audit verify --cold WHERE`.
    """


class ColdRefusedError(Exception):
    """The store does not give what an archive needs: versions, object lock, or the right to write.

    Operators: docs/deploying.md says how a bucket is set up; `placet audit lock-check` tries it.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """One version of one object, as the store lists it. Believed by nobody before it is read."""

    name: str
    version: str
    size: int
    deleted: bool = False
    """A marker that hides older versions: somebody has tried to delete the object."""


class Cold(Protocol):
    """Where archives are kept. Every method blocks and may raise UnavailableError.

    Reads raise FileProblemError, and MissingFileError where there is no such object or version.
    """

    def put_once(self, name: str, data: bytes) -> str:
        """Create an object and return its version; durable, read back and locked on return.

        The same bytes again are fine, and make the version that is there.

        Raises:
            ColdConflictError: it is there with other bytes.
            ColdRefusedError: the store will not have it, or cannot lock it.
        """

    def get(self, name: str, version: str, most: int) -> bytes:
        """Return a whole object of at most `most` bytes; a longer one is refused before reading."""

    def get_range(self, name: str, version: str, start: int, count: int) -> bytes:
        """Return at most `count` bytes from `start` on."""

    def listed(self, prefix: str = "") -> Iterator[Stored]:
        """Yield every version of every object whose name begins with `prefix`, by name."""


def checked_name(name: str) -> str:
    """Return a name that stays inside the store. Raises FileProblemError for any other."""
    if len(name) > _LONGEST_NAME or not _NAME.fullmatch(name):
        raise FileProblemError(name[:200], "no name of an object: it could lead outside the store")
    return name
