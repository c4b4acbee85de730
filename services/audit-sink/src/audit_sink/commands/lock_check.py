"""`placet audit lock-check`: what a bucket really enforces. Owns nothing but how it is told."""

from typing import Annotated

import typer
from rich.console import Console

from audit_sink.cold.lock_check import PROBES, Probed, lock_check
from audit_sink.cold.place import bucket_of
from audit_sink.commands.archive import cold_settings, cold_told
from audit_sink.commands.terminal import (
    NOT_VERIFIED,
    USAGE,
    JsonOption,
    plain,
    print_json,
    stopped,
)
from audit_sink.whereabouts import FindDefaults


def add(app: typer.Typer, find_defaults: FindDefaults) -> None:
    """Add the command."""
    del find_defaults

    @app.command("lock-check")
    def lock_check_command(
        place: Annotated[str, typer.Argument(help="s3://BUCKET or s3://BUCKET/PREFIX.")],
        *,
        as_json: JsonOption = False,
    ) -> None:
        """Try to break a bucket's locks; say of each claim whether it is enforced (else: 6)."""
        try:
            bucket, prefix = bucket_of(place)
        except ValueError as error:
            raise stopped(USAGE, str(error)) from error
        found: list[Probed] = []
        with cold_told(json=as_json):
            for one in lock_check(cold_settings().store_account(), bucket, prefix):
                found.append(one)
                if not as_json:
                    _print(one)
        if as_json:
            _print_as_json(found)
        elif all(one.enforced for one in found):
            Console(highlight=False).print(f"All {len(PROBES)} are enforced.")
        if not all(one.enforced for one in found):
            raise typer.Exit(NOT_VERIFIED)


def _print(one: Probed) -> None:
    verdict = "[green]enforced    [/green]" if one.enforced else "[bold red]NOT ENFORCED[/bold red]"
    said = f": {plain(one.said)}" if one.said else ""
    Console(highlight=False).print(f"{verdict}  {plain(one.claim)}{said}", soft_wrap=True)


def _print_as_json(found: list[Probed]) -> None:
    print_json(
        {
            "ok": all(one.enforced for one in found),
            "probes": [
                {"claim": one.claim, "enforced": one.enforced, "said": one.said} for one in found
            ],
        }
    )
