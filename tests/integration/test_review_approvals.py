"""Two people approve what is critical, over HTTP on a real database: every way around is tried."""

import json
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from tests.support.review import DIGESTER, Desk, Person, desk, fresh_database, review_item

from contract.codec import decode
from contract.events import Action, ReviewActivity, ReviewDecision, Risk
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
def reviewer(placet_desk: Desk) -> Person:
    return placet_desk.person()


@pytest.fixture
def approver(placet_desk: Desk) -> Person:
    return placet_desk.person("approver")


@pytest.fixture
def item(placet_desk: Desk) -> str:
    the_item = review_item(risk=Risk(score=0.95))
    placet_desk.ingest([the_item])
    return the_item.item_id


def _approve(person: Person, item: str, **body: Any) -> Any:
    return person.decide(person.item(item), **body)


def _first(person: Person, item: str, **body: Any) -> Any:
    answer = _approve(person, item, **body)
    assert answer.status_code == 201, answer.text
    first = answer.json()
    assert (first["decision_id"], first["state"]) == (None, "SECOND_APPROVAL")
    return first


def _code(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


def _decisions(placet_desk: Desk) -> list[tuple[ReviewDecision, bytes]]:
    rows = placet_desk.query(
        "SELECT payload, aggregateid FROM review.outbox WHERE type = 'ReviewDecision' ORDER BY seq"
    )
    found = [(decode(row[0]), bytes(row[1])) for row in rows]
    return [(event, key) for event, key in found if isinstance(event, ReviewDecision)]


def _firsts(placet_desk: Desk) -> list[ReviewActivity]:
    rows = placet_desk.query(
        "SELECT payload FROM review.outbox WHERE type = 'ReviewActivity' ORDER BY seq"
    )
    events = [decode(row[0]) for row in rows]
    return [
        event
        for event in events
        if isinstance(event, ReviewActivity) and event.activity == "FIRST_APPROVAL"
    ]


def test_the_second_approval_makes_the_decision_of_both(
    placet_desk: Desk, reviewer: Person, approver: Person, item: str
) -> None:
    first = _first(reviewer, item, comment="Looks right.")
    assert first["write_backs"] == []
    assert _decisions(placet_desk) == []
    second = _approve(approver, item, comment="I agree.")
    assert (second.status_code, second.json()["state"]) == (201, "APPROVED")
    ((decision, _),) = _decisions(placet_desk)
    (told,) = _firsts(placet_desk)
    statement, before = from_text(decision.statement), from_text(told.statement or "")
    assert [one.name for one in statement.approvers] == ["Reviewer", "Approver"]
    assert statement.approvers[0] == before.approvers[0]
    assert statement.fields == before.fields
    assert statement.steps == before.steps
    assert statement.decision_id == before.decision_id == second.json()["decision_id"]
    assert decision.causation_ids[-1] == told.event_id
    assert decision.target_ordinal == 1


def test_both_statements_are_signed_by_the_pinned_key(
    placet_desk: Desk, reviewer: Person, approver: Person, item: str
) -> None:
    _first(reviewer, item)
    _approve(approver, item)
    verifier = Verifier.load(placet_desk.folder / "public")
    (told,) = _firsts(placet_desk)
    ((decision, _),) = _decisions(placet_desk)
    for text, (signature,) in (
        (told.statement or "", told.signatures),
        (decision.statement, decision.signatures),
    ):
        assert verifier.verify(signature.key_id, signature.signature, text.encode())
    assert told.content_digest == DIGESTER.of_bytes((told.statement or "").encode())


def test_the_dispatcher_takes_such_a_decision_as_it_is(
    placet_desk: Desk, reviewer: Person, approver: Person, item: str
) -> None:
    _first(reviewer, item)
    _approve(approver, item)
    ((decision, key),) = _decisions(placet_desk)
    verifier = Verifier.load(placet_desk.folder / "public")
    statement = check(decision, key, verify=verifier.verify, digest=DIGESTER.of_bytes)
    planned = plan(decision, statement, system="sql", names=lambda _: True)  # type: ignore[arg-type]
    assert isinstance(planned, Plan)
    assert [step.refusal for step in planned.steps] == [None]


def test_the_second_does_not_read_what_the_first_wrote_until_both_have_decided(
    reviewer: Person, approver: Person, item: str
) -> None:
    _first(reviewer, item, comment="SECRET-OPINION")
    for address in (f"/api/items/{item}", f"/review/items/{item}", "/api/items", "/review"):
        assert "SECRET-OPINION" not in approver.http.get(address).text
    shown = approver.item(item)["first_approval"]
    assert (shown["by"], shown["role"]) == ("Reviewer", "reviewer")
    _approve(approver, item)
    assert "SECRET-OPINION" in approver.http.get(f"/api/items/{item}").text
    assert "SECRET-OPINION" in approver.http.get(f"/review/items/{item}").text


def test_a_retried_first_approval_is_the_stored_answer(
    placet_desk: Desk, reviewer: Person, item: str
) -> None:
    seen = reviewer.item(item)
    answers = [reviewer.decide(seen, key="once") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [201] * 3
    assert len({answer.content for answer in answers}) == 1
    assert answers[-1].headers["idempotency-replayed"] == "true"
    assert len(_firsts(placet_desk)) == 1
    other = reviewer.decide(seen, "REJECT", key="once")
    assert _code(other) == (422, "IDEMPOTENCY_KEY_REUSED")


# Every path by which one person could approve twice.


def _same_tab(placet_desk: Desk, item: str) -> Any:
    return _approve(placet_desk.person("approver"), item)


def _page_of_before(placet_desk: Desk, item: str) -> Any:
    """Two tabs: the other one still shows the item as it was, with a key of its own."""
    return placet_desk.person("approver").decide(_page_of_before.seen)  # type: ignore[attr-defined]


def _form(placet_desk: Desk, item: str) -> Any:
    person = placet_desk.person("approver")
    seen = person.item(item)
    data = {
        "csrf": person.csrf,
        "key": uuid.uuid4().hex,
        "action": "APPROVE",
        "revision": "1",
        "seen_digest": seen["seen_digest"],
    }
    return person.http.post(f"/review/items/{item}/decision", data=data)


def _other_account(placet_desk: Desk, item: str) -> Any:
    """One person, a second account: the identity counts, not the name."""
    placet_desk.account("twin", "approver", person="twins")
    return _approve(placet_desk.person("twin"), item)


def _other_role(placet_desk: Desk, item: str) -> Any:
    """The reviewer of before is an approver by now."""
    placet_desk.account("climber", "approver", "reviewer")
    return _approve(placet_desk.person("climber"), item)


def _with_an_edit(placet_desk: Desk, item: str) -> Any:
    return _approve(placet_desk.person("approver"), item, fields={"answer": "Another."})


def _with_a_claim(placet_desk: Desk, item: str) -> Any:
    person = placet_desk.person("approver")
    claim = person.http.post(f"/api/items/{item}/claim", json={}).json()
    return _approve(person, item, claim_token=claim["claim_token"])


def _moved_baseline(placet_desk: Desk, item: str) -> Any:
    placet_desk.dispatcher.fields["q-1"] = {"answer": '"moved"'}
    placet_desk.query("UPDATE review.baseline SET expires_at = now() RETURNING 1")
    return _approve(placet_desk.person("approver"), item)


TWICE: dict[str, tuple[str, tuple[str, ...], Callable[[Desk, str], Any]]] = {
    "the same tab": ("approver", ("approver",), _same_tab),
    "another tab": ("approver", ("approver",), _page_of_before),
    "the form without scripts": ("approver", ("approver",), _form),
    "another account of one person": ("twin-reviewer", ("reviewer",), _other_account),
    "a role given in between": ("climber", ("reviewer",), _other_role),
    "an edit": ("approver", ("approver",), _with_an_edit),
    "a claim": ("approver", ("approver",), _with_a_claim),
    "a baseline that moved": ("approver", ("approver",), _moved_baseline),
}


@pytest.mark.parametrize("way", TWICE)
def test_nobody_approves_twice(placet_desk: Desk, item: str, way: str) -> None:
    username, roles, again = TWICE[way]
    if username != "approver":
        person = "twins" if username.startswith("twin") else None
        placet_desk.account(username, *roles, person=person)
    first = placet_desk.person(username)
    _page_of_before.seen = first.item(item)  # type: ignore[attr-defined]
    _first(first, item)
    answer = again(placet_desk, item)
    assert answer.status_code == 403, answer.text
    assert "SECOND_APPROVAL_REQUIRED" in answer.text
    assert _decisions(placet_desk) == []
    assert len(_firsts(placet_desk)) == 1
    assert placet_desk.query("SELECT state FROM review.item") == [("SECOND_APPROVAL",)]


def test_one_person_in_sixteen_tabs_at_once_approves_once(placet_desk: Desk, item: str) -> None:
    person = placet_desk.person("approver")
    seen = person.item(item)
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: person.decide(seen), range(16)))
    assert sorted(answer.status_code for answer in answers) == [201] + [403] * 15
    assert (_decisions(placet_desk), len(_firsts(placet_desk))) == ([], 1)


