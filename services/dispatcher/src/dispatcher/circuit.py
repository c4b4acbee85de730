"""When a target that is away is asked again, and what it gets first when it is back. Pure.

Closed: everything is attempted. Open: nothing is, for twice as long each time. Then the target is
asked whether it is there; if it says so it is on trial: one write at a time, until one has been
answered for itself. A target that reads well and refuses every write so costs one attempt each
time, and its pauses go on growing.
"""

from typing import Final

FIRST_PAUSE: Final = 0.5
LONGEST_PAUSE: Final = 30.0


class Circuit:
    """Open while the target is away: attempts stop, so an outage spends nobody's retries."""

    def __init__(self) -> None:
        self._pause = FIRST_PAUSE
        self._until: float | None = None
        self._trial = False

    @property
    def open(self) -> bool:
        """Tell whether attempts have to wait."""
        return self._until is not None

    @property
    def trial(self) -> bool:
        """Tell whether the target said that it is there, and has not shown it yet."""
        return self._trial

    def wait(self, now: float) -> float:
        """Return seconds until the target may be asked again; 0 when the circuit is closed."""
        return 0.0 if self._until is None else max(0.0, self._until - now)

    def failed(self, now: float, at_least: float = 0.0) -> None:
        """Open, for twice as long as last time, or for `at_least` seconds where that is longer."""
        self._until = now + max(self._pause, at_least)
        self._pause = min(self._pause * 2, LONGEST_PAUSE)
        self._trial = False

    def answered(self) -> None:
        """Let one write at a time through: the target says that it is there."""
        self._until = None
        self._trial = True

    def worked(self) -> None:
        """Close: a write was answered for itself."""
        self._until = None
        self._pause = FIRST_PAUSE
        self._trial = False


class Suspects:
    """Which writes met an outage, and whether others were written since.

    A write that alone meets "an outage" while others are written is what is ill, not the target.
    In memory: what a restart forgets is believed once more.
    """

    def __init__(self) -> None:
        self._written = 0
        self._met: dict[str, int] = {}

    def written(self) -> None:
        """Say that something was written: the target was there."""
        self._written += 1

    def met(self, key: str) -> None:
        """Say that this write met an outage."""
        self._met[key] = self._written

    def clear(self, key: str) -> None:
        """Say that this write ended otherwise."""
        self._met.pop(key, None)

    def suspect(self, key: str) -> bool:
        """Tell whether something was written since this write last met an outage."""
        return self._met.get(key, self._written) != self._written
