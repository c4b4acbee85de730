"""`python -m tests.mutants [--list] [--why] [NAME ...]`: exit code 1 where one is not caught."""

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from tests.mutants.catalogue import Mutant, mutants
from tests.mutants.judgement import Court, Verdict
from tests.mutants.nursery import served


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("--list", action="store_true", help="say what is planted, and end")
    parser.add_argument("--why", action="store_true", help="show what each test failed with")
    parser.add_argument("names", nargs="*", metavar="NAME", help="these alone")
    arguments = parser.parse_args()
    try:
        chosen = mutants(arguments.names)
    except KeyError as error:
        parser.error(f"there is no mutant {error}; --list names them")
    console = Console(soft_wrap=True, highlight=False)
    width = max(len(one.name) for one in chosen)
    if arguments.list:
        for one in chosen:
            console.print(f"{one.name:{width}}  {one.law}", markup=False)
        return 0
    return _run(console, chosen, width, why=arguments.why)


def _run(console: Console, chosen: Sequence[Mutant], width: int, *, why: bool) -> int:
    began = time.monotonic()
    with (
        tempfile.TemporaryDirectory(prefix="placet-mutants-") as folder,
        served(Path(folder)) as nursery,
    ):
        court = Court(nursery)
        tests = len({test for one in chosen for test in one.tests})
        console.print(f"{tests} tests without any mutant ...")
        court.look_at(chosen)
        console.print(f"done in {time.monotonic() - began:.0f} s; {len(chosen)} mutants:")
        verdicts = []
        for number, one in enumerate(court.all(chosen), 1):
            verdicts.append(one)
            console.print(_line(one, width, f"{number:3}/{len(chosen)}"), markup=False)
            if why and one.said:
                console.print(f"{'':9}{one.said.splitlines()[0][:200]}", markup=False)
    bad = [one for one in verdicts if not one.good]
    console.print(
        f"{len(verdicts) - len(bad)} of {len(verdicts)} mutants caught"
        f" in {time.monotonic() - began:.0f} s"
    )
    for one in bad:
        console.print(f"  {one.mutant.name}: {one.word}: {one.mutant.law}", markup=False)
    return 1 if bad else 0


def _line(one: Verdict, width: int, place: str) -> str:
    by = one.by.removeprefix("tests/")
    return f"{place}  {one.mutant.name:{width}}  {one.word:8}  {one.seconds:5.1f} s  {by}"


if __name__ == "__main__":
    sys.exit(main())
