"""`placet audit tail`: the last records, as they are."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Final

import orjson
import typer

from audit_sink.commands.terminal import (
    USAGE,
    DatabaseOption,
    FilesOption,
    Output,
    OutputOption,
    harmless,
    print_json,
    stopped,
    told,
)
from audit_sink.tail import LogView, files_view, rows_view
from audit_sink.whereabouts import FindDefaults

_PAUSE: Final = 0.5


def add(app: typer.Typer, find_defaults: FindDefaults) -> None:
    """Add the command."""

    @app.command("tail")
    def tail_command(
        *,
        count: Annotated[int, typer.Option("-n", min=0, max=100_000, help="How many.")] = 10,
        follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as it grows.")] = False,
        files: FilesOption = None,
        database: DatabaseOption = None,
        output: OutputOption = Output.TABLE,
    ) -> None:
        """Print the last records, oldest first. Reads them as they are: `verify` checks them."""
        folder = files or find_defaults().log_dir
        if database is None and folder is None:
            raise stopped(USAGE, "Say where the log is: --from FILES or --database DSN")
        with told(), _view(folder, database) as view:
            _tail(view, count, output, follow=follow)


@contextmanager
def _view(folder: Path | None, database: str | None) -> Iterator[LogView]:
    if database is not None:
        with rows_view(database) as view:
            yield view
    elif folder is not None:
        with files_view(folder) as view:
            yield view


def _tail(view: LogView, count: int, output: Output, *, follow: bool) -> None:
    size = view.size()
    start = max(0, size - count)
    if output is Output.JSON and not follow:
        print_json([orjson.loads(record) for record in view.records(start, size)])
        return
    while True:
        for record in view.records(start, size):
            print_record(record, output)
        sys.stdout.flush()
        if not follow:
            return
        start = size
        while (size := view.size()) <= start:
            time.sleep(_PAUSE)  # files announce nothing; nobody waits for this but a person


def print_record(record: bytes, output: Output) -> None:
    """Print a record on one line: as it is, or as a line of a table. Raises ValueError."""
    if output is not Output.TABLE:
        sys.stdout.write(record.decode("utf-8", "replace") + "\n")
        return
    fields = orjson.loads(record)
    if not isinstance(fields, dict):
        raise ValueError("no record")  # noqa: TRY004 - not our type, somebody's bytes
    said = fields.get("action_type") or fields.get("write_status") or ""
    about = fields.get("item_id") or fields.get("event_id") or ""
    line = (
        f"{fields.get('sequence')!s:>8}  {fields.get('recorded_at')!s:.19}  "
        f"{fields.get('type')!s:<14}  {said!s:<16}  {about}  {fields.get('actor') or ''}"
    )
    sys.stdout.write(harmless(line) + "\n")
