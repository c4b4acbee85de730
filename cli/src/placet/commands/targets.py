"""`placet targets …`: how the targets are, pause, resume, and what becomes of a stuck write."""

# ruff: noqa: PLC0415 - imported when the command runs, so that help is quick
# Imports inside functions: each command starts quickly and loads what it alone needs.
import sys
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any

import typer
from rich.markup import escape

from placet.output import (
    JsonOption,
    Output,
    OutputOption,
    chosen,
    print_json,
    print_rows,
    stderr,
)

app = typer.Typer(no_args_is_help=True, help="The systems that are written to.")

As = Annotated[
    str | None, typer.Option("--as", metavar="USERNAME", help="Sign in as this account.")
]
Name = Annotated[str, typer.Argument(help="As in placet targets list.")]
Reason = Annotated[str, typer.Option(help="Why; it is on record.", prompt=sys.stdin.isatty())]
"""Asked for at a terminal; a script is told that --reason is missing."""


class Action(StrEnum):
    """What becomes of a stuck write."""

    ADOPT = "adopt"
    RESEND = "resend"
    GIVE_UP = "give-up"


@app.command("list")
def list_targets(
    *,
    username: As = None,
    output: OutputOption = Output.TABLE,
    as_json: JsonOption = False,
) -> None:
    """Show every target: is it written to, and what waits for it.

    Example: [bold]placet targets list[/bold]
    """
    from placet.session import sign_in

    with sign_in(username, default="sre") as api:
        found = api.call("GET", "/api/targets")["targets"]
    columns = ["name", "kind", "state", "waiting", "stuck"]
    print_rows(map(_row, found), chosen(output, as_json=as_json), columns, empty="No targets.")


def _row(target: Mapping[str, Any]) -> dict[str, Any]:
    waits = target.get("open")
    if waits is None:
        return {**target, "waiting": None, "stuck": None}
    stuck = waits.get("STUCK", 0)
    return {**target, "waiting": sum(waits.values()) - stuck, "stuck": stuck}


@app.command()
def pause(
    name: Name,
    reason: Reason,
    username: As = None,
    as_json: JsonOption = False,  # noqa: FBT002
) -> None:
    """Write nothing more to a target. Decisions are still taken, and wait.

    Example: [bold]placet targets pause jira-demo --reason maintenance[/bold]
    """
    _ask(f"/api/targets/{name}/pause", {"reason": reason}, username, as_json=as_json)


@app.command()
def resume(
    name: Name,
    reason: Reason,
    username: As = None,
    as_json: JsonOption = False,  # noqa: FBT002
) -> None:
    """Write to a target again: what waited goes out, in order.

    Example: [bold]placet targets resume jira-demo --reason "maintenance is over"[/bold]
    """
    _ask(f"/api/targets/{name}/resume", {"reason": reason}, username, as_json=as_json)


@app.command()
def unstick(
    write_back_id: Annotated[str, typer.Argument(help="As in placet item, of a STUCK write.")],
    action: Annotated[Action, typer.Argument(case_sensitive=False)],
    reason: Reason,
    username: As = None,
    as_json: JsonOption = False,  # noqa: FBT002
) -> None:
    """Say what becomes of a stuck write. adopt: it is there. resend: same key again. give-up.

    Example: [bold]placet targets unstick WRITE_BACK_ID adopt --reason "seen in Jira"[/bold]
    """
    path = f"/api/write-backs/{write_back_id}/unstick"
    _ask(
        path,
        {"action": action.value, "reason": reason},
        username,
        default="approver",
        as_json=as_json,
    )


def _ask(
    path: str,
    body: Mapping[str, str],
    username: str | None,
    *,
    default: str = "sre",
    as_json: bool,
) -> None:
    from placet.session import sign_in

    with sign_in(username, default=default) as api:
        answer = api.call("POST", path, body)
    if as_json:
        print_json(answer)
    else:
        stderr().print(f"asked: {escape(answer['asked'])}; it takes effect within seconds")
