"""What a command prints and how it ends.

Owns the three forms of output and the exit codes. In JSON mode stdout holds JSON only.
"""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from enum import IntEnum, StrEnum
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table


class Exit(IntEnum):
    """How every command ends."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    DECLINED = 3
    NOT_ALLOWED = 4
    PARTLY = 5
    NOT_VERIFIED = 6


class Output(StrEnum):
    """Forms of output: for people, for programs, for streams."""

    TABLE = "table"
    JSON = "json"
    JSONL = "jsonl"


OutputOption = Annotated[
    Output, typer.Option("--output", "-o", help="table, json, or jsonl: one object a line.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="The same as --output json.")]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
NoInputOption = Annotated[bool, typer.Option("--no-input", help="Never ask; decline instead.")]


def chosen(output: Output, *, as_json: bool) -> Output:
    return Output.JSON if as_json else output


def stdout() -> Console:
    return Console()


def stderr() -> Console:
    return Console(stderr=True)


def print_json(value: object) -> None:
    sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=2, default=str) + "\n")


def print_rows(
    rows: Iterable[Mapping[str, Any]],
    output: Output,
    columns: Sequence[str],
    *,
    empty: str = "Nothing.",
) -> None:
    """Print the rows; a table shows only `columns`, JSON all there is."""
    if output is Output.JSONL:
        for row in rows:
            sys.stdout.write(json.dumps(row, ensure_ascii=False, default=str) + "\n")
        return
    listed = list(rows)
    if output is Output.JSON:
        print_json(listed)
    elif not listed:
        stderr().print(empty)
    else:
        stdout().print(table(listed, columns))


def table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> Table:
    """A table of text; numbers to the right, what is absent as a dash."""
    shown = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        numbers = bool(rows) and all(
            isinstance(row.get(column), int | float | None) for row in rows
        )
        shown.add_column(
            column.replace("_", " "),
            justify="right" if numbers else "left",
            overflow="fold",
            no_wrap=column.endswith("_id"),  # something to copy
        )
    for row in rows:
        shown.add_row(*(_cell(row.get(column)) for column in columns))
    return shown


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.2f}"
    if isinstance(value, str):
        return escape(value)
    return str(value)


def fail(message: str, code: Exit = Exit.FAILED) -> typer.Exit:
    """Print what is wrong on stderr and return the exception that ends the command."""
    console = stderr()
    first, _, rest = message.partition("\n")
    console.print(f"[bold red]Error[/bold red] {escape(first)}", highlight=False)
    if rest:
        console.print(rest, markup=False, highlight=False)
    return typer.Exit(code)


def confirm(question: str, *, yes: bool, no_input: bool) -> None:
    """Ask before something that cannot be undone. Ends the command with 3 on a no."""
    if yes:
        return
    if no_input or not sys.stdin.isatty():
        raise fail(f"{question} Say --yes to do it.", Exit.DECLINED)
    if not typer.confirm(question, err=True):
        raise fail("Not done.", Exit.DECLINED)
