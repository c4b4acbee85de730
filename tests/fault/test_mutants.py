"""Every planted bug, one by one: the suite must go red for each (`make mutants` shows a table)."""

from collections.abc import Iterator

import pytest
from tests.mutants.catalogue import Mutant, mutants
from tests.mutants.judgement import Court
from tests.mutants.nursery import served

MUTANTS = mutants()


@pytest.fixture(scope="module")
def court(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Court]:
    with served(tmp_path_factory.mktemp("mutants")) as nursery:
        made = Court(nursery)
        made.look_at(MUTANTS)
        yield made


@pytest.mark.long
@pytest.mark.parametrize("mutant", MUTANTS, ids=[one.name for one in MUTANTS])
def test_a_planted_bug_is_caught(court: Court, mutant: Mutant) -> None:
    verdict = court.judge(mutant)
    assert verdict.good, f"{verdict.word}: {mutant.law}: {verdict.by}"
