"""Undoing what is critical takes two people: every way in which one could do it alone is tried."""

import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from tests.support.review import DIGESTER, Desk, Person, desk, fresh_database, review_item

from contract.codec import decode
from contract.events import (
    Action,
    ReviewActivity,
    ReviewDecision,
    Risk,
    Target,
    WriteBack,
    WriteBackState,
)
from contract.identity import write_back_event_id
from contract.statement import from_text
from conveyor.keys import Verifier
from dispatcher.plan import Plan, check, plan


@pytest.fixture(scope="module")
def running(postgres_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with (
        fresh_database(postgres_server) as dsn,
        desk(dsn, tmp_path_factory.mktemp("desk")) as made,
    ):
        made.account("approver2", "approver")
        yield made


@pytest.fixture
def placet_desk(running: Desk) -> Desk:
    return running.empty()


@pytest.fixture
def written(placet_desk: Desk) -> str:
    """A critical change that two people approved and that is written."""
    item = review_item(risk=Risk(score=0.95))
    placet_desk.ingest([item])
    for username in ("reviewer", "approver2"):
        person = placet_desk.person(username)
        answer = person.decide(person.item(item.item_id))
        assert answer.status_code == 201, answer.text
    _applied(placet_desk, answer.json())
    return item.item_id


def _applied(placet_desk: Desk, decision: dict[str, Any]) -> None:
    (write_back,) = decision["write_backs"]
    event = WriteBack(
        event_id=write_back_event_id(write_back["write_back_id"], 1),
        correlation_id="req",
        timestamp=datetime.now(UTC),
        item_id=decision["item_id"],
        revision=1,
        decision_id=decision["decision_id"],
        write_back_id=write_back["write_back_id"],
        target=Target(**write_back["target"]),
        step="fields",
        state=WriteBackState.APPLIED,
        transition=1,
        attempts=1,
        target_ordinal=1,
        content_digest=b"applied",
    )
    assert placet_desk.outcomes([event]) == []


def _undo(person: Person, item: str, **more: Any) -> httpx.Response:
    return person.decide(person.item(item), "UNDO", **more)


def _first(placet_desk: Desk, item: str, username: str = "approver") -> dict[str, Any]:
    answer = _undo(placet_desk.person(username), item)
    assert answer.status_code == 201, answer.text
    told: dict[str, Any] = answer.json()
    assert (told["decision_id"], told["state"], told["write_backs"]) == (None, "SECOND_UNDO", [])
    return told


def _undos(placet_desk: Desk) -> list[ReviewDecision]:
    rows = placet_desk.query("SELECT payload FROM review.outbox WHERE type = 'ReviewDecision'")
    found = [decode(row[0]) for row in rows]
    return [e for e in found if isinstance(e, ReviewDecision) and e.action is Action.UNDO]


def test_the_second_makes_it_the_undo_of_both(placet_desk: Desk, written: str) -> None:
    _first(placet_desk, written)
    assert _undos(placet_desk) == []
    approver2 = placet_desk.person("approver2")
    shown = approver2.item(written)
    assert (shown["state"], shown["first_approval"]["by"]) == ("SECOND_UNDO", "Approver")
    answer = _undo(approver2, written)
    assert (answer.status_code, answer.json()["state"]) == (201, "UNDOING")
    (undo,) = _undos(placet_desk)
    statement = from_text(undo.statement)
    assert [one.name for one in statement.approvers] == ["Approver", "Approver2"]
    assert all(one.proved_by == "password" for one in statement.approvers)
    (field,) = statement.fields
    assert (field.value, field.seen) == ('""', '"Delhi is the capital of India. It has 99 gates."')
    rows = placet_desk.query("SELECT payload FROM review.outbox WHERE type = 'ReviewActivity'")
    events = [decode(row[0]) for row in rows]
    firsts = [
        e
        for e in events
        if isinstance(e, ReviewActivity) and e.activity == "FIRST_APPROVAL" and e.detail
    ]
    assert [e.detail for e in firsts] == [{"action": "UNDO"}]
    assert from_text(firsts[0].statement or "").approvers[0] == statement.approvers[0]
    _applied(placet_desk, answer.json())
    assert approver2.item(written)["state"] == "UNDONE"


def test_the_dispatcher_takes_it(placet_desk: Desk, written: str) -> None:
    _first(placet_desk, written)
    assert _undo(placet_desk.person("approver2"), written).status_code == 201
    (undo,) = _undos(placet_desk)
    ((key,),) = placet_desk.query(
        "SELECT aggregateid FROM review.outbox WHERE id = %s", undo.decision_id
    )
    verifier = Verifier.load(placet_desk.folder / "public")
    statement = check(undo, bytes(key), verify=verifier.verify, digest=DIGESTER.of_bytes)
    assert not hasattr(statement, "reason"), statement
    planned = plan(undo, statement, system="sql", names=lambda _: True)  # type: ignore[arg-type]
    assert isinstance(planned, Plan)
    assert planned.ordinal == 2


# One person alone


def _same_tab(placet_desk: Desk, item: str) -> httpx.Response:
    return _undo(placet_desk.person("approver"), item)


def _tab_of_before(placet_desk: Desk, item: str) -> httpx.Response:
    """A page that was open since before; what it shows is another state by now."""
    person = placet_desk.person("approver")
    seen = person.item(item) | {"seen_digest": _tab_of_before.seen}  # type: ignore[attr-defined]
    return person.decide(seen, "UNDO")


def _form(placet_desk: Desk, item: str) -> httpx.Response:
    person = placet_desk.person("approver")
    data = {
        "csrf": person.csrf,
        "key": uuid.uuid4().hex,
        "action": "UNDO",
        "revision": "1",
        "seen_digest": person.item(item)["seen_digest"],
        "password": person.password,
    }
    return person.http.post(f"/review/items/{item}/decision", data=data)


def _other_account(placet_desk: Desk, item: str) -> httpx.Response:
    placet_desk.account("undo-twin", "approver", person="undo-twins")
    return _undo(placet_desk.person("undo-twin"), item)


def _role_of_today(placet_desk: Desk, item: str) -> httpx.Response:
    """An approver who is reviewer and approver by now; the person is the same."""
    placet_desk.account("undo-climber", "approver", "reviewer")
    return _undo(placet_desk.person("undo-climber"), item)


def _new_session(placet_desk: Desk, item: str) -> httpx.Response:
    person = Person(placet_desk.url, "approver", "approver-secret")
    try:
        return _undo(person, item)
    finally:
        person.http.close()


def _target_moved(placet_desk: Desk, item: str) -> httpx.Response:
    placet_desk.dispatcher.fields["q-1"] = {"answer": '"moved"'}
    placet_desk.query("UPDATE review.baseline SET expires_at = now() RETURNING 1")
    return _undo(placet_desk.person("approver"), item)


ALONE: dict[str, tuple[str, tuple[str, ...], str | None, Callable[[Desk, str], httpx.Response]]] = {
    "the same tab": ("approver", ("approver",), None, _same_tab),
    "another session": ("approver", ("approver",), None, _new_session),
    "the form without scripts": ("approver", ("approver",), None, _form),
    "another account of one person": ("undo-1", ("approver",), "undo-twins", _other_account),
    "another role in between": ("undo-climber", ("approver",), None, _role_of_today),
    "a target that moved": ("approver", ("approver",), None, _target_moved),
}


@pytest.mark.parametrize("way", ALONE)
def test_nobody_undoes_alone(placet_desk: Desk, written: str, way: str) -> None:
    username, roles, person, again = ALONE[way]
    if username != "approver":
        placet_desk.account(username, *roles, person=person)
    _first(placet_desk, written, username)
    answer = again(placet_desk, written)
    assert answer.status_code == 403, answer.text
    assert "SECOND_APPROVAL_REQUIRED" in answer.text
    _still_written(placet_desk)


def _still_written(placet_desk: Desk) -> None:
    assert _undos(placet_desk) == []
    assert placet_desk.query("SELECT state FROM review.item") == [("SECOND_UNDO",)]
    assert placet_desk.query("SELECT count(*) FROM review.approval WHERE action = 'UNDO'") == [(1,)]


def test_a_page_of_before_the_first_decides_nothing(placet_desk: Desk, written: str) -> None:
    _tab_of_before.seen = placet_desk.person("approver").item(  # type: ignore[attr-defined]
        written
    )["seen_digest"]
    _first(placet_desk, written)
    answer = _tab_of_before(placet_desk, written)
    assert (answer.status_code, answer.json()["code"]) == (409, "SEEN_STALE")
    _still_written(placet_desk)


def test_one_person_in_eight_tabs_at_once(placet_desk: Desk, written: str) -> None:
    person = placet_desk.person("approver")
    seen = person.item(written)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: person.decide(seen, "UNDO"), range(8)))
    codes = sorted(answer.status_code for answer in answers)
    assert codes[0] == 201
    assert set(codes[1:]) <= {403, 409}
    _still_written(placet_desk)


