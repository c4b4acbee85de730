"""Asking until something is so, never longer than allowed."""

import time
from collections.abc import Callable
from typing import TypeVar

from bench.errors import BenchError

T = TypeVar("T")


def wait_for(what: str, ask: Callable[[], T | None], *, seconds: float, pause: float = 0.1) -> T:
    """Return the first answer that is true; `pause` seconds between two questions.

    Asking takes time from those who are measured: where it matters, what is reported is taken from
    a clock of the database or the broker afterwards, and this only finds out that it is over.
    """
    deadline = time.monotonic() + seconds
    while True:
        if answer := ask():
            return answer
        if time.monotonic() > deadline:
            raise BenchError(f"{what}: not within {seconds:.0f} s")
        time.sleep(pause)
