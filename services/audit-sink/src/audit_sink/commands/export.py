"""`placet audit export`: a bundle that somebody without access to us can check."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from audit_sink.bundle import chosen, write_bundle
from audit_sink.commands.opened import Opened, opened
from audit_sink.commands.search import read_window
from audit_sink.commands.terminal import (
    FAILED,
    USAGE,
    DatabaseOption,
    FilesOption,
    KeyOption,
    LedgerOption,
    plain,
    read_key,
    stopped,
    told,
)
from audit_sink.story import Teller, to_bundle
from audit_sink.whereabouts import FindDefaults
from audit_sink.window import Window


def add(app: typer.Typer, find_defaults: FindDefaults) -> None:
    """Add the command."""

    @app.command("export")
    def export_command(
        *,
        item: Annotated[
            str | None, typer.Option(help="Item, decision, event, correlation id or number.")
        ] = None,
        window: Annotated[
            str | None, typer.Option(help="Sealed within: 14d, 36h, or START/END.")
        ] = None,
        out: Annotated[Path, typer.Option(help="The zip file to write.")],
        parts: Annotated[
            str | None,
            typer.Option(help="Show only these payload parts (prompt,diff); `none` shows none."),
        ] = None,
        files: FilesOption = None,
        database: DatabaseOption = None,
        ledger: LedgerOption = None,
        key: KeyOption = None,
    ) -> None:
        """Write records, the parts you choose, proofs and the key into one file."""
        if (item is None) == (window is None):
            raise stopped(USAGE, "Say what: --item NAME or --window TIME")
        if out.exists():
            raise stopped(FAILED, f"{out}: is there already; nothing was overwritten")
        defaults = find_defaults()
        public = read_key(defaults.key if key is None else key)
        only = frozenset[str]() if parts == "none" else chosen(parts)
        with (
            told(),
            opened(defaults, public, files=files, database=database, ledger=ledger) as log,
        ):
            places = log.story(item) if item is not None else _within(log, read_window(window))
            try:
                count = _write(log, places, out, only, public.text)
            except OSError as error:
                raise stopped(FAILED, f"{out}: cannot be written: {error}") from error
        Console(stderr=True).print(f"{count} records in {plain(str(out))}", highlight=False)


def _within(log: Opened, window: Window) -> Sequence[int]:
    if log.hot is None:
        raise stopped(USAGE, "A window is looked up in the hot store: say --database DSN")
    size = log.prover.checkpoint.size
    start = 0 if window.since is None else log.hot.first_recorded(window.since)
    end = size if window.until is None else log.hot.first_recorded(window.until)
    return range(start, min(end, size))


def _write(
    log: Opened, places: Sequence[int], out: Path, only: frozenset[str] | None, key: str
) -> int:
    size = log.prover.checkpoint.size
    if places and max(places) >= size:
        raise stopped(FAILED, "The newest of these records is under no head yet: try again")
    teller = Teller(records=log, proofs=log.prover, size=size, payloads=log.hot, keys=None)
    sealed = (to_bundle(chapter, only) for chapter in teller.tell(places))
    return write_bundle(out, sealed, key=key, note=log.prover.note)
