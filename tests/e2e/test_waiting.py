"""A target that is paused, or gone: decisions are taken, people are told what waits and until when,

and everything arrives afterwards, once, in the order in which it was decided.
"""

import os
import re
import signal
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
from tests.support.desk import Person, Placet, wait_for
from tests.support.proposing import Proposal, everybody, in_state, publish
from tests.support.target_people import Jira, SharePoint, at_targets

from placet.home import Home
from placet.supervision import Supervision

Place = Jira | SharePoint
FIELDS = {
    "jira": ("summary", "description", "labels"),
    "sharepoint": ("Title", "Answer", "Category"),
}
BEFORE = {
    "jira": {"summary": "Parcel lost", "description": None, "labels": []},
    "sharepoint": {"Title": "Returns", "Answer": None, "Category": "Billing"},
}


@pytest.fixture(params=["jira", "sharepoint"])
def place(request: pytest.FixtureRequest, placet: Placet) -> Iterator[Place]:
    with at_targets(placet) as (_, jira, sharepoint):
        yield jira if request.param == "jira" else sharepoint


def proposals(placet: Placet, person: Person, place: Place) -> list[Proposal]:
    """Three changes of one record, each of a field of its own, ready to be decided on."""
    [record] = place.create([BEFORE[place.system]])
    before = place.read(record)
    found = [
        Proposal(at=place, record=record, wanted={name: _value(name)}, before=before)
        for name in FIELDS[place.system]
    ]
    publish(placet, person, found)
    return found


def _value(name: str) -> Any:
    new = f"answered-{uuid.uuid4().hex[:12]}"
    return {"labels": [new], "Category": "Delivery"}.get(name, new)


def decided(person: Person, ones: Sequence[Proposal]) -> list[str]:
    """Decide on them one after another; returns the decisions' ids."""
    return [person.decide_surely(one.item_id)["decision_id"] for one in ones]


def told(person: Person, one: Proposal, decision: str, cause: str, ahead: int) -> str:
    """What the page says, once the API says that it waits for this and for so many before it."""

    def waits() -> dict[str, Any] | None:
        found = person.http.get(f"/api/decisions/{decision}").json()["waits"]
        return found if found and found["for"] == cause else None

    found = wait_for(f"{one} waits for {cause}", waits, seconds=60)
    assert found["earlier_decisions"] == ahead
    page = person.http.get(f"/review/items/{one.item_id}").text
    progress = re.search(r'<div id="progress".*?</div>', page, re.DOTALL)
    assert progress, "the page says nothing of the write"
    return re.sub(r"<[^>]+>|\s+", " ", progress[0])


def arrived(person: Person, place: Place, ones: Sequence[Proposal], keys: Sequence[str]) -> None:
    """Everything is written, once, in the order in which it was decided."""
    everybody(lambda one: in_state(person, one, "COMPLETED"), ones)
    record = ones[0].record
    edits = [one for one in place.done([record])[record] if one.operation == "edit"]
    written = [set(one.fields) & set(place.fields) for one in edits]
    assert written == [set(one.wanted) for one in ones]
    for edit, decision in zip(edits, keys, strict=True):
        steps = person.http.get(f"/api/decisions/{decision}").json()["write_backs"]
        key = next(step["write_back_id"] for step in steps if step["step"] == "fields")
        assert key in edit.marker
    now = place.read(record)
    for one in ones:
        assert {name: now[name] for name in one.wanted} == one.wanted
    if isinstance(place, Jira):
        comments = place.comments(record)
        assert [decision in text for text, decision in zip(comments, keys, strict=True)] == [
            True
        ] * 3


@contextmanager
def paused(placet: Placet, name: str, reason: str) -> Iterator[None]:
    """As an operator pauses a target; resumed in the end, whatever happens."""
    sre = placet.person("sre")

    def state() -> str:
        found = sre.http.get("/api/targets").json()["targets"]
        return str(next(one["state"] for one in found if one["name"] == name))

    placet.run("targets", "pause", name, "--reason", reason)
    try:
        wait_for(f"{name} paused", lambda: state() == "paused", seconds=15)
        yield
    finally:
        placet.run("targets", "resume", name, "--reason", "it is over")
    wait_for(f"{name} running", lambda: state() != "paused", seconds=15)


@contextmanager
def gone(placet: Placet, name: str) -> Iterator[None]:
    """SIGKILL, and nobody starts it again before the end."""
    watch = Supervision(Home.of(placet.home))
    pid = placet.processes()[name]["pid"]
    os.kill(pid, signal.SIGKILL)
    try:
        # Started again at once, by whoever watches the stack: only then can that be stopped.
        wait_for(
            f"{name} started again",
            lambda: placet.processes()[name]["pid"] not in {None, pid},
        )
        watch.stop_process(name)
        wait_for(f"{name} gone", lambda: placet.processes()[name]["state"] == "stopped")
        yield
    finally:
        watch.start_process(name)
    wait_for(f"{name} back", lambda: placet.processes()[name]["state"] == "running")


def test_what_a_pause_holds_back_is_told_and_arrives_once_in_order(placet, reviewer, place):
    ones = proposals(placet, reviewer, place)
    reason = f"maintenance {uuid.uuid4().hex[:8]}"
    with paused(placet, place.instance, reason):
        keys = decided(reviewer, ones)
        for ahead, (one, key) in enumerate(zip(ones, keys, strict=True)):
            page = told(reviewer, one, key, "TARGET_PAUSED", ahead)
            assert f"{place.instance} is paused" in page
            assert "Written once somebody resumes it." in page
            assert ("earlier decision" in page) == bool(ahead)
        assert place.done([ones[0].record])[ones[0].record] == []
    arrived(reviewer, place, ones, keys)


def test_what_waits_for_a_killed_target_is_told_and_arrives_once_in_order(placet, reviewer, place):
    ones = proposals(placet, reviewer, place)
    with gone(placet, f"sandbox-{place.system}"):
        keys = decided(reviewer, ones)
        for ahead, (one, key) in enumerate(zip(ones, keys, strict=True)):
            page = told(reviewer, one, key, "TARGET_AWAY", ahead)
            assert f"{place.instance} does not answer" in page
            assert "as soon as it answers" in page or "Written once it answers." in page
            assert ("earlier decision" in page) == bool(ahead)
    arrived(reviewer, place, ones, keys)
