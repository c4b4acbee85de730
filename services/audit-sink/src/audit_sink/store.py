"""The hot log in PostgreSQL, schema `audit`: rows in, rows out, one transaction a batch.

Owns the SQL of that schema, the one connection that may append, and the lock it holds. Refuses to
know what an event says and what a tree is.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from importlib.resources import files
from typing import Any, Final, Protocol
from uuid import UUID

import msgspec
import psycopg

from audit_sink.covered import multirange
from audit_sink.queries import QUERIES
from conveyor.database import connect, unavailable_database
from conveyor.migrate import migrate

Place = tuple[str, int]
_LOCK_WAIT_MS: Final = 10_000  # a killed predecessor's session lingers for a moment


class SecondSequencerError(Exception):
    """Another process appends to this log. This one stops and has changed nothing.

    Operators: one audit-sink per log. More throughput means more logs, not more sequencers.
    """


class LogDamagedError(Exception):
    """The rows of the log have a hole, or a row does not hash to its `audit_hash`.

    Operators: somebody changed the database. Publishing stops; restore the rows from a backup.
    """


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One sealed record with what it commits to, as it is stored (a struct: see `record.Draft`)."""

    sequence: int
    event_id: UUID
    digest: bytes
    type: str
    timestamp: datetime
    recorded_at: datetime
    correlation_id: str
    item_id: str | None
    decision_id: str | None
    record: bytes
    audit_hash: bytes
    subject: str | None = None
    """Whose key the parts are under; then the salt is in them (see `locking`)."""
    salt: bytes
    parts: bytes | None
    """None where the subject was destroyed before."""


class Transaction(Protocol):
    """What one batch does to the log: all of it durable when the transaction ends, or none."""

    def known(self, event_ids: Sequence[str]) -> dict[str, bytes]:
        """Return the content digests of those ids that are in the log."""

    def next_place(self) -> tuple[int, datetime]:
        """Return the next free sequence number, and the database's time."""

    def insert(self, rows: Iterable[Row]) -> None:
        """Append rows. Raises SecondSequencerError where one of the numbers is taken.

        `rows` may be made while the database takes the first ones.
        """

    def cover(self, offsets: Mapping[Place, Iterable[int]]) -> None:
        """Note of which model outputs something is in the log, new or not."""

    def move_offsets(self, offsets: Mapping[Place, int]) -> None:
        """Note how far each partition is in the log."""


class Writer:
    """The one session that appends. Connects, and takes the lock, when first used."""

    def __init__(self, dsn: str) -> None:
        """Take the DSN of the role that owns schema `audit`."""
        self._dsn = dsn
        self._connection: psycopg.Connection[Any] | None = None

    @property
    def is_connected(self) -> bool:
        """Tell whether the session is there, without asking the server."""
        return self._connection is not None and not self._connection.closed

    def migrate(self) -> None:
        """Bring the schema up to date. Raises UnavailableError."""
        with unavailable_database():
            migrate(self._dsn, "audit", files("audit_sink") / "migrations" / "audit")

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """Run one transaction; durable when the block ends, undone where it raises.

        Raises:
            UnavailableError: the database is away; whether a commit got through is unknown.
            SecondSequencerError: somebody else has the lock, or has taken a number.
        """
        with unavailable_database():
            connection = self._session()
            try:
                with connection.transaction():
                    yield _Transaction(connection)
            except (psycopg.OperationalError, psycopg.InterfaceError):
                self.close()  # and the lock with it: the next use takes it anew
                raise

    def offsets(self) -> dict[Place, int]:
        """Return how far each partition is in the log. Raises UnavailableError."""
        with unavailable_database():
            rows = self._session().execute(QUERIES["find_source_offsets"]).fetchall()
        return {(topic, partition): offset for topic, partition, offset in rows}

    def close(self) -> None:
        """End the session, and give the lock back."""
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def _session(self) -> psycopg.Connection[Any]:
        if self._connection is None or self._connection.closed:
            connection = connect(self._dsn, "audit-sink append")
            connection.execute(f"SET lock_timeout = {_LOCK_WAIT_MS}")
            try:
                connection.execute(QUERIES["take_sequencer_lock"])
            except psycopg.errors.LockNotAvailable as error:
                connection.close()
                raise SecondSequencerError("another audit-sink holds the log's lock") from error
            self._connection = connection
        return self._connection


