"""A few threads that speak with a target, so that a slow answer holds up its own record alone.

Daemon threads: a request that hangs must not keep the process from ending. What it was about is in
the ledger.
"""

import queue
import threading
from collections.abc import Callable

Job = Callable[[], None]


class Hands:
    """At most `count` jobs at once. A job raises nothing."""

    def __init__(self, count: int, name: str) -> None:
        """Start no thread before it is needed."""
        self.count = count
        self._name = name
        self._jobs: queue.SimpleQueue[Job] = queue.SimpleQueue()
        self._idle = threading.Semaphore(0)
        self._threads = 0

    def give(self, job: Job) -> None:
        """Have `job` done soon. Returns at once."""
        self._jobs.put(job)
        if self._threads < self.count and not self._idle.acquire(blocking=False):
            self._threads += 1
            threading.Thread(target=self._work, name=self._name, daemon=True).start()

    def _work(self) -> None:
        while True:
            self._jobs.get()()
            self._idle.release()
