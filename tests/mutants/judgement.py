"""Verdicts on mutants: caught, or a hole in the suite.

Owns what counts. Caught is a test that was green without the mutant and fails with it, by what it
claims. Not caught: everything stays green; the mutant cannot be imported or the tests not begun
(BROKEN); nothing ends (HANGS: a suite that waits for ever tells nobody anything).
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from tests.mutants.catalogue import Mutant, StaleMutantError
from tests.mutants.nursery import BrokenMutantError, Nursery, Run

_PATIENCE: Final = 3600.0
"""Seconds for all tests without a mutant: many, in one run."""


class Word(StrEnum):
    """How it ended."""

    CAUGHT = "caught"
    SURVIVED = "SURVIVED"
    STALE = "STALE"  # its text is not in the code any more
    BROKEN = "BROKEN"
    HANGS = "HANGS"
    NO_BASIS = "NO BASIS"  # its tests are not green without it


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """`by`: the test that failed, or why there is no such test. `said`: what it failed with."""

    mutant: Mutant
    word: Word
    by: str
    said: str = ""
    seconds: float = 0.0

    @property
    def good(self) -> bool:
        return self.word is Word.CAUGHT


class Court:
    """Judges mutants, all on one snapshot."""

    def __init__(self, nursery: Nursery) -> None:
        self._nursery = nursery
        self._green: dict[str, Run] = {}

    def look_at(self, mutants: Iterable[Mutant]) -> Run | None:
        """Run the tests of these mutants without any, each once, whatever is asked later."""
        tests = {test for one in mutants for test in one.tests} - self._green.keys()
        if not tests:
            return None
        run = self._nursery.run(
            self._nursery.snapshot,
            sorted(tests),
            "--continue-on-collection-errors",
            patience=_PATIENCE,
        )
        self._green.update(dict.fromkeys(tests, run))
        return run

    def judge(self, mutant: Mutant) -> Verdict:
        """Return the verdict. Its tests are looked at without it first, where they were not."""
        self.look_at([mutant])
        red = [test for test in mutant.tests if not _is_green(self._green[test], test)]
        if red:
            return Verdict(mutant=mutant, word=Word.NO_BASIS, by=f"red without it: {red[0]}")
        try:
            copy = self._nursery.copy(mutant)
        except StaleMutantError as error:
            return Verdict(mutant=mutant, word=Word.STALE, by=str(error))
        except BrokenMutantError as error:
            return Verdict(mutant=mutant, word=Word.BROKEN, by=str(error))
        run = self._nursery.run(copy, mutant.tests, "-x")
        self._nursery.forget(copy)
        return _verdict(mutant, run)

    def all(self, mutants: Sequence[Mutant]) -> Iterator[Verdict]:
        """Yield the verdicts, one by one as they come."""
        for mutant in mutants:
            yield self.judge(mutant)


def _is_green(run: Run, test: str) -> bool:
    """Tell whether all of `test` (a function, with every parameter, or a file) passed."""

    def is_meant(one: str) -> bool:
        return one == test or one.startswith((f"{test}[", f"{test}::"))

    failed = any(map(is_meant, (*run.failed, *run.broken)))
    return any(map(is_meant, run.passed)) and not failed and not run.hung


def _verdict(mutant: Mutant, run: Run) -> Verdict:
    word, by, said = Word.SURVIVED, f"{len(run.passed)} tests stayed green", ""
    if run.hung:
        word, by = Word.HANGS, "pytest had to be ended"
    elif run.failed:
        word, (by, said) = Word.CAUGHT, next(iter(run.failed.items()))
    elif run.broken:
        name, why = next(iter(run.broken.items()))
        word, by = Word.BROKEN, f"{name}: {why[-400:]}"
    return Verdict(mutant=mutant, word=word, by=by, said=said, seconds=run.seconds)
