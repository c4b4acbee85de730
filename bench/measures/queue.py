"""Model outputs into the queue, published at full speed, with everything running.

The clock starts before the first record is published and stops when the last item's row is
committed. The floor copies the same records straight into its table: no broker, no checks, no
divergence. It says what the disk could take, not what should be reached.
"""

from bench.probe import Both, Values
from bench.result import Measure, at_least
from bench.side import Side
from bench.size import Size

QUEUED = Measure(name="Kafka → queue, everything on", unit="items/s", goal=at_least(5_000))


def take(side: Side, size: Size) -> Values:
    return {QUEUED: size.items / side.create(size.items)}


PROBE = Both(name="items into the queue", measures=(QUEUED,), take=take)
