"""The engine with the real adapters and the stand-ins; effects are counted in their own logs."""

import json
import random
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.support import articles, issues
from tests.support.flying import Flying, flying
from tests.support.sandbox import Sandbox, running

from contract.targets import TargetConfig
from dispatcher.targets.jira import JiraTarget
from dispatcher.targets.sharepoint import SharePointTarget
from dispatcher.targets.target import Snapshot
from dispatcher.writeback import Retries

RETRIES = Retries(schedule=(0.1,) * 40, settle=0.3)


@dataclass(frozen=True)
class Kind:
    """A system, and how it is written to."""

    arguments: tuple[str, ...]
    changing: str
    records: tuple[str, ...]
    writes: tuple[dict[str, Any], ...]

    @property
    def jira(self) -> bool:
        return self.arguments[0] == "jira"

    def config(self, sandbox: Sandbox) -> TargetConfig:
        return issues.config(sandbox.url) if self.jira else articles.config(sandbox.url)

    def target(self, sandbox: Sandbox, folder: Path) -> Any:
        if self.jira:
            secret = issues.DATA_CENTER if "data-center" in self.arguments else issues.CLOUD
            file = issues.write_secret(folder, secret)
            return JiraTarget(self.config(sandbox), file, limit=3.0, settle=0.3)
        file = articles.write_secret(folder, sandbox.url)
        return SharePointTarget(self.config(sandbox), file, limit=3.0)


_ISSUES = tuple(f"SUP-{i}" for i in range(1, 7))
_JIRA = (
    {"method": "PUT", "path": r"/issue/SUP-\d+(\?|$)"},
    {"method": "POST", "path": r"/issue/SUP-\d+/comment"},
)
KINDS = {
    "jira cloud": Kind(("jira",), "summary", _ISSUES, _JIRA),
    "jira data center": Kind(("jira", "--deployment", "data-center"), "summary", _ISSUES, _JIRA),
    "sharepoint": Kind(
        ("sharepoint",),
        "Title",
        tuple("123456"),
        ({"method": "POST", "path": articles.ITEM},),
    ),
}


@dataclass(frozen=True)
class Place:
    """A dispatcher beside a running stand-in."""

    kind: Kind
    sandbox: Sandbox
    lab: Flying

    def value(self, record: str) -> str:
        snapshot = self.lab.site.read(record)
        assert isinstance(snapshot, Snapshot)
        return snapshot.fields[self.kind.changing]

    def series(self, record: str, count: int) -> list[Any]:
        """`count` decisions on one record, each on top of the one before."""
        values = [self.value(record), *(json.dumps(f"{record} v{i}") for i in range(1, count + 1))]
        return [
            self.lab.approve(record, values[i], values[i - 1], i, comment=self.kind.jira)
            for i in range(1, count + 1)
        ]

    def done(self) -> bool:
        return self.lab.all_are("APPLIED")

    def run(self, seconds: float = 60.0) -> None:
        self.lab.run_until(self.done, seconds)

    def written(self, record: str) -> list[str]:
        """The values that this record took from us, in order; from the stand-in's log."""
        return [
            str(effect["fields"][self.kind.changing]["after"])
            for effect in self.sandbox.effects(record)
            if effect["via"] == "api" and self.kind.changing in effect["fields"]
        ]

    def comments(self) -> Counter[str]:
        """How many comments each of our comment steps has now, by the key in their marker."""
        keys = self.lab.keys("comment")
        texts = [
            json.dumps(comment)
            for record in self.sandbox.get("records")
            for comment in record.get("comments", [])
        ]
        return Counter({key: sum(key in text for text in texts) for key in keys})


@contextmanager
def placed(kind: Kind, server: str, folder: Path) -> Iterator[Place]:
    with running(*kind.arguments) as sandbox:
        target = kind.target(sandbox, folder)
        options: dict[str, Any] = {
            "config": kind.config(sandbox),
            "site": target,
            "changing": kind.changing,
            "retries": RETRIES,
        }
        with flying(server, **options) as lab:
            yield Place(kind, sandbox, lab)
        target.close()


@pytest.fixture(params=KINDS)
def place(request: pytest.FixtureRequest, postgres: str, tmp_path: Path) -> Iterator[Place]:
    with placed(KINDS[request.param], postgres, tmp_path) as one:
        yield one


