"""Standing by while the stack runs in the foreground: says when a process ends or comes back."""

import threading
from typing import Final

from rich.console import Console

from placet.stack import Stack

_EVERY: Final = 0.5


def watch(stack: Stack, stop: threading.Event, console: Console) -> None:
    """Print changes until `stop` is set or somebody else took the stack down."""
    known = {process.name: process for process in stack.processes()}
    while not stop.wait(_EVERY):
        if not stack.running():
            console.print("The stack was stopped by somebody else.")
            return
        for process in stack.processes():
            before = known.get(process.name)
            known[process.name] = process
            if before is None or (before.pid, before.state) == (process.pid, process.state):
                continue
            console.print(_sentence(process.name, process.state, process.pid, before.pid))


def _sentence(name: str, state: str, pid: int | None, before: int | None) -> str:
    if state == "failed":
        return f"[red]{name} does not stay up[/red]: placet logs {name}; then placet doctor"
    if state == "running" and pid == before:
        return f"[green]{name} is up[/green] (pid {pid})"
    if state == "running":
        return f"[yellow]{name} ended and was started again[/yellow] (pid {before} → {pid})"
    if state == "starting":
        return f"[yellow]{name} ended and is being started again[/yellow] (placet logs {name})"
    return f"[yellow]{name}: {state}[/yellow] (placet logs {name})"
