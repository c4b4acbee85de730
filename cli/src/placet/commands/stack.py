"""`placet up | down | status | logs | reset`."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from rich.console import Group
from rich.padding import Padding
from rich.text import Text

from placet.crashes import crashes, last_reasons
from placet.home import Home
from placet.output import (
    Exit,
    JsonOption,
    NoInputOption,
    Output,
    OutputOption,
    YesOption,
    chosen,
    confirm,
    print_json,
    stderr,
    stdout,
    table,
)
from placet.progress import Shown
from placet.stack import ROLES, AlreadyUpError, Stack
from placet.watch import watch

_COLOURS = {
    "running": "green",
    "starting": "yellow",
    "backoff": "yellow",
    "stopped": "dim",
    "failed": "red",
}
_STAND_INS = (
    "jira-demo and sharepoint-demo are stand-ins: open their addresses in a browser to see what "
    "was written, to edit a record as somebody else would, and to break them."
)


class StoppedError(Exception):
    """A signal told us to stop."""


def up(
    *,
    detach: Annotated[
        bool, typer.Option("--detach", "-d", help="Return when it is up; stop: placet down.")
    ] = False,
    demo: Annotated[
        bool,
        typer.Option(
            "--demo",
            help="With a business database, stand-ins of Jira and SharePoint, sample items.",
        ),
    ] = False,
    no_publish: Annotated[
        bool, typer.Option("--no-publish", help="With --demo: publish no sample items.")
    ] = False,
    hold: Annotated[
        float | None,
        typer.Option(
            min=0, help="Seconds a demo target's decision waits before it is written; first 5."
        ),
    ] = None,
    intakes: Annotated[int, typer.Option(min=1, max=12, help="How many intake processes.")] = 1,
    roles: Annotated[
        str | None, typer.Option(help="Only these, separated by commas, such as kafka,postgres.")
    ] = None,
) -> None:
    """Start Kafka, PostgreSQL and all services on this machine.

    Everything listens on 127.0.0.1 and keeps its data in .placet (or PLACET_HOME).
    PLACET_KAFKA and PLACET_POSTGRES point to servers of your own instead.

    Examples: [bold]placet up --demo[/bold] · [bold]placet up --detach[/bold] ·
    [bold]PLACET_KAFKA=localhost:9092 placet up[/bold]
    """
    stack = Stack(
        roles=roles.split(",") if roles else ROLES,
        demo=demo,
        publish=not no_publish,
        hold=hold,
        intakes=intakes,
    )
    came_up = False
    with _stop_signals() as stop:
        try:
            status = stack.up(Shown())
            came_up = True
            stderr().print(_overview(stack, status), crop=False)
            if detach:
                stderr().print("Stop it: [bold]placet down[/bold]")
                return
            stderr().print("[bold]Ctrl-C[/bold] stops everything.")
            stop.arm_quietly()
            watch(stack, stop.event, stderr())
        except AlreadyUpError:
            _already_up(stack)
            return
        except StoppedError:
            # While it came up it has stopped itself; but the signal may have come in the middle of
            # that, after something else had gone wrong. What is left is stopped below.
            stop.arm_quietly()
        stack.down(Shown())
    stderr().print("Stopped. Data stay; [bold]placet reset[/bold] deletes them.")
    if not came_up:
        raise typer.Exit(Exit.FAILED)


def _already_up(stack: Stack) -> None:
    stderr().print("It is up already.")
    stderr().print(_overview(stack, stack.status()), crop=False)
    stderr().print("Stop it: [bold]placet down[/bold] · from nothing: [bold]placet reset[/bold]")


class _Signals:
    """Until armed quietly, a signal interrupts whatever runs; then it only sets the event."""

    def __init__(self) -> None:
        self.event = threading.Event()
        self._interrupt = True

    def arm_quietly(self) -> None:
        self._interrupt = False

    def handle(self, _number: int, _frame: object) -> None:
        again = self.event.is_set()
        self.event.set()
        if self._interrupt and not again:
            raise StoppedError


@contextmanager
def _stop_signals() -> Iterator[_Signals]:
    signals = _Signals()
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, signals.handle) for number in numbers}
    try:
        yield signals
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def down() -> None:
    """Stop everything; data stay in .placet."""
    stopped = Stack().down(Shown())
    stderr().print("Stopped." if stopped else "Nothing ran.")


def status(output: OutputOption = Output.TABLE, as_json: JsonOption = False) -> None:  # noqa: FBT002
    """Show every address, account and process.

    Example: [bold]placet status --json | jq -r .review.url[/bold]
    """
    stack = Stack()
    found = stack.status()
    form = chosen(output, as_json=as_json)
    if form is Output.TABLE:
        stdout().print(_overview(stack, found), crop=False)
    elif form is Output.JSON:
        print_json(found)
    else:
        for process in found["processes"]:
            print_json(process)


def reset(yes: YesOption = False, no_input: NoInputOption = False) -> None:  # noqa: FBT002
    """Stop everything and delete data, keys and accounts of this stack.

    Example: [bold]placet reset --yes[/bold]
    """
    stack = Stack()
    if stack.home.stack_id is None:
        stderr().print(f"There is no stack in {stack.home.folder}.")
        return
    confirm(f"Delete everything in {stack.home.folder}?", yes=yes, no_input=no_input)
    stack.reset(Shown())
    stderr().print("Deleted.")


def logs(
    name: Annotated[str | None, typer.Argument(help="A process, as in placet status.")] = None,
    *,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as they grow.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="From the end.")] = 40,
) -> None:
    """Show what processes print.

    Examples: [bold]placet logs kafka[/bold] · [bold]placet logs -f[/bold]
    """
    from placet.logfiles import show  # noqa: PLC0415

    show(Home.of(), name, lines=lines, follow=follow)


def _overview(stack: Stack, found: dict[str, Any]) -> Group:
    parts: list[Any] = []
    if found["review"]["url"]:
        line = Text.assemble("Review desk  ", (f"{found['review']['url']}/review", "bold cyan"))
        parts.append(Padding(line, (1, 0, 0, 0)))
    if found["accounts"]:
        parts.append(Padding(table(found["accounts"], ["role", "username", "password"]), (1, 2)))
    servers = [
        {"what": "Kafka", "address": found["kafka"]["bootstrap"]},
        {"what": "PostgreSQL", "address": found["postgres"]["dsn"]},
        *({"what": t["name"], "address": t.get("dsn") or t.get("url")} for t in found["targets"]),
    ]
    width = max(len(one["what"]) for one in servers)
    for one in servers:  # on one line each, however long: something to copy
        words = f"  {one['what']:<{width}}  {one['address'] or '-'}"
        parts.append(Text(words, no_wrap=True, overflow="ignore"))
    if any(target.get("url") for target in found["targets"]):
        parts.append(Padding(Text(_STAND_INS, "dim"), (1, 2, 0, 2)))
    parts.append(Padding(_processes(stack, found), (1, 2)))
    return Group(*parts)


def _processes(stack: Stack, found: dict[str, Any]) -> Any:
    log = stack.home.log("supervisord")
    text = log.read_text("utf-8", "replace") if log.exists() else ""
    counts, reasons = crashes(text), last_reasons(text)
    shown = table([], ["process", "pid", "state", "ended by itself"])
    for process in found["processes"]:
        name, state = process["name"], process["state"]
        ended = f"{counts[name]}x, last: {reasons[name]}" if counts[name] else ""
        pid = str(process["pid"] or "-")
        shown.add_row(name, pid, Text(state, _COLOURS[state]), Text(ended, "yellow"))
    return shown
