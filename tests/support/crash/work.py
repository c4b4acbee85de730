"""The work that goes on while processes die, and what the targets' own logs must show of it.

Owns what is decided in a round and what each record is to have gone through, value by value.
Through the published API alone; effects are read from the business table's trigger and the logs of
the stand-ins.
"""

import json
import time
import uuid
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any, Final

import httpx
from tests.support.desk import Person, Placet, as_json, output, wait_for
from tests.support.sandbox import Sandbox

from contract.identity import item_id

CRITICAL: Final = 0.9
POLICY: Final = """
version = "crash points"
[[rule]]
when = { target = "support-faq", risk_at_least = 0.8 }
lane = "critical"
"""
_SQL: Final = "support-faq"
_CLOSING: Final = frozenset({"APPLIED", "CONFLICT", "REFUSED", "ABANDONED", "STUCK", "CANCELLED"})
_UNDER_WAY: Final = frozenset({None, "APPROVED", "WRITING", "UNDOING"})
_PATIENCE: Final = 240
_SHARED: Final = {"jira": ("summary", 12), "sharepoint": ("Title", 8)}
"""Per stand-in: the field that is changed, and how many records there are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """A published change."""

    item: str
    system: str
    record: str
    value: str


@dataclass(slots=True)
class Round:
    """What is proposed for one round, and `decided` in it: decision, on what, final state."""

    to_write: dict[str, Proposal]
    to_reject: Proposal
    to_take_back: Proposal
    to_approve_twice: Proposal
    decided: list[tuple[str, Proposal, str]] = field(default_factory=list)


class Work:
    """Rounds of decisions on one stack."""

    def __init__(self, placet: Placet) -> None:
        self._placet = placet
        self._run = uuid.uuid4().hex[:8]
        self.reviewer, self.approver = placet.person("reviewer"), placet.person("approver")
        urls = {target["name"]: target.get("url") for target in placet.status()["targets"]}
        self._stand_ins = {
            system: Sandbox(arguments=(system,), data=None, url=urls[f"{system}-demo"])
            for system in _SHARED
        }
        self._expected: defaultdict[tuple[str, str], list[str | None]] = defaultdict(list)
        self._rounds: dict[int, Round] = {}

    def close(self) -> None:
        """Let go of the desk."""
        self.reviewer.http.close()
        self.approver.http.close()

    # Proposals

    def publish(self, number: int) -> None:
        """Propose everything that round `number` decides."""
        to_write = {"sql": self._proposal(number, "sql", "written")}
        to_write |= {system: self._proposal(number, system, "written") for system in _SHARED}
        made = Round(
            to_write=to_write,
            to_reject=self._proposal(number, "sql", "rejected"),
            to_take_back=self._proposal(number, "sql", "taken-back"),
            to_approve_twice=self._proposal(number, "sql", "twice"),
        )
        self._rounds[number] = made
        proposals = [*to_write.values(), made.to_reject, made.to_take_back, made.to_approve_twice]
        self._placet.add_records([one.record for one in proposals if one.system == "sql"])
        self._placet.publish([self._output(one, made) for one in proposals])

    def _proposal(self, number: int, system: str, kind: str) -> Proposal:
        external = f"{self._run}-{number}-{system}-{kind}"
        record = f"crash-{external}" if system == "sql" else _record(system, number)
        return Proposal(
            item=item_id("e2e", external), system=system, record=record, value=f"v-{external}"
        )

    def _output(self, one: Proposal, of: Round) -> bytes:
        name, _ = _SHARED.get(one.system, ("answer", 0))
        instance = _SQL if one.system == "sql" else f"{one.system}-demo"
        target = {"system": one.system, "instance": instance, "identifier": one.record}
        return as_json(
            output(
                one.value.removeprefix("v-"),
                one.record,
                change={"target": target, "fields": {name: json.dumps(one.value)}},
                risk={"score": CRITICAL if one is of.to_approve_twice else 0.2},
            )
        )

    # Decisions

    def write(self, number: int) -> None:
        """Approve one change per target, and undo those of the round before on shared records."""
        made = self._rounds[number]
        for one in made.to_write.values():
            self._approve(made, one)
        for system in _SHARED:
            self._undo(made, number - 1, system)

    def decide_otherwise(self, number: int) -> None:
        """Undo, reject, take back and approve after all, approve by two people."""
        made = self._rounds[number]
        self._undo(made, number - 1, "sql")
        made.decided.append((self._decide(self.reviewer, made.to_reject, "REJECT"),
                             made.to_reject, "REJECTED"))  # fmt: skip
        decision = self._decide(self.reviewer, made.to_take_back)
        if self._take_back(decision):
            self._approve(made, made.to_take_back)
        else:  # its hold was over: the decision stands
            self._approved(made, made.to_take_back, decision)
        self._decide(self.reviewer, made.to_approve_twice)
        self._approved(
            made, made.to_approve_twice, self._decide(self.approver, made.to_approve_twice)
        )

    def _undo(self, made: Round, number: int, system: str) -> None:
        if number in self._rounds:
            one = self._rounds[number].to_write[system]
            made.decided.append((self._decide(self.approver, one, "UNDO"), one, "UNDONE"))
            self._expected[one.system, one.record].append(None)  # what was there at first

    def _approve(self, made: Round, one: Proposal) -> None:
        self._approved(made, one, self._decide(self.reviewer, one))

    def _approved(self, made: Round, one: Proposal, decision: str) -> None:
        made.decided.append((decision, one, "COMPLETED"))
        self._expected[one.system, one.record].append(one.value)

    def _decide(self, person: Person, one: Proposal, action: str = "APPROVE") -> str:
        wait_for(
            f"{one.item} in the queue",
            lambda: _answer(person, f"/api/items/{one.item}") is not None,
            seconds=_PATIENCE,
        )
        return person.decide_surely(one.item, action, seconds=_PATIENCE)["decision_id"]

    def _take_back(self, decision: str) -> bool:
        """Ask until there is an answer. False: it came too late."""

        def ask() -> httpx.Response | None:
            try:
                answer = self.reviewer.http.post(f"/api/decisions/{decision}/take-back")
            except httpx.TransportError:
                return None
            return answer if answer.status_code in {200, 409} else None

        answer = wait_for(f"{decision} taken back, or not", ask, seconds=_PATIENCE)
        assert answer.status_code == 200 or answer.json()["code"] == "HOLD_OVER", answer.text
        return answer.status_code == 200

    # What became of it

    def answers(self) -> bool:
        """Whether the desk is there."""
        return _answer(self.reviewer, "/api/session") is not None

    def written(self, number: int) -> bool:
        """Whether every step of the round's decisions so far has come to its end."""
        return all(self._closed(decision) for decision, _, _ in self._rounds[number].decided)

    def wait(self, number: int) -> None:
        """Wait until all that was decided is done, and every item says so."""
        deadline = time.monotonic() + _PATIENCE
        while not self.written(number):
            assert time.monotonic() < deadline, f"round {number}: {self._open(number)}"
            time.sleep(0.2)
        for _, one, state in self._rounds[number].decided:
            found = wait_for(
                f"{one} {state}",
                lambda one=one: (now := self._state(one)) not in _UNDER_WAY and now,
                seconds=_PATIENCE,
            )
            assert found == state, one

    def _closed(self, decision: str) -> bool:
        found = _answer(self.reviewer, f"/api/decisions/{decision}")
        return found is not None and all(step["state"] in _CLOSING for step in found["write_backs"])

    def _open(self, number: int) -> list[Any]:
        decided = self._rounds[number].decided
        found = [_answer(self.reviewer, f"/api/decisions/{one}") for one, _, _ in decided]
        return [one for one in found if one is None or any(
            step["state"] not in _CLOSING for step in one["write_backs"])]  # fmt: skip

    def _state(self, one: Proposal) -> str | None:
        found = _answer(self.reviewer, f"/api/items/{one.item}")
        return None if found is None else found["state"]

    # Effects

    def check(self, number: int) -> None:
        """Compare what every record of a round went through with what was decided. Exactly."""
        for place in {(one.system, one.record) for _, one, _ in self._rounds[number].decided}:
            first, values = self._went_through(*place)
            expected = [first if one is None else one for one in self._expected[place]]
            assert values == expected, place
        for decision, one, state in self._rounds[number].decided:
            if one.system == "jira":
                self._check_comments(decision, one.record, state)

    def _check_comments(self, decision: str, record: str, state: str) -> None:
        """One comment per approval, marked once where it was undone, and no copy ever."""
        ours = [effect for effect in self._stand_ins["jira"].effects(record)
                if effect["via"] == "api"]  # fmt: skip
        wanted = {"COMPLETED": "comment", "UNDONE": "comment-edit"}[state]
        found = [effect for effect in ours if effect["operation"] == wanted
                 and decision in json.dumps(effect["fields"])]  # fmt: skip
        assert len(found) == 1, (decision, record, found)
        done = {effect["operation"] for effect in ours}
        assert done <= {"edit", "comment", "comment-edit", "property"}, done

    def _went_through(self, system: str, record: str) -> tuple[str | None, list[str]]:
        """What a record held before us, and every value that it took since."""
        if system == "sql":
            with self._placet.target() as target:
                rows = target.execute(
                    "SELECT answer FROM effect WHERE id = %s ORDER BY version, at", (record,)
                ).fetchall()
            return "", [row[0] for row in rows]
        name, _ = _SHARED[system]
        changes = [
            effect["fields"][name]
            for effect in self._stand_ins[system].effects(record)
            if effect["operation"] == "edit" and name in effect["fields"]
        ]
        return (changes[0]["before"] if changes else None), [one["after"] for one in changes]


def _record(system: str, number: int) -> str:
    _, records = _SHARED[system]
    place = number % records + 1
    return f"SUP-{place}" if system == "jira" else str(place)


def _answer(person: Person, path: str) -> Any:
    """What the API answers, None while it is away or has nothing there."""
    try:
        answer = person.http.get(path)
    except httpx.TransportError:
        return None
    return answer.json() if answer.status_code == 200 else None
