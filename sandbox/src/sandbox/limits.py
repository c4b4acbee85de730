"""Token buckets: how many requests a second somebody may send. Pure; time is passed in."""

from dataclasses import dataclass, field
from math import ceil


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """`retry_after` is None where the request may pass; whole seconds otherwise, at least one."""

    retry_after: int | None
    remaining: int
    limit: int


@dataclass(slots=True)
class Limiter:
    """One bucket per key, each holding one second's worth of requests."""

    buckets: dict[str, tuple[float, float]] = field(default_factory=dict)

    def take(self, key: str, per_second: float, now: float) -> Verdict:
        capacity = max(per_second, 1.0)
        level, seen = self.buckets.get(key, (capacity, now))
        level = min(capacity, level + (now - seen) * per_second)
        if level < 1:
            self.buckets[key] = (level, now)
            wait = max(1, ceil((1 - level) / per_second))
            return Verdict(retry_after=wait, remaining=0, limit=int(capacity))
        self.buckets[key] = (level - 1, now)
        return Verdict(retry_after=None, remaining=int(level - 1), limit=int(capacity))
