"""A limit on how long a target may keep a connection waiting.

Server-side timeouts do not help when the server itself hangs (stopped, a dead network path with a
live kernel behind it). Owns one thread that cuts the socket of a connection that took too long;
whoever uses it then sees a broken connection, which has an outcome of its own.
"""

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg


class Watchdog:
    """Cuts connections that stay under `over` for longer than `seconds`."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._changed = threading.Condition()
        self._under: dict[int, tuple[float, int, Any]] = {}
        self._closed = False
        self._thread: threading.Thread | None = None

    @contextmanager
    def over(self, connection: psycopg.Connection[Any]) -> Iterator[Callable[[], bool]]:
        """Watch `connection` while the block runs. Yields what tells whether it was cut."""
        entry = id(connection)
        with self._changed:
            nested = entry in self._under
            if not nested:
                until = time.monotonic() + self._seconds
                self._under[entry] = (until, connection.fileno(), connection)
                self._start()
                if len(self._under) == 1:
                    self._changed.notify_all()  # the thread sleeps while there is nothing to watch
        try:
            yield lambda: entry not in self._under
        finally:
            if not nested:
                with self._changed:
                    self._under.pop(entry, None)

    def watched(self) -> list[Any]:
        """Return the connections that somebody waits for just now."""
        with self._changed:
            return [connection for _, _, connection in self._under.values()]

    def cut(self) -> None:
        """Cut all of them now. Whoever waits sees a broken connection."""
        with self._changed:
            for _, descriptor, _ in self._under.values():
                _cut(descriptor)
            self._under.clear()

    def close(self) -> None:
        """End the thread."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)
            self._thread.start()

    def _watch(self) -> None:
        with self._changed:
            while not self._closed:
                now = time.monotonic()
                for entry, (until, descriptor, _) in list(self._under.items()):
                    if until <= now:
                        del self._under[entry]
                        _cut(descriptor)
                self._changed.wait(self._seconds / 4 if self._under else None)


def _cut(descriptor: int) -> None:
    with suppress(OSError), socket.socket(fileno=os.dup(descriptor)) as copy:
        copy.shutdown(socket.SHUT_RDWR)
