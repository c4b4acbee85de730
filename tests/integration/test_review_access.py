"""Who may call what, from the routes themselves; signing in, cookies, CSRF, lock-out, accounts."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from fastapi import APIRouter, Response
from tests.support.review import ROLES, Desk, desk, fresh_database, review_item, settings

from contract.codec import decode
from contract.events import Control
from review_api.api.guard import GuardedRoute, UnguardedRouteError
from review_api.app import create_app, routes
from review_api.desk import build
from review_api.roles import GRANTS, Permission, Role


@pytest.fixture(scope="module")
def placet_desk(postgres_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with (
        fresh_database(postgres_server) as dsn,
        desk(dsn, tmp_path_factory.mktemp("desk")) as made,
    ):
        made.ingest([review_item(1)])
        yield made


def _every_route(placet_desk: Desk) -> list[tuple[str, str, Permission]]:
    app = create_app(build(settings(placet_desk.dsn, placet_desk.folder, "http://127.0.0.1:9")))
    return [
        (method, route.path, route.permission)
        for route in routes(app)
        for method in sorted(route.methods)
    ]


def _call(http: httpx.Client, method: str, path: str) -> httpx.Response:
    ids = "00000000-0000-5000-8000-000000000000"
    for name in ("item_id", "decision_id", "account_id"):
        path = path.replace(f"{{{name}}}", ids)
    path = path.replace("{name}", "desk.css")
    return http.request(
        method, path, headers={"Idempotency-Key": "k"}, content=b"", follow_redirects=False
    )


def test_every_role_on_every_route(placet_desk: Desk) -> None:
    """The table of roles by routes: 403 exactly where the role does not hold the permission."""
    wrong = []
    for method, path, permission in _every_route(placet_desk):
        if "sign-out" in path or (method, path) == ("DELETE", "/api/session"):
            continue
        for username, role in ROLES.items():
            answer = _call(placet_desk.person(username).http, method, path)
            allowed = permission in GRANTS[Role(role)]
            if (answer.status_code != 403) != allowed:
                wrong.append((method, path, role, answer.status_code))
            assert answer.status_code < 500, (method, path, answer.text)
    assert wrong == []


def test_nobody_gets_further_than_the_door(placet_desk: Desk) -> None:
    with httpx.Client(base_url=placet_desk.url) as nobody:
        for method, path, permission in _every_route(placet_desk):
            answer = _call(nobody, method, path)
            if permission is Permission.PUBLIC:
                assert answer.status_code not in {401, 403}, (method, path)
            elif path.startswith("/api"):
                assert answer.status_code == 401, (method, path)
                assert answer.json()["code"] == "NOT_SIGNED_IN"
            else:
                assert answer.status_code in {303, 401}, (method, path)


def test_only_reviewers_and_approvers_decide() -> None:
    deciders = {role for role, granted in GRANTS.items() if Permission.DECIDE in granted}
    assert deciders == {Role.REVIEWER, Role.APPROVER}
    assert Permission.READ not in GRANTS[Role.SRE]


def test_route_without_permission_fails_when_it_is_made() -> None:
    router = APIRouter(route_class=GuardedRoute)
    with pytest.raises(UnguardedRouteError):

        @router.get("/open")
        async def open_door() -> Response:
            return Response()


@pytest.mark.parametrize("headers", [{}, {"X-CSRF-Token": "0" * 64}])
def test_write_without_the_token_is_refused(placet_desk: Desk, headers: dict[str, str]) -> None:
    reviewer = placet_desk.person()
    with httpx.Client(base_url=placet_desk.url, cookies=reviewer.http.cookies) as forged:
        seen = reviewer.item(review_item(1).item_id)
        answer = forged.post(
            f"/api/items/{seen['item_id']}/decisions",
            json={"action": "APPROVE", "revision": 1, "seen_digest": seen["seen_digest"]},
            headers=headers | {"Idempotency-Key": "k"},
        )
        assert (answer.status_code, answer.json()["code"]) == (403, "BAD_CSRF")
        form = forged.post(f"/review/items/{seen['item_id']}/decision", data={"action": "APPROVE"})
        assert form.status_code == 403
    assert placet_desk.query("SELECT count(*) FROM review.decision") == [(0,)]


def test_signing_in_rotates_and_out_ends(placet_desk: Desk) -> None:
    with httpx.Client(base_url=placet_desk.url) as http:
        body = {"username": "auditor", "password": "auditor-secret"}
        first = http.post("/api/session", json=body)
        cookie = first.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=lax" in cookie
        assert "Secure" not in cookie  # plain http on loopback
        before = http.cookies["placet_session"]
        assert http.post("/api/session", json=body).status_code == 200
        assert http.cookies["placet_session"] != before
        old = httpx.get(f"{placet_desk.url}/api/session", cookies={"placet_session": before})
        assert old.status_code == 401
        csrf = http.get("/api/session").json()["csrf_token"]
        assert http.delete("/api/session", headers={"X-CSRF-Token": csrf}).status_code == 204
        assert http.get("/api/session").status_code == 401
    stored = placet_desk.query("SELECT token_hash FROM review.session")
    assert before.encode() not in {bytes(row[0]) for row in stored}


def test_guessing_is_slowed_down_for_known_and_unknown_names_alike(placet_desk: Desk) -> None:
    placet_desk.account("victim", "reviewer")
    for username in ("victim", "nobody-at-all"):
        answers = [
            httpx.post(
                f"{placet_desk.url}/api/session",
                json={"username": username, "password": f"wrong{number}"},
            )
            for number in range(6)
        ]
        codes = [answer.json()["code"] for answer in answers]
        assert codes == ["BAD_CREDENTIALS"] * 4 + ["SIGN_IN_LOCKED"] * 2
        assert int(answers[-1].headers["retry-after"]) >= 1
    # However slow this machine is: the pause has not run out when the right password comes.
    placet_desk.query(
        "UPDATE review.sign_in_failure SET locked_until = now() + interval '1 hour' RETURNING 1"
    )
    right = httpx.post(
        f"{placet_desk.url}/api/session",
        json={"username": "victim", "password": "victim-secret"},
    )
    assert right.status_code == 429
    placet_desk.query("UPDATE review.sign_in_failure SET locked_until = now() RETURNING 1")
    assert placet_desk.person("victim")


def test_sign_ins_are_controls_without_what_was_typed(placet_desk: Desk) -> None:
    placet_desk.query("DELETE FROM review.outbox RETURNING 1")
    httpx.post(
        f"{placet_desk.url}/api/session", json={"username": "my-password-oops", "password": "x" * 9}
    )
    httpx.post(f"{placet_desk.url}/api/session", json={"username": "sre", "password": "sre-secret"})
    rows = placet_desk.query("SELECT payload FROM review.outbox ORDER BY seq")
    events = [decode(row[0]) for row in rows]
    assert [e.control for e in events if isinstance(e, Control)] == ["SIGN_IN_FAILED", "SIGNED_IN"]
    assert not any(b"my-password-oops" in row[0] for row in rows)


PEOPLE = [
    ({"username": "Bad Name", "name": "x", "roles": ["reviewer"]}, 422, "BAD_USERNAME"),
    ({"username": "p1", "name": "x", "roles": ["owner"]}, 422, "BAD_ROLES"),
    ({"username": "p1", "name": "x", "roles": []}, 422, "BAD_ROLES"),
    ({"username": "p1", "name": "x", "roles": ["admin", "reviewer"]}, 422, "BAD_ROLES"),
    ({"username": "p1", "name": " ", "roles": ["reviewer"]}, 422, "BAD_VALUE"),
    ({"username": "p1", "name": "a\0", "roles": ["reviewer"]}, 422, "BAD_TEXT"),
    (
        {"username": "p1", "name": "x", "roles": ["reviewer"], "password": "short"},
        422,
        "BAD_PASSWORD",
    ),
    ({"username": "reviewer", "name": "x", "roles": ["reviewer"]}, 409, "USERNAME_TAKEN"),
    (
        {
            "username": "p1",
            "name": "x",
            "roles": ["reviewer"],
            "person_id": "00000000-0000-5000-8000-000000000000",
        },
        404,
        "NOT_FOUND",
    ),
]


@pytest.mark.parametrize(("body", "status", "code"), PEOPLE)
def test_account_that_cannot_be_made(
    placet_desk: Desk, body: dict[str, Any], status: int, code: str
) -> None:
    answer = placet_desk.person("admin").http.post("/api/people", json=body)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_admin_makes_people_and_one_person_may_hold_two_accounts(placet_desk: Desk) -> None:
    admin = placet_desk.person("admin")
    made = admin.http.post(
        "/api/people", json={"username": "eve", "name": "Eve", "roles": ["reviewer", "approver"]}
    )
    assert made.status_code == 201, made.text
    eve = made.json()
    again = admin.http.post(
        "/api/people",
        json={
            "username": "eve-audit",
            "name": "Eve",
            "roles": ["auditor"],
            "password": "a long one",
            "person_id": eve["person_id"],
        },
    )
    assert again.status_code == 201
    assert "password" not in again.json()
    assert again.json()["person_id"] == eve["person_id"]
    signed_in = httpx.post(
        f"{placet_desk.url}/api/session",
        json={"username": "eve", "password": eve["password"], "new_password": "one of her own"},
    )
    assert signed_in.json()["roles"] == ["approver", "reviewer"]
    listed = admin.http.get("/api/people").json()["people"]
    assert {"eve", "eve-audit"} <= {one["username"] for one in listed}
    assert not any("password" in one for one in listed)


def test_operational_endpoints(placet_desk: Desk) -> None:
    assert httpx.get(f"{placet_desk.url}/healthz").json() == {"status": "alive"}
    assert httpx.get(f"{placet_desk.url}/readyz").status_code == 200
    assert "placet_" in httpx.get(f"{placet_desk.url}/metrics").text
    measures = placet_desk.person("sre").http.get("/api/metrics/review").json()
    assert measures["pending"] == 1
    document = httpx.get(f"{placet_desk.url}/api/openapi.json").json()
    assert "/api/items/{item_id}/decisions" in document["paths"]
