"""The inbox: an event counts once. Table `(event_id uuid PRIMARY KEY, content_digest bytea)`.

Keys are never purged, so a replay years later still collides (law 9).
"""

from collections.abc import Sequence
from enum import Enum, auto
from typing import Any, LiteralString

import psycopg
from psycopg import sql


class Verdict(Enum):
    """What an event id turned out to be."""

    NEW = auto()
    DUPLICATE = auto()  # same id, same digest: skip, count
    REUSED = auto()  # same id, other digest: park, KEY_REUSED


_ACCEPT: LiteralString = """
INSERT INTO {table} (event_id, content_digest)
SELECT event_id, content_digest
  FROM unnest(%s::uuid[], %s::bytea[]) AS row (event_id, content_digest)
    ON CONFLICT (event_id) DO NOTHING
RETURNING event_id::text
"""
_DIGESTS: LiteralString = """
SELECT event_id::text, content_digest FROM {table} WHERE event_id = ANY (%s::uuid[])
"""


def accept(
    cursor: psycopg.Cursor[Any], table: str, events: Sequence[tuple[str, bytes]]
) -> list[Verdict]:
    """Take `(event_id, digest)` pairs in and say what each is, in their order.

    Runs in the caller's transaction: what is NEW is durable when that commits. An id that occurs
    twice in `events` is NEW once.
    """
    if not events:
        return []
    identifier = sql.Identifier(*table.split("."))
    first: dict[str, bytes] = {}
    for event_id, digest in events:
        first.setdefault(event_id, digest)
    cursor.execute(sql.SQL(_ACCEPT).format(table=identifier), (list(first), list(first.values())))
    fresh = {row[0] for row in cursor.fetchall()}
    known = dict(first)
    old = [event_id for event_id in first if event_id not in fresh]
    if old:
        cursor.execute(sql.SQL(_DIGESTS).format(table=identifier), (old,))
        known.update((event_id, bytes(digest)) for event_id, digest in cursor.fetchall())
    verdicts = []
    for event_id, digest in events:
        if event_id in fresh:
            fresh.discard(event_id)
            verdicts.append(Verdict.NEW)
        else:
            verdicts.append(Verdict.DUPLICATE if known[event_id] == digest else Verdict.REUSED)
    return verdicts
