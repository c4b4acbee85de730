"""Administrators change accounts: what each change does, to whom it is refused, what is told."""

import re
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import httpx
import psycopg
import pytest
from tests.support.review import Desk, Person, desk, fresh_database, review_item

from contract.codec import decode
from contract.events import Control, ReviewActivity


@pytest.fixture(scope="module")
def served(postgres_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with (
        fresh_database(postgres_server) as dsn,
        desk(dsn, tmp_path_factory.mktemp("desk")) as made,
    ):
        yield made


@pytest.fixture
def placet_desk(served: Desk) -> Desk:
    return served.empty()


@pytest.fixture
def admin(placet_desk: Desk) -> Person:
    return placet_desk.person("admin")


@pytest.fixture
def somebody(placet_desk: Desk) -> str:
    """A reviewer nobody else knows; the password is the name and `-secret`."""
    username = f"u{uuid4().hex[:12]}"
    placet_desk.account(username, "reviewer")
    return username


def _account(admin: Person, username: str) -> dict[str, Any]:
    answer = admin.http.get("/api/people")
    assert answer.status_code == 200, answer.text
    listed = answer.json()["people"]
    found: dict[str, Any] = next(one for one in listed if one["username"] == username)
    return found


def _again(placet_desk: Desk, person: Person) -> httpx.Client:
    """A client of one's own for a thread, in the same session."""
    return httpx.Client(
        base_url=placet_desk.url,
        cookies=person.http.cookies,
        headers=person.http.headers,
        timeout=60,
    )


def _do(admin: Person, account: dict[str, Any], what: str, **body: Any) -> httpx.Response:
    sent = {"version": account["version"]} | body
    return admin.http.post(f"/api/people/{account['actor_id']}/{what}", json=sent)


def _sign_in(placet_desk: Desk, username: str, password: str, **more: str) -> httpx.Response:
    body = {"username": username, "password": password} | more
    return httpx.post(f"{placet_desk.url}/api/session", json=body, timeout=60)


def _told(placet_desk: Desk) -> list[Control]:
    rows = placet_desk.query("SELECT payload FROM review.outbox ORDER BY seq")
    events = [decode(row[0]) for row in rows]
    return [e for e in events if isinstance(e, Control) and e.control == "PERSON_CHANGED"]


def test_roles_count_from_the_next_request_on(
    placet_desk: Desk, admin: Person, somebody: str
) -> None:
    reviewer = placet_desk.person(somebody)
    assert reviewer.http.get("/api/items").status_code == 200
    before = _account(admin, somebody)
    answer = _do(admin, before, "roles", roles=["sre"], reason="moved to operations")
    assert answer.status_code == 200
    assert answer.json()["roles"] == ["sre"]
    assert answer.json()["version"] == before["version"] + 1
    assert reviewer.http.get("/api/items").status_code == 403
    (told,) = _told(placet_desk)[-1:]
    assert (told.actor_id, told.role) == (_account(admin, "admin")["actor_id"], "admin")
    assert (told.scope, told.reason) == (before["person_id"], "moved to operations")
    assert told.detail == {
        "change": "roles",
        "account": before["actor_id"],
        "roles": "sre",
        "roles_before": "reviewer",
    }


def test_disabling_ends_sessions_for_good(placet_desk: Desk, admin: Person, somebody: str) -> None:
    session = placet_desk.person(somebody).http
    disabled = _do(admin, _account(admin, somebody), "disable")
    assert disabled.json()["disabled"]
    assert session.get("/api/session").status_code == 401
    assert _sign_in(placet_desk, somebody, f"{somebody}-secret").status_code == 401
    assert _do(admin, disabled.json(), "enable").json()["disabled"] is False
    assert session.get("/api/session").status_code == 401, "the old session came back"
    assert _sign_in(placet_desk, somebody, f"{somebody}-secret").status_code == 200
    assert [one.detail["change"] for one in _told(placet_desk)][-2:] == ["disabled", "enabled"]


@pytest.mark.parametrize(
    ("what", "body"), [("disable", {}), ("roles", {"roles": ["auditor"]})], ids=["disabled", "role"]
)
def test_who_decides_no_more_holds_nothing(
    placet_desk: Desk, admin: Person, somebody: str, what: str, body: dict[str, Any]
) -> None:
    items = [review_item(f"held-{what}-{number}") for number in range(3)]
    placet_desk.ingest(items)
    holder, other = placet_desk.person(somebody), placet_desk.person("reviewer")
    for item in items[:2]:
        assert holder.http.post(f"/api/items/{item.item_id}/claim", json={}).status_code == 200
    assert other.http.post(f"/api/items/{items[2].item_id}/claim", json={}).status_code == 200
    assert other.http.post(f"/api/items/{items[0].item_id}/claim", json={}).status_code == 409
    assert _do(admin, _account(admin, somebody), what, **body).status_code == 200
    assert other.http.post(f"/api/items/{items[0].item_id}/claim", json={}).status_code == 200
    rows = placet_desk.query("SELECT payload FROM review.outbox ORDER BY seq")
    events = [decode(row[0]) for row in rows]
    released = [e for e in events if isinstance(e, ReviewActivity) and e.activity == "RELEASED"]
    assert {e.item_id for e in released} == {item.item_id for item in items[:2]}
    (told,) = _told(placet_desk)[-1:]
    assert all(e.causation_ids == [told.event_id] for e in released)
    kept = placet_desk.query(
        "SELECT claim_name FROM review.item WHERE item_id = %s", items[2].item_id
    )
    assert kept == [("Reviewer",)]


def test_who_can_decide_with_another_account_keeps_what_they_hold(
    placet_desk: Desk, admin: Person, somebody: str
) -> None:
    person = _account(admin, somebody)["person_id"]
    placet_desk.account(f"{somebody}-2", "approver", person=person)
    item = review_item("kept")
    placet_desk.ingest([item])
    second = placet_desk.person(f"{somebody}-2")
    assert second.http.post(f"/api/items/{item.item_id}/claim", json={}).status_code == 200
    assert _do(admin, _account(admin, somebody), "disable").status_code == 200
    (kept,) = placet_desk.query("SELECT claim_person::text FROM review.item")
    assert kept == (person,)


def test_new_password_ends_every_session_of_the_person_and_is_for_one_sign_in(
    placet_desk: Desk, admin: Person, somebody: str
) -> None:
    account = _account(admin, somebody)
    placet_desk.account(f"{somebody}-2", "auditor", person=account["person_id"])
    sessions = [placet_desk.person(name).http for name in (somebody, f"{somebody}-2")]
    answer = _do(admin, account, "password", reason="lost laptop")
    assert answer.headers["cache-control"] == "no-store"
    made = answer.json()["password"]
    assert [one.get("/api/session").status_code for one in sessions] == [401, 401]
    assert _sign_in(placet_desk, somebody, f"{somebody}-secret").status_code == 401
    refused = _sign_in(placet_desk, somebody, made)
    assert (refused.status_code, refused.json()["code"]) == (403, "PASSWORD_CHANGE_REQUIRED")
    assert "set-cookie" not in refused.headers
    for wrong in (made, "short"):
        again = _sign_in(placet_desk, somebody, made, new_password=wrong)
        assert (again.status_code, again.json()["code"]) == (422, "BAD_PASSWORD")
    assert _sign_in(placet_desk, somebody, made, new_password="my own one").status_code == 200
    assert _sign_in(placet_desk, somebody, made).status_code == 401
    assert _sign_in(placet_desk, somebody, "my own one").status_code == 200
    assert [one.detail["change"] for one in _told(placet_desk)][-2:] == ["password", "own-password"]
    payloads = placet_desk.query("SELECT payload FROM review.outbox")
    assert not any(made.encode() in bytes(row[0]) for row in payloads)
    assert not _account(admin, somebody)["one_time_password"]


def test_exchanging_a_password_ends_the_other_sessions(placet_desk: Desk, somebody: str) -> None:
    other = placet_desk.person(somebody).http
    changed = _sign_in(placet_desk, somebody, f"{somebody}-secret", new_password="another one")
    assert changed.status_code == 200
    assert other.get("/api/session").status_code == 401
    mine = httpx.get(f"{placet_desk.url}/api/session", cookies=dict(changed.cookies), timeout=60)
    assert mine.status_code == 200


def test_last_sign_in_is_kept(placet_desk: Desk, admin: Person, somebody: str) -> None:
    assert _account(admin, somebody)["last_sign_in_at"] is None
    placet_desk.person(somebody)
    assert _account(admin, somebody)["last_sign_in_at"] is not None


REFUSED = [
    ("roles", {"roles": []}, 422, "BAD_ROLES"),
    ("roles", {"roles": ["owner"]}, 422, "BAD_ROLES"),
    ("roles", {"roles": ["admin", "reviewer"]}, 422, "BAD_ROLES"),
    ("roles", {"roles": ["sre"], "reason": "x" * 1_001}, 422, "TEXT_TOO_LONG"),
    ("roles", {"roles": ["sre"], "reason": "a\0"}, 422, "BAD_TEXT"),
    ("roles", {"roles": ["sre"], "version": -1}, 409, "ACCOUNT_CHANGED"),
    ("disable", {"version": None}, 422, "BAD_BODY"),
    ("password", {"version": 2**70}, 422, "BAD_BODY"),
]


@pytest.mark.parametrize(("what", "body", "status", "code"), REFUSED)
def test_change_that_cannot_be_made_changes_nothing(
    placet_desk: Desk,
    admin: Person,
    somebody: str,
    *,
    what: str,
    body: dict[str, Any],
    status: int,
    code: str,
) -> None:
    before = _account(admin, somebody)
    told = len(_told(placet_desk))
    answer = _do(admin, before, what, **body)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert _account(admin, somebody) == before
    assert len(_told(placet_desk)) == told


def test_what_is_so_already_is_told_to_nobody(
    placet_desk: Desk, admin: Person, somebody: str
) -> None:
    before = _account(admin, somebody)
    told = len(_told(placet_desk))
    assert _do(admin, before, "enable").json() == before
    assert _do(admin, before, "roles", roles=["reviewer"]).json() == before
    assert len(_told(placet_desk)) == told


def test_nobody_takes_their_own_way_in_away(placet_desk: Desk, admin: Person) -> None:
    own = _account(admin, "admin")
    for what, body in (("disable", {}), ("roles", {"roles": ["auditor"]})):
        answer = _do(admin, own, what, **body)
        assert (answer.status_code, answer.json()["code"]) == (409, "LAST_ADMIN")
    placet_desk.account("admin2", "admin")
    for what, body in (("disable", {}), ("roles", {"roles": ["auditor"]})):
        answer = _do(admin, own, what, **body)
        assert (answer.status_code, answer.json()["code"]) == (409, "OWN_ACCOUNT")
    assert admin.http.get("/api/people").status_code == 200
    second = placet_desk.person("admin2")
    assert _do(admin, _account(admin, "admin2"), "disable").status_code == 200
    assert second.http.get("/api/people").status_code == 401


def test_of_two_administrators_the_later_one_is_told(
    placet_desk: Desk, admin: Person, somebody: str
) -> None:
    placet_desk.account("admin3", "admin")
    seen = _account(admin, somebody)
    assert _do(admin, seen, "roles", roles=["approver"]).status_code == 200
    late = _do(placet_desk.person("admin3"), seen, "roles", roles=["sre"])
    assert (late.status_code, late.json()["code"]) == (409, "ACCOUNT_CHANGED")
    assert late.json()["by"] == "Admin"
    assert late.json()["roles"] == ["approver"]
    assert late.json()["version"] == seen["version"] + 1
    assert _account(admin, somebody)["roles"] == ["approver"]
    _do(admin, _account(admin, "admin3"), "disable")


def test_twelve_changes_at_once_of_one_version_are_one_change(
    placet_desk: Desk, admin: Person, somebody: str
) -> None:
    seen = _account(admin, somebody)
    told = len(_told(placet_desk))

    def change(number: int) -> int:
        roles = ["approver"] if number % 2 else ["sre"]
        with _again(placet_desk, admin) as http:
            body = {"version": seen["version"], "roles": roles}
            return http.post(f"/api/people/{seen['actor_id']}/roles", json=body).status_code

    with ThreadPoolExecutor(6) as pool:
        codes = sorted(pool.map(change, range(12)))
    assert codes == [200] + [409] * 11
    assert _account(admin, somebody)["version"] == seen["version"] + 1
    assert len(_told(placet_desk)) == told + 1


def test_two_administrators_who_disable_each_other_leave_one(placet_desk: Desk) -> None:
    """Held up at the same lock, so that both have been let in before either is through."""
    names = ["duel1", "duel2"]
    for name in names:
        placet_desk.account(name, "admin")
    duellists = [placet_desk.person(name) for name in names]
    seen = {name: _account(duellists[0], name) for name in names}
    answers: dict[str, httpx.Response] = {}

    def disable(me: int) -> None:
        other = names[1 - me]
        answer = _do(duellists[me], seen[other], "disable")
        while answer.status_code == 503:  # a slow machine: it waited too long for the gate
            answer = _do(duellists[me], seen[other], "disable")
        answers[names[me]] = answer

    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    with psycopg.connect(placet_desk.dsn) as gate:
        gate.execute("SELECT 1 FROM review.account WHERE 'admin' = ANY (roles) FOR UPDATE")
        threads = [threading.Thread(target=disable, args=(me,)) for me in (0, 1)]
        for thread in threads:
            thread.start()
        for _ in range(1_000):
            if placet_desk.query(waiting) == [(2,)]:
                break
            threads[0].join(0.01)
        gate.rollback()
        for thread in threads:
            thread.join()
    codes = sorted((one.status_code, one.json().get("code")) for one in answers.values())
    assert codes[0] == (200, None)
    assert codes[1] in {(403, "WRONG_ROLE"), (401, "NOT_SIGNED_IN")}
    enabled = placet_desk.query(
        "SELECT count(*) FROM review.account WHERE username = ANY (%s) AND disabled_at IS NULL",
        names,
    )
    assert enabled == [(1,)]


def test_failed_outbox_row_undoes_the_change(
    placet_desk: Desk, admin: Person, somebody: str
) -> None:
    """The control and the change are one transaction: what cannot be told does not happen."""
    before = _account(admin, somebody)
    _alter(placet_desk, "ADD CONSTRAINT shut CHECK (type <> 'Control') NOT VALID")
    try:
        assert _do(admin, before, "disable").status_code == 500
    finally:
        _alter(placet_desk, "DROP CONSTRAINT shut")
    assert _account(admin, somebody) == before


def _alter(placet_desk: Desk, how: str) -> None:
    with psycopg.connect(placet_desk.dsn, autocommit=True) as connection:
        connection.execute(f"ALTER TABLE review.outbox {how}")


def test_auditor_reads_and_changes_nothing(placet_desk: Desk, admin: Person, somebody: str) -> None:
    auditor = placet_desk.person("auditor")
    account = _account(auditor, somebody)
    assert auditor.http.get(f"/api/people/{account['actor_id']}").json() == account
    for what in ("disable", "enable", "password"):
        assert _do(auditor, account, what).status_code == 403
    page = auditor.http.get(f"/people/{account['actor_id']}").text
    assert somebody in page
    assert page.count("<form") == 1  # signing out
    for one in ("reviewer", "approver", "sre"):
        assert placet_desk.person(one).http.get("/people").status_code == 403
        assert 'href="/people"' not in placet_desk.person(one).http.get("/insight").text
    assert 'href="/people"' in admin.http.get("/insight").text


def _form(admin: Person, path: str, **fields: Any) -> httpx.Response:
    return admin.http.post(path, data={"csrf": admin.csrf} | fields, follow_redirects=False)


def test_pages_do_it_all_with_forms(placet_desk: Desk, admin: Person) -> None:
    username = f"u{uuid4().hex[:12]}"
    made = _form(admin, "/people", name="Zoë <b>", username=username, roles=["reviewer"])
    assert made.status_code == 201
    assert made.headers["cache-control"] == "no-store"
    assert "Zoë &lt;b&gt;" in made.text
    secret = re.findall(r'class="secret">([^<]+)<', made.text)[0]
    assert _sign_in(placet_desk, username, secret).json()["code"] == "PASSWORD_CHANGE_REQUIRED"
    account = _account(admin, username)
    path = f"/people/{account['actor_id']}"
    assert secret not in admin.http.get(path).text
    changed = _form(admin, f"{path}/roles", version=account["version"], roles=["approver"])
    assert (changed.status_code, changed.headers["location"]) == (303, f"{path}?done=roles")
    assert "The roles were changed" in admin.http.get(changed.headers["location"]).text
    late = _form(admin, f"{path}/disable", version=account["version"])
    assert late.status_code == 409
    assert "Admin has changed" in late.text
    now = _account(admin, username)
    assert f'name="version" value="{now["version"]}"' in late.text
    assert _form(admin, f"{path}/disable", version=now["version"]).status_code == 303
    assert "disabled" in admin.http.get("/people").text
    shown = _form(admin, f"{path}/password", version=now["version"] + 1)
    assert shown.status_code == 200
    again = _form(admin, f"{path}/password", version=now["version"] + 1)
    assert (again.status_code, 'class="secret"' in again.text) == (409, False)
    second = _form(
        admin,
        "/people",
        name="Zoë <b>",
        username=f"{username}-2",
        roles=["auditor"],
        person_id=account["person_id"],
        beside=account["actor_id"],
    )
    assert second.status_code == 201
    assert _account(admin, f"{username}-2")["person_id"] == account["person_id"]


def test_form_that_is_refused_keeps_what_was_typed(placet_desk: Desk, admin: Person) -> None:
    before = len(_told(placet_desk))
    answer = _form(admin, "/people", name="Typed Name", username="Bad Name", roles=["sre"])
    assert answer.status_code == 422
    assert 'value="Typed Name"' in answer.text
    assert 'value="Bad Name"' in answer.text
    assert re.search(r'value="sre" checked', answer.text)
    assert _form(admin, "/people", name="x", username="y", beside="no id").status_code == 422
    assert len(_told(placet_desk)) == before


def test_password_that_was_made_is_exchanged_on_the_sign_in_page(
    placet_desk: Desk, admin: Person, somebody: str
) -> None:
    made = _do(admin, _account(admin, somebody), "password").json()["password"]
    fields = {"username": somebody, "password": made, "next": "/people"}
    with httpx.Client(base_url=placet_desk.url, timeout=60) as http:
        asked = http.post("/review/sign-in", data=fields)
        assert asked.status_code == 403
        assert 'name="new_password"' in asked.text
        assert made not in asked.text
        done = http.post("/review/sign-in", data=fields | {"new_password": "of my own"})
        assert (done.status_code, done.headers["location"]) == (303, "/people")
        assert http.get("/review").status_code == 200
