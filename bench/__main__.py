"""`python -m bench`: wires the two sides, the rounds and the table. Ends by itself."""

import argparse
import signal
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from rich.console import Console

from bench import machine, measures, report
from bench.driver import Driver
from bench.floor import floor
from bench.postgres import checkpoint, postgres
from bench.probe import Probe
from bench.result import Readings
from bench.rounds import Rounds
from bench.size import FULL, LARGE, QUICK, Size
from bench.stack import ours
from bench.stand_ins import running_systems
from placet.progress import Report, Shown
from placet.servers.process import ServerError

_RESULTS = Path(__file__).with_name("results")
_WIDE = 140
"""Columns, where there is no terminal that knows better."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Return 0 when everything was measured, whether it met its goal or not; else 1."""
    asked = _parser().parse_args(arguments)
    if find_spec("asyncpg") is None:
        print("The floor needs asyncpg: .venv/bin/uv pip install asyncpg", file=sys.stderr)
        return 1
    size, probes = _size(asked), _probes(asked)
    console = Console(stderr=True)
    busy = machine.busy()
    if busy > machine.QUIET:
        console.print(f"[yellow]The machine is {busy:.0%} busy: trust the ratios only.[/yellow]")
    last = [probe for probe in measures.LAST if asked.only in probe.name]
    last += measures.LARGE if size.queues else ()
    readings = Readings(measures=[m for probe in (*probes, *last) for m in probe.measures])
    try:
        rounds = _run(size, probes, last, readings, Shown(console))
    except KeyboardInterrupt:
        console.print("Interrupted: nothing is left running, nothing was written.")
        return 130
    except ServerError as error:
        console.print(
            f"[red]A side did not come up.[/red] {error}", highlight=False, soft_wrap=True
        )
        return 1
    table = Console()
    report.show(table if table.is_terminal else Console(width=_WIDE), readings.lines(), size)
    facts = {
        "machine": machine.describe(),
        "busy_before": busy,
        "idle_share_of_a_core": rounds.idle,
        "others_share_of_the_machine": rounds.others,
    }
    file = report.write(_RESULTS, readings, size, facts)
    for warning in readings.warnings:
        console.print(f"[yellow]{warning}[/yellow]", highlight=False)
    console.print(
        f"While the floor was measured, ours used {_percents(rounds.idle)} of one core. "
        f"Others used {_percents(rounds.others)} of the machine meanwhile.",
        soft_wrap=True,
    )
    console.print(f"Every reading: bench/results/{file.name}", highlight=False)
    return 1 if readings.failures else 0


def _run(
    size: Size, probes: Sequence[Probe], last: Sequence[Probe], readings: Readings, show: Report
) -> Rounds:
    """Start both sides, take everything, stop both sides, whatever happens."""
    with tempfile.TemporaryDirectory(prefix="placet-bench-") as name, Driver() as driver:
        folder = Path(name)
        with (
            postgres(folder / "postgres") as superuser,
            running_systems(folder / "systems", 2 * size.over_http) as others,
            ours(
                folder / "ours",
                superuser,
                driver,
                people=size.clients,
                report=show,
                systems=others,
            ) as stack,
            floor(folder / "floor", superuser, driver, others) as plain,
        ):
            rounds = Rounds(
                ours=stack,
                floor=plain,
                size=size,
                readings=readings,
                show=show.step,
                rest=partial(checkpoint, superuser),
            )
            rounds.run(probes)
            rounds.finish(last)
            if readings.failures:
                stack.keep_logs(_RESULTS / "logs")
            return rounds


def _percents(shares: Sequence[float]) -> str:
    return ", ".join(f"{share:.0%}" for share in shares)


def _size(asked: argparse.Namespace) -> Size:
    size = QUICK if asked.quick else FULL
    if asked.rounds:
        size = replace(size, rounds=asked.rounds, minutes=asked.rounds * FULL.minutes / FULL.rounds)
    # A million rows take their time, and whoever asks for them knows.
    return replace(size, queues=LARGE, minutes=60.0) if asked.large else size


def _probes(asked: argparse.Namespace) -> Sequence[Probe]:
    first, *others = measures.PROBES
    return [first, *(probe for probe in others if asked.only in probe.name)]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench", description="Measure Placet and the plain-SQL floor side by side."
    )
    parser.add_argument("--rounds", type=int, help="rounds of both sides (3)")
    parser.add_argument("--quick", action="store_true", help="one small round, under two minutes")
    parser.add_argument(
        "--large", action="store_true", help="also the first page at 100,000 and 1,000,000 items"
    )
    parser.add_argument(
        "--only",
        default="",
        metavar="TEXT",
        help="only measures with this in their name; items are brought in in any case",
    )
    return parser


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # clean up for `kill`, too
    sys.exit(main())
