"""Everything is delivered ten times and a twentieth of all answers is lost: each effect once.

Three dispatchers (a table, a list, a Jira project) work on one ledger. Effects are counted where
they happen: by the table's trigger and in the logs of the two stand-ins.
"""

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.support.business_systems import Change, comments_of, in_order, systems
from tests.support.dispatcher_process import Started
from tests.support.fleet import Fleet, deliveries, fleet

from contract.events import WriteBackState

TIMES = 10
LOST = 0.05
EVERY = 30.0  # seconds between two words about how far it is
COMMENTED = 4  # every fourth decision of Jira's adds a comment


@dataclass(frozen=True)
class Size:
    records: int
    ordinals: int
    seconds: float

    @property
    def decisions(self) -> int:
        return self.records * self.ordinals


SHORT = Size(records=30, ordinals=10, seconds=300)
FULL = Size(records=500, ordinals=20, seconds=7200)


@dataclass
class Campaign:
    """Three processes under way. `wanted`: what has to become of each system."""

    fleet: Fleet
    size: Size
    processes: dict[str, Started]
    wanted: dict[str, list[Change]]

    def deliver(self) -> None:
        """Publish every decision ten times, shuffled over three rounds of ordinals."""
        ships = self.fleet.ships.values()
        rounds = [[ship.message(one) for one in ship.decided] for ship in ships]
        messages = [message for several in zip(*rounds, strict=True) for message in several]
        window = 3 * self.size.records * len(rounds)
        order = deliveries(len(messages), TIMES, window, seed=5)
        self.fleet.publish([messages[number] for number in order])

    def duplicates(self, kind: str) -> int:
        return int(self.processes[kind].metric("placet_duplicates_total"))

    def all_read(self) -> bool:
        """Every copy of every decision is one that came first, or recognised."""
        again = (TIMES - 1) * self.size.decisions
        return all(self.duplicates(kind) >= again for kind in self.processes)

    def progress(self) -> str:
        return "; ".join(
            f"{kind}: {self.fleet.states(ship)['APPLIED']} of {self.fleet.steps(ship)} applied, "
            f"{self.duplicates(kind)} recognised again"
            for kind, ship in self.fleet.ships.items()
        )

    def run(self, tell: Callable[[str], None]) -> float:
        """Wait until everything is read, applied and told; returns how long that took."""
        ships = self.fleet.ships.values()
        began = told = time.monotonic()
        while not (self.all_read() and all(map(self.fleet.done, ships)) and self.fleet.relayed()):
            for process in self.processes.values():
                assert process.process.poll() is None, process.log.read_text()[-3000:]
            now = time.monotonic()
            assert now - began < self.size.seconds, self.progress()
            if now - told > EVERY:
                told = now
                tell(f"{now - began:.0f} s: {self.progress()}")
            time.sleep(0.2)
        return time.monotonic() - began


@pytest.fixture
def campaign(
    request: pytest.FixtureRequest, postgres: str, kafka: str, tmp_path: Path
) -> Iterator[Campaign]:
    size: Size = request.param
    with (
        systems(tmp_path, postgres, size.records, timeout=20, settle=1) as made,
        fleet(tmp_path, postgres, kafka, made) as ours,
    ):
        wanted = {
            kind: ship.decide(size.ordinals, comments=COMMENTED * (kind == "jira"))
            for kind, ship in ours.ships.items()
        }
        processes = {kind: ship.start() for kind, ship in ours.ships.items()}
        for process in processes.values():
            process.until(lambda process=process: process.get("/readyz")[0] == 200)  # type: ignore[misc]
        for number, system in enumerate(made.values()):
            system.lose_answers(LOST, seed=number)
        yield Campaign(ours, size, processes, wanted)


@pytest.mark.parametrize(
    "campaign",
    [
        pytest.param(SHORT, id="300 decisions"),
        pytest.param(FULL, id="10,000 decisions", marks=pytest.mark.long),
    ],
    indirect=True,
)
def test_ten_deliveries_to_three_targets_with_lost_answers_are_one_effect_each(
    campaign: Campaign, capsys: pytest.CaptureFixture[str]
) -> None:
    def tell(text: str) -> None:
        with capsys.disabled():
            sys.stdout.write(f"\n  {text}")
            sys.stdout.flush()

    campaign.deliver()
    took = campaign.run(tell)
    ships = campaign.fleet.ships

    lost = {kind: ship.system.behave() for kind, ship in ships.items()}
    assert all(lost.values()), lost
    changes = {kind: ship.system.changes() for kind, ship in ships.items()}
    for kind, found in changes.items():
        assert Counter(found) == Counter(campaign.wanted[kind]), kind
        assert in_order(found), kind
    assert sum(map(len, changes.values())) == 3 * campaign.size.decisions

    comments = comments_of(ships["jira"].system)  # type: ignore[arg-type]
    assert list(comments.values()) == [["comment"]] * (campaign.size.decisions // COMMENTED)

    assert_counted(campaign)
    assert campaign.fleet.dead_letters() == []
    assert_told_once(campaign)
    again = {kind: campaign.duplicates(kind) for kind in ships}
    tell(
        f"{sum(map(len, changes.values()))} effects and {len(comments)} comments of "
        f"{TIMES * sum(map(len, changes.values()))} deliveries, {took:.0f} s after the last; "
        f"answers lost: {lost}; duplicates recognised: {again}"
    )


def assert_counted(campaign: Campaign) -> None:
    """Each process met every copy of every decision, and knew what it was."""
    each = TIMES * campaign.size.decisions
    for kind, process in campaign.processes.items():
        assert campaign.duplicates(kind) == each - campaign.size.decisions, kind
        assert process.metric("placet_foreign_decisions_total") == 2 * each, kind
        assert process.metric("placet_dead_letters_total") == 0, kind
        assert process.metric("placet_write_backs_stuck") == 0, kind


def assert_told_once(campaign: Campaign) -> None:
    """Each write-back told of APPLIED once, in the end."""
    told = campaign.fleet.histories()
    assert len(told) == sum(map(campaign.fleet.steps, campaign.fleet.ships.values()))
    for states in told.values():
        assert states.count(WriteBackState.APPLIED) == 1
        assert states[-1] is WriteBackState.APPLIED
