"""`placet publish | topics | lag`."""

# ruff: noqa: PLC0415 - imported when the command runs, so that help is quick
# Imports inside functions: each command starts quickly and loads what it alone needs.
import os
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from contract.topics import MODEL_OUTPUTS, TOPICS
from placet.home import Home
from placet.output import (
    Exit,
    JsonOption,
    Output,
    OutputOption,
    chosen,
    fail,
    print_json,
    print_rows,
    stderr,
    stdout,
)
from placet.progress import Shown
from placet.state import State


def bootstrap() -> str:
    """PLACET_KAFKA, else the local stack's broker."""
    state = State.load(Home.of())
    found = os.environ.get("PLACET_KAFKA") or (state.kafka if state else None)
    if not found:
        raise fail("no Kafka: start one with `placet up`, or set PLACET_KAFKA")
    return found


def publish(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="One JSON a line.")],
    topic: Annotated[str, typer.Option(help="Another topic.")] = MODEL_OUTPUTS,
    output: OutputOption = Output.TABLE,
    as_json: JsonOption = False,  # noqa: FBT002
) -> None:
    """Publish model outputs from a file, as a pipeline does.

    Each line must be JSON; whether it is a valid proposal is intake's to judge (a refused one
    becomes a dead letter with its reason). Publishing the same lines again changes nothing.

    Example: [bold]placet publish outputs.jsonl[/bold]
    """
    from placet.publishing import NotAcknowledgedError, read_lines
    from placet.publishing import publish as publish_records

    records = read_lines(file)
    acknowledged, reason = 0, None
    try:
        with Shown().step(f"{len(records)} records to {topic}") as step:
            acknowledged = publish_records(bootstrap(), records, step.advance, topic=topic)
    except NotAcknowledgedError as error:
        acknowledged, reason = error.acknowledged, str(error)
    form = chosen(output, as_json=as_json)
    if form is not Output.TABLE:
        print_json({"topic": topic, "records": len(records), "acknowledged": acknowledged})
    elif not reason:
        stderr().print(f"{acknowledged} of {len(records)} acknowledged by all in-sync replicas.")
    if reason:
        raise fail(
            f"{reason}\nPublish the file again: what is there already counts once.",
            Exit.PARTLY if acknowledged else Exit.FAILED,
        )


def topics(output: OutputOption = Output.TABLE, as_json: JsonOption = False) -> None:  # noqa: FBT002
    """List the topics: who writes them, who reads them, how many records they hold.

    Example: [bold]placet topics --json[/bold]
    """
    from placet import broker

    held = broker.counts(bootstrap(), TOPICS)
    rows = [
        {
            "topic": topic.name,
            "records": held[topic.name],
            "written_by": topic.written_by,
            "read_by": ", ".join(topic.read_by),
            "key": topic.key,
            "about": topic.about,
            "partitions": topic.partitions,
        }
        for topic in TOPICS.values()
    ]
    columns = ["topic", "records", "written_by", "read_by"]
    print_rows(rows, chosen(output, as_json=as_json), columns)


def lag(output: OutputOption = Output.TABLE, as_json: JsonOption = False) -> None:  # noqa: FBT002
    """Show how many records each consumer group still has before it, per topic.

    Example: [bold]placet lag[/bold] · all caught up: every number is 0.
    """
    from placet import broker

    state = State.load(Home.of())
    targets = state.target_names if state else []
    found = broker.lags(bootstrap(), broker.groups(targets))
    form = chosen(output, as_json=as_json)
    print_rows([asdict(one) for one in found], form, ["group", "topic", "committed", "end", "lag"])
    if form is Output.TABLE:
        total = sum(one.lag for one in found)
        colour = "yellow" if total else "green"
        stdout().print(f"\n[{colour}]{escape(str(total))} records to go.[/{colour}]")


dead_letters = typer.Typer(no_args_is_help=True, help="Records that were parked, and why.")


@dead_letters.command("list")
def list_dead_letters(
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="The newest so many.")] = 20,
    output: OutputOption = Output.TABLE,
    as_json: JsonOption = False,  # noqa: FBT002
) -> None:
    """List the newest parked records with their reason codes.

    JSON also holds the record's first 4 KiB, its id and its root.
    Example: [bold]placet dead-letters list --limit 5 --json[/bold]
    """
    from placet.dead_letters import last

    columns = ["parked_at", "reason_code", "record", "reason"]
    form = chosen(output, as_json=as_json)
    print_rows(last(bootstrap(), limit), form, columns, empty="No dead letters.")


@dead_letters.callback()
def _group() -> None:
    """Keep `list` a command of its own: more will stand beside it."""
