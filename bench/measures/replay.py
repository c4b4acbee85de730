"""The decisions topic again: how fast duplicates are recognised, and that nothing is written.

The window is everything decided so far, repeated until there is enough of it: same bytes, same
ids. The clock runs from the first record until the dispatcher's group has committed all of them;
the audit sink reads them too meanwhile.
"""

from itertools import cycle, islice
from time import monotonic

from bench.errors import BenchError
from bench.ours import Ours
from bench.probe import OursOnly, Values
from bench.records import INSTANCE
from bench.result import Measure, at_least
from bench.size import Size
from bench.waiting import wait_for
from contract.topics import DECISIONS

REPLAYED = Measure(name="decisions replayed, all duplicates", unit="/s", goal=at_least(5_000))
_GROUP = f"dispatcher-{INSTANCE}"
_SECONDS = 120.0


def take(side: Ours, size: Size) -> Values:
    window = side.broker.window(DECISIONS)
    if not window:
        raise BenchError(
            "nothing was decided, so nothing can be replayed: --only decision has both"
        )
    before = side.target.changes()
    count = max(size.replayed, len(window))
    began = monotonic()
    side.broker.publish(DECISIONS, islice(cycle(window), count))
    wait_for("no lag", lambda: side.lag(_GROUP) == 0, seconds=_SECONDS, pause=0.05)
    seconds = monotonic() - began
    if (after := side.target.changes()) != before:
        raise BenchError(f"a replay changed the target {after - before} times")
    return {REPLAYED: count / seconds}


PROBE = OursOnly(name="replay of decisions", measures=(REPLAYED,), take=take)
