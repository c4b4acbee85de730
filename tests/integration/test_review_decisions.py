"""Decisions over HTTP on a real database: who wins, what is refused, what a retry finds."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from msgspec import UNSET
from tests.support.desk import wait_for
from tests.support.review import (
    POLICY,
    Desk,
    Person,
    desk,
    fresh_database,
    records,
    review_item,
)

from contract.codec import decode
from contract.events import Change, ReviewDecision, Target
from contract.statement import from_text
from conveyor.keys import Verifier
from review_api.ingest import Ingest, read
from review_api.policy import parse_policy


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
def reviewer(placet_desk: Desk) -> Person:
    return placet_desk.person()


def test_approval_is_signed_and_held_in_the_outbox(placet_desk: Desk, reviewer: Person) -> None:
    the_item = review_item()
    placet_desk.ingest([the_item])
    answer = reviewer.decide(reviewer.item(the_item.item_id), comment="Yes.")
    assert answer.status_code == 201, answer.text
    decision = answer.json()
    assert decision["state"] == "APPROVED"
    (write_back,) = decision["write_backs"]
    assert write_back["state"] == "WAITING"
    ((payload, key),) = placet_desk.query(
        "SELECT payload, aggregateid FROM review.outbox WHERE type = 'ReviewDecision'"
    )
    event = decode(payload)
    assert isinstance(event, ReviewDecision)
    assert event.target_ordinal == 1
    assert event.decision_id == decision["decision_id"] == event.event_id
    assert key == b"sql/support-faq/q-1"
    statement = from_text(event.statement)
    assert statement.fields[0].seen == '""'
    assert statement.comment == "Yes."
    verifier = Verifier.load(placet_desk.folder / "public")
    (signature,) = event.signatures
    assert verifier.verify(signature.key_id, signature.signature, event.statement.encode())
    assert event.timestamp.isoformat()[:19] == statement.at[:19]
    shown = reviewer.http.get(f"/api/decisions/{decision['decision_id']}").json()
    assert shown["write_backs"][0]["write_back_id"] == write_back["write_back_id"]


def test_an_approval_names_its_grounds_and_a_rejection_has_none(
    placet_desk: Desk, reviewer: Person
) -> None:
    target = Target(system="sql", instance="support-faq", identifier="q-1")
    change = Change(target=target, fields={"answer": '"Delhi."'}, comment="Refund proposed.")
    one, other = review_item(1, change=change), review_item(2)
    placet_desk.ingest([one, other])
    assert reviewer.decide(reviewer.item(one.item_id)).status_code == 201
    assert reviewer.decide(reviewer.item(other.item_id), "REJECT").status_code == 201
    rows = placet_desk.query("SELECT statement FROM review.decision ORDER BY action")
    approved, rejected = (from_text(text) for (text,) in rows)
    assert approved.note == "Refund proposed."
    assert approved.citations == ["kb-1", "https://example.org/delhi"]
    assert (rejected.note, rejected.citations) == (UNSET, UNSET)


def test_of_eight_people_at_once_one_wins_and_seven_are_told_who(placet_desk: Desk) -> None:
    the_item = review_item()
    placet_desk.ingest([the_item])
    names = [f"person{number}" for number in range(8)]
    for name in names:
        placet_desk.account(name, "reviewer")
    people = [placet_desk.person(name) for name in names]
    seen = people[0].item(the_item.item_id)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda person: person.decide(seen), people))
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 7
    for answer in answers:
        if answer.status_code == 409:
            problem = answer.json()
            assert problem["code"] == "ALREADY_DECIDED"
            assert problem["by"].startswith("Person")
            assert problem["action"] == "APPROVE"
            assert problem["at"].endswith("Z")
            assert answer.headers["content-type"] == "application/problem+json"
    assert placet_desk.query("SELECT count(*) FROM review.decision") == [(1,)]


def test_ordinals_of_a_record_are_gapless_whoever_hurries(placet_desk: Desk) -> None:
    items = [review_item(number, identifier="one-record") for number in range(24)]
    placet_desk.ingest(items)
    people = [placet_desk.person(name) for name in ("reviewer", "reviewer2", "approver")]
    seen = [people[0].item(one.item_id) for one in items]

    def decide(number: int) -> int:
        action = "APPROVE" if number % 4 else "REJECT"
        return people[number % 3].decide(seen[number], action).status_code

    with ThreadPoolExecutor(6) as pool:
        assert set(pool.map(decide, range(24))) == {201}
    rows = placet_desk.query(
        "SELECT target_ordinal FROM review.decision WHERE action = 'APPROVE' ORDER BY 1"
    )
    assert [row[0] for row in rows] == list(range(1, 19))
    payloads = placet_desk.query("SELECT payload FROM review.outbox WHERE type = 'ReviewDecision'")
    decoded = [decode(row[0]) for row in payloads]
    assert sorted(e.target_ordinal for e in decoded) == [0] * 6 + list(range(1, 19))


_WAITING = """
SELECT count(*) FROM pg_stat_activity
 WHERE datname = current_database() AND wait_event_type = 'Lock'
