"""Every measure, in the order in which they are taken in a round and stand in the table.

A new one is a file beside these, with its `PROBE`, and its line here.
"""

from collections.abc import Sequence
from typing import Final

from bench.measures import (
    burst,
    divergence,
    idle,
    latency,
    over_http,
    page,
    queue,
    replay,
    stages,
    verify,
)
from bench.probe import Probe

PROBES: Final[Sequence[Probe]] = (
    queue.PROBE,
    page.PROBE,
    burst.PROBE,
    latency.PROBE,
    replay.PROBE,
    stages.PROBE,
    verify.PROBE,
    divergence.PROBE,
)
LAST: Final[Sequence[Probe]] = (over_http.PROBE, idle.PROBE)
"""Taken once, after all rounds: they need processes that everything else does without."""
LARGE: Final[Sequence[Probe]] = (page.LONG_PROBE,)
"""Taken once, after all rounds: afterwards the queues are too long for anything else."""