def test_decisions_arrive_once_and_in_order(place: Place) -> None:
    decisions = [one for record in place.kind.records for one in place.series(record, 3)]
    random.Random(1).shuffle(decisions)
    place.lab.accept(*decisions, *decisions[:5])
    place.run()
    for record in place.kind.records:
        assert place.written(record) == [f"{record} v{i}" for i in range(1, 4)]
    assert len(place.comments()) == (18 if place.kind.jira else 0)
    assert set(place.comments().values()) <= {1}


@pytest.mark.parametrize("fault", ["drop", "cut", "reset", "503"])
def test_lost_answers_make_no_second_effect(place: Place, fault: str) -> None:
    decisions = [one for record in place.kind.records for one in place.series(record, 3)]
    for one in place.kind.writes:
        rule: dict[str, Any] = {**one, "times": None, "share": 0.3, "seed": 7}
        if fault == "503":
            place.sandbox.break_next("503", when="after", **rule)  # it lies: the work is done
        elif fault == "reset":
            place.sandbox.break_next("drop", reset=True, **rule)
        else:
            place.sandbox.break_next(fault, **rule)
    place.lab.accept(*decisions)
    place.run()
    for record in place.kind.records:
        assert place.written(record) == [f"{record} v{i}" for i in range(1, 4)]
    assert set(place.comments().values()) <= {1}


def test_restarts_while_requests_are_under_way_make_no_second_effect(place: Place) -> None:
    decisions = [one for record in place.kind.records for one in place.series(record, 3)]
    place.lab.accept(*decisions)
    for _ in range(6):
        until = time.monotonic() + 0.15
        while time.monotonic() < until:
            place.lab.engine.step()
        place.lab.restart()  # its requests are still on their way, and nobody hears of them
        place.lab.recover()
    place.run()
    for record in place.kind.records:
        assert place.written(record) == [f"{record} v{i}" for i in range(1, 4)]
    assert set(place.comments().values()) <= {1}


def test_a_dead_target_is_waited_for_and_everything_arrives(place: Place) -> None:
    decisions = [one for record in place.kind.records for one in place.series(record, 2)]
    place.sandbox.kill()
    place.lab.accept(*decisions)
    place.lab.run_until(lambda: not place.lab.engine.target_answers)
    place.sandbox.start()
    place.run()
    for record in place.kind.records:
        assert place.written(record) == [f"{record} v{i}" for i in range(1, 3)]


def test_an_edit_in_between_is_a_conflict_and_stays(place: Place) -> None:
    record = place.kind.records[0]
    [decision] = place.series(record, 1)
    place.sandbox.post("edit", record=record, fields={place.kind.changing: "theirs"}, by="Max")
    place.lab.accept(decision)
    place.lab.run_until(lambda: place.lab.step_states(record).get("fields") == "CONFLICT")
    assert place.value(record) == '"theirs"'
    assert place.written(record) == []
    [event] = [one for one in place.lab.events() if one.state == "CONFLICT"]
    assert event.conflicting == [place.kind.changing]


def test_throttling_is_obeyed_and_everything_arrives(place: Place) -> None:
    decisions = [one for record in place.kind.records for one in place.series(record, 2)]
    place.sandbox.break_next("429", retry_after=1, times=5)
    place.lab.accept(*decisions)
    place.run()
    for record in place.kind.records:
        assert place.written(record) == [f"{record} v{i}" for i in range(1, 3)]


def test_an_undo_restores_and_never_overwrites_an_edit(place: Place) -> None:
    first, second = place.kind.records[:2]
    before = {one: place.value(one) for one in (first, second)}
    decisions = {one: place.series(one, 1)[0] for one in (first, second)}
    place.lab.accept(*decisions.values())
    place.run()
    place.sandbox.post("edit", record=second, fields={place.kind.changing: "theirs"}, by="Max")
    place.lab.accept(
        *(
            place.lab.undo(
                one,
                decision,
                {place.kind.changing: (before[one], json.dumps(f"{one} v1"))},
                2,
            )
            for one, decision in decisions.items()
        )
    )
    place.lab.run_until(
        lambda: (
            set(place.lab.step_states(first, 2).values()) == {"APPLIED"}
            and place.lab.step_states(second, 2)["fields"] == "CONFLICT"
        ),
        30,
    )
    assert place.value(first) == before[first]
    assert place.value(second) == '"theirs"'
