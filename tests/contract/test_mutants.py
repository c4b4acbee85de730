"""The planted bugs are those of today's code; that each is caught, `make mutants` finds out."""

import ast
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from tests.mutants.catalogue import Mutant, StaleMutantError, mutants
from tests.mutants.judgement import Court, Word
from tests.mutants.nursery import ROOT, Nursery

from placet import bringup

MUTANTS = mutants()
NAMES = [one.name for one in MUTANTS]


@pytest.mark.parametrize("mutant", MUTANTS, ids=NAMES)
def test_every_mutant_still_applies(mutant: Mutant) -> None:
    text = mutant.applied((ROOT / mutant.file).read_text("utf-8"))
    if mutant.file.endswith(".py"):
        compile(text, mutant.file, "exec")


@pytest.mark.parametrize("mutant", MUTANTS, ids=NAMES)
def test_every_mutant_names_tests_there_are(mutant: Mutant) -> None:
    assert mutant.tests
    for test in mutant.tests:
        file, _, name = test.partition("::")
        tree = ast.parse((ROOT / file).read_text("utf-8"))
        assert name in {"", *(one.name for one in tree.body if isinstance(one, ast.FunctionDef))}


@pytest.fixture(scope="module")
def nursery(tmp_path_factory: pytest.TempPathFactory) -> Nursery:
    return Nursery(tmp_path_factory.mktemp("mutants"))


@pytest.fixture(scope="module")
def court(nursery: Nursery) -> Court:
    return Court(nursery)


def planted(file: str, old: str, new: str, *tests: str) -> Mutant:
    return Mutant(name="planted", law="", file=file, old=old, new=new, tests=tests)


@pytest.mark.parametrize(
    "command",
    [
        [sys.executable, "-m", "dispatcher.main"],
        [str(Path(sys.executable).with_name("placet-dispatcher"))],
        [sys.executable, "-c", "from dispatcher.main import main"],
    ],
    ids=["module", "console script", "code"],
)
def test_whatever_a_test_starts_has_the_mutant(nursery: Nursery, command: list[str]) -> None:
    here = planted(
        "services/dispatcher/src/dispatcher/main.py",
        "_REFUSED = 2\n",
        "_REFUSED = 2\nprint('planted')\n",
    )
    copy = nursery.copy(here)
    done = subprocess.run(
        command,
        cwd="/",
        env=nursery.environment(copy),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.startswith("planted"), done.stdout + done.stderr
    nursery.forget(copy)


def test_a_stack_hands_the_copy_on_to_its_processes(nursery: Nursery) -> None:
    here = nursery.environment(nursery.snapshot)
    handed_on = bringup._inherited(here, "a stack")
    assert handed_on["PYTHONPATH"] == here["PYTHONPATH"]
    assert str(nursery.snapshot / "cli/src") in here["PYTHONPATH"]


IDENTITY = "schemas/contract/identity.py"
QUICK = "tests/unit/contract/test_identity.py"


@pytest.mark.parametrize(
    ("mutant", "word"),
    [
        (planted(IDENTITY, 'safe=""', 'safe="/"', QUICK), Word.CAUGHT),
        (planted(IDENTITY, '"""Name the one', '"""Call the one', QUICK), Word.SURVIVED),
        (planted(IDENTITY, 'safe=""', "safe=nothing", QUICK), Word.BROKEN),
        (planted(IDENTITY, "import hmac\n", "import hmacs\n", QUICK), Word.BROKEN),
        (planted(IDENTITY, "no such text", "", QUICK), Word.STALE),
    ],
    ids=["caught", "survived", "broken name", "broken import", "stale"],
)
def test_a_verdict_is_what_it_says(court: Court, mutant: Mutant, word: Word) -> None:
    assert court.judge(mutant).word is word


def test_a_test_that_is_not_green_convinces_nobody(court: Court) -> None:
    mutant = planted(IDENTITY, 'safe=""', 'safe="/"', QUICK + "::test_of_nothing")
    assert court.judge(mutant).word is Word.NO_BASIS


def test_a_text_that_stands_there_twice_is_no_place() -> None:
    with pytest.raises(StaleMutantError, match="2 times"):
        replace(MUTANTS[0], old="x").applied("x and x")
