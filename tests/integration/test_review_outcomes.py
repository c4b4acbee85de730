"""What becomes of decisions: write-backs in any order, takes back, and what pipelines are told."""

import json
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from itertools import permutations
from typing import Any

import pytest
from tests.support.review import Desk, desk, fresh_database, records, review_item

from contract.codec import decode
from contract.events import ReviewDecision, Target, WriteBack, WriteBackState
from contract.identity import write_back_event_id
from contract.reasons import Reason
from contract.statement import from_text
from conveyor.errors import UnavailableError
from review_api.outcomes import Outcomes

W = WriteBackState


@pytest.fixture(scope="module")
def running(postgres_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with (
        fresh_database(postgres_server) as dsn,
        desk(dsn, tmp_path_factory.mktemp("desk"), hold=30) as made,
    ):
        yield made


@pytest.fixture
def placet_desk(running: Desk) -> Desk:
    return running.empty()


def _approve(placet_desk: Desk, number: int = 1) -> dict[str, Any]:
    the_item = review_item(number)
    placet_desk.ingest([the_item])
    reviewer = placet_desk.person()
    answer = reviewer.decide(reviewer.item(the_item.item_id))
    assert answer.status_code == 201, answer.text
    return answer.json()


def _event(
    decision: dict[str, Any], state: WriteBackState, transition: int, **changes: Any
) -> WriteBack:
    (write_back,) = decision["write_backs"]
    values: dict[str, Any] = {
        "correlation_id": "req",
        "timestamp": datetime.now(UTC),
        "item_id": decision["item_id"],
        "revision": 1,
        "decision_id": decision["decision_id"],
        "write_back_id": write_back["write_back_id"],
        "target": Target(**write_back["target"]),
        "step": "fields",
        "state": state,
        "transition": transition,
        "attempts": 1,
        "target_ordinal": 1,
        "content_digest": f"{state}{transition}".encode(),
    }
    values |= changes
    return WriteBack(
        event_id=write_back_event_id(write_back["write_back_id"], transition), **values
    )


def _state(placet_desk: Desk) -> str:
    ((state,),) = placet_desk.query("SELECT state FROM review.item")
    return state


def _told(placet_desk: Desk) -> list[dict[str, Any]]:
    rows = placet_desk.query("SELECT payload FROM review.outbox WHERE type = 'Outcome'")
    return [json.loads(row[0]) for row in rows]


ENDS = {
    W.APPLIED: ("COMPLETED", ["COMPLETED"]),
    W.CONFLICT: ("CONFLICT", []),
    W.REFUSED: ("FAILED", ["FAILED"]),
    W.ABANDONED: ("FAILED", ["FAILED"]),
    W.STUCK: ("STUCK", []),
    W.RETRYING: ("WRITING", []),
    W.UNKNOWN: ("WRITING", []),
    W.SENDING: ("WRITING", []),
    W.WAITING: ("WRITING", []),
}


@pytest.mark.parametrize("end", ENDS)
def test_write_back_moves_its_item(placet_desk: Desk, end: WriteBackState) -> None:
    decision = _approve(placet_desk)
    assert placet_desk.outcomes([_event(decision, end, 1, reason="because")]) == []
    state, told = ENDS[end]
    assert _state(placet_desk) == state
    assert [one["state"] for one in _told(placet_desk)] == told
    shown = placet_desk.person().http.get(f"/api/decisions/{decision['decision_id']}").json()
    assert shown["write_backs"][0]["state"] == end
    assert shown["state"] == state


def test_an_overwritten_edit_is_shown_for_a_person_to_bring_back(placet_desk: Desk) -> None:
    decision = _approve(placet_desk)
    overwrote = {"answer": '"what they wrote"'}
    stuck = _event(
        decision, W.STUCK, 1, reason_code="OVERWROTE_EDIT", reason="over an edit",
        conflicting=["answer"], overwrote=overwrote,
    )  # fmt: skip
    assert placet_desk.outcomes([stuck]) == []
    reader = placet_desk.person()
    shown = reader.http.get(f"/api/decisions/{decision['decision_id']}").json()["write_backs"][0]
    assert shown["reason_code"] == "OVERWROTE_EDIT"
    assert shown["reason"] == 'over an edit (answer was "what they wrote")'
    page = reader.http.get(f"/review/items/{decision['item_id']}").text
    assert "OVERWROTE_EDIT" in page
    assert "what they wrote" in page


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_any_order_and_any_number_of_deliveries_end_the_same(
    placet_desk: Desk, order: tuple[int, ...]
) -> None:
    decision = _approve(placet_desk)
    events = [
        _event(decision, W.SENDING, 1),
        _event(decision, W.STUCK, 2),
        _event(decision, W.APPLIED, 3, target_version="2"),
    ]
    for index in (*order, *order):
        placet_desk.outcomes([events[index], events[index]])
    assert _state(placet_desk) == "COMPLETED"
    assert [one["state"] for one in _told(placet_desk)] == ["COMPLETED"]
    assert placet_desk.query("SELECT count(*) FROM review.write_back_event") == [(3,)]
    ((state, version),) = placet_desk.query("SELECT state, target_version FROM review.write_back")
    assert (state, version) == ("APPLIED", "2")


def test_transition_with_other_content_is_a_dead_letter(placet_desk: Desk) -> None:
    decision = _approve(placet_desk)
    placet_desk.outcomes([_event(decision, W.SENDING, 1)])
    (parked,) = placet_desk.outcomes([_event(decision, W.APPLIED, 1)])
    assert parked.reason is Reason.KEY_REUSED
    assert _state(placet_desk) == "WRITING"


def test_what_breaks_off_leaves_nothing_and_is_done_whole_the_next_time(
    placet_desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    decision = _approve(placet_desk)
    applied = _event(decision, W.APPLIED, 1)

    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("conveyor.outbox.insert", crash)  # the last write of the batch
        with pytest.raises(KeyboardInterrupt):
            placet_desk.outcomes([applied])
    assert placet_desk.query("SELECT count(*) FROM review.write_back_event") == [(0,)]
    assert _state(placet_desk) == "APPROVED"
    assert placet_desk.outcomes([applied]) == []
    assert _state(placet_desk) == "COMPLETED"
    assert [one["state"] for one in _told(placet_desk)] == ["COMPLETED"]


def test_while_the_database_is_away_nothing_counts_as_handled(placet_desk: Desk) -> None:
    applied = _event(_approve(placet_desk), W.APPLIED, 1)
    with (
        closing(Outcomes("postgresql://nobody@127.0.0.1:1/none")) as away,
        pytest.raises(UnavailableError),
    ):
        away.handle(records([applied], "placet.write-backs"))


def test_write_back_of_nobody_is_a_dead_letter(placet_desk: Desk) -> None:
    decision = _approve(placet_desk)
    (write_back,) = decision["write_backs"]
    foreign = decision | {
        "write_backs": [write_back | {"write_back_id": "00000000-0000-5000-8000-000000000000"}]
    }
    (parked, garbage) = placet_desk.outcomes([b"garbage", _event(foreign, W.APPLIED, 1)])
    assert {parked.reason, garbage.reason} == {Reason.UNREADABLE, Reason.BAD_VALUE}
    assert _state(placet_desk) == "APPROVED"


def test_conflict_can_be_decided_again_and_the_old_write_back_is_heard_no_more(
    placet_desk: Desk,
) -> None:
    first = _approve(placet_desk)
    placet_desk.outcomes([_event(first, W.CONFLICT, 1, conflicting=["answer"])])
    assert _state(placet_desk) == "CONFLICT"
    placet_desk.dispatcher.fields["q-1"] = {"answer": '"Mumbai"'}
    reviewer = placet_desk.person("reviewer2")
    seen = reviewer.item(first["item_id"])  # asked again: a write-back makes the baseline old
    assert seen["change"]["fields"]["answer"]["current"] == "Mumbai"
    second = reviewer.decide(seen)
    assert second.status_code == 201
    assert second.json()["decision_id"] != first["decision_id"]
    placet_desk.outcomes([_event(first, W.STUCK, 2)])
    assert _state(placet_desk) == "APPROVED"
    placet_desk.outcomes([_event(second.json(), W.APPLIED, 1)])
    assert _state(placet_desk) == "COMPLETED"
    ordinals = placet_desk.query("SELECT target_ordinal FROM review.decision ORDER BY ordinal")
    assert ordinals == [(1,), (2,)]


@pytest.mark.parametrize("action", ["APPROVE", "REJECT", "NEED_INFO"])
def test_taking_back_within_the_hold_leaves_no_trace_but_the_trail(
    placet_desk: Desk, action: str
) -> None:
    the_item = review_item(1)
    placet_desk.ingest([the_item])
    reviewer = placet_desk.person()
    decision = reviewer.decide(reviewer.item(the_item.item_id), action).json()
    url = f"/api/decisions/{decision['decision_id']}/take-back"
    stranger = placet_desk.person("reviewer2").http.post(url)
    assert (stranger.status_code, stranger.json()["code"]) == (403, "NOT_YOURS")
    answer = reviewer.http.post(url)
    assert answer.status_code == 200, answer.text
    again = reviewer.http.post(url)
    assert again.status_code == 200
    assert again.json()["decision_id"] == answer.json()["decision_id"]
    assert _state(placet_desk) == "PENDING"
    ((payload,),) = placet_desk.query("SELECT payload FROM review.outbox")  # and no Outcome
    event = decode(payload)
    assert isinstance(event, ReviewDecision)
    assert event.action == "TAKE_BACK"
    assert event.target_ordinal == (1 if action == "APPROVE" else 0)
    assert from_text(event.statement).undoes == decision["decision_id"]
    states = placet_desk.query("SELECT state FROM review.write_back")
    assert states == ([("CANCELLED",)] if action == "APPROVE" else [])
    second = reviewer.decide(reviewer.item(the_item.item_id))
    assert second.status_code == 201
    ((ordinal,),) = placet_desk.query(
        "SELECT target_ordinal FROM review.decision WHERE decision_id = %s",
        second.json()["decision_id"],
    )
    assert ordinal == (2 if action == "APPROVE" else 1)


def test_too_late_is_too_late(placet_desk: Desk) -> None:
    decision = _approve(placet_desk)
    url = f"/api/decisions/{decision['decision_id']}/take-back"
    # The relay has it: gone from the outbox, whatever the clock says.
    placet_desk.query("DELETE FROM review.outbox RETURNING 1")
    answer = placet_desk.person().http.post(url)
    assert (answer.status_code, answer.json()["code"]) == (409, "HOLD_OVER")
    assert _state(placet_desk) == "APPROVED"
    placet_desk.query("UPDATE review.decision SET not_before = now() RETURNING 1")
    answer = placet_desk.person().http.post(url)
    assert (answer.status_code, answer.json()["code"]) == (409, "HOLD_OVER")
    unknown = placet_desk.person().http.post(
        "/api/decisions/00000000-0000-5000-8000-000000000000/take-back"
    )
    assert unknown.status_code == 404
