"""A second look at issues on which a comment's fate was unknown for a while.

Owns when: `settle` after the request that had no answer, because until then it may still land, and
make a second comment after the first was found and its write-back closed. Kept in memory: what a
crash forgets, the next comment on that issue repairs.
"""

import threading
from collections.abc import Callable
from typing import Final

import structlog

from dispatcher.writeback import Refused, Unavailable

log = structlog.get_logger()

_TRIES: Final = 10
_NAP: Final = 1.0


class Sweeps:
    """Calls `sweep` (thread safe; returns how many copies it removed) later, in a thread."""

    def __init__(self, settle: float, sweep: Callable[[str], int | Refused | Unavailable]) -> None:
        self._settle = settle
        self._sweep = sweep
        self._lock = threading.Lock()
        self._timers: dict[str, threading.Timer] = {}
        self._closed = False

    def later(self, identifier: str, tries: int = _TRIES) -> None:
        """Sweep this issue `settle` from now; the last call counts. Does not block."""
        with self._lock:
            if self._closed:
                return
            earlier = self._timers.pop(identifier, None)
            if earlier is not None:
                earlier.cancel()
            timer = threading.Timer(self._settle + _NAP, self._run, (identifier, tries))
            timer.daemon = True
            self._timers[identifier] = timer
            timer.start()

    def _run(self, identifier: str, tries: int) -> None:
        with self._lock:
            self._timers.pop(identifier, None)
        swept = self._sweep(identifier)
        if isinstance(swept, Unavailable) and tries > 1:
            self.later(identifier, tries - 1)
        elif not isinstance(swept, int):
            log.warning("jira_sweep_failed", identifier=identifier, code=swept.code)

    def close(self) -> None:
        """Forget what is due. Safe to call twice; does not wait for a sweep that runs."""
        with self._lock:
            self._closed = True
            for timer in self._timers.values():
                timer.cancel()
            self._timers.clear()
