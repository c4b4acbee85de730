"""`placet audit verify` and `placet audit tail`: the log for people, with or without a stack.

Owns options, output and exit codes (0 all is well, 1 could not be done, 2 usage, 6 verification
failed). Refuses to judge evidence: `verify` does. `build` makes the commands for a command line
that knows better defaults; `app` takes them from the environment and the folder of a local stack.
"""

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final

import orjson
import psycopg
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from audit_sink.checkpoint import KeyTextError, PublicKey, parse_public_key
from audit_sink.folder import FileProblemError, Folder
from audit_sink.ledger import PostgresLedger
from audit_sink.tail import LogView, files_view, rows_view
from audit_sink.verify import BadEvidenceError, CutBackError, Finding, Report, verify
from conveyor.errors import UnavailableError

_FAILED: Final = 1
_USAGE: Final = 2
_NOT_VERIFIED: Final = 6
_ATTEMPTS: Final = 4  # a head may be in the ledger a moment before its checkpoint is published
_PAUSE: Final = 0.5
_MAX_KEY_FILE: Final = 4_096


@dataclass(frozen=True, slots=True, kw_only=True)
class Defaults:
    """Where a log is, when the command line does not say."""

    log_dir: Path | None = None
    key: str | None = None
    """A vkey, or the path of a file that holds one."""
    ledger: str | None = None
    """DSN of the ledger."""


FindDefaults = Callable[[], Defaults]


class Output(StrEnum):
    """How answers are printed."""

    TABLE = "table"
    JSON = "json"
    JSONL = "jsonl"


def environment_defaults() -> Defaults:
    """Return what the environment says, else the places in the local stack's folder."""
    home = Path(os.environ.get("PLACET_HOME") or ".placet").expanduser()
    return Defaults(
        log_dir=Path(os.environ.get("PLACET_AUDIT_DIR") or home / "audit"),
        key=os.environ.get("PLACET_AUDIT_KEY") or str(home / "keys" / "audit.vkey"),
        ledger=os.environ.get("PLACET_LEDGER") or None,
    )


def build(find_defaults: FindDefaults = environment_defaults) -> typer.Typer:
    """Return the command group `audit`."""
    app = typer.Typer(no_args_is_help=True, help="The sealed log: check it, read it.")

    @app.command("verify")
    def verify_command(
        *,
        files: Annotated[
            Path | None,
            typer.Option("--from", help="Folder with `checkpoint` and `tile/`.", metavar="FILES"),
        ] = None,
        key: Annotated[
            str | None, typer.Option(help="The log's public key: vkey text, or a file with it.")
        ] = None,
        ledger: Annotated[
            str | None, typer.Option(help="DSN of the ledger; without it: NOT CHECKED.")
        ] = None,
        output: Annotated[Output, typer.Option("--output", "-o")] = Output.TABLE,
        as_json: Annotated[bool, typer.Option("--json", help="Same as --output json.")] = False,
    ) -> None:
        """Check the whole log: every record, tile and head; names the first that is wrong."""
        defaults = find_defaults()
        # Files from elsewhere have nothing to do with the ledger of the stack that runs here.
        dsn = ledger or (defaults.ledger if files is None else None)
        folder = files or defaults.log_dir
        if folder is None:
            raise _stopped(_USAGE, "Say where the log is: --from FILES")
        json = as_json or output is not Output.TABLE
        _verify(folder, _read_key(key or defaults.key), dsn, must_ask=ledger is not None, json=json)

    @app.command("tail")
    def tail_command(
        *,
        count: Annotated[int, typer.Option("-n", min=0, max=100_000, help="How many.")] = 10,
        follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as it grows.")] = False,
        files: Annotated[
            Path | None, typer.Option("--from", help="Folder of the log.", metavar="FILES")
        ] = None,
        database: Annotated[
            str | None, typer.Option(help="DSN of the hot store, to read that instead.")
        ] = None,
        output: Annotated[Output, typer.Option("--output", "-o")] = Output.TABLE,
    ) -> None:
        """Print the last records, oldest first. Reads them as they are: `verify` checks them."""
        folder = files or find_defaults().log_dir
        if database is None and folder is None:
            raise _stopped(_USAGE, "Say where the log is: --from FILES or --database DSN")
        with _told(), _view(folder, database) as view:
            _tail(view, count, output, follow=follow)

    return app


app = build()


def _stopped(code: int, message: str) -> typer.Exit:
    _console().print(f"[red]{_plain(message)}[/red]", highlight=False)
    return typer.Exit(code)


def _console() -> Console:
    return Console(stderr=True)


