"""Claims over HTTP on a real database: one holder, a lease, a token that fences."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from tests.support.review import DIGESTER, Desk, Person, desk, fresh_database, review_item

from contract.codec import decode
from contract.events import ReviewActivity


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


@pytest.fixture
def other(placet_desk: Desk) -> Person:
    return placet_desk.person("reviewer2")


@pytest.fixture
def item(placet_desk: Desk) -> str:
    the_item = review_item()
    placet_desk.ingest([the_item])
    return the_item.item_id


def _post(person: Person, item: str, what: str, **body: Any) -> Any:
    return person.http.post(f"/api/items/{item}/{what}", json=body)


def _claim(person: Person, item: str, **body: Any) -> Any:
    answer = _post(person, item, "claim", **body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def _code(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


def _lapse(placet_desk: Desk) -> None:
    """Let every lease end now: the clock that counts is PostgreSQL's."""
    placet_desk.query(
        "UPDATE review.item SET claim_until = clock_timestamp() - interval '1 second'"
        " WHERE claim_until IS NOT NULL RETURNING 1"
    )


def _activities(placet_desk: Desk) -> list[ReviewActivity]:
    rows = placet_desk.query(
        "SELECT payload FROM review.outbox"
        " WHERE aggregatetype = 'placet.review-activity' ORDER BY seq"
    )
    events = [decode(row[0]) for row in rows]
    assert all(isinstance(event, ReviewActivity) for event in events)
    return [event for event in events if isinstance(event, ReviewActivity)]


def test_a_claim_names_its_holder_to_everybody_else(
    placet_desk: Desk, reviewer: Person, other: Person, item: str
) -> None:
    claim = _claim(reviewer, item)
    assert claim["lease_seconds"] == 90
    refused = _post(other, item, "claim")
    assert _code(refused) == (409, "CLAIMED")
    problem = refused.json()
    assert (problem["by"], problem["until"]) == ("Reviewer", claim["until"])
    assert 80 < int(refused.headers["retry-after"]) <= 90
    held = other.item(item)["claim"]
    assert (held["by"], held["until"]) == ("Reviewer", claim["until"])
    (row,) = other.http.get("/api/items").json()["items"]
    assert row["claim"] == held
    assert placet_desk.query("SELECT claims FROM review.item") == [(claim["claim_token"],)]


def test_one_person_has_one_claim_in_all_tabs(
    placet_desk: Desk, reviewer: Person, item: str
) -> None:
    first, second = _claim(reviewer, item), _claim(reviewer, item)
    assert first["claim_token"] == second["claim_token"]
    assert second["until"] > first["until"]
    assert [event.activity for event in _activities(placet_desk)] == ["OPENED", "CLAIMED"]


def test_a_heartbeat_extends_and_tells_nobody(
    placet_desk: Desk, reviewer: Person, item: str
) -> None:
    claim = _claim(reviewer, item)
    beats = [_claim(reviewer, item, claim_token=claim["claim_token"]) for _ in range(3)]
    assert {beat["claim_token"] for beat in beats} == {claim["claim_token"]}
    assert beats[-1]["until"] > claim["until"]
    assert len(_activities(placet_desk)) == 2


def test_a_lapsed_lease_is_anybodys_and_its_token_decides_nothing(
    placet_desk: Desk, reviewer: Person, other: Person, item: str
) -> None:
    seen = reviewer.item(item)
    old = _claim(reviewer, item)["claim_token"]
    _lapse(placet_desk)
    assert _code(reviewer.decide(seen, claim_token=old)) == (409, "CLAIM_STALE")
    assert other.item(item)["claim"] is None
    new = _claim(other, item)["claim_token"]
    assert new > old
    assert _code(reviewer.decide(seen, claim_token=old)) == (409, "CLAIMED")
    assert _code(_post(reviewer, item, "claim", claim_token=old)) == (409, "CLAIMED")
    assert other.decide(seen, claim_token=new).status_code == 201


def test_a_token_of_before_is_stale_even_for_its_own_person(
    placet_desk: Desk, reviewer: Person, item: str
) -> None:
    seen = reviewer.item(item)
    old = _claim(reviewer, item)["claim_token"]
    _lapse(placet_desk)
    assert _claim(reviewer, item)["claim_token"] == old + 1
    assert _code(reviewer.decide(seen, claim_token=old)) == (409, "CLAIM_STALE")
    assert _code(_post(reviewer, item, "claim", claim_token=old)) == (409, "CLAIM_STALE")
    assert placet_desk.query("SELECT count(*) FROM review.decision") == [(0,)]


def test_a_lapsed_lease_can_be_renewed_while_nobody_else_had_it(
    placet_desk: Desk, reviewer: Person, item: str
) -> None:
    seen = reviewer.item(item)
    token = _claim(reviewer, item)["claim_token"]
    _lapse(placet_desk)
    assert _claim(reviewer, item, claim_token=token)["claim_token"] == token
    assert reviewer.decide(seen, claim_token=token).status_code == 201


@pytest.mark.parametrize("action", ["APPROVE", "REJECT", "NEED_INFO"])
def test_nobody_decides_what_somebody_else_holds(
    placet_desk: Desk, reviewer: Person, other: Person, item: str, action: str
) -> None:
    seen = other.item(item)
    token = _claim(reviewer, item)["claim_token"]
    assert _code(other.decide(seen, action)) == (409, "CLAIMED")
    assert _code(other.decide(seen, action, claim_token=token)) == (409, "CLAIMED")  # stolen
    assert reviewer.decide(seen, action).status_code == 201  # without its token: still its holder
    assert placet_desk.query("SELECT claim_person, claim_until FROM review.item") == [(None, None)]


