"""What `placet audit verify --cold WHERE` does. Refuses to judge evidence: `cold.whole` does."""

from contextlib import closing

import psycopg
from rich.console import Console

from audit_sink.checkpoint import PublicKey
from audit_sink.cold.whole import ColdReport, verify_cold
from audit_sink.commands.archive import cold_settings, cold_told
from audit_sink.commands.terminal import FAILED, plain, print_json, progress_bar, stopped
from audit_sink.ledger import PostgresLedger
from conveyor.errors import UnavailableError


def check_cold(place: str, key: PublicKey, dsn: str | None, *, must_ask: bool, json: bool) -> None:
    """Check a cold store and say so; ends with 6, what and where, if it is not right."""
    settings = cold_settings()
    with cold_told(json=json), closing(settings.open_cold(place=place)) as cold:
        ledger = None if dsn is None else PostgresLedger(dsn, key.name, "placet audit verify")
        why = "no --ledger was given"
        if ledger is not None:
            try:
                ledger.history()
            except (UnavailableError, psycopg.Error) as error:
                ledger.close()
                if must_ask:
                    raise stopped(FAILED, f"The ledger cannot be asked: {error}") from error
                ledger, why = None, str(error)
        try:
            with progress_bar("records") as progress:
                report = verify_cold(cold, key, ledger, progress)
        finally:
            if ledger is not None:
                ledger.close()
    _print(report, key.name, why, json=json)


def _print(report: ColdReport, origin: str, why: str, *, json: bool) -> None:
    if json:
        print_json(
            {
                "ok": True,
                "origin": origin,
                "archives": report.archives,
                "records": report.size,
                "root": report.root.hex(),
                "bytes": report.bytes,
                "left_over": report.left_over,
                "ledger": {"checked": report.heads is not None, "heads": report.heads},
            }
        )
        return
    out = Console(highlight=False)
    out.print(
        f"{report.size} records of {plain(origin)} in {report.archives} archives checked "
        f"({report.bytes} bytes). All is well.",
        soft_wrap=True,
    )
    out.print(f"root: {report.root.hex()}", soft_wrap=True)
    if report.heads is None:
        out.print(f"[yellow]ledger: NOT CHECKED[/yellow] ({plain(why)})", soft_wrap=True)
    else:
        out.print(f"ledger: {report.heads} heads lie on this history")
    if report.left_over:
        out.print(f"{report.left_over} objects were left by archives that broke off")