def _plain(text: str) -> str:
    """Return text of strangers without anything a terminal obeys."""
    safe = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
    return safe.replace("[", r"\[")


def _read_key(given: str | None) -> PublicKey:
    if given is None:
        raise _stopped(_USAGE, "Say which key: --key VKEY or a file that holds it")
    try:
        try:
            return parse_public_key(given)
        except KeyTextError:
            path = Path(given)
            if not path.is_file():
                raise
        with path.open("rb") as file:
            return parse_public_key(file.read(_MAX_KEY_FILE).decode("utf-8", "replace"))
    except (KeyTextError, OSError, ValueError) as error:
        raise _stopped(_USAGE, f"{given[:200]}: no key: {error}") from error


def _verify(folder: Path, key: PublicKey, dsn: str | None, *, must_ask: bool, json: bool) -> None:
    why = "no ledger was given"
    ledger = None if dsn is None else PostgresLedger(dsn, key.name, "placet audit verify")
    if ledger is not None:
        try:
            ledger.head()
        except (UnavailableError, psycopg.Error) as error:
            if must_ask:
                raise _stopped(_FAILED, f"The ledger cannot be asked: {error}") from error
            ledger, why = None, f"it cannot be asked: {error}"
    try:
        report = _checked(folder, key, ledger)
    except BadEvidenceError as error:
        _print_finding(error.finding, json=json)
        raise typer.Exit(_NOT_VERIFIED) from error
    except (UnavailableError, psycopg.Error) as error:
        raise _stopped(_FAILED, f"The ledger stopped answering: {error}") from error
    finally:
        if ledger is not None:
            ledger.close()
    _print_report(report, why, json=json)


def _checked(path: Path, key: PublicKey, ledger: PostgresLedger | None) -> Report:
    try:
        folder = Folder(path)
    except FileProblemError as error:
        raise BadEvidenceError(Finding(file=error.path, problem=error.problem)) from error
    try:
        for _ in range(_ATTEMPTS - 1):
            try:
                with _progress() as progress:
                    return verify(folder, key, ledger, progress)
            except CutBackError:
                time.sleep(_PAUSE)
        with _progress() as progress:
            return verify(folder, key, ledger, progress)
    finally:
        folder.close()


@contextmanager
def _progress() -> Iterator[Callable[[int, int], None]]:
    console = _console()
    if not console.is_terminal:
        yield lambda _done, _all: None
        return
    columns = (TextColumn("records"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("records", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _print_report(report: Report, why: str, *, json: bool) -> None:
    if json:
        heads = {"checked": report.heads is not None, "heads": report.heads}
        _print_json(
            {
                "ok": True,
                "origin": report.origin,
                "records": report.size,
                "root": report.root.hex(),
                "ledger": heads if report.heads is not None else {**heads, "why": why},
                "files_ahead": report.ahead,
            }
        )
        return
    out = Console(highlight=False)
    out.print(f"{report.size} records of {_plain(report.origin)} checked. All is well.")
    out.print(f"root: {report.root.hex()}", soft_wrap=True)
    if report.heads is None:
        out.print(f"[yellow]ledger: NOT CHECKED[/yellow] ({_plain(why)})", soft_wrap=True)
    else:
        out.print(f"ledger: all {report.heads} heads lie on this history")
    if report.ahead:
        out.print(f"{report.ahead} files are ahead of the checkpoint: publishing was under way")


def _print_finding(finding: Finding, *, json: bool) -> None:
    if json:
        fields = ("file", "problem", "sequence", "event_id", "type")
        _print_json({"ok": False, "finding": {name: getattr(finding, name) for name in fields}})
        return
    _console().print(
        f"[bold red]NOT VERIFIED[/bold red] {_plain(str(finding))}", highlight=False, soft_wrap=True
    )


def _print_json(value: Any) -> None:
    sys.stdout.write(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode() + "\n")


@contextmanager
def _told() -> Iterator[None]:
    """Say what cannot be read, instead of a traceback."""
    try:
        yield
    except (UnavailableError, psycopg.Error, FileProblemError, ValueError) as error:
        raise _stopped(_FAILED, str(error)) from error
    except KeyboardInterrupt:
        raise typer.Exit(0) from None


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
        records = [orjson.loads(record) for record in view.records(start, size)]
        _print_json(records)
        return
    while True:
        for record in view.records(start, size):
            _print_record(record, output)
        sys.stdout.flush()
        if not follow:
            return
        start = size
        while (size := view.size()) <= start:
            time.sleep(_PAUSE)  # files announce nothing; nobody waits for this but a person


def _print_record(record: bytes, output: Output) -> None:
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
    sys.stdout.write(
        "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in line) + "\n"
    )