"""


def test_what_moved_after_it_was_read_is_looked_at_again(
    placet_desk: Desk, reviewer: Person
) -> None:
    """A revision comes in between the decision's two round trips: nobody has seen that one."""
    the_item = review_item()
    placet_desk.ingest([the_item])
    seen = reviewer.item(the_item.item_id)
    arrivals, _ = read(records([review_item(revision=2)]))
    with psycopg.connect(placet_desk.dsn) as moving, ThreadPoolExecutor(1) as pool:
        with moving.cursor() as cursor:
            Ingest(placet_desk.dsn, parse_policy(POLICY))._write(cursor, arrivals)
        deciding = pool.submit(reviewer.decide, seen)  # reads what was, and waits for the item
        wait_for("the decision waits", lambda: placet_desk.query(_WAITING) != [(0,)], seconds=20)
        moving.commit()
        answer = deciding.result()
    assert answer.status_code == 409, answer.text
    assert answer.json()["code"] == "REVISION_SUPERSEDED"
    assert placet_desk.query("SELECT count(*) FROM review.decision") == [(0,)]


REFUSALS = {
    "no body": ({}, 422, "BAD_BODY"),
    "unknown action": ({"action": "MAYBE"}, 422, "BAD_VALUE"),
    "undo of nothing": ({"action": "UNDO"}, 409, "NOT_POSSIBLE"),
    "reject without reason": ({"action": "REJECT"}, 422, "REASON_REQUIRED"),
    "unknown reason": ({"action": "REJECT", "reason_code": "MOOD"}, 422, "BAD_REASON"),
    "other revision": ({"revision": 2}, 409, "REVISION_SUPERSEDED"),
    "stale digest": ({"seen_digest": "00" * 32}, 409, "SEEN_STALE"),
    "unknown field": ({"fields": {"title": "x"}}, 422, "UNKNOWN_FIELD"),
    "fields with a rejection": (
        {"action": "REJECT", "reason_code": "WRONG", "fields": {"answer": "x"}},
        422,
        "FIELDS_NOT_ALLOWED",
    ),
    "zero byte in a comment": ({"comment": "a\0b"}, 422, "BAD_TEXT"),
    "zero byte in a field": ({"fields": {"answer": "a\0b"}}, 422, "BAD_TEXT"),
    "lone surrogate": ({"comment": "\ud800"}, 422, "BAD_TEXT"),
    "comment too long": ({"comment": "a" * 10_001}, 422, "TEXT_TOO_LONG"),
    "unknown member": ({"approve": True}, 422, "BAD_BODY"),
    "too large": ({"comment": "a" * 1_100_000}, 413, "BODY_TOO_LARGE"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_refusal_says_why_and_changes_nothing(
    placet_desk: Desk, reviewer: Person, case: str
) -> None:
    changed, status, code = REFUSALS[case]
    the_item = review_item()
    placet_desk.ingest([the_item])
    seen = reviewer.item(the_item.item_id)
    body = {"action": "APPROVE", "revision": 1, "seen_digest": seen["seen_digest"]} | changed
    answer = reviewer.http.post(
        f"/api/items/{the_item.item_id}/decisions",
        content=b"{" if case == "no body" else json.dumps(body).encode(),
        headers={"Idempotency-Key": "k", "Content-Type": "application/json"},
    )
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (status, code)
    assert answer.headers["content-type"] == "application/problem+json"
    assert problem["request_id"] == answer.headers["x-request-id"]
    assert problem["detail"]
    assert problem["next"]
    assert placet_desk.query("SELECT count(*) FROM review.decision") == [(0,)]
    assert reviewer.decide(seen, key="k").status_code == 201  # a refusal is not stored


def test_key_rules(placet_desk: Desk, reviewer: Person) -> None:
    items = [review_item(number) for number in range(3)]
    placet_desk.ingest(items)
    seen = [reviewer.item(one.item_id) for one in items]
    url = f"/api/items/{items[0].item_id}/decisions"
    body = {"action": "APPROVE", "revision": 1, "seen_digest": seen[0]["seen_digest"]}
    missing = reviewer.http.post(url, json=body)
    assert (missing.status_code, missing.json()["code"]) == (400, "IDEMPOTENCY_KEY_REQUIRED")
    first = reviewer.decide(seen[0], key="same")
    assert first.status_code == 201
    assert "idempotency-replayed" not in first.headers
    again = reviewer.decide(seen[0], key="same")
    assert again.status_code == 201
    assert again.headers["idempotency-replayed"] == "true"
    assert again.content == first.content
    other_body = reviewer.decide(seen[0], "REJECT", key="same")
    assert (other_body.status_code, other_body.json()["code"]) == (422, "IDEMPOTENCY_KEY_REUSED")
    other_item = reviewer.decide(seen[1], key="same")
    assert (other_item.status_code, other_item.json()["code"]) == (422, "IDEMPOTENCY_KEY_REUSED")
    # Per person: somebody else may use the same key.
    assert placet_desk.person("reviewer2").decide(seen[1], key="same").status_code == 201
    refused = reviewer.decide(seen[2], key="x" * 201)
    assert (refused.status_code, refused.json()["code"]) == (400, "IDEMPOTENCY_KEY_BAD")


def test_retries_at_once_decide_once(placet_desk: Desk, reviewer: Person) -> None:
    the_item = review_item()
    placet_desk.ingest([the_item])
    seen = reviewer.item(the_item.item_id)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: reviewer.decide(seen, key="one"), range(8)))
    assert {a.status_code for a in answers} <= {201, 409}
    assert {a.json()["code"] for a in answers if a.status_code == 409} <= {"IDEMPOTENCY_KEY_IN_USE"}
    assert len({a.content for a in answers if a.status_code == 201}) == 1
    assert placet_desk.query("SELECT count(*) FROM review.decision") == [(1,)]


