"""`placet doctor`."""

# ruff: noqa: PLC0415 - imported when the command runs, so that help is quick
# Imports inside functions: each command starts quickly and loads what it alone needs.
from dataclasses import asdict
from typing import TYPE_CHECKING

import typer
from rich.text import Text

from placet.output import (
    Exit,
    JsonOption,
    Output,
    OutputOption,
    chosen,
    print_rows,
    stdout,
    table,
)
from placet.stack import Stack

if TYPE_CHECKING:
    from placet.examination import Finding

_COLOURS = {"ok": "green", "look": "yellow", "wrong": "bold red"}


def doctor(output: OutputOption = Output.TABLE, as_json: JsonOption = False) -> None:  # noqa: FBT002
    """Say what is wrong here, and what to do.

    Looks at Python, memory, disk, packages, processes, servers, consumer lag and dead letters.
    Ends with 1 if something is wrong. Example: [bold]placet doctor[/bold]
    """
    from placet.examination import Verdict, examine

    findings = list(examine(Stack()))
    form = chosen(output, as_json=as_json)
    if form is Output.TABLE:
        _show(findings)
    else:
        print_rows([asdict(finding) for finding in findings], form, [])
    if any(finding.verdict is Verdict.WRONG for finding in findings):
        raise typer.Exit(Exit.FAILED)


def _show(findings: "list[Finding]") -> None:
    shown = table([], ["", "what", "found", "what to do"])
    for one in findings:
        shown.add_row(
            Text(one.verdict, _COLOURS[one.verdict.value]), one.what, one.found, one.advice
        )
    stdout().print(shown)
