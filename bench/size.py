"""How much is measured. Owns the numbers of a run, nothing else."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """One run. Counts are per round and side."""

    rounds: int
    items: int
    """Records published at full speed."""
    decisions: int
    """Decisions of the burst."""
    samples: int
    """Decisions of the latency measure."""
    pages: int
    """First pages fetched."""
    replayed: int
    """Records produced again, at least; the window is repeated until there are so many."""
    backlog: int
    """Records that wait for one stage while it is stopped."""
    over_http: int
    """Records written in Jira and in SharePoint, once, after the rounds."""
    idle: float
    """Seconds for which nothing happens, to see what that costs."""
    queues: tuple[int, ...] = ()
    """Lengths of the queue, beyond what the rounds make, at which the first page is fetched."""
    minutes: float = 8.0
    """No measure begins later than this."""
    rate: float = 20.0
    """Decisions a second of the latency measure."""
    clients: int = 16
    """Connections, each with one request under way."""


FULL = Size(
    rounds=3,
    items=10_000,
    decisions=2_000,
    samples=200,
    pages=50,
    replayed=10_000,
    backlog=10_000,
    over_http=150,
    idle=10.0,
)
QUICK = Size(
    rounds=1,
    items=3_000,
    decisions=600,
    samples=80,
    pages=30,
    replayed=3_000,
    backlog=3_000,
    over_http=60,
    idle=5.0,
    minutes=1.3,
)
LARGE = (100_000, 1_000_000)
