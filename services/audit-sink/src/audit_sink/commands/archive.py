"""`placet audit archive`: copies to the cold store by hand, and how far that has got."""

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Final

import typer
from pydantic import ValidationError
from rich.console import Console

from audit_sink.checkpoint import PrivateKey, parse_private_key
from audit_sink.cold.archive import Archiver
from audit_sink.cold.opened import opened_archiver
from audit_sink.cold.rows import ArchiveRows
from audit_sink.cold.settings import ColdSettings
from audit_sink.cold.store import ColdConflictError, ColdRefusedError
from audit_sink.commands.terminal import (
    FAILED,
    USAGE,
    DatabaseOption,
    JsonOption,
    not_verified,
    plain,
    print_json,
    progress_bar,
    read_file,
    stopped,
    told,
)
from audit_sink.verify import BadEvidenceError
from audit_sink.whereabouts import Defaults, FindDefaults
from audit_sink.window import WindowError, parse_age

_MAX_KEY_FILE: Final = 4_096
_FAR: Final = timedelta(days=1)  # what is sealed this very moment is old enough, too

ColdOption = Annotated[
    str | None, typer.Option("--cold", help="Folder, or s3://BUCKET/PREFIX.", metavar="WHERE")
]


def add(app: typer.Typer, find_defaults: FindDefaults) -> None:
    """Add the command and what is below it."""
    archive = typer.Typer(help="Copy sealed records to the cold store; read them back; note them.")
    app.add_typer(archive, name="archive")

    @archive.callback(invoke_without_command=True)
    def archive_command(
        context: typer.Context,
        *,
        now: Annotated[
            bool, typer.Option("--now", help="Whatever their age, all whole bundles.")
        ] = False,
        older_than: Annotated[
            str | None, typer.Option(help="What is older than this age, as 12h.", metavar="AGE")
        ] = None,
        cold: ColdOption = None,
        files: Annotated[
            Path | None, typer.Option("--from", help="The published log.", metavar="FILES")
        ] = None,
        database: DatabaseOption = None,
        signing_key: Annotated[
            Path | None, typer.Option(help="File with the log's signing key.")
        ] = None,
        as_json: JsonOption = False,
    ) -> None:
        """Archive what is older than PLACET_ARCHIVE_AFTER, as the audit sink does by itself."""
        if context.invoked_subcommand is not None:
            return
        defaults = find_defaults()
        settings = cold_settings()
        folder, dsn = files or defaults.log_dir, database or defaults.database
        if folder is None or dsn is None:
            raise stopped(USAGE, "Say where the log is: --from FILES and --database DSN")
        place, key = cold_place(cold, defaults), _key(signing_key or defaults.signing_key)
        age = _age(older_than, settings.archive_after, now=now)
        with (
            cold_told(json=as_json),
            opened_archiver(
                database=dsn,
                folder=folder,
                cold=lambda: settings.open_cold(create=True, place=place),
                key=key,
                batch=settings.archive_batch,
            ) as archiver,
        ):
            _archive(archiver, datetime.now(UTC) - age, json=as_json)

    @archive.command("status")
    def status_command(*, database: DatabaseOption = None, as_json: JsonOption = False) -> None:
        """Say how far archiving has got, and how many payloads have left the hot store."""
        dsn = database or find_defaults().database
        if dsn is None:
            raise stopped(USAGE, "Say where the hot store is: --database DSN")
        with told(json=as_json), closing(ArchiveRows(dsn, "placet audit archive")) as rows:
            _print_status(rows, json=as_json)


def cold_settings() -> ColdSettings:
    """Return what the environment says. Ends with 2 where that is not sound."""
    try:
        return ColdSettings()
    except ValidationError as error:
        first = error.errors()[0]
        name = "_".join(("PLACET", *(str(one) for one in first["loc"]))).upper()
        raise stopped(USAGE, f"{name}: {first['msg']}") from error


def cold_place(given: str | None, defaults: Defaults) -> str:
    """Return where the cold store is. Ends with 2 where nobody says."""
    place = given or defaults.cold
    if place is None:
        raise stopped(USAGE, "Say where the cold store is: --cold FOLDER or s3://BUCKET/PREFIX")
    return place


@contextmanager
def cold_told(*, json: bool = False) -> Iterator[None]:
    """Say what is wrong with evidence (6) or with the store (1), instead of a traceback."""
    try:
        with told(json=json):
            yield
    except BadEvidenceError as error:
        raise not_verified(str(error.finding), json=json) from error
    except (ColdConflictError, ColdRefusedError, OSError) as error:
        raise stopped(FAILED, str(error)) from error


def _age(given: str | None, usual: timedelta, *, now: bool) -> timedelta:
    if given is None:
        return -_FAR if now else usual
    if now:
        raise stopped(USAGE, "--now or --older-than, not both")
    try:
        return parse_age(given)
    except WindowError as error:
        raise stopped(USAGE, f"--older-than: {error}") from error


def _key(path: Path | None) -> PrivateKey:
    if path is None:
        raise stopped(USAGE, "Say which key signs: --signing-key FILE (PLACET_AUDIT_KEY_FILE)")
    with told():
        return parse_private_key(read_file(path, _MAX_KEY_FILE).decode("utf-8", "replace"))


def _archive(archiver: Archiver, before: datetime, *, json: bool) -> None:
    ranges, size = 0, 0
    first = end = None
    with archiver.rows.alone() as alone, progress_bar("records") as progress:
        if not alone:
            raise stopped(FAILED, "Somebody else is archiving just now: `archive status` says it")
        while (done := archiver.step(before)) is not None:
            ranges, size, end = ranges + 1, size + done.size, done.end
            first = done.first if first is None else first
            progress(done.end, max(done.end, archiver.rows.size()))
    if json:
        print_json({"ok": True, "archives": ranges, "first": first, "end": end, "bytes": size})
    elif end is None:
        Console(highlight=False).print("Nothing to archive: no whole bundle is old enough.")
    else:
        Console(highlight=False).print(
            f"Records {first} to {end - 1} archived in {ranges} archives, {size} bytes; "
            "read back and checked.",
            soft_wrap=True,
        )


def _print_status(rows: ArchiveRows, *, json: bool) -> None:
    status, size = rows.status(), rows.size()
    if json:
        print_json(
            {
                "records": size,
                "archives": status.archives,
                "archived": status.end,
                "payloads_left_hot_store": status.dropped,
                "archived_at": status.archived_at,
                "last_recorded_at": status.last_recorded_at,
            }
        )
        return
    out = Console(highlight=False)
    out.print(f"{status.end} of {size} records in {status.archives} archives")
    if status.archived_at is not None:
        out.print(
            f"last archived {status.archived_at:%Y-%m-%d %H:%M:%S %Z}, "
            f"sealed by {status.last_recorded_at:%Y-%m-%d %H:%M:%S %Z}"
        )
    out.print(f"payloads of {status.dropped} records have left the hot store")
    where = os.environ.get("PLACET_COLD")
    if where:
        out.print(f"cold store: {plain(where)}", soft_wrap=True)
