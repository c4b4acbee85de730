"""`placet audit verify`: the whole log, offline. Refuses to judge evidence: `audit_sink.verify`."""

import time
from pathlib import Path
from typing import Annotated, Any, Final

import psycopg
import typer
from rich.console import Console

from audit_sink.checkpoint import MAX_BYTES, Checkpoint, PublicKey, open_checkpoint
from audit_sink.commands.archive import ColdOption
from audit_sink.commands.terminal import (
    FAILED,
    NOT_VERIFIED,
    USAGE,
    FilesOption,
    JsonOption,
    KeyOption,
    LedgerOption,
    Output,
    OutputOption,
    console,
    plain,
    print_json,
    progress_bar,
    read_file,
    read_key,
    stopped,
    told,
)
from audit_sink.commands.verify_cold import check_cold
from audit_sink.folder import FileProblemError, Folder
from audit_sink.ledger import PostgresLedger
from audit_sink.source import FilesSource, Prover
from audit_sink.verify import BadEvidenceError, CutBackError, Finding, Report, verify
from audit_sink.whereabouts import FindDefaults
from conveyor.errors import UnavailableError

_ATTEMPTS: Final = 4  # a head may be in the ledger a moment before its checkpoint is published
_PAUSE: Final = 0.5


def add(app: typer.Typer, find_defaults: FindDefaults) -> None:
    """Add the command."""

    @app.command("verify")
    def verify_command(
        *,
        files: FilesOption = None,
        key: KeyOption = None,
        ledger: LedgerOption = None,
        since: Annotated[
            Path | None,
            typer.Option(help="A checkpoint you kept: prove that the log grew out of it."),
        ] = None,
        cold: ColdOption = None,
        output: OutputOption = Output.TABLE,
        as_json: JsonOption = False,
    ) -> None:
        """Check the whole log: every record, tile and head; names the first that is wrong."""
        defaults = find_defaults()
        # Files from elsewhere have nothing to do with the ledger of the stack that runs here.
        dsn = ledger or (defaults.ledger if files is None else None)
        if cold is not None:
            heads = ledger or (defaults.ledger if cold == defaults.cold else None)
            public, json = read_key(key or defaults.key), as_json or output is not Output.TABLE
            check_cold(cold, public, heads, must_ask=ledger is not None, json=json)
            return
        folder = files or defaults.log_dir
        if folder is None:
            raise stopped(USAGE, "Say where the log is: --from FILES")
        public = read_key(defaults.key if key is None else key)
        json = as_json or output is not Output.TABLE
        with told(json=json):
            kept = None if since is None else open_checkpoint(read_file(since, MAX_BYTES), public)
        _verify(folder, public, dsn, kept, must_ask=ledger is not None, json=json)


def _verify(
    folder: Path,
    key: PublicKey,
    dsn: str | None,
    kept: Checkpoint | None,
    *,
    must_ask: bool,
    json: bool,
) -> None:
    why = "no ledger was given"
    ledger = None if dsn is None else PostgresLedger(dsn, key.name, "placet audit verify")
    if ledger is not None:
        try:
            ledger.head()
        except (UnavailableError, psycopg.Error) as error:
            if must_ask:
                raise stopped(FAILED, f"The ledger cannot be asked: {error}") from error
            ledger, why = None, f"it cannot be asked: {error}"
    try:
        report = _checked(folder, key, ledger)
    except BadEvidenceError as error:
        _print_finding(error.finding, json=json)
        raise typer.Exit(NOT_VERIFIED) from error
    except (UnavailableError, psycopg.Error) as error:
        raise stopped(FAILED, f"The ledger stopped answering: {error}") from error
    finally:
        if ledger is not None:
            ledger.close()
    growth = None if kept is None else _growth(folder, key, kept, json=json)
    _print_report(report, why, kept, growth, json=json)


def _checked(path: Path, key: PublicKey, ledger: PostgresLedger | None) -> Report:
    try:
        folder = Folder(path)
    except FileProblemError as error:
        raise BadEvidenceError(Finding(file=error.path, problem=error.problem)) from error
    try:
        for _ in range(_ATTEMPTS - 1):
            try:
                with progress_bar("records") as progress:
                    return verify(folder, key, ledger, progress)
            except CutBackError:
                time.sleep(_PAUSE)
        with progress_bar("records") as progress:
            return verify(folder, key, ledger, progress)
    finally:
        folder.close()


def _growth(path: Path, key: PublicKey, kept: Checkpoint, *, json: bool) -> list[bytes]:
    """Return the consistency proof from the checkpoint that somebody kept to the newest."""
    with told(json=json):
        folder = Folder(path)
        try:
            return Prover(FilesSource(folder), key).grown_from(kept)
        finally:
            folder.close()


def _print_report(
    report: Report, why: str, kept: Checkpoint | None, growth: list[bytes] | None, *, json: bool
) -> None:
    if json:
        _print_report_as_json(report, why, kept, growth)
        return
    out = Console(highlight=False)
    out.print(f"{report.size} records of {plain(report.origin)} checked. All is well.")
    out.print(f"root: {report.root.hex()}", soft_wrap=True)
    if report.heads is None:
        out.print(f"[yellow]ledger: NOT CHECKED[/yellow] ({plain(why)})", soft_wrap=True)
    else:
        out.print(f"ledger: all {report.heads} heads lie on this history")
    if report.ahead:
        out.print(f"{report.ahead} files are ahead of the checkpoint: publishing was under way")
    if kept is not None and growth is not None:
        out.print(
            f"grown out of the {kept.size} records of your checkpoint, nothing of which changed "
            f"({len(growth)} hashes show it)",
            soft_wrap=True,
        )


def _print_report_as_json(
    report: Report, why: str, kept: Checkpoint | None, growth: list[bytes] | None
) -> None:
    heads = {"checked": report.heads is not None, "heads": report.heads}
    answer: dict[str, Any] = {
        "ok": True,
        "origin": report.origin,
        "records": report.size,
        "root": report.root.hex(),
        "ledger": heads if report.heads is not None else {**heads, "why": why},
        "files_ahead": report.ahead,
    }
    if kept is not None and growth is not None:
        answer["since"] = {
            "records": kept.size,
            "root": kept.root.hex(),
            "consistency_proof": [one.hex() for one in growth],
        }
    print_json(answer)


def _print_finding(finding: Finding, *, json: bool) -> None:
    if json:
        fields = ("file", "problem", "sequence", "event_id", "type")
        print_json({"ok": False, "finding": {name: getattr(finding, name) for name in fields}})
        return
    console().print(
        f"[bold red]NOT VERIFIED[/bold red] {plain(str(finding))}", highlight=False, soft_wrap=True
    )
