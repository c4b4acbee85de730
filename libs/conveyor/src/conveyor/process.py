"""A process of several loops: all run, or the process ends and its supervisor starts it anew."""

import signal
import threading
from collections.abc import Callable, Mapping

import structlog

log = structlog.get_logger()

Loop = Callable[[threading.Event], None]
"""Runs until the event is set. Raising is a bug, and ends the process."""


def stop_on_signals() -> threading.Event:
    """Return an event that SIGTERM and SIGINT set."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop


def run_together(stop: threading.Event, loops: Mapping[str, Loop]) -> int:
    """Run every loop in a thread of its own until `stop`, and return the exit code.

    0 when all ended because they were told to; 1 when one raised (logged, the others are stopped:
    half a service must not look alive).
    """
    failed = threading.Event()

    def guarded(name: str, loop: Loop) -> None:
        try:
            loop(stop)
            if not stop.is_set():
                raise RuntimeError(f"{name} ended without being told to")
        except Exception:
            log.exception("loop_failed", loop=name)
            failed.set()
        finally:
            stop.set()

    threads = [
        threading.Thread(target=guarded, args=(name, loop), name=name)
        for name, loop in loops.items()
    ]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        for thread in threads:
            thread.join(0.5)  # short: signals are handled between joins
    return 1 if failed.is_set() else 0
