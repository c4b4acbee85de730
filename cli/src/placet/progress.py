"""How long work is shown: one line per step, on stderr.

Owns the two ways, for a terminal and for a file. Refuses to know what the steps are.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn


class Step(Protocol):
    """A step under way. Any thread may call it."""

    def advance(self, done: int, total: int) -> None:
        """Say how far it is."""

    def say(self, detail: str) -> None:
        """Say what it is waiting for."""


class Report(Protocol):
    """Whoever shows the steps."""

    def step(self, text: str) -> AbstractContextManager[Step]:
        """Show `text` as under way until the block ends; then how long it took."""

    def note(self, text: str) -> None:
        """Show a line of text."""


class _Quiet:
    def advance(self, done: int, total: int) -> None:
        pass

    def say(self, detail: str) -> None:
        pass


class Silent:
    """For tests and scripts."""

    @contextmanager
    def step(self, text: str) -> Iterator[Step]:  # noqa: ARG002 - the protocol's name
        yield _Quiet()

    def note(self, text: str) -> None:
        pass


class _Bar:
    def __init__(self, progress: Progress, text: str) -> None:
        self._progress = progress
        self._task = progress.add_task(text, total=None, detail="")
        self._lock = threading.Lock()

    def advance(self, done: int, total: int) -> None:
        with self._lock:
            self._progress.update(self._task, completed=done, total=total)

    def say(self, detail: str) -> None:
        self._progress.update(self._task, detail=detail)


class Shown:
    """On a terminal a moving bar per step; elsewhere a plain line when a step is done."""

    def __init__(self, console: Console | None = None) -> None:
        """Show on stderr, so that stdout stays for answers."""
        self._console = console or Console(stderr=True)

    @contextmanager
    def step(self, text: str) -> Iterator[Step]:
        began = time.monotonic()
        if self._console.is_terminal:
            columns = (
                SpinnerColumn(),
                TextColumn("{task.description}"),
                BarColumn(bar_width=24),
                TimeElapsedColumn(),
                TextColumn("[dim]{task.fields[detail]}[/dim]"),
            )
            with Progress(*columns, console=self._console, transient=True) as progress:
                yield _Bar(progress, text)
        else:
            yield _Quiet()
        seconds = time.monotonic() - began
        self._console.print(f"[green]✓[/green] {text} [dim]{seconds:.1f} s[/dim]", highlight=False)

    def note(self, text: str) -> None:
        self._console.print(text, highlight=False)
