"""The audit log from outside: which events it is made of, and how far it is sealed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, LiteralString

import psycopg

from bench.broker import Broker, Place
from bench.errors import BenchError
from bench.waiting import wait_for
from contract.topics import TOPICS

_SIZE: Final[LiteralString] = "SELECT coalesce(max(sequence) + 1, 0) FROM audit.record"
_READ: Final[LiteralString] = "SELECT topic, partition, next_offset FROM audit.source_offset"
_HEAD: Final[LiteralString] = "SELECT coalesce(max(size), 0) FROM ledger.head"
_FIRST_APPEND: Final[LiteralString] = """
SELECT extract(epoch FROM min(recorded_at))::float8 FROM audit.record WHERE sequence >= %s
"""
_HEAD_AT: Final[LiteralString] = """
SELECT extract(epoch FROM min(at))::float8 FROM ledger.head_history WHERE size >= %s
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealing:
    """A stretch of the log: its length, and the seconds from its first row to the head over it."""

    events: int
    seconds: float


class AuditLog:
    """Reads what the audit sink wrote."""

    def __init__(
        self, database: psycopg.Connection[Any], ledger: psycopg.Connection[Any], broker: Broker
    ) -> None:
        """Take a connection to each of the two databases; closes the ledger's only."""
        self._database = database
        self._ledger = ledger
        self._broker = broker

    def close(self) -> None:
        self._ledger.close()

    @property
    def topics(self) -> Sequence[str]:
        """The topics whose events it keeps."""
        return [topic.name for topic in TOPICS.values() if "audit-sink" in topic.read_by]

    def size(self) -> int:
        return int(_one(self._database, _SIZE))

    def await_sealed(self, *, seconds: float) -> int:
        """Block until everything the topics hold now is in the log and under a head.

        Returns the length of the log.
        """
        ends = self._broker.ends(*self.topics)
        wait_for("everything in the audit log", lambda: self._has(ends), seconds=seconds)
        size = self.size()
        wait_for(
            "a head over the whole audit log",
            lambda: int(_one(self._ledger, _HEAD)) >= size,
            seconds=seconds,
        )
        return size

    def sealing(self, start: int, end: int) -> Sealing:
        """Say how long the log took from its `start`-th row to a head over `end` rows.

        By the clocks of the databases: when the first transaction began, when the head moved.
        """
        first = self._database.execute(_FIRST_APPEND, (start,)).fetchone()
        head = self._ledger.execute(_HEAD_AT, (end,)).fetchone()
        if end <= start or not first or not head or head[0] is None:
            raise BenchError("nothing new came into the audit log")
        return Sealing(events=end - start, seconds=head[0] - first[0])

    def _has(self, ends: Mapping[Place, int]) -> bool:
        rows = self._database.execute(_READ).fetchall()
        read = {(topic, partition): offset for topic, partition, offset in rows}
        return all(read.get(place, 0) >= end for place, end in ends.items())


def _one(connection: psycopg.Connection[Any], query: LiteralString) -> Any:
    (value,) = connection.execute(query).fetchone() or (None,)
    return value
