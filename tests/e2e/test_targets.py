"""Jira and SharePoint from proposal to read-back, effects counted in the stand-ins' logs."""

import html
import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from tests.support.desk import Person, Placet, as_json, output, wait_for
from tests.support.sandbox import Sandbox

from contract.identity import item_id


@dataclass(frozen=True)
class Place:
    """A record of a stand-in of the demonstration. `text`: a field to change."""

    sandbox: Sandbox
    system: str
    record: str
    text: str

    @property
    def target(self) -> dict[str, str]:
        return {
            "system": self.system,
            "instance": f"{self.system}-demo",
            "identifier": self.record,
        }

    def ours(self, operation: str = "edit") -> list[dict[str, Any]]:
        """What Placet did to the record, oldest first."""
        return [
            effect
            for effect in self.sandbox.effects(self.record)
            if effect["via"] == "api" and effect["operation"] == operation
        ]

    def values(self) -> list[str]:
        """The values that the field took from Placet, oldest first."""
        return [
            effect["fields"][self.text]["after"]
            for effect in self.ours()
            if self.text in effect["fields"]
        ]

    def edit(self, value: str) -> None:
        fields = {self.text: value}
        self.sandbox.post("edit", record=self.record, fields=fields, by="Dana Kowalski")


def stand_in(placet: Placet, system: str) -> Sandbox:
    found = {target["name"]: target for target in placet.status()["targets"]}
    return Sandbox(arguments=(system,), data=None, url=found[f"{system}-demo"]["url"])


@pytest.fixture
def jira(placet: Placet) -> Iterator[Place]:
    sandbox = stand_in(placet, "jira")
    yield Place(sandbox, "jira", "SUP-1", "summary")
    sandbox._call("DELETE", "faults")


@pytest.fixture
def sharepoint(placet: Placet) -> Iterator[Place]:
    sandbox = stand_in(placet, "sharepoint")
    yield Place(sandbox, "sharepoint", "1", "Title")
    sandbox._call("DELETE", "faults")


@pytest.fixture(params=["jira", "sharepoint"])
def place(request: pytest.FixtureRequest) -> Place:
    return request.getfixturevalue(request.param)


def fresh() -> str:
    return f"Answered {uuid.uuid4().hex[:12]}"


def propose(
    placet: Placet, person: Person, place: Place, comment: str | None = None, **fields: Any
) -> dict[str, Any]:
    """Publish a change of the record; returns the item once somebody can decide on it."""
    external = f"e2e-{uuid.uuid4().hex[:12]}"
    change = {
        "target": place.target,
        "fields": {name: json.dumps(value) for name, value in fields.items()},
        "comment": comment,
    }
    placet.publish([as_json(output(external, place.record, change=change))])

    def readable() -> dict[str, Any] | None:
        answer = person.http.get(f"/api/items/{item_id('e2e', external)}")
        item = answer.json() if answer.status_code == 200 else None
        known = item and all(one["readable"] for one in item["change"]["fields"].values())
        return item if known else None

    return wait_for(f"{external} readable in the queue", readable)


def approve(person: Person, item: dict[str, Any], **body: Any) -> str:
    answer = person.decide(item, **body)
    assert answer.status_code == 201, answer.text
    return answer.json()["decision_id"]


def steps(person: Person, decision: str) -> dict[str, dict[str, Any]]:
    """How far each step of a decision is."""
    found = person.http.get(f"/api/decisions/{decision}").json()["write_backs"]
    return {step["step"]: step for step in found}


def in_state(person: Person, item: dict[str, Any], state: str) -> None:
    wait_for(
        f"{item['target']} {state}",
        lambda: person.item(item["item_id"])["state"] == state,
        seconds=90,
    )