def test_of_many_people_at_once_exactly_two_approve(placet_desk: Desk, item: str) -> None:
    names = [f"pair{number}" for number in range(8)]
    for name in names:
        placet_desk.account(name, "approver")
    people = [placet_desk.person(name) for name in names]
    seen = people[0].item(item)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda person: person.decide(seen), people))
    assert sorted(answer.status_code for answer in answers) == [201, 201] + [409] * 6
    ((decision, _),) = _decisions(placet_desk)
    first, second = from_text(decision.statement).approvers
    assert first.person_id != second.person_id


def test_the_second_approval_takes_an_approver(
    placet_desk: Desk, reviewer: Person, item: str
) -> None:
    _first(reviewer, item)
    assert _code(_approve(placet_desk.person("reviewer2"), item)) == (403, "WRONG_ROLE")


# What lies between the two.


def test_an_edit_by_the_second_starts_over(
    placet_desk: Desk, reviewer: Person, approver: Person, item: str
) -> None:
    _first(reviewer, item)
    _first(approver, item, fields={"answer": "New Delhi."})
    assert approver.item(item)["change"]["fields"]["answer"]["proposed"] == "New Delhi."
    assert _code(_approve(approver, item)) == (403, "SECOND_APPROVAL_REQUIRED")
    assert _approve(placet_desk.person("approver2"), item).status_code == 201
    ((decision, _),) = _decisions(placet_desk)
    statement = from_text(decision.statement)
    assert [one.name for one in statement.approvers] == ["Approver", "Approver2"]
    assert json.loads(statement.fields[0].value) == "New Delhi."
    history = approver.item(item)["history"]
    firsts = [one for one in history if one["event"] == "FIRST_APPROVAL"]
    assert [one.get("void") for one in firsts] == [True, None]


