"""Operators' doors: who may, what is told, what is refused; the stop switch."""

import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from tests.support.review import INSTANCE, Desk, desk, fresh_database, review_item

from contract.codec import decode
from contract.events import Control


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


def controls(placet_desk: Desk, *kinds: str) -> list[Control]:
    rows = placet_desk.query(
        "SELECT payload FROM review.outbox WHERE aggregatetype = 'placet.controls' ORDER BY seq"
    )
    found = [decode(row[0]) for row in rows]
    return [one for one in found if isinstance(one, Control) and one.control in kinds]


def stuck(placet_desk: Desk) -> str:
    """A write-back that is STUCK."""
    item = review_item()
    placet_desk.ingest([item])
    reviewer = placet_desk.person()
    decision = reviewer.decide(reviewer.item(item.item_id)).json()
    placet_desk.query("UPDATE review.write_back SET state = 'STUCK' RETURNING 1")
    key: str = decision["write_backs"][0]["write_back_id"]
    return key


@pytest.mark.parametrize(("door", "kind"), [("pause", "PAUSED"), ("resume", "RESUMED")])
def test_an_sre_stops_and_starts_a_target_with_a_reason(
    placet_desk: Desk, door: str, kind: str
) -> None:
    sre = placet_desk.person("sre")
    answer = sre.http.post(f"/api/targets/{INSTANCE}/{door}", json={"reason": "maintenance"})
    assert answer.status_code == 202, answer.text
    [told] = controls(placet_desk, kind)
    assert (told.scope, told.role, told.reason) == (INSTANCE, "sre", "maintenance")


MAY = {
    "pause": {"approver", "admin", "sre"},  # whoever answers for what is written
    "resume": {"admin", "sre"},  # whoever runs it
}


@pytest.mark.parametrize("door", ["targets", "switch"])
@pytest.mark.parametrize("what", ["pause", "resume"])
@pytest.mark.parametrize("username", ["reviewer", "approver", "admin", "auditor", "sre"])
def test_who_may_stop_and_who_may_let_go(
    placet_desk: Desk, username: str, what: str, door: str
) -> None:
    path = f"/api/targets/{INSTANCE}/{what}"
    body: dict[str, Any] = {"reason": "because"}
    if door == "switch":
        path, body = (
            {"pause": "/api/stop", "resume": "/api/resume"}[what],
            body | {"target": INSTANCE},
        )
    answer = placet_desk.person(username).http.post(path, json=body)
    allowed = username in MAY[what]
    assert answer.status_code == (202 if allowed else 403), answer.text
    assert len(controls(placet_desk, "PAUSED", "RESUMED")) == allowed


@pytest.mark.parametrize(
    ("target", "body", "status"),
    [
        ("nobody", {"reason": "because"}, 404),
        (INSTANCE, {"reason": "  "}, 422),
        (INSTANCE, {}, 422),
        (INSTANCE, {"reason": "x\0"}, 422),
    ],
)
def test_a_pause_of_nothing_or_without_a_reason_is_refused(
    placet_desk: Desk, target: str, body: dict[str, Any], status: int
) -> None:
    answer = placet_desk.person("sre").http.post(f"/api/targets/{target}/pause", json=body)
    assert answer.status_code == status, answer.text
    assert controls(placet_desk, "PAUSED") == []


@pytest.mark.parametrize("action", ["adopt", "resend", "give-up"])
def test_an_approver_says_what_becomes_of_a_stuck_write(placet_desk: Desk, action: str) -> None:
    key = stuck(placet_desk)
    answer = placet_desk.person("approver").http.post(
        f"/api/write-backs/{key}/unstick", json={"action": action, "reason": "looked"}
    )
    assert answer.status_code == 202, answer.text
    [told] = controls(placet_desk, "UNSTUCK")
    assert (told.scope, told.role, told.reason) == (key, "approver", "looked")
    assert told.detail == {"target": INSTANCE, "action": action}


@pytest.mark.parametrize(
    ("who", "action", "reason", "status"),
    [
        ("reviewer", "adopt", "looked", 403),
        ("sre", "adopt", "looked", 403),
        ("approver", "delete", "looked", 422),
        ("approver", "adopt", "", 422),
    ],
)
def test_unsticking_is_refused(
    placet_desk: Desk, who: str, action: str, reason: str, status: int
) -> None:
    key = stuck(placet_desk)
    answer = placet_desk.person(who).http.post(
        f"/api/write-backs/{key}/unstick", json={"action": action, "reason": reason}
    )
    assert answer.status_code == status, answer.text
    assert controls(placet_desk, "UNSTUCK") == []


def test_what_is_not_stuck_cannot_be_unstuck(placet_desk: Desk) -> None:
    key = stuck(placet_desk)
    placet_desk.query("UPDATE review.write_back SET state = 'APPLIED' RETURNING 1")
    body = {"action": "adopt", "reason": "looked"}
    http = placet_desk.person("approver").http
    answer = http.post(f"/api/write-backs/{key}/unstick", json=body)
    assert (answer.status_code, answer.json()["code"]) == (409, "NOT_POSSIBLE")
    assert http.post(f"/api/write-backs/{uuid.uuid4()}/unstick", json=body).status_code == 404
    assert http.post("/api/write-backs/nothing/unstick", json=body).status_code == 404


def test_the_list_says_what_dispatchers_say(placet_desk: Desk) -> None:
    answer = placet_desk.person("sre").http.get("/api/targets")
    assert answer.json() == {
        "targets": [
            {
                "name": INSTANCE,
                "kind": "postgresql",
                "state": "paused",
                "open": {"WAITING": 2},
            }
        ]
    }
