"""From the outbox to Kafka: claim, send, delete, commit.

One relay leads, by a session advisory lock; the others wait. It claims rows by deleting them in a
transaction that commits only after the broker acknowledged all of them, so a row that commits late
is never skipped (no cursor over ids) and a crash anywhere sends the same ids again. A deposed
relay's last sends are harmless: order does not rest on the relay (consumers go by ordinals), and
ids collide. NOTIFY is a hint; the poll is the truth.
"""

import threading
import time
from typing import Any, Final, LiteralString

import psycopg
import structlog
from psycopg import sql

from conveyor import metrics
from conveyor.database import connect, unavailable_database
from conveyor.errors import UnavailableError
from conveyor.outbox import headers_of
from conveyor.producer import Sender
from conveyor.record import Message

log = structlog.get_logger()

_BATCH: Final = 2_000
_POLL: Final = 1.0
# Above this rate, small batches cost Kafka and PostgreSQL more than the rows in them: then each
# drain waits a little for more (measured: docs/adr/0008). Below it, latency counts; and a few rows
# that happen to be close together are no crowd.
_BUSY: Final = 300.0  # rows per second
_CROWD: Final = 8  # rows in one drain
_WINDOW: Final = 0.05  # seconds
_LONGEST_PAUSE: Final = 10.0

_CLAIM: LiteralString = """
WITH due AS (
    SELECT id FROM {table} WHERE not_before <= now() ORDER BY seq LIMIT %s FOR UPDATE SKIP LOCKED
), claimed AS (
    DELETE FROM {table} WHERE id = ANY (ARRAY(SELECT id FROM due))
    RETURNING seq, aggregatetype, aggregateid, payload, headers
)
SELECT aggregatetype, aggregateid, payload, headers FROM claimed ORDER BY seq
"""
_NEXT: LiteralString = """
SELECT extract(epoch FROM min(not_before) - clock_timestamp())::float8 FROM {table}
"""
_LOCK: LiteralString = "SELECT pg_try_advisory_lock(hashtextextended(%s, 0))"


def wake(connection: psycopg.Connection[Any], channel: str) -> None:
    """Hint that there are new rows. Call it after the commit, never inside the transaction."""
    connection.execute("SELECT pg_notify(%s, '')", (channel,))


def crowded(sent: int, seconds: float) -> bool:
    """Tell whether a drain that sent so many rows, in so long, had better wait for more."""
    return _CROWD <= sent < _BATCH and sent > _BUSY * seconds


class Relay:
    """Sends what one outbox table holds."""

    def __init__(self, *, dsn: str, table: str, channel: str, producer: Sender) -> None:
        """`table` is qualified; `channel` is the one that `wake` notifies."""
        self._dsn = dsn
        self._table = table
        self._channel = channel
        self._producer = producer
        identifier = sql.Identifier(*table.split("."))
        self._claim = sql.SQL(_CLAIM).format(table=identifier)
        self._next = sql.SQL(_NEXT).format(table=identifier)

    def run(self, stop: threading.Event) -> None:
        """Relay until `stop`; a database or broker that is away is waited for."""
        pause = 0.2
        while not stop.is_set():
            try:
                with (
                    unavailable_database(),
                    connect(self._dsn, f"relay {self._table}") as connection,
                ):
                    if self._lead(connection, stop):
                        pause = 0.2
                        self._drain_until(connection, stop)
            except UnavailableError as error:
                log.warning("unavailable", relay=self._table, error=str(error))
                stop.wait(pause)
                pause = min(pause * 2, _LONGEST_PAUSE)
            finally:
                metrics.LEADER.labels(table=self._table).set(0)

    def _lead(self, connection: psycopg.Connection[Any], stop: threading.Event) -> bool:
        while not stop.is_set():
            row = connection.execute(_LOCK, (f"relay:{self._table}",)).fetchone()
            if row is not None and row[0]:
                metrics.LEADER.labels(table=self._table).set(1)
                log.info("relay_leads", table=self._table)
                return True
            stop.wait(_POLL)
        return False

    def _drain_until(self, connection: psycopg.Connection[Any], stop: threading.Event) -> None:
        connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(self._channel)))
        began = time.monotonic()
        while not stop.is_set():
            while (sent := self.drain_once(connection)) and not stop.is_set():
                now = time.monotonic()
                if crowded(sent, now - began):
                    stop.wait(_WINDOW)
                began = now
            self._wait(connection)

    def drain_once(self, connection: psycopg.Connection[Any]) -> int:
        """Send one batch and return its size. On return its rows are on Kafka and gone here."""
        with connection.transaction():
            rows = connection.execute(self._claim, (_BATCH,)).fetchall()
            # A crash here rolls back: nothing was sent, all rows are still there.
            self._producer.send_all(
                [
                    Message(topic=topic, key=key, value=payload, headers=headers_of(headers))
                    for topic, key, payload, headers in rows
                ]
            )
            # A crash here sends the same ids again: every consumer recognises them.
        metrics.RELAYED.labels(table=self._table).inc(len(rows))
        return len(rows)

    def _wait(self, connection: psycopg.Connection[Any]) -> None:
        """Sleep until a hint, the end of the next hold, or the next poll."""
        row = connection.execute(self._next).fetchone()
        due_in = row[0] if row is not None and row[0] is not None else None
        metrics.OUTBOX_AGE.labels(table=self._table).set(max(0.0, -(due_in or 0.0)))
        timeout = _POLL if due_in is None else min(max(due_in, 0.001), _POLL)
        for _ in connection.notifies(timeout=timeout, stop_after=1):
            pass
