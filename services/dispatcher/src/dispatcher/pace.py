"""How many writes may begin now, where a target is to see at most so many a second. Pure."""


class Pace:
    """A token bucket: `rate` a second on average, at most a second's worth at once."""

    def __init__(self, rate: float | None) -> None:
        """Take the rate; None is as fast as it goes."""
        self._rate = rate
        self._most = max(1.0, rate or 0.0)
        self._left = self._most
        self._at = float("-inf")

    def allowed(self, now: float, most: int) -> int:
        """Return how many of `most` may begin at `now`. Takes nothing."""
        if self._rate is None:
            return most
        if self._at > float("-inf"):
            self._left = min(self._most, self._left + (now - self._at) * self._rate)
        self._at = now
        return min(most, int(self._left + _EPSILON))

    def begin(self, count: int) -> None:
        """Take `count` of what was allowed."""
        self._left -= count

    def wait(self) -> float:
        """Return seconds from the last look until one more may begin."""
        if self._rate is None:
            return 0.0
        return max(0.0, (1.0 - self._left) / self._rate)


_EPSILON = 1e-9
