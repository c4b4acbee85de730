"""Who decides in a critical lane proves again who they are: password, idle sessions, guesses."""

import json
import os
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.support.desk import PLACET
from tests.support.review import Desk, Person, desk, fresh_database, review_item

from contract.codec import decode
from contract.events import Control, ReviewActivity, Risk
from contract.statement import from_text

PASSWORD = "reviewer-secret"
AGAIN = "Critical: your password again"


@pytest.fixture(scope="module")
def running(postgres_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with (
        fresh_database(postgres_server) as dsn,
        desk(dsn, tmp_path_factory.mktemp("desk")) as made,
    ):
        yield made


@pytest.fixture
def placet_desk(running: Desk) -> Desk:
    running.query("DELETE FROM review.sign_in_failure RETURNING 1")
    return running.empty()


@pytest.fixture
def someone(placet_desk: Desk) -> Iterator[Person]:
    """Somebody who has only just signed in, and has proved nothing since."""
    person = Person(placet_desk.url, "reviewer", PASSWORD)
    yield person
    person.http.close()


@pytest.fixture
def critical(placet_desk: Desk) -> str:
    return _critical(placet_desk, 1)


def _critical(placet_desk: Desk, number: int) -> str:
    item = review_item(number, risk=Risk(score=0.95))
    placet_desk.ingest([item])
    return item.item_id


def _send(person: Person, item: str, action: str = "APPROVE", **body: Any) -> httpx.Response:
    person.http.post(f"/api/items/{item}/evidence")
    seen = person.item(item)
    sent = {"action": action, "revision": 1, "seen_digest": seen["seen_digest"], **body}
    if action != "APPROVE":
        sent["reason_code"] = "WRONG"
    headers = {"Idempotency-Key": uuid.uuid4().hex}
    return person.http.post(f"/api/items/{item}/decisions", json=sent, headers=headers)


def _code(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


def _leave(placet_desk: Desk, *, minutes: int = 16) -> None:
    """Nobody has used any session for so long."""
    placet_desk.query(
        "UPDATE review.session SET seen_at = now() - make_interval(mins => %s) RETURNING 1", minutes
    )


def test_an_approval_needs_the_password_and_a_while_later_again(
    placet_desk: Desk, someone: Person, critical: str
) -> None:
    refused = _send(someone, critical)
    assert _code(refused) == (403, "PASSWORD_NEEDED")
    assert (refused.json()["prove"], refused.json()["window_seconds"]) == ("password", 300)
    assert placet_desk.query("SELECT state FROM review.item") == [("PENDING",)]
    assert _send(someone, critical, password=PASSWORD).status_code == 201
    second = _critical(placet_desk, 2)
    assert _send(someone, second).status_code == 201  # within the window
    placet_desk.query(
        "UPDATE review.session SET proved_at = proved_at - interval '5 min 1 s' RETURNING 1"
    )
    assert _code(_send(someone, _critical(placet_desk, 3))) == (403, "PASSWORD_NEEDED")


def test_a_proof_is_of_one_session_alone(placet_desk: Desk, critical: str) -> None:
    one, other = (Person(placet_desk.url, "reviewer", PASSWORD) for _ in range(2))
    proved = one.http.post("/api/session/proof", json={"password": PASSWORD})
    assert proved.status_code == 200
    assert proved.json()["until"] > proved.json()["proved_at"]
    assert _code(_send(other, critical)) == (403, "PASSWORD_NEEDED")
    assert _send(one, critical).status_code == 201
    one.http.close()
    other.http.close()


def test_what_was_signed_says_when_and_how_it_was_proved(
    placet_desk: Desk, someone: Person, critical: str
) -> None:
    assert _send(someone, critical, password=PASSWORD).status_code == 201
    rows = placet_desk.query("SELECT payload FROM review.outbox WHERE type = 'ReviewActivity'")
    events = [decode(row[0]) for row in rows]
    (first,) = [e for e in events if isinstance(e, ReviewActivity) and e.statement]
    (approver,) = from_text(first.statement or "").approvers
    ((proved,),) = placet_desk.query(
        "SELECT to_char(proved_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')"
        " FROM review.session WHERE proved_at IS NOT NULL ORDER BY proved_at DESC LIMIT 1"
    )
    assert (approver.proved_by, approver.proved_at) == ("password", proved)


@pytest.mark.parametrize("action", ["REJECT", "NEED_INFO"])
def test_an_idle_session_proves_it_for_any_decision_in_the_lane(
    placet_desk: Desk, critical: str, action: str
) -> None:
    ordinary = review_item(2)
    placet_desk.ingest([ordinary])
    gone = Person(placet_desk.url, "reviewer", PASSWORD)
    _leave(placet_desk)
    assert _code(_send(gone, critical, action)) == (403, "PASSWORD_NEEDED")
    assert _send(gone, ordinary.item_id, action).status_code == 201
    # Having been idle is not forgotten because somebody opens a page.
    assert _code(_send(gone, critical, action)) == (403, "PASSWORD_NEEDED")
    assert _send(gone, critical, action, password=PASSWORD).status_code == 201
    gone.http.close()


def test_a_session_in_use_is_asked_for_approvals_alone(placet_desk: Desk, critical: str) -> None:
    here = Person(placet_desk.url, "reviewer", PASSWORD)
    _leave(placet_desk, minutes=13)
    assert _send(here, critical, "REJECT").status_code == 201
    here.http.close()


def test_what_a_page_sends_by_itself_keeps_nobody_there(placet_desk: Desk, critical: str) -> None:
    gone = Person(placet_desk.url, "reviewer", PASSWORD)
    _leave(placet_desk)
    assert gone.http.post(f"/api/items/{critical}/claim", json={}).status_code == 200
    ((old,),) = placet_desk.query(
        "SELECT max(seen_at) < now() - interval '15 min' FROM review.session"
    )
    assert old
    gone.http.close()


def test_a_bulk_reject_by_an_idle_session_asks_first(placet_desk: Desk, critical: str) -> None:
    gone = Person(placet_desk.url, "reviewer", PASSWORD)
    _leave(placet_desk)
    body: dict[str, Any] = {
        "action": "REJECT",
        "reason_code": "WRONG",
        "items": [{"item_id": critical, "revision": 1}],
    }
    headers = {"Idempotency-Key": "many"}
    refused = gone.http.post("/api/decisions/bulk", json=body, headers=headers)
    assert _code(refused) == (403, "PASSWORD_NEEDED")
    form = {"csrf": gone.csrf, "action": "REJECT", "item": f"{critical}:1"}
    assert 'name="password"' in gone.http.post("/review/bulk", data=form).text
    done = gone.http.post(
        "/api/decisions/bulk", json=body | {"password": PASSWORD}, headers=headers
    )
    assert (done.status_code, done.json()["decided"]) == (200, 1)
    gone.http.close()


def test_guesses_are_slowed_down_together_with_sign_in(
    placet_desk: Desk, someone: Person, critical: str
) -> None:
    codes = [_code(_send(someone, critical, password=f"guess-{n}"))[1] for n in range(6)]
    assert codes == ["WRONG_PASSWORD"] * 4 + ["SIGN_IN_LOCKED"] * 2
    placet_desk.query(
        "UPDATE review.sign_in_failure SET locked_until = now() + interval '1 hour' RETURNING 1"
    )
    assert _code(_send(someone, critical, password=PASSWORD)) == (429, "SIGN_IN_LOCKED")
    entered = httpx.post(
        f"{placet_desk.url}/api/session", json={"username": "reviewer", "password": PASSWORD}
    )
    assert _code(entered) == (429, "SIGN_IN_LOCKED")
    assert placet_desk.query("SELECT state FROM review.item") == [("PENDING",)]
    rows = placet_desk.query("SELECT payload FROM review.outbox WHERE type = 'Control'")
    told = [decode(row[0]) for row in rows]
    failed = [e for e in told if isinstance(e, Control) and e.control == "SIGN_IN_FAILED"]
    assert {e.detail.get("where") for e in failed} == {"re-entry"}
    assert not any(b"guess-" in bytes(row[0]) for row in rows)


def test_a_proof_cannot_be_sent_by_another_site(placet_desk: Desk, someone: Person) -> None:
    cookies = someone.http.cookies
    with httpx.Client(base_url=placet_desk.url, cookies=cookies) as forged:
        answer = forged.post("/api/session/proof", json={"password": PASSWORD})
    assert _code(answer) == (403, "BAD_CSRF")


def test_the_password_is_kept_nowhere(placet_desk: Desk, someone: Person, critical: str) -> None:
    typed = "x-marks-the-spot"
    _send(someone, critical, password=typed, comment="why")
    _form(placet_desk, someone, critical, password=typed)
    for table in ("idempotency", "draft", "outbox", "approval", "decision"):
        found = placet_desk.query(
            f"SELECT count(*) FROM review.{table} AS t WHERE t::text LIKE %s", f"%{typed}%"
        )
        assert found == [(0,)]


def _form(placet_desk: Desk, person: Person, item: str, **more: str) -> httpx.Response:
    person.http.post(f"/api/items/{item}/evidence")
    data = {
        "csrf": person.csrf,
        "key": uuid.uuid4().hex,
        "action": "APPROVE",
        "revision": "1",
        "seen_digest": person.item(item)["seen_digest"],
        "comment": "Kept <b>whatever</b> happens",
        "field:answer": "An edit that is kept.",
    }
    place = f"{placet_desk.url}/review/items/{item}/decision"
    return person.http.post(place, data=data | more)


def test_the_form_asks_and_loses_nothing(placet_desk: Desk, someone: Person, critical: str) -> None:
    someone.http.post(f"/api/items/{critical}/evidence")
    page = someone.http.get(f"/review/items/{critical}").text
    assert AGAIN in page
    wrong = _form(placet_desk, someone, critical, password="not mine")
    assert (wrong.status_code, "WRONG_PASSWORD" in wrong.text) == (403, True)
    without = _form(placet_desk, someone, critical)
    assert (without.status_code, "PASSWORD_NEEDED" in without.text) == (403, True)
    for shown in (wrong.text, without.text):
        assert "Kept &lt;b&gt;whatever&lt;/b&gt; happens" in shown
        assert "An edit that is kept." in shown
        assert AGAIN in shown
        assert "not mine" not in shown
    right = _form(placet_desk, someone, critical, password=PASSWORD)
    assert right.status_code == 303
    second = _critical(placet_desk, 2)
    someone.http.post(f"/api/items/{second}/evidence")
    assert AGAIN not in someone.http.get(f"/review/items/{second}").text


def test_an_ordinary_item_asks_for_nothing(placet_desk: Desk, someone: Person) -> None:
    item = review_item("plain")
    placet_desk.ingest([item])
    assert 'name="password"' not in someone.http.get(f"/review/items/{item.item_id}").text
    assert _send(someone, item.item_id).status_code == 201


def test_the_command_line_sends_it_where_it_is_asked_for(
    placet_desk: Desk, critical: str, tmp_path: Path
) -> None:
    wrong = tmp_path / "password"
    wrong.write_text("not mine\n")
    environment = {
        "PLACET_URL": placet_desk.url,
        "PLACET_USERNAME": "reviewer",
        "PLACET_PASSWORD": PASSWORD,
        "PLACET_HOME": str(tmp_path),
    }

    def placet(*command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [PLACET, *command],
            env=os.environ | environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    approve = ("decide", critical, "approve", "--json")
    unseen = placet(*approve)
    assert (unseen.returncode, "--evidence" in unseen.stderr) == (4, True)
    shown = placet("item", critical, "--evidence")
    assert (shown.returncode, "Delhi is the capital" in shown.stdout) == (0, True), shown.stderr
    refused = placet(*approve, "--password-file", str(wrong))
    assert (refused.returncode, "WRONG_PASSWORD" in refused.stderr) == (4, True)
    done = placet(*approve)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["state"] == "SECOND_APPROVAL"
