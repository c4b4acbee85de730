"""The outbox: an event is a row in the transaction of the change it tells of.

Columns are those of Debezium's event router (`aggregatetype` is the topic, `aggregateid` the key),
so that Debezium can take the relay's place. Rows are written once and deleted, never updated.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, LiteralString

import orjson
import psycopg
from psycopg import sql

from contract.codec import encode
from contract.events import Event
from conveyor.headers import cloud_event


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxRow:
    """One message that must be sent, from `not_before` on (None: at once)."""

    id: str
    topic: str
    key: bytes
    type: str
    payload: bytes
    headers: bytes
    not_before: datetime | None = None


def headers_bytes(headers: tuple[tuple[str, bytes], ...]) -> bytes:
    """Return headers as the JSON object that the `headers` column holds."""
    return orjson.dumps({name: value.decode() for name, value in headers})


def headers_of(stored: bytes) -> tuple[tuple[str, bytes], ...]:
    """Return the headers in a `headers` column."""
    return tuple((name, value.encode()) for name, value in orjson.loads(stored).items())


def row_of(
    event: Event, *, topic: str, key: bytes, source: str, not_before: datetime | None = None
) -> OutboxRow:
    """Return the outbox row of `event`. Its id is the event's."""
    return OutboxRow(
        id=event.event_id if hasattr(event, "event_id") else "",
        topic=topic,
        key=key,
        type=type(event).__name__,
        payload=encode(event),
        headers=headers_bytes(cloud_event(event, source)),
        not_before=not_before,
    )


_INSERT: LiteralString = """
INSERT INTO {table} (id, aggregatetype, aggregateid, type, payload, headers, not_before)
SELECT id, aggregatetype, aggregateid, type, payload, headers, coalesce(not_before, now())
  FROM unnest(%s::uuid[], %s::text[], %b::bytea[], %s::text[], %b::bytea[], %b::bytea[],
              %s::timestamptz[])
       WITH ORDINALITY
       AS row (id, aggregatetype, aggregateid, type, payload, headers, not_before, position)
 ORDER BY position
"""


def insert(
    cursor: psycopg.Cursor[Any] | psycopg.Connection[Any], table: str, rows: Sequence[OutboxRow]
) -> None:
    """Add `rows` to `table` (qualified, like `review.outbox`) inside the caller's transaction."""
    if not rows:
        return
    cursor.execute(
        sql.SQL(_INSERT).format(table=sql.Identifier(*table.split("."))),
        (
            [row.id for row in rows],
            [row.topic for row in rows],
            [row.key for row in rows],
            [row.type for row in rows],
            [row.payload for row in rows],
            [row.headers for row in rows],
            [row.not_before for row in rows],
        ),
    )