def test_released_is_anybodys_and_releasing_twice_does_no_harm(
    placet_desk: Desk, reviewer: Person, other: Person, item: str
) -> None:
    token = _claim(reviewer, item)["claim_token"]
    assert _post(other, item, "release", claim_token=token).status_code == 204
    assert _code(_post(other, item, "claim")) == (409, "CLAIMED")
    for _ in range(2):
        assert _post(reviewer, item, "release", claim_token=token).status_code == 204
    assert _claim(other, item)["claim_token"] == token + 1
    assert _post(reviewer, item, "release", claim_token=token).status_code == 204
    kinds = [(event.activity, event.detail.get("claim")) for event in _activities(placet_desk)]
    assert kinds.count(("RELEASED", str(token))) == 1
    assert other.item(item)["claim"]["by"] == "Reviewer2"


def test_a_page_that_is_left_gives_back_nothing_that_the_next_one_claimed(
    placet_desk: Desk, reviewer: Person, item: str
) -> None:
    left = _claim(reviewer, item)
    now = _claim(reviewer, item)
    assert now["claim_token"] == left["claim_token"]
    gone = {"claim_token": left["claim_token"], "until": left["until"]}
    assert _post(reviewer, item, "release", **gone).status_code == 204
    assert reviewer.item(item)["claim"]["until"] == now["until"]
    gone["until"] = now["until"]
    assert _post(reviewer, item, "release", **gone).status_code == 204
    assert reviewer.item(item)["claim"] is None


def test_a_higher_revision_voids_a_claim(
    placet_desk: Desk, reviewer: Person, other: Person, item: str
) -> None:
    token = _claim(reviewer, item)["claim_token"]
    placet_desk.ingest([review_item(revision=2)])
    assert _claim(other, item)["claim_token"] == token + 1


def test_what_is_decided_cannot_be_claimed(reviewer: Person, other: Person, item: str) -> None:
    assert reviewer.decide(reviewer.item(item)).status_code == 201
    assert _code(_post(other, item, "claim")) == (409, "NOT_POSSIBLE")


def test_a_skipped_item_stays_for_the_others(
    placet_desk: Desk, reviewer: Person, other: Person, item: str
) -> None:
    _claim(reviewer, item)
    assert _code(_post(reviewer, item, "skip", reason="BORING")) == (422, "BAD_REASON")
    for _ in range(2):
        assert _post(reviewer, item, "skip", reason="LATER").status_code == 204
    (mine,) = reviewer.http.get("/api/items").json()["items"]
    (theirs,) = other.http.get("/api/items").json()["items"]
    assert (mine["skipped"], theirs["skipped"], theirs["claim"]) == (True, False, None)
    events = _activities(placet_desk)
    assert [event.activity for event in events] == ["OPENED", "CLAIMED", "SKIPPED", "RELEASED"]
    assert events[2].detail == {"reason": "LATER"}


def test_what_happened_is_told_with_its_item_and_its_person(
    placet_desk: Desk, reviewer: Person, item: str
) -> None:
    _claim(reviewer, item)
    session = reviewer.http.get("/api/session").json()
    for event in _activities(placet_desk):
        assert (event.item_id, event.revision, event.role) == (item, 1, "reviewer")
        assert event.person_id == session["person_id"]
        assert event.actor_id == session["actor_id"]
        assert event.correlation_id == "req-q-1"
        assert event.causation_ids == [review_item().event_id]
        assert len(event.content_digest) == len(DIGESTER.of_bytes(b""))
    keys = placet_desk.query("SELECT DISTINCT aggregateid FROM review.outbox")
    assert keys == [(item.encode(),)]


BODIES = {
    "no body": b"",
    "a list": b"[]",
    "text for a token": b'{"claim_token": "1"}',
    "a number too large": b'{"claim_token": 4294967296}',
    "an unknown name": b'{"token": 1}',
}


@pytest.mark.parametrize("name", BODIES)
def test_bodies_that_cannot_be_used_are_refused(reviewer: Person, item: str, name: str) -> None:
    answer = reviewer.http.post(f"/api/items/{item}/release", content=BODIES[name])
    assert _code(answer) == (422, "BAD_BODY")


def test_fifty_people_at_once_never_hold_the_same_item(placet_desk: Desk) -> None:
    """Fifty reviewers, forty items: each takes the first that is free, until nothing is."""
    items = [review_item(number) for number in range(40)]
    placet_desk.ingest(items)
    names = [f"shift{number}" for number in range(50)]
    for name in names:
        placet_desk.account(name, "reviewer")
    people = [placet_desk.person(name) for name in names]
    ids = [one.item_id for one in items]

    def work(person: Person) -> list[tuple[str, int]]:
        got = []
        for one in ids:
            answer = _post(person, one, "claim")
            assert answer.status_code in {200, 409}, answer.text
            if answer.status_code == 200:
                got.append((one, answer.json()["claim_token"]))
        return got

    with ThreadPoolExecutor(50) as pool:
        held = [pair for pairs in pool.map(work, people) for pair in pairs]
    assert sorted(one for one, _ in held) == sorted(ids)
    assert {token for _, token in held} == {1}
    claimed = [e.item_id for e in _activities(placet_desk) if e.activity == "CLAIMED"]
    assert sorted(claimed) == sorted(ids)
