"""`placet control-items`: items whose answer is known, let into the queue among the others."""

# ruff: noqa: PLC0415 - imported when the command runs, so that help is quick
# Imports inside functions: each command starts quickly and loads what it alone needs.
import json
from pathlib import Path
from typing import Annotated, Any

import typer

from placet.output import JsonOption, Output, OutputOption, chosen, fail, print_rows, stderr

As = Annotated[
    str | None, typer.Option("--as", metavar="USERNAME", help="Sign in as this account.")
]
app = typer.Typer(no_args_is_help=True, help="Items whose answer is known.")


@app.command("add")
def add(
    file: Annotated[
        Path,
        typer.Argument(exists=True, dir_okay=False, help="Outputs, each with `expected` beside."),
    ],
    username: As = None,
) -> None:
    """Say what their answers are, then publish them as any pipeline does.

    Each line is a model output as for placet publish, with "expected": "APPROVE" or "REJECT", which
    is not published. They wait until the policy's control_rate lets them into the queue; nothing
    that is answered on them is written anywhere or told to a pipeline.

    Example: [bold]placet control-items add known.jsonl[/bold]
    """
    from placet.commands.kafka import bootstrap
    from placet.publishing import publish, read_lines
    from placet.session import sign_in

    lines = [json.loads(line) for line in read_lines(file)]
    known = [_known(number, line) for number, line in enumerate(lines, 1)]
    with sign_in(username, default="admin") as api:
        for one in known:
            api.call("POST", "/api/control-items", one)
    records = [json.dumps(line, ensure_ascii=False).encode() for line in lines]
    published = publish(bootstrap(), records)
    stderr().print(f"Published: {published}. They wait for the policy's control_rate.")


def _known(number: int, line: Any) -> dict[str, Any]:
    try:
        return {
            "source": line["source"],
            "external_id": line["external_id"],
            "expected": line.pop("expected"),
        }
    except (KeyError, TypeError, AttributeError) as error:
        raise fail(f"line {number} has no source, external_id or expected") from error


@app.command("list")
def list_(
    username: As = None,
    output: OutputOption = Output.TABLE,
    as_json: JsonOption = False,  # noqa: FBT002
) -> None:
    """List them, with who answered what.

    Example: [bold]placet control-items list[/bold]
    """
    from placet.session import sign_in

    with sign_in(username, default="admin") as api:
        found = api.call("GET", "/api/control-items")["control_items"]
    columns = ["external_id", "expected", "released", "by", "action", "right"]
    print_rows(
        [one | (one["answer"] or {}) for one in found],
        chosen(output, as_json=as_json),
        columns,
        empty="No control items.",
    )
