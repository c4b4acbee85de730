"""`placet audit search`: records by who, what, when, and the words in their payload."""

import re
import sys
from datetime import UTC, datetime
from typing import Annotated

import orjson
import typer

from audit_sink.commands.tail import print_record
from audit_sink.commands.terminal import (
    USAGE,
    DatabaseOption,
    JsonOption,
    Output,
    OutputOption,
    console,
    print_json,
    stopped,
    told,
)
from audit_sink.lookup import HotStore, Question
from audit_sink.whereabouts import FindDefaults
from audit_sink.window import Window, WindowError, parse_window


def add(app: typer.Typer, find_defaults: FindDefaults) -> None:
    """Add the command."""

    @app.command("search")
    def search_command(
        words: Annotated[
            str | None, typer.Argument(help='Words, "a phrase", -not, or: in any payload text.')
        ] = None,
        *,
        item: Annotated[str | None, typer.Option(help="Item id.")] = None,
        decision: Annotated[str | None, typer.Option(help="Decision id.")] = None,
        correlation: Annotated[str | None, typer.Option(help="Correlation id.")] = None,
        actor: Annotated[str | None, typer.Option(help="Who did it.")] = None,
        kind: Annotated[str | None, typer.Option("--type", help="ReviewItem, Control, …")] = None,
        window: Annotated[
            str | None, typer.Option(help="Sealed within: 14d, 36h, or START/END.")
        ] = None,
        limit: Annotated[int, typer.Option("-n", min=1, max=10_000, help="At most.")] = 50,
        database: DatabaseOption = None,
        output: OutputOption = Output.TABLE,
        as_json: JsonOption = False,
    ) -> None:
        """Find records in the hot store, newest first."""
        dsn = database or find_defaults().database
        if dsn is None:
            raise stopped(USAGE, "Say where the hot store is: --database DSN")
        within = read_window(window)
        question = Question(
            item_id=_id(item),
            decision_id=_id(decision),
            correlation_id=_text(correlation),
            actor=_text(actor),
            type=_text(kind),
            words=_text(words),
            since=within.since,
            until=within.until,
            limit=limit,
        )
        with told():
            _search(dsn, question, Output.JSON if as_json else output)


def read_window(text: str | None) -> Window:
    """Return the window that the option says; without it, all of time. Ends with 2."""
    if text is None:
        return Window()
    try:
        return parse_window(text, datetime.now(UTC))
    except WindowError as error:
        raise stopped(USAGE, str(error)) from error


def _id(text: str | None) -> str | None:
    if text is not None and re.fullmatch(
        r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}", text
    ):
        return text.lower()
    return _text(text)


def _text(text: str | None) -> str | None:
    """Return an option as PostgreSQL takes it: without NUL and lone surrogates."""
    if text is None:
        return None
    return text.replace("\0", "").encode("utf-8", "replace").decode()


def _search(dsn: str, question: Question, output: Output) -> None:
    store = HotStore(dsn, "placet audit search")
    try:
        found = store.search(question)
        waiting = store.not_indexed()
    finally:
        store.close()
    if output is Output.JSON:
        records = [orjson.loads(record) for _, record in found]
        print_json({"records": records, "not_indexed": waiting})
        return
    for _, record in found:
        print_record(record, output)
    sys.stdout.flush()
    if waiting:
        console().print(f"The {waiting} newest records are not searchable yet.", highlight=False)
