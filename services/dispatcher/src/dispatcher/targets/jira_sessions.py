"""The sessions with one Jira site, and when not to open one.

Owns which secret a session was opened with (the file may change) and the pause after a refused
login. Refuses to know what is sent over them (`jira_client`).
"""

import queue
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Final

from dispatcher.targets.jira_client import Client, Outcome, ReadFailedError
from dispatcher.targets.jira_secret import Secret
from dispatcher.targets.target import Repair
from dispatcher.targets.watchdog import Watchdog
from dispatcher.writeback import Code, Unavailable

_DELAYS: Final = (60.0, 300.0, 900.0)
"""Seconds without an attempt after each refused login: Jira locks accounts out."""


class Clients:
    """The sessions with a site: as many as are needed at once, kept for the next.

    Owns the pause after a refused login: nobody signs in again with a secret that was refused,
    until the secret file changes or the pause is over. Thread safe.
    """

    def __init__(
        self,
        url: str,
        secret: Callable[[], Secret],
        limit: float,
        repaired: Callable[[Repair], None],
    ) -> None:
        """`secret()` returns the Secret now in the file, or raises ReadFailedError.

        `repaired` is told, from any thread, what was found twice and removed.
        """
        self._url = url
        self._secret = secret
        self._limit = limit
        self._repaired = repaired
        self._watchdog = Watchdog(limit)
        self._idle: queue.LifoQueue[tuple[str, Secret, Client]] = queue.LifoQueue()
        self._lock = threading.Lock()
        self._refused: tuple[Secret, int, float, Unavailable] | None = None

    @contextmanager
    def borrow(self, version: str) -> Iterator[Client]:
        """Lend a client for API `version`.

        Raises:
            ReadFailedError: the secret cannot be read, or was refused a moment ago.
        """
        secret = self._secret()
        self._check(secret)
        client = self._take(version, secret)
        try:
            yield client
        finally:
            self._idle.put((version, secret, client))

    def _take(self, version: str, secret: Secret) -> Client:
        while True:
            try:
                kept, known, client = self._idle.get_nowait()
            except queue.Empty:
                heard = partial(self._note, secret)
                return Client(
                    self._url,
                    secret,
                    version,
                    limit=self._limit,
                    watchdog=self._watchdog,
                    heard=heard,
                    repaired=self._repaired,
                )
            if (kept, known) == (version, secret):
                return client
            client.close()

    def _check(self, secret: Secret) -> None:
        with self._lock:
            if self._refused is None:
                return
            refused, _, until, outcome = self._refused
        left = until - time.monotonic()
        if refused == secret and left > 0:
            raise ReadFailedError(
                Unavailable(
                    code=outcome.code, detail=outcome.detail, retry_after=left, whole_target=True
                )
            )

    def _note(self, secret: Secret, outcome: Outcome | None) -> None:
        refused = isinstance(outcome, Unavailable) and outcome.code is Code.LOGIN_REFUSED
        if outcome is not None and not refused:
            return
        with self._lock:
            if not isinstance(outcome, Unavailable):
                self._refused = None
                return
            times = 0
            if self._refused is not None and self._refused[0] == secret:
                times = self._refused[1]
            pause = _DELAYS[min(times, len(_DELAYS) - 1)]
            self._refused = (secret, times + 1, time.monotonic() + pause, outcome)

    def close(self) -> None:
        """End every idle session. Safe to call twice."""
        self._watchdog.close()
        while True:
            try:
                self._idle.get_nowait()[2].close()
            except queue.Empty:
                return
