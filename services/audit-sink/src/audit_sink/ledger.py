"""The ledger: the heads of the log, remembered by another database under another role.

Owns the compare-and-swap that keeps one history. Refuses to know records, tiles and keys.
"""

from dataclasses import dataclass
from datetime import datetime
from importlib.resources import files
from typing import Any, Protocol

import psycopg

from audit_sink.queries import QUERIES
from conveyor.database import connect, unavailable_database
from conveyor.migrate import migrate


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """How far a log has got: `checkpoint` is the signed note that says so."""

    size: int
    root: bytes
    checkpoint: bytes


class Ledger(Protocol):
    """The second system. Its methods may block and raise UnavailableError."""

    def head(self) -> Head | None:
        """Return the last head, or None where the log has never had one."""

    def advance(self, old: Head | None, new: Head) -> bool:
        """Replace `old` by `new`; durable on return. False, and no change, where old is not it.

        After UnavailableError it is unknown whether it happened: ask `head`.
        """


class PostgresLedger:
    """`Ledger` in schema `ledger` of a database of its own."""

    def __init__(self, dsn: str, origin: str, name: str = "audit-sink ledger") -> None:
        """Take the DSN and the log's name. Connects when first used."""
        self._dsn = dsn
        self._origin = origin
        self._name = name
        self._connection: psycopg.Connection[Any] | None = None

    def migrate(self) -> None:
        """Bring the schema up to date. Raises UnavailableError."""
        with unavailable_database():
            migrate(self._dsn, "ledger", files("audit_sink") / "migrations" / "ledger")

    def head(self) -> Head | None:
        """Return the last head."""
        rows = self._ask("find_head", (self._origin,))
        if not rows:
            return None
        size, root, checkpoint = rows[0]
        return Head(size=size, root=root, checkpoint=checkpoint)

    def advance(self, old: Head | None, new: Head) -> bool:
        """Compare and swap, in one statement."""
        values = {
            "origin": self._origin,
            "size": new.size,
            "root": new.root,
            "checkpoint": new.checkpoint,
        }
        if old is None:
            return bool(self._ask("create_head", values))
        return bool(self._ask("move_head", values | {"old_size": old.size, "old_root": old.root}))

    def head_at(self) -> tuple[int, bytes, datetime] | None:
        """Return size and root of the last head, and when it became that."""
        rows = self._ask("find_head_at", (self._origin,))
        return (rows[0][0], rows[0][1], rows[0][2]) if rows else None

    def history(self) -> list[tuple[int, bytes]]:
        """Return size and root of every head there ever was, in order of size."""
        return [(size, root) for size, root in self._ask("find_head_history", (self._origin,))]

    def close(self) -> None:
        """End the session."""
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def _ask(self, query: str, parameters: Any) -> list[tuple[Any, ...]]:
        with unavailable_database():
            if self._connection is None or self._connection.closed:
                self._connection = connect(self._dsn, self._name)
            try:
                return self._connection.execute(QUERIES[query], parameters).fetchall()
            except psycopg.OperationalError:
                self.close()
                raise
