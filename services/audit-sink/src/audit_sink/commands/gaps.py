"""`placet audit gaps`: chains with a missing link, in our log or in exports of somebody else's."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.table import Table

from audit_sink.commands.opened import open_cold, open_vault
from audit_sink.commands.search import read_window
from audit_sink.commands.terminal import (
    FAILED,
    NOT_VERIFIED,
    USAGE,
    DatabaseOption,
    JsonOption,
    Output,
    OutputOption,
    console,
    plain,
    print_json,
    stopped,
    told,
)
from audit_sink.gap_sources import (
    MappingError,
    Unread,
    file_facts,
    parse_mapping,
    parse_types,
    store_beyond,
    store_facts,
)
from audit_sink.gaps import Beyond, Chains, Gap, Kind, Terms
from audit_sink.lookup import HotStore
from audit_sink.whereabouts import Defaults, FindDefaults
from audit_sink.window import Window, WindowError, parse_age, parse_moment, parse_window

_DAYS: Final = "14d"


def add(app: typer.Typer, find_defaults: FindDefaults) -> None:
    """Add the command."""

    @app.command("gaps")
    def gaps_command(
        *,
        window: Annotated[
            str | None, typer.Option(help="14d (default), 36h, or START/END.")
        ] = None,
        files: Annotated[
            list[Path] | None,
            typer.Option("--from", help="JSON lines to audit instead; may be repeated."),
        ] = None,
        mapping: Annotated[
            list[str] | None,
            typer.Option("--map", help="OURS=THEIRS, as in correlation_id=trace.id."),
        ] = None,
        types: Annotated[
            list[str] | None,
            typer.Option("--type", help="OURS=THEIRS, as in ReviewItem=proposed."),
        ] = None,
        grace: Annotated[str, typer.Option(help="How long the next link may take.")] = "1h",
        overdue: Annotated[
            str, typer.Option(help="How long an item without a due date may wait.")
        ] = "7d",
        at: Annotated[
            str | None, typer.Option(help="Judge as at this time; files: their newest.")
        ] = None,
        limit: Annotated[int, typer.Option("-n", min=1, help="How many to print.")] = 100,
        database: DatabaseOption = None,
        output: OutputOption = Output.TABLE,
        as_json: JsonOption = False,
    ) -> None:
        """Find outputs, items, decisions, write-backs and outcomes whose chain is broken."""
        form = Output.JSON if as_json else output
        try:
            allowed = (parse_age(grace), parse_age(overdue))
            now = None if at is None else parse_moment(at)
            names, kinds = parse_mapping(mapping or []), parse_types(types or [])
        except (WindowError, MappingError) as error:
            raise stopped(USAGE, str(error)) from error

        def terms(newest: datetime | None) -> Terms:
            judged = now or newest or datetime.now(UTC)
            within = _window(window, judged)
            return Terms(
                now=judged,
                since=within.since,
                until=within.until,
                grace=allowed[0],
                overdue=allowed[1],
            )

        chains, unread = Chains(), Unread()
        if files:
            for path in files:
                _read(chains, path, names, kinds, unread)
            _answer(chains, list(chains.gaps(terms(chains.newest()))), unread, form, limit)
            return
        defaults = find_defaults()
        dsn = database or defaults.database
        if dsn is None:
            raise stopped(USAGE, "Say what to audit: --database DSN, or --from FILE")
        with told():
            found = _audit_store(dsn, defaults, chains, terms(None))
        _answer(chains, found, unread, form, limit)


def _window(text: str | None, now: datetime) -> Window:
    if text is None or "/" in text:
        return read_window(text) if text else parse_window(_DAYS, now)
    try:
        return parse_window(text, now)
    except WindowError as error:
        raise stopped(USAGE, str(error)) from error


def _read(
    chains: Chains, path: Path, names: dict[str, str], kinds: dict[str, str], unread: Unread
) -> None:
    if not path.is_file():
        raise stopped(FAILED, f"{path}: no file")
    try:
        chains.add(file_facts(path, names, kinds, unread))
    except (OSError, ValueError) as error:
        raise stopped(FAILED, f"{path}: cannot be read: {error}") from error


def _audit_store(dsn: str, defaults: Defaults, chains: Chains, terms: Terms) -> list[Gap]:
    vault = open_vault(defaults)  # due dates are in payloads
    cold = open_cold(defaults)
    store = HotStore(dsn, "placet audit gaps", vault, cold)
    try:
        start = 0 if terms.since is None else store.first_recorded(terms.since)
        end = store.size()
        chains.add(store_facts(store, start, end))
        beyond: Beyond = store_beyond(store)
        return [*chains.gaps(terms, beyond), *uncovered(store)]
    finally:
        store.close()
        for one in (vault, cold):
            if one is not None:
                one.close()


def uncovered(store: HotStore) -> list[Gap]:
    """Return the offsets of model outputs that neither an item nor a dead letter came of."""
    gaps = []
    for topic, partition, lower, upper in store.uncovered():
        last = "" if upper == lower + 1 else f" to {upper - 1}"
        gaps.append(Gap(kind=Kind.UNCOVERED, name=f"{topic}/{partition}/{lower}{last}"))
    return gaps


def _answer(chains: Chains, found: Sequence[Gap], unread: Unread, form: Output, limit: int) -> None:
    counts = Counter(gap.kind for gap in found)
    if form is not Output.TABLE:
        answer = {
            "ok": not found,
            "events": chains.events,
            "gaps": {kind.value: counts[kind] for kind in Kind},
            "unread": {"lines": unread.count, "first": unread.first or None},
            "first": [_as_json(gap) for gap in found[:limit]],
        }
        print_json(answer, line=form is Output.JSONL)
    else:
        _print(chains, found[:limit], counts, unread)
    if found:
        raise typer.Exit(NOT_VERIFIED)
    if unread.count and unread.count >= chains.events:
        raise typer.Exit(FAILED)


def _as_json(gap: Gap) -> dict[str, Any]:
    return {
        "kind": gap.kind.value,
        "name": gap.name,
        "at": gap.at,
        "sequence": gap.sequence,
        "detail": gap.detail or None,
    }


def _print(chains: Chains, some: Sequence[Gap], counts: Counter[Kind], unread: Unread) -> None:
    out = Console(highlight=False)
    if unread.count:
        line = f"{unread.count} lines were not understood; the first: {plain(unread.first)}"
        console().print(f"[yellow]{line}[/yellow]", highlight=False, soft_wrap=True)
    out.print(f"{chains.events} events read, {counts.total()} gaps.")
    for kind in Kind:
        if counts[kind]:
            out.print(f"  {counts[kind]:>6}  {kind.value}")
    if some:
        shown = Table(box=None, pad_edge=False, header_style="bold")
        for column in ("gap", "name", "at", "sequence", ""):
            shown.add_column(column, overflow="fold")
        for gap in some:
            at = "" if gap.at is None else gap.at.isoformat(timespec="seconds")
            sequence = "" if gap.sequence is None else str(gap.sequence)
            shown.add_row(gap.kind.value, plain(gap.name[:200]), at, sequence, gap.detail)
        out.print(shown)
