"""Broker, database, and everything at once killed while three targets are decided on and written.

Nothing is lost, nothing is there twice, and each record's writes are in the order of its decisions,
by the targets' own logs.
"""

import json
import threading
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any

import httpx
import psycopg
import pytest
from tests.support.desk import Person, Placet, wait_for
from tests.support.proposing import PEOPLE, Proposal, everybody, in_state, publish
from tests.support.target_people import Done, Jira, System, Table, Values, at_targets

BROKER, DATABASE, EVERYTHING = ("kafka",), ("postgres",), ()
FIELDS = {
    "jira": ("summary", "description", "labels"),
    "sharepoint": ("Title", "Answer", "Category"),
}
CHAIN = 3  # changes of the table's one field, each decided on after the one before


@dataclass(frozen=True)
class Size:
    """Per fault: how many records of each target. `faults`: what is killed, and when."""

    records: int
    faults: tuple[tuple[tuple[str, ...], str], ...]


SHORT = Size(2, ((EVERYTHING, "writing"),))
LONG = Size(
    8,
    tuple(
        (names, moment)
        for _ in range(3)
        for names in (BROKER, DATABASE, EVERYTHING)
        for moment in ("deciding", "writing")
    ),
)


@dataclass(frozen=True)
class Record:
    """One record and what is proposed for it, in the order of publication."""

    at: System
    name: str
    proposals: list[Proposal]

    def done(self) -> list[Done]:
        return self.at.done([self.name])[self.name]


@dataclass
class Deciding:
    """People at work. `decided`: every decision by its item, as soon as it was answered."""

    people: Sequence[Person]
    pool: ThreadPoolExecutor
    decided: dict[str, str] = field(default_factory=dict)
    futures: list[Future[None]] = field(default_factory=list)

    def begin(self, records: Sequence[Record]) -> None:
        """Decide on all of it: side by side, where one record's changes do not meet."""
        for turn in zip_longest(*(_turns(record) for record in records)):
            self.futures += [self.pool.submit(self._decide, one) for one in turn if one is not None]

    def _decide(self, turn: Sequence[Proposal]) -> None:
        for number, one in enumerate(turn):
            if number:
                in_state(self.people[0], turn[number - 1], "COMPLETED")
            person = self.people[threading.get_ident() % len(self.people)]
            self.decided[one.item_id] = person.decide_surely(one.item_id)["decision_id"]

    def end(self) -> None:
        for future in self.futures:
            future.result()


def _turns(record: Record) -> list[list[Proposal]]:
    if isinstance(record.at, Table):
        return [record.proposals]
    return [[one] for one in record.proposals]


@pytest.fixture(scope="module")
def systems(placet: Placet) -> Iterator[tuple[System, ...]]:
    with at_targets(placet) as made:
        yield made


def word() -> str:
    return f"restart-{uuid.uuid4().hex[:12]}"


def value(name: str) -> Any:
    return {"labels": [word()], "Category": "Delivery"}.get(name, word())


def proposed(placet: Placet, systems: Sequence[System], person: Person, count: int) -> list[Record]:
    """New records of every target, their changes published and to be decided."""
    records = []
    for system in systems:
        before = [{name: _first(name) for name in system.fields} for _ in range(count)]
        for name, values in zip(system.create(before), before, strict=True):
            records.append(Record(system, name, _changes(system, name, values)))
    chained = [one for record in records for one in record.proposals[1:] if _chained(record)]
    placet.publish([one.message() for one in chained])
    publish(placet, person, [p for r in records for p in r.proposals if p not in chained])
    return records


def _chained(record: Record) -> bool:
    return isinstance(record.at, Table)


def _first(name: str) -> Any:
    return {"priority": "Low", "labels": [], "Category": "Billing", "Published": False}.get(
        name, word()
    )


def _changes(system: System, record: str, before: Values) -> list[Proposal]:
    names = FIELDS.get(system.system, ("answer",) * CHAIN)
    return [
        Proposal(at=system, record=record, wanted={name: value(name)}, before=before)
        for name in names
    ]


def _moment(moment: str, deciding: Deciding, records: Sequence[Record]) -> None:
    """Wait until these decisions are half taken, or the first of them are being written."""
    items = [one.item_id for record in records for one in record.proposals]
    if moment == "deciding":
        wait_for(
            "a quarter of it decided",
            lambda: len(deciding.decided.keys() & items) > len(items) // 4,
            seconds=120,
        )
        return
    wait_for(
        "the first write in every target",
        lambda: {one.at.system for one in records} == {r.at.system for r in records if r.done()},
        seconds=120,
    )


