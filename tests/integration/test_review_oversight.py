"""Oversight that is real: evidence opened, control items that nobody can tell, and conduct."""

import re
import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from tests.support.review import Desk, Person, desk, fresh_database, records, review_item

from contract.codec import decode
from contract.events import Control, ReviewActivity, ReviewItem, Risk
from contract.statement import from_text
from review_api.ingest import Ingest
from review_api.policy import parse_policy

POLICY = """
[[rule]]
when = { risk_at_least = 0.9 }
lane = "critical"
[oversight]
evidence_at_risk = 0.6
control_rate = %s
least_decisions = 3
"""


@pytest.fixture(scope="module")
def running(postgres_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with (
        fresh_database(postgres_server) as dsn,
        desk(dsn, tmp_path_factory.mktemp("desk")) as made,
    ):
        save(made, 1)
        yield made


def save(made: Desk, rate: float) -> None:
    admin = made.person("admin")
    base = admin.http.get("/api/policy").json()["ordinal"] or 0
    body = {"text": POLICY % rate, "base": base, "reason": "oversight"}
    answer = admin.http.post("/api/policy", json=body)
    assert answer.status_code in {200, 201}, answer.text


@pytest.fixture
def placet_desk(running: Desk) -> Desk:
    return running.empty()


@pytest.fixture
def reviewer(placet_desk: Desk) -> Person:
    return placet_desk.person()


def _ingest(placet_desk: Desk, items: list[ReviewItem], rate: float = 0) -> None:
    ingest = Ingest(placet_desk.dsn, parse_policy(POLICY % rate))
    assert ingest.handle(records(items)) == []
    ingest.close()


def _risky(placet_desk: Desk, number: int | str = 1, **changes: Any) -> str:
    item = review_item(number, risk=Risk(score=0.7), **changes)
    placet_desk.ingest([item])
    return item.item_id


def _send(person: Person, item: str, action: str = "APPROVE", **body: Any) -> httpx.Response:
    """One request as it stands, without what a patient script does next."""
    seen = person.item(item)
    sent = {"action": action, "revision": seen["revision"], "seen_digest": seen["seen_digest"]}
    if action != "APPROVE":
        sent["reason_code"] = "WRONG"
    headers = {"Idempotency-Key": uuid.uuid4().hex}
    return person.http.post(f"/api/items/{item}/decisions", json=sent | body, headers=headers)


def _code(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


def _activities(placet_desk: Desk, kind: str) -> list[ReviewActivity]:
    rows = placet_desk.query(
        "SELECT payload FROM review.outbox WHERE type = 'ReviewActivity' ORDER BY seq"
    )
    events = [decode(row[0]) for row in rows]
    return [e for e in events if isinstance(e, ReviewActivity) and e.activity == kind]


# Evidence


def test_approving_what_is_risky_takes_a_look_at_the_evidence(
    placet_desk: Desk, reviewer: Person
) -> None:
    item = _risky(placet_desk)
    refused = _send(reviewer, item)
    assert _code(refused) == (403, "EVIDENCE_NOT_OPENED")
    opened = reviewer.http.post(refused.json()["open"])
    assert opened.json()["retrieval"][0]["doc_id"] == "kb-1"
    assert _send(reviewer, item).status_code == 201
    (told,) = _activities(placet_desk, "EVIDENCE_OPENED")
    assert (told.item_id, told.revision) == (item, 1)


def test_opening_is_of_one_person_and_one_revision(placet_desk: Desk, reviewer: Person) -> None:
    item = _risky(placet_desk)
    reviewer.http.post(f"/api/items/{item}/evidence")
    reviewer.http.post(f"/api/items/{item}/evidence")
    assert len(_activities(placet_desk, "EVIDENCE_OPENED")) == 1
    other = placet_desk.person("reviewer2")
    assert _code(_send(other, item)) == (403, "EVIDENCE_NOT_OPENED")
    placet_desk.ingest([review_item(1, risk=Risk(score=0.7), revision=2)])
    assert _code(_send(reviewer, item)) == (403, "EVIDENCE_NOT_OPENED")


@pytest.mark.parametrize("action", ["REJECT", "NEED_INFO"])
def test_saying_no_takes_no_look(placet_desk: Desk, reviewer: Person, action: str) -> None:
    assert _send(reviewer, _risky(placet_desk), action).status_code == 201


def test_what_is_not_risky_or_has_no_evidence_takes_none(
    placet_desk: Desk, reviewer: Person
) -> None:
    plain = review_item("plain", risk=Risk(score=0.59))
    placet_desk.ingest([plain])
    assert _send(reviewer, plain.item_id).status_code == 201
    bare = _risky(placet_desk, "bare", retrieval=[], evidence=[])
    assert _send(reviewer, bare).status_code == 201


def test_in_the_critical_lane_both_people_look(placet_desk: Desk, reviewer: Person) -> None:
    item = review_item("critical", risk=Risk(score=0.95))
    placet_desk.ingest([item])
    for username in ("reviewer", "approver"):
        person = placet_desk.person(username)
        password = {"password": f"{username}-secret"}
        assert _code(_send(person, item.item_id, **password)) == (403, "EVIDENCE_NOT_OPENED")
        person.http.post(f"/api/items/{item.item_id}/evidence")
        assert _send(person, item.item_id, **password).status_code == 201


def test_the_page_keeps_it_closed_and_opens_it_without_scripts(
    placet_desk: Desk, reviewer: Person
) -> None:
    item = _risky(placet_desk)
    page = reviewer.http.get(f"/review/items/{item}").text
    assert ">Open the evidence<" in page
    assert "and a city" not in page
    assert re.search(r'value="APPROVE" disabled', page)
    assert "open it first" in page
    sent = {"csrf": reviewer.csrf, "key": "k", "comment": "typed before", "revision": "1"}
    opened = reviewer.http.post(f"/review/items/{item}/evidence?tab=ordinary", data=sent)
    assert opened.status_code == 303
    assert opened.headers["location"] == f"/review/items/{item}?tab=ordinary#h-given"
    page = reviewer.http.get(f"/review/items/{item}").text
    assert "and a city" in page
    assert "typed before" in page
    assert ">Open the evidence<" not in page
    assert not re.search(r'value="APPROVE" disabled', page)
    auditor = placet_desk.person("auditor").http.get(f"/review/items/{item}").text
    assert "and a city" in auditor  # reads, and decides nothing


# Control items


def _control(placet_desk: Desk, name: str, expected: str = "REJECT") -> ReviewItem:
    item = review_item(name)
    known = {"source": item.source, "external_id": item.external_id, "expected": expected}
    answer = placet_desk.person("admin").http.post("/api/control-items", json=known)
    assert answer.status_code == 201, answer.text
    assert answer.json()["item_id"] == item.item_id
    return item


def _queue(person: Person) -> set[str]:
    items = person.http.get("/api/items?state=PENDING&limit=200").json()["items"]
    return {one["item_id"] for one in items}


def test_a_control_item_waits_until_the_rate_lets_it_in(
    placet_desk: Desk, reviewer: Person
) -> None:
    save(placet_desk, 0)
    known = _control(placet_desk, "known")
    _ingest(placet_desk, [known, review_item("a")])
    _ingest(placet_desk, [known])  # redelivered
    assert known.item_id not in _queue(reviewer)
    save(placet_desk, 1)
    _ingest(placet_desk, [review_item("b")])
    assert known.item_id in _queue(reviewer)
    _ingest(placet_desk, [known, review_item("b")])  # a replay lets nothing else in
    assert len(_queue(reviewer)) == 3


def test_nobody_can_tell_a_control_item_before_it_is_answered(
    placet_desk: Desk, reviewer: Person
) -> None:
    known = _control(placet_desk, "c-1")
    other = review_item("c-2")
    _ingest(placet_desk, [known])
    _ingest(placet_desk, [other])
    shapes, pages = [], []
    for item in (known, other):
        shown = reviewer.item(item.item_id)
        rows = reviewer.http.get("/api/items?state=PENDING").json()["items"]
        row = next(one for one in rows if one["item_id"] == item.item_id)
        shapes.append((_shape(shown), _shape(row)))
        page = reviewer.http.get(f"/review/items/{item.item_id}").text
        pages.append(_plain(page[page.index("<main") :], item))
    assert shapes[0] == shapes[1]
    assert pages[0] == pages[1]
    assert "control" not in pages[0].lower()


def _shape(value: Any) -> Any:
    """A document with its values left out but for those that could betray something."""
    if isinstance(value, dict):
        return {key: _shape(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_shape(one) for one in value]
    return value if isinstance(value, bool | None) else type(value).__name__


def _plain(page: str, item: ReviewItem) -> str:
    """A page without what differs between any two items."""
    page = page.replace(item.item_id, "ID").replace(item.external_id, "NAME")
    page = re.sub(
        r"[0-9a-f]{8}-[0-9a-f-]{27}|[0-9a-f]{64}|\d\d:\d\d:\d\d|\d+ s\b|just now", "#", page
    )
    page = re.sub(r'datetime="[^"]*"|href="/review/items/[^"]*"', "@", page)
    return re.sub(r'<a class="button next".*?</a>', "", page)


@pytest.mark.parametrize("expected", ["APPROVE", "REJECT"])
@pytest.mark.parametrize("action", ["APPROVE", "REJECT", "NEED_INFO"])
def test_an_answer_is_kept_and_is_no_decision(
    placet_desk: Desk, reviewer: Person, expected: str, action: str
) -> None:
    known = _control(placet_desk, f"{expected}-{action}", expected)
    _ingest(placet_desk, [known, review_item("neighbour")])
    placet_desk.query("DELETE FROM review.outbox RETURNING 1")
    seen = reviewer.item(known.item_id)
    answer = reviewer.decide(seen, action, key=f"once-{expected}-{action}")
    right = (action == "APPROVE") == (expected == "APPROVE")
    assert answer.status_code == 201
    told = answer.json()
    assert (told["decision_id"], told["write_backs"]) == (None, [])
    assert told["control_item"] == {"expected": expected, "right": right}
    again = reviewer.decide(seen, action, key=f"once-{expected}-{action}")
    assert (again.json(), again.headers["idempotency-replayed"]) == (told, "true")
    # Nothing of it for targets, pipelines or labels.
    topics = {row[0] for row in placet_desk.query("SELECT aggregatetype FROM review.outbox")}
    assert topics == {"placet.review-activity"}
    for table in ("decision", "write_back", "target_order", "approval"):
        assert placet_desk.query(f"SELECT count(*) FROM review.{table}") == [(0,)]
    assert placet_desk.person("admin").http.get("/api/labels").text == ""
    (fact,) = _activities(placet_desk, "CONTROL_ITEM_ANSWERED")
    assert fact.detail == {"expected": expected, "given": action, "right": str(right).lower()}
    listed = placet_desk.person("admin").http.get("/api/control-items").json()["control_items"]
    (row,) = [one for one in listed if one["item_id"] == known.item_id]
    assert (row["answer"]["action"], row["answer"]["right"]) == (action, right)
    assert reviewer.item(known.item_id)["state"] == "REJECTED"
    assert "Control item answered" in reviewer.http.get(f"/review/items/{known.item_id}").text
    late = reviewer.decide(seen, action)
    assert late.status_code == 409


def test_two_people_at_once_answer_a_control_item_once(placet_desk: Desk) -> None:
    from concurrent.futures import ThreadPoolExecutor

    known = _control(placet_desk, "race")
    _ingest(placet_desk, [known, review_item("neighbour")])
    people = [placet_desk.person(name) for name in ("reviewer", "reviewer2", "approver")]
    seen = people[0].item(known.item_id)
    with ThreadPoolExecutor(3) as pool:
        answers = list(pool.map(lambda person: person.decide(seen), people))
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409]
    assert len(_activities(placet_desk, "CONTROL_ITEM_ANSWERED")) == 1


def test_what_is_in_the_queue_cannot_become_one(placet_desk: Desk) -> None:
    admin = placet_desk.person("admin")
    item = review_item("real")
    placet_desk.ingest([item])
    known = {"source": item.source, "external_id": item.external_id, "expected": "REJECT"}
    assert _code(admin.http.post("/api/control-items", json=known)) == (409, "NOT_POSSIBLE")
    fresh = known | {"external_id": "not there yet"}
    assert admin.http.post("/api/control-items", json=fresh).status_code == 201
    assert admin.http.post("/api/control-items", json=fresh).status_code == 201
    other = fresh | {"expected": "APPROVE"}
    assert _code(admin.http.post("/api/control-items", json=other)) == (409, "NOT_POSSIBLE")
    bad = fresh | {"expected": "NEED_INFO"}
    assert _code(admin.http.post("/api/control-items", json=bad)) == (422, "BAD_VALUE")
    rows = placet_desk.query("SELECT payload FROM review.outbox WHERE type = 'Control'")
    told = [e for row in rows if isinstance(e := decode(row[0]), Control)]
    assert [e.control for e in told if e.control == "CONTROL_ITEM_ADDED"] == ["CONTROL_ITEM_ADDED"]


def test_other_content_for_a_held_revision_is_parked(placet_desk: Desk) -> None:
    save(placet_desk, 0)
    known = _control(placet_desk, "parked")
    _ingest(placet_desk, [known])
    ingest = Ingest(placet_desk.dsn, parse_policy(POLICY % 0))
    (parked,) = ingest.handle(records([review_item("parked", output="Something else.")]))
    ingest.close()
    assert parked.reason == "REVISION_REUSED"
    save(placet_desk, 1)


# Conduct


def test_a_rubber_stamp_is_shown_with_its_numbers_and_nobody_is_stopped(
    placet_desk: Desk, reviewer: Person
) -> None:
    careful = placet_desk.person("reviewer2")
    for number in range(4):
        item = review_item(f"r-{number}")
        placet_desk.ingest([item])
        reviewer.http.get(f"/review/items/{item.item_id}")
        assert _send(reviewer, item.item_id).status_code == 201
    for number in range(4):
        item = review_item(f"c-{number}")
        placet_desk.ingest([item])
        careful.http.get(f"/review/items/{item.item_id}")
        careful.http.post(f"/api/items/{item.item_id}/evidence")
        edit = {"fields": {"answer": "Another."}} if number else {}
        assert _send(careful, item.item_id, **edit).status_code == 201
    placet_desk.query(
        "UPDATE review.opening SET opened_at = opened_at - interval '1 min' WHERE person_id ="
        " (SELECT person_id FROM review.account WHERE username = 'reviewer2') RETURNING 1"
    )
    people = _conduct(placet_desk)
    stamp, other = people["Reviewer"], people["Reviewer2"]
    assert (stamp["decided"], stamp["approve_share"], stamp["evidence_share"]) == (4, 1.0, 0.0)
    assert len(stamp["signals"]) == 3
    assert (other["edit_share"], other["evidence_share"], other["signals"]) == (0.75, 1.0, [])
    assert other["dwell_seconds"] > 60
    page = placet_desk.person("admin").http.get("/people").text
    assert page.count("looks like a rubber stamp") == 1
    assert "100% approved" in page
    assert placet_desk.person("sre").http.get("/api/oversight").status_code == 403
    assert _send(reviewer, _risky(placet_desk, "next"), "REJECT").status_code == 201


def _conduct(placet_desk: Desk) -> dict[str, Any]:
    found = placet_desk.person("admin").http.get("/api/oversight").json()["people"]
    return {one["name"]: one for one in found}


def test_what_was_edited_is_known_of_decisions_and_first_approvals(
    placet_desk: Desk, reviewer: Person
) -> None:
    ordinary, critical = review_item("e-1"), review_item("e-2", risk=Risk(score=0.95))
    placet_desk.ingest([ordinary, critical])
    assert reviewer.decide(reviewer.item(ordinary.item_id)).status_code == 201
    edit = {"fields": {"answer": "Other."}}
    assert reviewer.decide(reviewer.item(critical.item_id), **edit).status_code == 201
    assert placet_desk.query("SELECT edited FROM review.decision") == [(False,)]
    assert placet_desk.query("SELECT edited FROM review.approval") == [(True,)]
    rows = placet_desk.query("SELECT statement FROM review.approval")
    assert from_text(rows[0][0]).fields[0].value == '"Other."'