def test_a_moved_baseline_starts_over(
    placet_desk: Desk, reviewer: Person, approver: Person, item: str
) -> None:
    _first(reviewer, item)
    placet_desk.dispatcher.fields["q-1"] = {"answer": '"moved"'}
    placet_desk.query("UPDATE review.baseline SET expires_at = now() RETURNING 1")
    _first(approver, item)
    assert _decisions(placet_desk) == []
    assert _approve(placet_desk.person("approver2"), item).status_code == 201
    ((decision, _),) = _decisions(placet_desk)
    assert from_text(decision.statement).fields[0].seen == '"moved"'


def test_what_the_first_edited_is_what_the_second_sees_and_approves(
    placet_desk: Desk, reviewer: Person, approver: Person, item: str
) -> None:
    before = approver.item(item)
    _first(reviewer, item, fields={"answer": "New Delhi."})
    assert _code(approver.decide(before)) == (409, "SEEN_STALE")
    assert "edited in the first approval" in approver.http.get(f"/review/items/{item}").text
    assert _approve(approver, item).status_code == 201
    ((decision, _),) = _decisions(placet_desk)
    assert json.loads(from_text(decision.statement).fields[0].value) == "New Delhi."


@pytest.mark.parametrize("action", ["REJECT", "NEED_INFO"])
@pytest.mark.parametrize("username", ["reviewer", "approver"])
def test_either_of_them_may_still_say_no(
    placet_desk: Desk, reviewer: Person, item: str, action: str, username: str
) -> None:
    _first(reviewer, item)
    person = placet_desk.person(username)
    assert person.decide(person.item(item), action).status_code == 201
    ((decision, _),) = _decisions(placet_desk)
    assert decision.action is Action(action)
    assert len(from_text(decision.statement).approvers) == 1
    columns = "first_approval, first_person"
    assert placet_desk.query(f"SELECT {columns} FROM review.item") == [(None, None)]


def test_a_higher_revision_voids_the_first_approval(
    placet_desk: Desk, reviewer: Person, approver: Person, item: str
) -> None:
    late = approver.item(item)
    _first(reviewer, item)
    placet_desk.ingest([review_item(risk=Risk(score=0.95), revision=2)])
    assert approver.item(item)["first_approval"] is None
    assert _code(approver.decide(late)) == (409, "REVISION_SUPERSEDED")
    _first(approver, item)


def test_taken_back_it_begins_with_the_first_approval(
    postgres_server: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with (
        fresh_database(postgres_server) as dsn,
        desk(dsn, tmp_path_factory.mktemp("held"), hold=30) as held,
    ):
        the_item = review_item(risk=Risk(score=0.95))
        held.ingest([the_item])
        _first(held.person(), the_item.item_id)
        approver = held.person("approver")
        decided = _approve(approver, the_item.item_id).json()
        back = approver.http.post(f"/api/decisions/{decided['decision_id']}/take-back")
        assert back.status_code == 200
        shown = approver.item(the_item.item_id)
        assert (shown["state"], shown["first_approval"]) == ("PENDING", None)
        again = _first(approver, the_item.item_id)
        assert again["decision_id"] is None


def test_an_edit_that_raises_the_lane_needs_two(placet_desk: Desk, reviewer: Person) -> None:
    """The lane is the final fields'; once critical it stays so."""
    the_item = review_item("amount")
    placet_desk.ingest([the_item])
    assert reviewer.item(the_item.item_id)["lane"] == "ordinary"
    _first(reviewer, the_item.item_id, fields={"answer": "5000"})
    assert reviewer.item(the_item.item_id)["lane"] == "critical"
    assert _decisions(placet_desk) == []


def test_what_needs_my_second_approval_comes_first_and_is_not_my_own(
    placet_desk: Desk, reviewer: Person, approver: Person
) -> None:
    items = [review_item(number, risk=Risk(score=0.95)) for number in range(3)]
    placet_desk.ingest(items)
    _first(reviewer, items[0].item_id)
    _first(approver, items[1].item_id)
    page = approver.http.get("/review?tab=second").text
    assert items[0].item_id in page
    assert items[1].item_id not in page
    assert items[2].item_id not in page
    tabs = page[page.index('class="tabs"') :]
    assert tabs.index("tab=second") < tabs.index("tab=ordinary")
    assert "tab=second" not in reviewer.http.get("/review").text
