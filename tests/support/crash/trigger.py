"""What a process does when it passes a crash point: nothing, or it dies. Runs inside services.

Owns the in-process half of the plan folder (`plan` is the other): which points are armed here, and
that each fires once, however many threads pass it. SIGKILL, so nothing of ours runs afterwards.
"""

import inspect
import json
import os
import signal
import threading
from collections.abc import Callable, Coroutine, Generator
from pathlib import Path
from typing import Any

from tests.support.crash.places import AFTER, BEFORE

Side = tuple[str, str]


class Trigger:
    """The points of this process."""

    def __init__(self, folder: Path, process: str) -> None:
        self._orders = folder / "orders" / process
        trace = folder / "traces" / process
        self._trace = os.open(trace, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._fired = folder / "fired"
        self._read: tuple[int, int] | None = None
        self._armed: list[dict[str, Any]] = []
        self._thread = threading.local()

    def hit(self, place: str, side: str) -> None:
        """Say that this thread is on one side of a place. Does not return where that is armed."""
        self._look()
        os.write(self._trace, f"{os.getpid()} {threading.get_ident()} {place} {side}\n".encode())
        for one in self._armed:
            if self._due(one, (place, side)):
                self._fire(one["serial"])

    def _look(self) -> None:
        """Read the orders when they have changed: their file is replaced, never written to."""
        found = self._orders.stat()
        if self._read == (found.st_ino, found.st_mtime_ns):
            return
        self._read = (found.st_ino, found.st_mtime_ns)
        armed = json.loads(self._orders.read_text("utf-8"))
        self._armed = [one for one in armed if not (self._fired / one["serial"]).exists()]

    def _due(self, one: dict[str, Any], side: Side) -> bool:
        """Tell whether it fires here: at its side, once this thread was where it lies behind."""
        passed: set[str] = self._thread.__dict__.setdefault("passed", set())
        behind = one["behind"]
        if behind is not None and one["serial"] not in passed:
            if side == tuple(behind):
                passed.add(one["serial"])
            return False
        return side == tuple(one["side"])

    def _fire(self, serial: str) -> None:
        try:
            os.close(os.open(self._fired / serial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        except FileExistsError:
            return  # another thread was first, and ends us all
        os.kill(os.getpid(), signal.SIGKILL)

    def call(self, place: str, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Call `function` between its two sides. What is awaited has the second once it answers."""
        self.hit(place, BEFORE)
        result = function(*args, **kwargs)
        if inspect.iscoroutine(result):
            return _Awaited(result, self, place)
        self.hit(place, AFTER)
        return result

    def leave(self, place: str, manager: Any, /) -> "_Left":
        """Return `manager` with two sides where its block is left in good order."""
        return _Left(manager, self, place)


class _Awaited:
    """An awaitable like `coroutine`: its second side is passed once it has its result."""

    def __init__(self, coroutine: Coroutine[Any, Any, Any], trigger: Trigger, place: str) -> None:
        self._coroutine = coroutine
        self._trigger = trigger
        self._place = place

    def __await__(self) -> Generator[Any, Any, Any]:
        result = yield from self._coroutine.__await__()
        self._trigger.hit(self._place, AFTER)
        return result

    def close(self) -> None:
        self._coroutine.close()


class _Left:
    """A context manager, for `with` or `async with`. An exception is no commit, and no point."""

    def __init__(self, manager: Any, trigger: Trigger, place: str) -> None:
        self._manager = manager
        self._trigger = trigger
        self._place = place

    def __enter__(self) -> Any:
        return self._manager.__enter__()

    def __exit__(self, kind: object, error: object, traceback: object) -> Any:
        if kind is not None:
            return self._manager.__exit__(kind, error, traceback)
        self._trigger.hit(self._place, BEFORE)
        result = self._manager.__exit__(None, None, None)
        self._trigger.hit(self._place, AFTER)
        return result

    async def __aenter__(self) -> Any:
        return await self._manager.__aenter__()

    async def __aexit__(self, kind: object, error: object, traceback: object) -> Any:
        if kind is not None:
            return await self._manager.__aexit__(kind, error, traceback)
        self._trigger.hit(self._place, BEFORE)
        result = await self._manager.__aexit__(None, None, None)
        self._trigger.hit(self._place, AFTER)
        return result
