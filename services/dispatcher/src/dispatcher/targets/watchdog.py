"""A limit on how long a target may keep a connection waiting.

Server-side timeouts do not help when the server itself hangs (stopped, a dead network path with a
live kernel behind it). Owns one thread that cuts the socket of a connection that took too long;
whoever uses it then sees a broken connection, which has an outcome of its own.
"""

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg


class Watchdog:
    """Cuts connections that stay under `over` for longer than `seconds`."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._changed = threading.Condition()
        self._under: dict[int, tuple[float, int]] = {}
        self._closed = False
        self._thread: threading.Thread | None = None

    @contextmanager
    def over(self, connection: psycopg.Connection[Any]) -> Iterator[None]:
        """Watch `connection` while the block runs."""
        entry = id(connection)
        with self._changed:
            nested = entry in self._under
            if not nested:
                self._under[entry] = (time.monotonic() + self._seconds, connection.fileno())
            self._start()
        try:
            yield
        finally:
            if not nested:
                with self._changed:
                    self._under.pop(entry, None)

    def close(self) -> None:
        """End the thread."""
        with self._changed:
            self._closed = True
            self._changed.notify()

    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)
            self._thread.start()

    def _watch(self) -> None:
        with self._changed:
            while not self._closed:
                now = time.monotonic()
                for entry, (until, descriptor) in list(self._under.items()):
                    if until <= now:
                        del self._under[entry]
                        _cut(descriptor)
                # Coarse on purpose: an idle process wakes up a few times a minute.
                self._changed.wait(self._seconds / 4)


def _cut(descriptor: int) -> None:
    with suppress(OSError), socket.socket(fileno=os.dup(descriptor)) as copy:
        copy.shutdown(socket.SHUT_RDWR)
