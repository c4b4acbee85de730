"""The business table that decisions change, the same on both sides.

Owns its rows, and the truth about effects: each row counts its own changes in `version`, and
PostgreSQL tells when the last one was committed (`track_commit_timestamp`).
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, LiteralString

import psycopg

from bench.errors import BenchError
from bench.waiting import wait_for

TABLE: Final[LiteralString] = """
CREATE TABLE faq_answer (
    id text PRIMARY KEY,
    question text NOT NULL,
    answer text NOT NULL,
    status text NOT NULL,
    version bigint NOT NULL
)
"""
_ADD: Final[LiteralString] = """
INSERT INTO faq_answer (id, question, answer, status, version)
SELECT id, 'Which one is it?', '', 'draft', 1 FROM unnest(%s::text[]) AS new (id)
"""
_LEFT: Final[LiteralString] = """
SELECT count(*) FROM faq_answer WHERE id = ANY(%s) AND version = 1
"""
_CHANGED: Final[LiteralString] = """
SELECT id, version, extract(epoch FROM pg_xact_commit_timestamp(xmin))::float8
  FROM faq_answer WHERE id = ANY(%s)
"""
_CHANGES: Final[LiteralString] = "SELECT coalesce(sum(version - 1), 0)::bigint FROM faq_answer"


class Target:
    """Looks at the table as its owner; never changes a row that exists."""

    def __init__(self, dsn: str) -> None:
        """Connect."""
        self._connection: psycopg.Connection[Any] = psycopg.connect(dsn, autocommit=True)

    def close(self) -> None:
        self._connection.close()

    def add(self, identifiers: Sequence[str]) -> None:
        self._connection.execute(_ADD, (list(identifiers),))
        self._connection.execute("VACUUM ANALYZE faq_answer")

    def changes(self) -> int:
        """Return how often rows were changed, all together."""
        (count,) = self._connection.execute(_CHANGES).fetchone() or (0,)
        return int(count)

    def await_changes(self, identifiers: Sequence[str], *, seconds: float) -> Mapping[str, float]:
        """Return when the change of each row was committed, in seconds since the epoch.

        Raises:
            BenchError: a row was never changed, or more than once.
        """
        wait_for(
            "all rows changed in the target",
            lambda: not self._left(identifiers),
            seconds=seconds,
        )
        rows = self._connection.execute(_CHANGED, (list(identifiers),)).fetchall()
        wrong = [identifier for identifier, version, _ in rows if version != 2]  # noqa: PLR2004
        if wrong or len(rows) != len(identifiers):
            raise BenchError(f"{len(wrong)} rows were changed more than once, such as {wrong[:3]}")
        return {identifier: committed for identifier, _, committed in rows}

    def _left(self, identifiers: Sequence[str]) -> int:
        (count,) = self._connection.execute(_LEFT, (list(identifiers),)).fetchone() or (0,)
        return int(count)
