"""The hot store as archiving sees it: what to archive, what is archived, what may go.

Owns those queries. Refuses to know objects and stores.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import psycopg

from audit_sink.lookup import HotStore
from audit_sink.queries import QUERIES
from conveyor.database import unavailable_database

_KEY: Final = "sequence"
_SUBJECT: Final = "subject"
"""Whose key a payload is under."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Archive:
    """Records [first, end) are in cold storage, read back and checked."""

    first: int
    end: int
    root: bytes
    manifest_version: str
    manifest_digest: bytes
    pack_name: str
    pack_version: str
    pack_digest: bytes
    last_recorded_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Payloads:
    """Payload rows as they are stored, by sequence; their columns without it."""

    columns: list[str]
    rows: dict[int, dict[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """How far archiving has got."""

    archives: int
    end: int
    archived_at: datetime | None
    last_recorded_at: datetime | None
    dropped: int
    """Records whose payloads have left the hot store."""


class ArchiveRows(HotStore):
    """The hot store with its list of archives. Every method raises UnavailableError."""

    @contextmanager
    def alone(self) -> Iterator[bool]:
        """Be the only one who archives; False where somebody else is at it."""
        (taken,) = self._ask("take_archive_lock")[0]
        try:
            yield bool(taken)
        finally:
            if taken and self._connection is not None and not self._connection.closed:
                self._ask("free_archive_lock")

    def last_archive(self) -> Archive | None:
        """Return the newest archive."""
        return _archive(self._ask("last_archive"))

    def archive_of(self, sequence: int) -> Archive | None:
        """Return the archive that a record is in."""
        found = _archive(self._ask("archive_of", sequence))
        return found if found is not None and sequence < found.end else None

    def archive_to_drop(self, before: datetime) -> Archive | None:
        """Return the oldest archive, all sealed before then, whose payloads are here still."""
        return _archive(self._ask("archive_to_drop", before))

    def insert(self, archive: Archive) -> None:
        """Note an archive; durable on return. Again is harmless: the range is the key."""
        values = tuple(getattr(archive, name) for name in Archive.__slots__)
        with unavailable_database():
            try:
                self.connection().execute(QUERIES["insert_archive"], values)
            except psycopg.errors.UniqueViolation:
                if self.archive_of(archive.first) != archive:
                    raise

    def payload_rows(self, first: int, end: int) -> Payloads:
        """Return the locked payloads of the records [first, end) that have one still.

        Not those in clear, of before the vault: no destroyed key would reach them in the cold.
        """
        with unavailable_database():
            cursor = self.connection().cursor(binary=True)
            found = cursor.execute(QUERIES["read_payload_rows"], (first, end)).fetchall()
            names = [column.name for column in cursor.description or ()]
        rows = [dict(zip(names, row, strict=True)) for row in found]
        rows = [row for row in rows if row.get(_SUBJECT) is not None]
        return Payloads(
            columns=[name for name in names if name != _KEY],
            rows={row.pop(_KEY): row for row in rows},
        )

    def drop_payloads(self, archive: Archive) -> int:
        """Delete the payloads of an archive from here, and return how many there were."""
        (count,) = self._ask("drop_payloads", {"first": archive.first, "end": archive.end})[0]
        return int(count)

    def status(self) -> Status:
        """Return how far archiving has got."""
        count, end, at, last, dropped = self._ask("archive_status")[0]
        return Status(
            archives=count, end=end, archived_at=at, last_recorded_at=last, dropped=int(dropped)
        )


def _archive(rows: list[tuple[Any, ...]]) -> Archive | None:
    if not rows:
        return None
    return Archive(**dict(zip(Archive.__slots__, rows[0], strict=True)))
