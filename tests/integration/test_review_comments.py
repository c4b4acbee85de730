"""Comments, and a question that is answered by a higher revision, over HTTP."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from tests.support.review import OUTPUT, Desk, Person, desk, fresh_database, review_item

from contract.codec import decode
from contract.events import ReviewActivity, Risk


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
def item(placet_desk: Desk) -> str:
    the_item = review_item()
    placet_desk.ingest([the_item])
    return the_item.item_id


def _say(person: Person, item: str, text: str = "Hm.", key: str = "k1") -> Any:
    return person.http.post(
        f"/api/items/{item}/comments", json={"text": text}, headers={"Idempotency-Key": key}
    )


def test_a_comment_is_in_the_history_and_decides_nothing(placet_desk: Desk, item: str) -> None:
    assert _say(placet_desk.person(), item, "Is <b>1911</b> right?").status_code == 201
    other = placet_desk.person("reviewer2")
    shown = other.item(item)
    assert (shown["state"], shown["history"][-1]["comment"]) == ("PENDING", "Is <b>1911</b> right?")
    assert "Is &lt;b&gt;1911&lt;/b&gt; right?" in other.http.get(f"/review/items/{item}").text


def test_sent_again_it_is_the_same_comment(placet_desk: Desk, item: str) -> None:
    reviewer = placet_desk.person()
    first, again = _say(reviewer, item), _say(reviewer, item)
    assert first.content == again.content
    assert again.headers["idempotency-replayed"] == "true"
    other = _say(reviewer, item, "Something else.")
    assert (other.status_code, other.json()["code"]) == (422, "IDEMPOTENCY_KEY_REUSED")
    assert placet_desk.query("SELECT count(*) FROM review.comment") == [(1,)]


def test_that_it_was_said_is_told_without_its_text(placet_desk: Desk, item: str) -> None:
    _say(placet_desk.person(), item, "Ms Example called about it.")
    ((payload,),) = placet_desk.query("SELECT payload FROM review.outbox")
    event = decode(payload)
    assert isinstance(event, ReviewActivity)
    assert event.activity == "COMMENTED"
    assert b"Example" not in bytes(payload)
    assert set(event.detail) == {"text_digest"}


BAD = {
    "empty": ({"text": ""}, 422, "BAD_VALUE"),
    "blank": ({"text": " \n"}, 422, "BAD_VALUE"),
    "too long": ({"text": "w" * 10_001}, 422, "TEXT_TOO_LONG"),
    "a zero byte": ({"text": "a\0"}, 422, "BAD_TEXT"),
    "no text": ({}, 422, "BAD_BODY"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_comment_is_refused(placet_desk: Desk, item: str, name: str) -> None:
    body, status, code = BAD[name]
    answer = placet_desk.person().http.post(
        f"/api/items/{item}/comments", json=body, headers={"Idempotency-Key": "k"}
    )
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert placet_desk.query("SELECT count(*) FROM review.comment") == [(0,)]


def test_the_first_approver_says_nothing_to_the_second_before_both_have_decided(
    placet_desk: Desk,
) -> None:
    the_item = review_item(risk=Risk(score=0.95))
    placet_desk.ingest([the_item])
    reviewer, approver = placet_desk.person(), placet_desk.person("approver")
    reviewer.decide(reviewer.item(the_item.item_id))
    _say(reviewer, the_item.item_id, "JUST-APPROVE-IT")
    assert "JUST-APPROVE-IT" not in approver.http.get(f"/api/items/{the_item.item_id}").text
    assert approver.decide(approver.item(the_item.item_id)).status_code == 201
    assert "JUST-APPROVE-IT" in approver.http.get(f"/api/items/{the_item.item_id}").text


def test_an_answer_re_opens_the_item_and_shows_what_changed(placet_desk: Desk, item: str) -> None:
    reviewer = placet_desk.person()
    asked = reviewer.decide(reviewer.item(item), "NEED_INFO", comment="How many gates, really?")
    assert asked.status_code == 201
    new = "Delhi is the capital of India. It has 14 gates."
    placet_desk.ingest([review_item(revision=2, output=new, fields={"answer": json.dumps(new)})])
    shown = reviewer.item(item)
    assert (shown["state"], shown["revision"]) == ("PENDING", 2)
    assert shown["changed_since"] == {
        "revision": 1,
        "fields": {"answer": OUTPUT},
        "output": OUTPUT,
    }
    page = reviewer.http.get(f"/review/items/{item}").text
    since = page[page.index('id="h-since"') : page.index('id="h-change"')]
    assert "How many gates, really?" in since
    assert re.search(r"<del>.*?99.*?</del>", since)
    assert re.search(r"<ins>.*?14.*?</ins>", since)


def test_a_comment_by_form_leaves_the_rest_of_the_draft(placet_desk: Desk, item: str) -> None:
    reviewer = placet_desk.person()
    typed = {"revision": 1, "fields": {"answer": "Edited."}, "comment": "Only said."}
    reviewer.http.put(f"/api/items/{item}/draft", json=typed)
    sent = {"csrf": reviewer.csrf, "key": "form", "comment": "Only said."}
    answer = reviewer.http.post(f"/review/items/{item}/comment", data=sent)
    assert answer.status_code == 303
    page = reviewer.http.get(f"/review/items/{item}").text
    assert "Edited.</textarea>" in page
    assert "Only said.</textarea>" not in page
    assert "Only said.</q>" in page
    assert reviewer.item(item)["state"] == "PENDING"