class _Transaction:
    """`Transaction` on PostgreSQL."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection

    def known(self, event_ids: Sequence[str]) -> dict[str, bytes]:
        found = self._connection.execute(QUERIES["find_event_keys"], (list(event_ids),))
        return dict(found.fetchall())

    def next_place(self) -> tuple[int, datetime]:
        place = self._connection.execute(QUERIES["next_place"]).fetchone()
        assert place is not None
        return place[0], place[1]

    def insert(self, rows: Iterable[Row]) -> None:
        try:
            with self._connection.cursor() as cursor:
                made = _copy_payloads(cursor, rows)
                _copy_records(cursor, made)
                _copy_event_keys(cursor, made)
        except psycopg.errors.UniqueViolation as error:
            raise SecondSequencerError(f"somebody else appended: {error}") from error

    def cover(self, offsets: Mapping[Place, Iterable[int]]) -> None:
        self._connection.execute(
            QUERIES["cover"],
            (
                [topic for topic, _ in offsets],
                [partition for _, partition in offsets],
                [multirange(some) for some in offsets.values()],
            ),
        )

    def move_offsets(self, offsets: Mapping[Place, int]) -> None:
        self._connection.execute(
            QUERIES["move_source_offsets"],
            (
                [topic for topic, _ in offsets],
                [partition for _, partition in offsets],
                list(offsets.values()),
            ),
        )


# As copy_records lists them.
_RECORD_TYPES: Final = [
    *("int8", "uuid", "text", "timestamptz", "timestamptz", "text", "text", "text"),
    *("bytea", "bytea"),
]


def _copy_records(cursor: psycopg.Cursor[Any], rows: Sequence[Row]) -> None:
    with cursor.copy(QUERIES["copy_records"]) as copy:
        copy.set_types(_RECORD_TYPES)
        for row in rows:
            copy.write_row(
                (
                    row.sequence,
                    row.event_id,
                    row.type,
                    row.timestamp,
                    row.recorded_at,
                    _text(row.correlation_id),
                    _text(row.item_id),
                    _text(row.decision_id),
                    row.record,
                    row.audit_hash,
                )
            )


def _text(value: str | None) -> str | None:
    """Replace what PostgreSQL has no text for; the record itself keeps it."""
    return None if value is None else value.replace("\0", "\N{REPLACEMENT CHARACTER}")


def _copy_payloads(cursor: psycopg.Cursor[Any], rows: Iterable[Row]) -> list[Row]:
    """Write the bulk first, while rows are still being made: both sides work at once."""
    made = []
    with cursor.copy(QUERIES["copy_payloads"]) as copy:
        copy.set_types(["int8", "text", "bytea", "bytea"])
        for row in rows:
            if row.parts is not None:
                copy.write_row((row.sequence, row.subject, row.salt, row.parts))
            made.append(row)
    return made


def _copy_event_keys(cursor: psycopg.Cursor[Any], rows: Sequence[Row]) -> None:
    with cursor.copy(QUERIES["copy_event_keys"]) as copy:
        copy.set_types(["uuid", "bytea", "int8"])
        for row in rows:
            copy.write_row((row.event_id, row.digest, row.sequence))


class Reader:
    """What the publisher and `placet audit tail` see: committed rows only."""

    def __init__(self, dsn: str, name: str = "audit-sink publish") -> None:
        """Take a DSN that may SELECT in schema `audit`. Connects when first used."""
        self._dsn = dsn
        self._name = name
        self._connection: psycopg.Connection[Any] | None = None

    def size(self) -> int:
        """Return how many records are committed. Raises UnavailableError."""
        (size,) = self._ask("log_size")[0]
        return int(size)

    def records(self, start: int, end: int) -> list[tuple[bytes, bytes]]:
        """Return records [start, end) with their hashes.

        Raises:
            UnavailableError: the database is away.
            LogDamagedError: not all of them are there.
        """
        rows = self._ask("read_records", start, end)
        for expected, (sequence, _, _) in zip(range(start, end), rows, strict=False):
            if sequence != expected:
                raise LogDamagedError(f"record {expected} is missing: after it comes {sequence}")
        if len(rows) != end - start:
            raise LogDamagedError(f"record {start + len(rows)} is missing")
        return [(record, audit_hash) for _, record, audit_hash in rows]

    def hashes(self, start: int, end: int) -> list[bytes]:
        """Return the hashes of records [start, end). Raises as `records` does."""
        rows = self._ask("read_hashes", start, end)
        if len(rows) != end - start:
            raise LogDamagedError(f"of the records {start} to {end - 1} some are missing")
        return [audit_hash for (audit_hash,) in rows]

    def connection(self) -> psycopg.Connection[Any]:
        """Return the session, made anew where it is gone. Raises psycopg.OperationalError."""
        if self._connection is None or self._connection.closed:
            self._connection = connect(self._dsn, self._name)
        return self._connection

    def close(self) -> None:
        """End the session."""
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def _ask(self, query: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """Run a query with its parameters, or with one mapping of them by name."""
        named = parameters[0] if parameters and isinstance(parameters[0], dict) else parameters
        with unavailable_database():
            try:
                cursor = self.connection().cursor(binary=True)
                return cursor.execute(QUERIES[query], named).fetchall()
            except psycopg.OperationalError:
                self.close()
                raise
