"""`placet stop | resume`: the stop switch."""

# ruff: noqa: PLC0415 - imported when the command runs, so that help is quick
# Imports inside functions: each command starts quickly and loads what it alone needs.
import sys
from typing import Annotated, Any

import typer
from rich.markup import escape

from placet.output import JsonOption, print_json, stderr

As = Annotated[
    str | None, typer.Option("--as", metavar="USERNAME", help="Sign in as this account.")
]
Everything = Annotated[bool, typer.Option("--all", help="Every target.")]
Target = Annotated[
    str | None, typer.Option(metavar="NAME", help="One target, as in placet targets list.")
]
Reason = Annotated[str, typer.Option(help="Why; everybody reads it.", prompt=sys.stdin.isatty())]
"""Asked for at a terminal; a script is told that --reason is missing."""


def stop(
    *,
    everything: Everything = False,
    target: Target = None,
    reason: Reason,
    username: As = None,
    as_json: JsonOption = False,
) -> None:
    """Write nothing more, within 5 seconds. Decisions are still taken, and wait.

    A write that is under way ends. Every page says who stopped it, and why.

    Examples: [bold]placet stop --all --reason "wrong prices since 14:00"[/bold] ·
    [bold]placet stop --target jira-demo --reason maintenance[/bold]
    """
    _ask("stop", _meant(target, reason, everything=everything), username, as_json=as_json)


def resume(
    *,
    everything: Everything = False,
    target: Target = None,
    reason: Reason,
    username: As = None,
    as_json: JsonOption = False,
) -> None:
    """Write again what was stopped: what waited goes out, in order.

    A target that was stopped by itself stays stopped when everything is let go.

    Examples: [bold]placet resume --all --reason "prices are mended"[/bold] ·
    [bold]placet resume --target jira-demo --reason "maintenance is over"[/bold]
    """
    _ask("resume", _meant(target, reason, everything=everything), username, as_json=as_json)


def _meant(target: str | None, reason: str, *, everything: bool) -> dict[str, Any]:
    if everything == bool(target):
        raise typer.BadParameter("--all or --target NAME: one of the two")
    return {"reason": reason} | ({"all": True} if everything else {"target": target})


def _ask(asked: str, body: dict[str, Any], username: str | None, *, as_json: bool) -> None:
    from placet.session import sign_in

    with sign_in(username, default="sre") as api:
        answer = api.call("POST", f"/api/{asked}", body)
    if as_json:
        print_json(answer)
    else:
        what = escape(answer["target"] or "every target")
        stderr().print(f"asked: {asked} {what}; it takes effect within 5 seconds")