def _kill(placet: Placet, names: Sequence[str]) -> None:
    """All of `names`; of no names: every process but the targets themselves."""
    wait_for(
        "every process running",
        lambda: {one["state"] for one in placet.processes().values()} == {"running"},
        seconds=180,
    )
    placet.kill(*(names or [one for one in placet.processes() if not one.startswith("sandbox-")]))
    _wait_until_they_answer(placet)


def _wait_until_they_answer(placet: Placet) -> None:
    wait_for("broker, database and desk answer", lambda: _answer(placet), seconds=180)


def _answer(placet: Placet) -> bool:
    """Ask all three, as the people of the next round are going to."""
    try:
        with placet.target():
            desk = httpx.get(f"{placet.status()['review']['url']}/readyz", timeout=30)
    except (psycopg.OperationalError, httpx.TransportError):
        return False
    return desk.is_success and placet.run("lag", "--json", check=False).returncode == 0


@pytest.mark.parametrize(
    "size",
    [
        # One process at a time, in a short run, is test_kill's and test_crash_points'.
        pytest.param(SHORT, id="short", marks=pytest.mark.long),
        pytest.param(LONG, id="long", marks=pytest.mark.long),
    ],
)
def test_restarts_while_three_targets_are_written_lose_and_repeat_nothing(placet, systems, size):
    _wait_until_they_answer(placet)
    people = [placet.person("reviewer"), placet.person("reviewer2")]
    chains = size.records * len(size.faults)
    records: list[Record] = []
    with ThreadPoolExecutor(PEOPLE + chains) as pool:
        deciding = Deciding(people, pool)
        for names, moment in size.faults:
            share = proposed(placet, systems, people[0], size.records)
            records += share
            deciding.begin(share)
            _moment(moment, deciding, share)
            _kill(placet, names)
        deciding.end()

    proposals = [one for record in records for one in record.proposals]
    everybody(lambda one: in_state(people[0], one, "COMPLETED"), proposals)
    assert len(deciding.decided) == len(proposals) == chains * (CHAIN + 3 + 3)
    for record in records:
        _check(people[0], record, deciding.decided)
    wait_for("no lag", lambda: placet.lag() == 0, seconds=120)
    checked = placet.verify("--json")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert json.loads(checked.stdout)["records"] >= 3 * len(proposals)


def _check(person: Person, record: Record, decided: dict[str, str]) -> None:
    """Every decision is in the target once, in the order of the ordinals that people were given."""
    followed = [
        (person.http.get(f"/api/decisions/{decided[one.item_id]}").json(), one)
        for one in record.proposals
    ]
    followed.sort(key=lambda pair: pair[0]["target_ordinal"])
    assert [pair[0]["target_ordinal"] for pair in followed] == [1, 2, 3], record.name
    done = record.done()
    edits = [one for one in done if one.operation == "edit"]
    where = f"{record.at.instance} {record.name}: {edits}"
    assert len(edits) == len(followed), where
    for edit, (decision, one) in zip(edits, followed, strict=True):
        if isinstance(record.at, Table):
            assert edit.fields == one.wanted, where
        else:
            assert _key(decision, "fields") in edit.marker, where
    wanted: Values = dict(followed[0][1].before)
    for _, one in followed:
        wanted |= one.wanted
    assert record.at.read(record.name) == wanted, where
    if isinstance(record.at, Jira):
        _check_comments(record.at, record.name, done, [decision for decision, _ in followed])


def _key(decision: dict[str, Any], step: str) -> str:
    return next(one["write_back_id"] for one in decision["write_backs"] if one["step"] == step)


def _check_comments(
    jira: Jira, issue: str, done: Sequence[Done], decisions: Sequence[dict[str, Any]]
) -> None:
    written = [one for one in done if one.operation.startswith("comment")]
    assert [one.operation for one in written] == ["comment"] * len(decisions), issue
    for one, decision in zip(written, decisions, strict=True):
        assert _key(decision, "comment") in one.marker, issue
    for text, decision in zip(jira.comments(issue), decisions, strict=True):
        assert decision["decision_id"] in text, issue