NUMBERS = ["1.10", "1152921504606846976", "1E400", "-0", "123456789012345678901234567890.5"]


@pytest.mark.parametrize("number", NUMBERS)
def test_numbers_keep_every_digit(placet_desk: Desk, reviewer: Person, number: str) -> None:
    the_item = review_item(fields={"answer": '"a"', "price": number})
    placet_desk.dispatcher.fields["q-1"] = {"answer": '""', "price": number}
    placet_desk.ingest([the_item])
    shown = reviewer.http.get(f"/api/items/{the_item.item_id}")
    assert f'"price":{{"current":{number},"proposed":{number},' in shown.text
    edit = f'{{"answer": "b", "price": [ {number} , 2 ]}}'
    seen = shown.json()["seen_digest"]
    body = f'{{"action":"APPROVE","revision":1,"seen_digest":"{seen}","fields":{edit}}}'
    answer = reviewer.http.post(
        f"/api/items/{the_item.item_id}/decisions",
        content=body,
        headers={"Idempotency-Key": "k"},
    )
    assert answer.status_code == 201, answer.text
    ((text,),) = placet_desk.query("SELECT statement FROM review.decision")
    values = {change.name: change.value for change in from_text(text).fields}
    assert values == {"answer": '"b"', "price": f"[{number},2]"}


def test_unedited_values_stay_byte_for_byte(placet_desk: Desk, reviewer: Person) -> None:
    odd = '{ "b" : 1.0, "a":"\\u00e9 \\/" }'
    the_item = review_item(fields={"answer": odd})
    placet_desk.ingest([the_item])
    seen = reviewer.item(the_item.item_id)
    same = seen["change"]["fields"]["answer"]["proposed"]
    assert reviewer.decide(seen, fields={"answer": same}).status_code == 201
    ((text,),) = placet_desk.query("SELECT statement FROM review.decision")
    assert from_text(text).fields[0].value == odd