def test_many_cannot_be_undone_at_once(placet_desk: Desk, written: str) -> None:
    _first(placet_desk, written)
    body = {
        "action": "UNDO",
        "reason_code": "WRONG",
        "items": [{"item_id": written, "revision": 1}],
    }
    answer = placet_desk.person("approver2").http.post(
        "/api/decisions/bulk", json=body, headers={"Idempotency-Key": "bulk"}
    )
    assert (answer.status_code, answer.json()["code"]) == (422, "BAD_VALUE")
    _still_written(placet_desk)


@pytest.mark.parametrize("action", ["APPROVE", "REJECT", "NEED_INFO"])
def test_nothing_else_comes_between(placet_desk: Desk, written: str, action: str) -> None:
    _first(placet_desk, written)
    person = placet_desk.person("approver2")
    answer = person.decide(person.item(written), action)
    assert (answer.status_code, answer.json()["code"]) == (409, "ALREADY_DECIDED")
    _still_written(placet_desk)


@pytest.mark.parametrize("after", [False, True])
def test_a_reviewer_gives_neither_of_the_two(
    placet_desk: Desk, written: str, *, after: bool
) -> None:
    if after:
        _first(placet_desk, written)
    answer = _undo(placet_desk.person("reviewer2"), written)
    assert (answer.status_code, answer.json()["code"]) == (403, "WRONG_ROLE")
    assert _undos(placet_desk) == []


