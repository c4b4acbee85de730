"""One system whose writes can be held and let go: where zombies are made, and their traces read.

Owns what is held, when all of it has landed, and what the system and the processes say of it
afterwards. Refuses to know why a request was given up.
"""

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from tests.support.business_systems import Change, Table, in_order, systems
from tests.support.desk import wait_for
from tests.support.dispatcher_process import Started
from tests.support.fleet import Fleet, Ship, fleet, value_of

from contract.events import WriteBackState

RECORDS = 10
ROWS = 4  # of the table: each waits two seconds for its lock, one after the other
TIMEOUT = 4.0  # seconds for an answer
PATIENCE = 120.0
ZOMBIES = 4  # requests held of each kind
COMMENT = {"method": "POST", "path": r"/issue/SUP-\d+/comment"}


@dataclass
class Scene:
    """One system, its ship, and requests that can be held."""

    fleet: Fleet
    ship: Ship
    kinds_held: int = 1

    @property
    def system(self) -> Any:
        return self.ship.system

    def decide(self) -> None:
        """One more change of each record, each of Jira's with a comment; published once."""
        before = len(self.ship.decided)
        self.ship.decide(1, comments=self.system.kind == "jira")
        self.fleet.publish([self.ship.message(one) for one in self.ship.decided[before:]])

    def hold(self, *, cut: bool) -> None:
        """Hold the next few writes; `cut` is a table's way to have its client give up."""
        if isinstance(self.system, Table):
            self.system.proxy.hold_commits(1, cut=cut)
            return
        self.system.sandbox.break_next("hold", times=ZOMBIES, **self.system.writes)
        if self.system.kind == "jira":
            self.system.sandbox.break_next("hold", times=ZOMBIES, **COMMENT)
            self.kinds_held = 2

    def all_held(self) -> bool:
        if isinstance(self.system, Table):
            return self.system.proxy.held == 1
        return len(self.system.sandbox.get("held")) == ZOMBIES * self.kinds_held

    def release(self) -> None:
        """Let what is held land, and wait until all of it has."""
        if isinstance(self.system, Table):
            self.system.proxy.release()
            return
        held = len(self.system.sandbox.get("held"))
        assert self.system.sandbox.post("release")["released"] == held
        wait_for("the held requests landed", self._landed, seconds=PATIENCE)

    def _landed(self) -> bool:
        held = [one for one in self.system.sandbox.requests() if one["fault"] == "hold/before"]
        return all(one["status"] for one in held)

    def statuses_of_held(self) -> Counter[int]:
        held = [one for one in self.system.sandbox.requests() if one["fault"] == "hold/before"]
        return Counter(one["status"] for one in held)

    def done(self) -> bool:
        return self.fleet.done(self.ship)

    def attempts(self) -> int:
        """How often what was tried most was tried."""
        with psycopg.connect(self.fleet.ledger, autocommit=True) as connection:
            row = connection.execute("SELECT max(attempts) FROM dispatch.write_back").fetchone()
        return 0 if row is None or row[0] is None else int(row[0])

    def taken(self) -> list[Change]:
        """Every change of a value, in order: an edit that changes nothing is none."""
        if isinstance(self.system, Table):
            return self.system.changes()
        return [
            Change(one["record"], one["fields"][self.system.changing]["after"])
            for one in self.system.effects()
            if one["operation"] == "edit" and _moved(one["fields"][self.system.changing])
        ]

    def assert_once(self, ordinals: int) -> None:
        """Each record took each of its changes once, in order."""
        decided = [
            Change(record, value_of(ordinal))
            for record in self.system.records
            for ordinal in range(1, ordinals + 1)
        ]
        taken = self.taken()
        assert Counter(taken) == Counter(decided)
        assert in_order(taken)

    def assert_told_once(self) -> None:
        wait_for("everything is told", self.fleet.relayed, seconds=PATIENCE)
        told = self.fleet.histories().values()
        assert len(told) == self.fleet.steps(self.ship)
        assert {states.count(WriteBackState.APPLIED) for states in told} == {1}


def _moved(pair: dict[str, Any]) -> bool:
    return bool(pair["before"] != pair["after"])


@contextmanager
def scene(kind: str, server: str, kafka: str, folder: Path, *, settle: float) -> Iterator[Scene]:
    count = ROWS if kind == "sql" else RECORDS
    with (
        systems(folder, server, count, timeout=TIMEOUT, settle=settle, kinds=(kind,)) as made,
        fleet(folder, server, kafka, made) as ours,
    ):
        yield Scene(ours, ours.ships[kind])


def removals(process: Started) -> list[str]:
    """Of which write-backs the process says that it removed a second comment."""
    lines = [json.loads(line) for line in process.log.read_text().splitlines() if line[:1] == "{"]
    found = [one for one in lines if one["event"] == "jira_comment_duplicate"]
    assert {one["repair"] for one in found} <= {"deleted"}
    return [one["write_back_id"] for one in found]