def test_baseline_that_moved_blocks_and_a_new_look_helps(
    placet_desk: Desk, reviewer: Person
) -> None:
    the_item = review_item()
    placet_desk.ingest([the_item])
    seen = reviewer.item(the_item.item_id)
    placet_desk.dispatcher.fields["q-1"] = {"answer": '"Mumbai"'}
    assert reviewer.item(the_item.item_id)["seen_digest"] == seen["seen_digest"]  # cached 30 s
    placet_desk.query("UPDATE review.baseline SET expires_at = now() RETURNING 1")
    moved = placet_desk.person("reviewer2").item(the_item.item_id)
    assert moved["change"]["fields"]["answer"]["current"] == "Mumbai"
    stale = reviewer.decide(seen)
    assert (stale.status_code, stale.json()["code"]) == (409, "SEEN_STALE")
    assert reviewer.decide(moved).status_code == 201


def test_target_that_is_away(placet_desk: Desk, reviewer: Person) -> None:
    items = [review_item(1), review_item(2)]
    placet_desk.ingest(items)
    known = reviewer.item(items[0].item_id)
    assert known["baseline"]["stale"] is False
    placet_desk.query("UPDATE review.baseline SET expires_at = now() RETURNING 1")
    placet_desk.dispatcher.away = True
    again = reviewer.item(items[0].item_id)
    assert again["baseline"]["stale"] is True
    assert again["seen_digest"] == known["seen_digest"]
    assert reviewer.decide(again).status_code == 201
    never = reviewer.item(items[1].item_id)
    assert never["baseline"] == {"read_at": None, "version": None, "stale": True, "missing": False}
    refused = reviewer.decide(never)
    assert (refused.status_code, refused.json()["code"]) == (503, "BASELINE_UNKNOWN")
    assert reviewer.decide(never, "REJECT").status_code == 201


def test_record_that_is_not_there_cannot_be_approved(placet_desk: Desk, reviewer: Person) -> None:
    placet_desk.dispatcher.missing.add("q-1")
    the_item = review_item()
    placet_desk.ingest([the_item])
    seen = reviewer.item(the_item.item_id)
    assert seen["baseline"]["missing"] is True
    refused = reviewer.decide(seen)
    assert (refused.status_code, refused.json()["code"]) == (409, "RECORD_NOT_FOUND")
    assert reviewer.decide(seen, "REJECT").status_code == 201


@pytest.mark.parametrize("action", ["REJECT", "NEED_INFO"])
def test_saying_no_writes_nothing_and_tells_the_pipeline(
    placet_desk: Desk, reviewer: Person, action: str
) -> None:
    the_item = review_item()
    placet_desk.ingest([the_item])
    answer = reviewer.decide(reviewer.item(the_item.item_id), action, reason_code="INCOMPLETE")
    assert answer.status_code == 201
    assert answer.json()["write_backs"] == []
    ((payload,),) = placet_desk.query("SELECT payload FROM review.outbox WHERE type = 'Outcome'")
    told = json.loads(payload)
    assert told["state"] == {"REJECT": "REJECTED", "NEED_INFO": "NEEDS_INFO"}[action]
    assert told["reason_code"] == "INCOMPLETE"
    assert told["external_id"] == "q-1"
    assert placet_desk.query("SELECT count(*) FROM review.target_order") == [(0,)]
    late = placet_desk.person("reviewer2").decide(reviewer.item(the_item.item_id))
    assert (late.status_code, late.json()["action"]) == (409, action)


@pytest.mark.parametrize("bad", ["nonsense", "00000000-0000-0000-0000-00000000000", "%00"])
def test_ids_that_are_none_are_not_found(reviewer: Person, bad: str) -> None:
    for url in (f"/api/items/{bad}", f"/api/decisions/{bad}"):
        answer = reviewer.http.get(url)
        assert (answer.status_code, answer.json()["code"]) == (404, "NOT_FOUND")
    unknown = reviewer.http.get("/api/items/00000000-0000-0000-0000-000000000000")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "NOT_FOUND")
    assert reviewer.http.put("/api/items").status_code == 405