def test_each_of_them_proves_who_they_are(placet_desk: Desk, written: str) -> None:
    fresh = Person(placet_desk.url, "approver", "approver-secret")
    seen = fresh.item(written)
    body = {"action": "UNDO", "revision": 1, "seen_digest": seen["seen_digest"]}
    answer = fresh.http.post(
        f"/api/items/{written}/decisions", json=body, headers={"Idempotency-Key": "p"}
    )
    assert (answer.status_code, answer.json()["code"]) == (403, "PASSWORD_NEEDED")
    fresh.http.close()


def test_the_request_again_is_the_same_answer(placet_desk: Desk, written: str) -> None:
    approver = placet_desk.person("approver")
    seen = approver.item(written)
    first = approver.decide(seen, "UNDO", key="again")
    again = approver.decide(seen, "UNDO", key="again")
    assert again.json() == first.json()
    assert again.headers["idempotency-replayed"] == "true"
    _still_written(placet_desk)


def test_the_second_does_not_read_what_the_first_wrote(placet_desk: Desk, written: str) -> None:
    approver = placet_desk.person("approver")
    answer = _undo(approver, written, comment="customer complained")
    assert answer.status_code == 201
    approver2 = placet_desk.person("approver2")
    assert "customer complained" not in str(approver2.item(written))
    page = approver2.http.get(f"/review/items/{written}").text
    assert "customer complained" not in page
    assert "Approver has asked to undo it" in page
    assert "Undo second" in page
    assert "What would be put back" in page
    own = approver.http.get(f"/review/items/{written}").text
    assert "You have asked to undo it" in own
    assert 'value="UNDO"' not in own
    assert _undo(approver2, written).status_code == 201
    assert "customer complained" in str(approver2.item(written))


def test_it_waits_under_needs_my_second_for_the_others(placet_desk: Desk, written: str) -> None:
    assert "Undo first" in placet_desk.person("approver").http.get(f"/review/items/{written}").text
    _first(placet_desk, written)
    assert written in placet_desk.person("approver2").http.get("/review?tab=second").text
    own = placet_desk.person("approver").http.get("/review?tab=second").text
    assert written not in own[own.index("<aside") : own.index("</aside>")]


def test_an_ordinary_change_takes_one_person_as_before(placet_desk: Desk) -> None:
    item = review_item("plain")
    placet_desk.ingest([item])
    reviewer = placet_desk.person()
    _applied(placet_desk, reviewer.decide(reviewer.item(item.item_id)).json())
    answer = _undo(placet_desk.person("approver"), item.item_id)
    assert (answer.status_code, answer.json()["state"]) == (201, "UNDOING")


@pytest.mark.parametrize("username", ["approver", "approver2"])
def test_either_of_them_may_leave_it_as_it_is(
    placet_desk: Desk, written: str, username: str
) -> None:
    _first(placet_desk, written)
    person = placet_desk.person(username)
    path = f"/api/items/{written}/keep"
    refused = placet_desk.person("reviewer").http.post(path)
    assert (refused.status_code, refused.json()["code"]) == (403, "WRONG_ROLE")
    assert person.http.post(path).status_code == 204
    shown = person.item(written)
    assert (shown["state"], shown["first_approval"]) == ("COMPLETED", None)
    again = person.http.post(path)
    assert (again.status_code, again.json()["code"]) == (409, "NOT_POSSIBLE")
    assert _undos(placet_desk) == []
    rows = placet_desk.query("SELECT payload FROM review.outbox WHERE type = 'ReviewActivity'")
    events = [decode(row[0]) for row in rows]
    declined = [e for e in events if isinstance(e, ReviewActivity) and "DECLINED" in e.activity]
    assert [e.activity for e in declined] == ["UNDO_DECLINED"]
    _first(placet_desk, written)  # asked again, it begins with the first


def test_the_page_offers_to_leave_it(placet_desk: Desk, written: str) -> None:
    _first(placet_desk, written)
    approver2 = placet_desk.person("approver2")
    assert "Leave it as it is" in approver2.http.get(f"/review/items/{written}").text
    sent = {"csrf": approver2.csrf}
    answer = approver2.http.post(f"/review/items/{written}/keep", data=sent)
    assert answer.status_code == 303
    assert placet_desk.query("SELECT state FROM review.item") == [("COMPLETED",)]
