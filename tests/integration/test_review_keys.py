"""Keys of one's own over HTTP: kept per person, printed on the buttons, off where they are off."""

from collections.abc import Iterator

import pytest
from tests.support.review import Desk, Person, desk, fresh_database, review_item

from review_api.keymap import Keymap

PAGE = "/review/settings"


@pytest.fixture(scope="module")
def placet_desk(postgres_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with (
        fresh_database(postgres_server) as dsn,
        desk(dsn, tmp_path_factory.mktemp("desk")) as made,
    ):
        made.ingest([review_item()])
        yield made


@pytest.fixture
def reviewer(placet_desk: Desk) -> Iterator[Person]:
    person = placet_desk.person()
    yield person
    placet_desk.query("DELETE FROM review.preference RETURNING 1")


def _keep(person: Person, what: str = "keys", **keys: str) -> int:
    chosen = dict(Keymap().keys) | {"on": "yes"} | keys
    sent = {"csrf": person.csrf, "what": what} | chosen
    return person.http.post(PAGE, data=sent).status_code


def _item(person: Person) -> str:
    return person.http.get(f"/review/items/{review_item().item_id}").text


def test_a_chosen_key_is_printed_and_pressed_and_is_nobody_elses(
    placet_desk: Desk, reviewer: Person
) -> None:
    assert _keep(reviewer, approve="p", comment="<") == 303
    page = _item(reviewer)
    assert 'data-key="p" aria-keyshortcuts="p">Approve<kbd aria-hidden="true">p</kbd>' in page
    assert 'data-key="a"' not in page
    assert 'data-key="&lt;"' in page
    other = placet_desk.person("reviewer2")
    assert 'data-key="a" aria-keyshortcuts="a">Approve' in _item(other)
    assert 'value="p"' in reviewer.http.get(PAGE).text


def test_it_is_the_persons_whatever_account(placet_desk: Desk) -> None:
    placet_desk.account("one", "reviewer", person="same")
    placet_desk.account("two", "approver", person="same")
    assert _keep(placet_desk.person("one"), approve="p") == 303
    assert 'data-key="p"' in _item(placet_desk.person("two"))


def test_a_thing_without_a_key_prints_none(reviewer: Person) -> None:
    assert _keep(reviewer, skip="") == 303
    page = _item(reviewer)
    assert '<summary class="button">Skip</summary>' in page


def test_two_things_on_one_key_are_refused_with_what_was_typed(reviewer: Person) -> None:
    sent = dict(Keymap().keys) | {"csrf": reviewer.csrf, "what": "keys", "approve": "r"}
    answer = reviewer.http.post(PAGE, data=sent)
    assert answer.status_code == 422
    assert "cannot do both Approve and Reject" in answer.text
    assert 'data-key="a"' in _item(reviewer)


def test_switched_off_they_stay_off_and_the_keys_stay_kept(reviewer: Person) -> None:
    assert _keep(reviewer, approve="p") == 303
    sent = {"csrf": reviewer.csrf, "what": "switch"}
    assert reviewer.http.post(PAGE, data=sent).status_code == 303
    page = _item(reviewer)
    assert 'data-keys-on="no"' in page
    assert 'data-key="p"' in page
    assert _keep(reviewer, "usual") == 303
    page = _item(reviewer)
    assert ('data-keys-on="no"' in page, 'data-key="a"' in page) == (True, True)


def test_a_form_of_nothing_changes_nothing(reviewer: Person) -> None:
    answer = reviewer.http.post(PAGE, data={"csrf": reviewer.csrf})
    assert answer.status_code == 422
    assert 'data-key="a"' in _item(reviewer)
