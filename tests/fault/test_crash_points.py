"""SIGKILL before and after every step of a decision that sends, receives or makes durable.

The points are generated from the source (`tests.support.crash`): what two rounds of normal work
pass is struck, in real processes that their supervisor starts again. After every round each record
must have gone through exactly what was decided, by its target's own log: nothing lost, nothing
twice. `make test` strikes what the laws rest on and a seeded sample, `make test-long` everything.

CRASH_POINT="<process> <place> <side>" strikes that one alone; a failure names what was armed.
"""

import importlib.util
import os
import random
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest
from tests.support.crash.campaign import PROCESSES, RELAYING, Campaign, quicken, stack
from tests.support.crash.law import law_points, reason_of
from tests.support.crash.learning import Learned, not_reached
from tests.support.crash.places import Place, places_in
from tests.support.crash.plan import Plan, Point
from tests.support.crash.rules import MODULES
from tests.support.crash.work import POLICY

SEED = 20261125
SAMPLE = 1
"""Points of each process that the short form strikes besides the law's."""
LEAST_REACHED = 0.75
"""Of all sides in the source; the rest are error paths, and listed."""


def all_places() -> list[Place]:
    found = []
    for module in MODULES:
        spec = importlib.util.find_spec(module)
        assert spec is not None
        assert spec.origin is not None
        found += places_in(Path(spec.origin).read_text("utf-8"), module)
    return found


@pytest.fixture(scope="module")
def campaign(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Campaign]:
    folder = tmp_path_factory.mktemp("crash")
    plan = Plan(folder / "plan", PROCESSES)
    placet = stack(folder, plan)
    (folder / "policy.toml").write_text(POLICY, "utf-8")
    placet.run("up", "--demo", "--no-publish", "--hold", "0.5", "--detach", timeout=300)
    try:
        placet.count_effects()
        quicken(placet)
        with closing(Campaign(placet, plan)) as campaign:
            yield campaign
    finally:
        placet.run("down", timeout=120)


@pytest.fixture(scope="module")
def learned(campaign: Campaign) -> Learned:
    """What normal work passes. The processes run with their points from here on."""
    return campaign.learn()


@pytest.fixture
def tell(capsys: pytest.CaptureFixture[str]):
    def say(*lines: str) -> None:
        with capsys.disabled():
            sys.stdout.write("\n  ".join(("", *lines)))

    return say


def test_normal_work_reaches_what_the_laws_rest_on(learned, tell):
    everything, missing = not_reached(all_places(), learned)
    reached = len(everything) - len(missing)
    tell(
        f"{len(everything)} sides in the source, {reached} reached by normal work as "
        f"{len(learned.working)} points of processes, {len(learned.starting)} more by their start",
        f"{len(missing)} not reached; these are for other work:",
        *dict.fromkeys(f"{reason_of(side)}: {side[0]}" for side in missing),
    )
    assert reached / len(everything) >= LEAST_REACHED
    known = {(point.process, point.side) for point in (*learned.working, *learned.starting)}
    assert [one for one in law_points() if (one.process, one.side) not in known] == []


def test_nothing_is_lost_or_done_twice_where_a_process_dies(campaign, learned, tell):
    one = os.environ.get("CRASH_POINT")
    points = law_points() + _sample(learned) if one is None else _named(one, learned)
    strike(campaign, points, tell)
    assert set(campaign.missed).isdisjoint(law_points()), campaign.missed


@pytest.mark.long
def test_nothing_is_lost_or_done_twice_where_a_process_dies_anywhere(campaign, learned, tell):
    struck = set(campaign.fired)
    points = [one for one in _mixed(learned.working, learned.starting) if one not in struck]
    strike(campaign, points, tell)
    assert len(campaign.missed) <= len(points) // 20, campaign.missed


@pytest.mark.long
def test_nothing_is_lost_or_done_twice_where_a_process_dies_while_it_recovers(
    campaign, learned, tell
):
    recovery = campaign.recovery(learned)
    tell(f"{len(recovery)} points that nothing but recovery passes:", *map(str, recovery))
    strike(campaign, _mixed(law_points(), recovery), tell)
    assert set(campaign.fired) & set(recovery)


def strike(campaign: Campaign, points: Sequence[Point], tell) -> None:
    """Strike `points`, each round counted; then the stack is drained and its log whole."""
    fired, missed = len(campaign.fired), len(campaign.missed)
    campaign.run(points, tell)
    tell(
        f"{len(campaign.fired) - fired} of {len(points)} points struck",
        *(f"armed again and again, and not reached: {one}" for one in campaign.missed[missed:]),
    )
    campaign.drained()


def _sample(learned: Learned) -> list[Point]:
    drawn = random.Random(SEED)  # the same every time, until the points change
    law = {(one.process, one.side) for one in law_points()}
    found = []
    for process in (*PROCESSES, RELAYING):
        rest = [one for one in learned.working
                if one.process == process and (one.process, one.side) not in law]  # fmt: skip
        found += drawn.sample(rest, min(SAMPLE, len(rest)))
    return found


def _named(name: str, learned: Learned) -> list[Point]:
    """The point of that name; one that only a start passes needs a death before it."""
    working = [one for one in (*law_points(), *learned.working) if one.name == name]
    starting = [one for one in learned.starting if one.name == name]
    assert working or starting, f"no process passes {name!r}"
    if starting:
        working = [one for one in learned.working if one.process == starting[0].process][:1]
    return [*working[:1], *starting]


def _mixed(usual: Sequence[Point], after_a_death: Sequence[Point]) -> list[Point]:
    """All of both; what is passed after a death stands between points that cause one."""
    mixed: list[Point] = []
    for process in (*PROCESSES, RELAYING):
        working = [one for one in usual if one.process == process]
        others = [one for one in after_a_death if one.process == process]
        while working or others:
            mixed += [working.pop(0) for _ in range(min(3, len(working)))]
            mixed += [others.pop(0) for _ in range(min(1, len(others)))]
    return mixed