def test_an_approved_change_is_in_the_issue_once_with_a_comment_that_tells_who(
    placet, reviewer, jira
):
    summary, note = fresh(), f"checked against the handbook {uuid.uuid4().hex}"
    fields = {
        "summary": summary,
        "description": f"{summary}\n\nDelhi.",
        "labels": sorted(["answered", uuid.uuid4().hex]),  # a set: Jira tells it in this order
        "priority": "High",
    }
    item = propose(placet, reviewer, jira, "Refund proposed.", **fields)
    page = reviewer.http.get(f"/review/items/{item['item_id']}").text
    assert item["change"]["limits"]
    assert all(html.escape(one) in page for one in item["change"]["limits"])
    decision = approve(reviewer, item, comment=note)
    in_state(reviewer, item, "COMPLETED")

    assert {step["state"] for step in steps(reviewer, decision).values()} == {"APPLIED"}
    assert jira.values().count(summary) == 1
    read_back = wait_for("what Jira has now", lambda: propose(placet, reviewer, jira, **fields))
    assert {name: one["current"] for name, one in read_back["change"]["fields"].items()} == fields
    comments = [json.dumps(one["fields"]) for one in jira.ours("comment")]
    told = [one for one in comments if decision in one]
    assert len(told) == 1
    for words in ("Refund proposed.", f"Review note: {note}", "Rosa Lind", "kb-1"):
        assert words in told[0]


def test_an_approved_change_is_in_the_list_item_once(placet, reviewer, sharepoint):
    title = fresh()
    fields = {"Title": title, "Answer": "Delhi.", "Published": True, "Category": "Account"}
    item = propose(placet, reviewer, sharepoint, **fields)
    decision = approve(reviewer, item)
    in_state(reviewer, item, "COMPLETED")

    assert {step["state"] for step in steps(reviewer, decision).values()} == {"APPLIED"}
    assert sharepoint.values().count(title) == 1
    read_back = propose(placet, reviewer, sharepoint, **fields)
    assert {name: one["current"] for name, one in read_back["change"]["fields"].items()} == fields


def test_while_a_target_is_away_decisions_are_taken_and_the_page_says_what_waits(
    placet, reviewer, place
):
    value = fresh()
    item = propose(placet, reviewer, place, **{place.text: value})
    place.sandbox.break_next("503", times=None)
    decision = approve(reviewer, item)

    def retrying() -> bool:
        step = steps(reviewer, decision)["fields"]
        return step["state"] == "RETRYING" and step["next_attempt_at"] is not None

    wait_for("the write to be tried again", retrying)
    page = f"/review/items/{item['item_id']}"
    wait_for("the page to say until when", lambda: "Next try at" in reviewer.http.get(page).text)
    assert value not in place.values()

    place.sandbox._call("DELETE", "faults")
    in_state(reviewer, item, "COMPLETED")
    assert place.values().count(value) == 1


def test_an_answer_that_died_with_the_target_makes_no_second_effect(placet, reviewer, place):
    value = fresh()
    item = propose(placet, reviewer, place, **{place.text: value})
    writes = {"jira": r"/issue/SUP-\d+", "sharepoint": r"getItemById\(\d+\)(\?|$)"}
    method = {"jira": "PUT", "sharepoint": "POST"}
    place.sandbox.break_next(
        "hold", when="after", method=method[place.system], path=writes[place.system]
    )
    decision = approve(reviewer, item)
    wait_for("the work to be done", lambda: value in place.values())
    placet.kill(f"sandbox-{place.system}")

    in_state(reviewer, item, "COMPLETED")
    assert place.values().count(value) == 1
    if place.system == "jira":
        comments = [json.dumps(one["fields"]) for one in place.ours("comment")]
        assert len([one for one in comments if decision in one]) == 1


def test_an_edit_between_approval_and_write_is_never_overwritten(placet, reviewer, place):
    value, theirs = fresh(), f"Edited {uuid.uuid4().hex[:12]}"
    item = propose(placet, reviewer, place, **{place.text: value})
    decision = approve(reviewer, item)
    place.edit(theirs)

    in_state(reviewer, item, "CONFLICT")
    assert steps(reviewer, decision)["fields"]["conflicting"] == [place.text]
    assert value not in place.values()

    def both() -> bool:
        page = reviewer.http.get(f"/review/items/{item['item_id']}").text
        return theirs in page and value in page

    wait_for("the page to show what is there now beside what is proposed", both, seconds=15)
    found = reviewer.item(item["item_id"])["conflict"]
    assert (found["action"], found["by"]) == ("APPROVE", "Rosa Lind")
    assert found["fields"][place.text] == {
        "seen": item["change"]["fields"][place.text]["current"],
        "now": theirs,
        "wanted": value,
        "moved": True,
    }
    page = reviewer.http.get(f"/review/items/{item['item_id']}").text
    for words in ("What stood in the way", "Seen by Rosa Lind", "In the target now"):
        assert words in page
    assert place.sandbox.effects(place.record)[-1]["fields"][place.text]["after"] == theirs
