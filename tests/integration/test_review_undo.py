"""Undo at the desk: who may, what is signed, what becomes of the item."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.support.review import Desk, Person, desk, fresh_database, review_item

from contract.codec import decode
from contract.events import Action, ReviewDecision, Target, WriteBack, WriteBackState
from contract.identity import write_back_event_id
from contract.statement import from_text

W = WriteBackState


@pytest.fixture(scope="module")
def running(postgres_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with (
        fresh_database(postgres_server) as dsn,
        desk(dsn, tmp_path_factory.mktemp("desk")) as made,
    ):
        yield made


@pytest.fixture
def placet_desk(running: Desk) -> Desk:
    return running.empty()


@pytest.fixture
def approver(placet_desk: Desk) -> Person:
    return placet_desk.person("approver")


def end(
    placet_desk: Desk, decision: dict[str, Any], state: WriteBackState, *, transition: int = 1
) -> None:
    """The dispatcher tells how a decision's write ended."""
    (write_back,) = decision["write_backs"]
    event = WriteBack(
        event_id=write_back_event_id(write_back["write_back_id"], transition),
        correlation_id="req",
        timestamp=datetime.now(UTC),
        item_id=decision["item_id"],
        revision=1,
        decision_id=decision["decision_id"],
        write_back_id=write_back["write_back_id"],
        target=Target(**write_back["target"]),
        step="fields",
        state=state,
        transition=transition,
        attempts=1,
        target_ordinal=1,
        content_digest=state.encode(),
    )
    assert placet_desk.outcomes([event]) == []


def completed(placet_desk: Desk) -> dict[str, Any]:
    item = review_item()
    placet_desk.ingest([item])
    reviewer = placet_desk.person()
    decision: dict[str, Any] = reviewer.decide(reviewer.item(item.item_id)).json()
    end(placet_desk, decision, W.APPLIED)
    return decision


def statements(placet_desk: Desk) -> list[ReviewDecision]:
    rows = placet_desk.query(
        "SELECT payload FROM review.outbox WHERE type = 'ReviewDecision' ORDER BY seq"
    )
    found = [decode(row[0]) for row in rows]
    return [one for one in found if isinstance(one, ReviewDecision)]


def test_an_undo_is_signed_with_the_values_turned_round(
    placet_desk: Desk, approver: Person
) -> None:
    decision = completed(placet_desk)
    answer = approver.decide(approver.item(decision["item_id"]), "UNDO")
    assert answer.status_code == 201, answer.text
    assert answer.json()["state"] == "UNDOING"
    first, second = statements(placet_desk)
    done, undone = from_text(first.statement), from_text(second.statement)
    assert (undone.action, undone.undoes) == (Action.UNDO, decision["decision_id"])
    assert [(one.name, one.value, one.seen) for one in undone.fields] == [
        (one.name, one.seen, one.value) for one in done.fields
    ]
    assert second.target_ordinal == 2
    assert undone.steps[0].write_back_id != done.steps[0].write_back_id


@pytest.mark.parametrize(
    ("state", "after"),
    [(W.APPLIED, "UNDONE"), (W.CONFLICT, "CONFLICT"), (W.STUCK, "UNDOING"), (W.REFUSED, "FAILED")],
)
def test_what_becomes_of_an_undo(
    placet_desk: Desk, approver: Person, state: WriteBackState, after: str
) -> None:
    decision = completed(placet_desk)
    undo = approver.decide(approver.item(decision["item_id"]), "UNDO").json()
    end(placet_desk, undo, state)
    assert approver.item(decision["item_id"])["state"] == after


def test_a_stuck_undo_that_goes_on_ends_as_an_undo(placet_desk: Desk, approver: Person) -> None:
    decision = completed(placet_desk)
    undo = approver.decide(approver.item(decision["item_id"]), "UNDO").json()
    end(placet_desk, undo, W.STUCK)
    end(placet_desk, undo, W.APPLIED, transition=2)
    assert approver.item(decision["item_id"])["state"] == "UNDONE"


def test_a_reviewer_may_not_undo(placet_desk: Desk) -> None:
    decision = completed(placet_desk)
    reviewer = placet_desk.person()
    answer = reviewer.decide(reviewer.item(decision["item_id"]), "UNDO")
    assert (answer.status_code, answer.json()["code"]) == (403, "WRONG_ROLE")
    assert len(statements(placet_desk)) == 1


def test_undoing_twice_is_one_undo(placet_desk: Desk, approver: Person) -> None:
    decision = completed(placet_desk)
    seen = approver.item(decision["item_id"])
    first = approver.decide(seen, "UNDO", key="once")
    again = approver.decide(seen, "UNDO", key="once")
    assert again.json() == first.json()
    other = approver.decide(seen, "UNDO", key="other")
    assert (other.status_code, other.json()["code"]) == (409, "ALREADY_DECIDED")
    assert len(statements(placet_desk)) == 2


def test_an_undo_takes_no_fields(placet_desk: Desk, approver: Person) -> None:
    decision = completed(placet_desk)
    seen = approver.item(decision["item_id"])
    answer = approver.decide(seen, "UNDO", fields={"answer": "mine"})
    assert (answer.status_code, answer.json()["code"]) == (422, "FIELDS_NOT_ALLOWED")


def test_the_page_offers_it_to_approvers_alone(placet_desk: Desk, approver: Person) -> None:
    item_id = completed(placet_desk)["item_id"]
    page = {"Accept": "text/html"}
    there = approver.http.get(f"/review/items/{item_id}", headers=page).text
    assert 'value="UNDO"' in there
    reviewer = placet_desk.person()
    assert 'value="UNDO"' not in reviewer.http.get(f"/review/items/{item_id}", headers=page).text
