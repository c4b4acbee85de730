"""Each stage with the machine to itself, working off a backlog.

While intake works, ingest and the audit sink are stopped: so it is measured alone, and what it
publishes becomes their backlog. Then the audit sink is started on it, then ingest. Clocks are the
broker's (when it appended the last review item) and the database's (when rows were committed and
the head was moved), so neither starting a process nor our asking is in them.
"""

from time import time
from typing import LiteralString

from bench.errors import BenchError
from bench.ours import Ours
from bench.probe import OursOnly, Values
from bench.result import Measure, at_least
from bench.size import Size
from bench.waiting import wait_for
from contract.topics import REVIEW_ITEMS

ONE = Measure(name="intake alone, 1 process", unit="items/s")
TWO = Measure(name="intake alone, 2 processes", unit="items/s")
INGEST = Measure(name="ingest alone, review-items → queue", unit="items/s")
SEALED = Measure(name="audit alone, Kafka → hot + sealed", unit="events/s", goal=at_least(8_000))
_SECONDS = 90.0
# From the first batch's commit: the first batch itself is the start, not part of the distance.
_COMMITTED: LiteralString = """
WITH batch AS (
    SELECT pg_xact_commit_timestamp(xmin) AS at, count(*) AS items
      FROM review.item WHERE created_at >= to_timestamp(%s) GROUP BY 1
)
SELECT sum(items) - (array_agg(items ORDER BY at))[1],
       extract(epoch FROM max(at) - min(at))::float8
  FROM batch
"""


def take(side: Ours, size: Size) -> Values:
    side.settle()
    for name in ("review-worker", "audit-sink"):
        side.stop(name)
    sealed = side.log.size()
    queued = side.queued()
    try:
        one = _intake(side, size.backlog)
        side.start("intake-2")
        _await_members(side, 2)
        two = _intake(side, size.backlog)
        side.stop("intake-2")
    finally:
        side.start("audit-sink")
    end = side.log.await_sealed(seconds=_SECONDS)
    started = time()
    side.start("review-worker")
    wait_for(
        "the backlog in the queue",
        lambda: side.queued() >= queued + 2 * size.backlog,
        seconds=_SECONDS,
    )
    sealing = side.log.sealing(sealed, end)
    return {
        ONE: one,
        TWO: two,
        SEALED: sealing.events / sealing.seconds,
        INGEST: _ingest(side, started),
    }


def _intake(side: Ours, count: int) -> float:
    wanted = sum(side.broker.ends(REVIEW_ITEMS).values()) + count
    side.propose(count)
    wait_for(
        "all review items on their topic",
        lambda: sum(side.broker.ends(REVIEW_ITEMS).values()) >= wanted,
        seconds=_SECONDS,
    )
    return count / (side.broker.last_append(REVIEW_ITEMS) - side.proposed_at)


def _await_members(side: Ours, count: int) -> None:
    wait_for(
        f"{count} members of intake",
        lambda: side.broker.members("intake") == count and side.lag("intake") == 0,
        seconds=_SECONDS,
    )


def _ingest(side: Ours, started: float) -> float:
    row = side.database.execute(_COMMITTED, (started,)).fetchone()
    if not row or not row[1]:
        raise BenchError("the backlog was one batch: too short to measure")
    return float(row[0]) / float(row[1])


PROBE = OursOnly(name="each stage alone", measures=(ONE, TWO, INGEST, SEALED), take=take)
