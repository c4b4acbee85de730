"""Drafts over HTTP: what was typed is there again, for whoever typed it and for nobody else."""

from collections.abc import Iterator
from typing import Any

import pytest
from tests.support.review import Desk, Person, desk, fresh_database, review_item


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


@pytest.fixture
def item(placet_desk: Desk) -> str:
    the_item = review_item()
    placet_desk.ingest([the_item])
    return the_item.item_id


def _save(person: Person, item: str, **body: Any) -> Any:
    sent = {"revision": 1} | body
    return person.http.put(f"/api/items/{item}/draft", json=sent)


def _page(person: Person, item: str) -> str:
    return person.http.get(f"/review/items/{item}").text


def test_what_was_typed_is_there_again_for_its_author_alone(placet_desk: Desk, item: str) -> None:
    reviewer, other = placet_desk.person(), placet_desk.person("reviewer2")
    typed = {"fields": {"answer": "New Delhi <b>"}, "comment": "Not yet.", "reason_code": "WRONG"}
    assert _save(reviewer, item, **typed).status_code == 204
    page = _page(reviewer, item)
    assert "New Delhi &lt;b&gt;</textarea>" in page
    assert "Not yet.</textarea>" in page
    assert "<option selected>WRONG" in page
    assert "edited by you" in page
    for somebody in (other, placet_desk.person("auditor"), placet_desk.person("admin")):
        assert "Not yet." not in _page(somebody, item)


def test_the_latest_draft_takes_the_place_of_the_one_before(placet_desk: Desk, item: str) -> None:
    reviewer = placet_desk.person()
    for comment in ("one", "two", ""):
        assert _save(reviewer, item, comment=comment).status_code == 204
    assert placet_desk.query("SELECT count(*) FROM review.draft") == [(1,)]
    assert "two" not in _page(reviewer, item)


def test_a_draft_outlives_a_decision_that_is_taken_back(placet_desk: Desk, item: str) -> None:
    reviewer = placet_desk.person()
    _save(reviewer, item, comment="Well thought out.")
    decided = reviewer.decide(reviewer.item(item)).json()
    back = reviewer.http.post(f"/api/decisions/{decided['decision_id']}/take-back")
    assert back.status_code == 200
    assert "Well thought out.</textarea>" in _page(reviewer, item)


def test_of_an_earlier_revision_the_comment_alone_is_kept(placet_desk: Desk, item: str) -> None:
    reviewer = placet_desk.person()
    _save(reviewer, item, fields={"answer": "Old edit"}, comment="Still true.")
    placet_desk.ingest([review_item(revision=2)])
    page = _page(reviewer, item)
    assert "Still true.</textarea>" in page
    assert "Old edit" not in page


REFUSED = {
    "no revision": ({"revision": None}, 422, "BAD_BODY"),
    "an unknown name": ({"mood": "good"}, 422, "BAD_BODY"),
    "too long a comment": ({"comment": "w" * 10_001}, 422, "TEXT_TOO_LONG"),
    "too long a field": ({"fields": {"answer": "w" * 262_145}}, 422, "TEXT_TOO_LONG"),
    "too many fields": ({"fields": {f"f{n}": "" for n in range(51)}}, 422, "BAD_BODY"),
    "a zero byte": ({"comment": "a\0b"}, 422, "BAD_TEXT"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_nobody_can_keep_is_refused(placet_desk: Desk, item: str, name: str) -> None:
    body, status, code = REFUSED[name]
    answer = _save(placet_desk.person(), item, **body)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert placet_desk.query("SELECT count(*) FROM review.draft") == [(0,)]


def test_of_no_item_there_is_no_draft(placet_desk: Desk) -> None:
    nowhere = review_item("nowhere").item_id
    assert _save(placet_desk.person(), nowhere).status_code == 404
