"""Signing in at a company's provider: a real flow against a real process, and what goes wrong."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from tests.support.oidc_provider import CLIENT, SECRET, Provider, provider
from tests.support.review import Desk, Person, desk, fresh_database, review_item, settings

from contract.codec import decode
from contract.events import Control, ReviewActivity, Risk
from contract.statement import from_text
from review_api.oidc import LEEWAY

ROLES = {
    "desk-reviewers": ["reviewer"],
    "desk-approvers": ["approver"],
    "desk-admins": ["admin"],
}
USERS: dict[str, dict[str, Any]] = {
    "mia": {
        "sub": "u-1",
        "preferred_username": "Mia.Berg",
        "name": "Mia Berg",
        "groups": ["desk-reviewers", "everybody"],
    },
    "noa": {"sub": "u-2", "email": "noa@example.org", "groups": ["desk-approvers"]},
    "nobody": {"sub": "u-3", "name": "No Body", "groups": ["everybody"]},
    "both": {"sub": "u-4", "groups": ["desk-admins", "desk-reviewers"]},
    "rae": {"sub": "u-5", "preferred_username": "reviewer", "groups": "desk-reviewers"},
    "bare": {"sub": "u-6", "preferred_username": "<script>", "groups": ["desk-reviewers"]},
}


@pytest.fixture(scope="module")
def company() -> Iterator[Provider]:
    with provider() as running:
        yield running


@pytest.fixture(scope="module")
def running(
    postgres_server: str, company: Provider, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Desk]:
    folder = tmp_path_factory.mktemp("desk")
    (folder / "oidc.secret").write_text(f"{SECRET}\n")
    told = {
        "oidc_issuer": company.issuer,
        "oidc_client_id": CLIENT,
        "oidc_client_secret_file": folder / "oidc.secret",
        "oidc_name": "Acme",
        "oidc_roles": ROLES,
    }
    with fresh_database(postgres_server) as dsn, desk(dsn, folder, **told) as made:
        yield made


@pytest.fixture
def placet_desk(running: Desk, company: Provider) -> Desk:
    company.arrange(users=USERS)
    return running.empty()


@pytest.fixture
def http(placet_desk: Desk) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=placet_desk.url) as http:
        yield http


def leave(http: httpx.Client, address: str = "/review/oidc?next=/insight") -> str:
    answer = http.get(address)
    assert answer.status_code == 303, answer.text
    return str(answer.headers["location"])


def come(http: httpx.Client, company: Provider, user: str) -> httpx.Response:
    """The whole way: out, in at the provider, back."""
    return http.get(company.sign_in(leave(http), user))


def who(http: httpx.Client) -> dict[str, Any]:
    found: dict[str, Any] = http.get("/api/session").json()
    return found


def controls(placet_desk: Desk) -> list[Control]:
    rows = placet_desk.query(
        "SELECT payload FROM review.outbox WHERE type = 'Control' ORDER BY seq"
    )
    return [event for row in rows if isinstance(event := decode(row[0]), Control)]


def test_somebody_signs_in_and_has_the_roles_of_their_groups(
    placet_desk: Desk, company: Provider, http: httpx.Client
) -> None:
    page = http.get("/review/sign-in?next=/insight").text
    assert "Sign in with Acme" in page
    address = leave(http)
    asked = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
    assert (asked["response_type"], asked["code_challenge_method"]) == ("code", "S256")
    assert len(asked["state"]) >= 43
    assert len(asked["nonce"]) >= 43
    assert asked["state"] != asked["nonce"]
    back = http.get(company.sign_in(address, "mia"))
    assert (back.status_code, back.headers["location"]) == (303, "/insight")
    session = who(http)
    assert (session["username"], session["name"]) == ("mia.berg", "Mia Berg")
    assert session["roles"] == ["reviewer"]
    assert http.get("/insight").status_code == 200
    told = controls(placet_desk)
    assert [(e.control, e.detail.get("by") or e.detail.get("change")) for e in told] == [
        ("PERSON_CHANGED", "added"),
        ("SIGNED_IN", "oidc"),
    ]
    assert told[0].detail["roles"] == "reviewer"


def test_one_identity_is_one_person_however_they_are_called(
    placet_desk: Desk, company: Provider, http: httpx.Client
) -> None:
    come(http, company, "noa")
    before = who(http)
    renamed = {"noa": USERS["noa"] | {"email": "someone.else@example.org", "name": "Else"}}
    company.arrange(users=renamed)
    with httpx.Client(base_url=placet_desk.url) as other:
        come(other, company, "noa")
        after = who(other)
    assert after["actor_id"] == before["actor_id"]
    assert after["person_id"] == before["person_id"]


def test_roles_are_the_providers_at_every_sign_in(
    placet_desk: Desk, company: Provider, http: httpx.Client
) -> None:
    come(http, company, "mia")
    company.arrange(users={"mia": USERS["mia"] | {"groups": ["desk-approvers"]}})
    placet_desk.query("DELETE FROM review.outbox RETURNING 1")
    with httpx.Client(base_url=placet_desk.url) as other:
        come(other, company, "mia")
        assert who(other)["roles"] == ["approver"]
    assert who(http)["roles"] == ["approver"]  # in the session before as well, at once
    (changed,) = [e for e in controls(placet_desk) if e.control == "PERSON_CHANGED"]
    assert changed.detail["roles_before"] == "reviewer"
    assert (changed.detail["change"], changed.detail["roles"]) == ("roles", "approver")
    company.arrange(users={"mia": USERS["mia"] | {"groups": []}})
    with httpx.Client(base_url=placet_desk.url) as other:
        assert "NO_ROLE" in _said(come(other, company, "mia"))


def _said(answer: httpx.Response) -> str:
    assert answer.status_code in {400, 403, 422, 503}, answer.text
    assert 'role="alert"' in answer.text
    words = {
        "You were not signed in": "SIGN_IN_REFUSED",
        "You have no role here": "NO_ROLE",
        "Your account is closed": "ACCOUNT_DISABLED",
        "sign-in does not answer": "PROVIDER_AWAY",
        "These roles cannot be given": "BAD_ROLES",
    }
    return " ".join(code for text, code in words.items() if text in answer.text)


@pytest.mark.parametrize(("user", "code"), [("nobody", "NO_ROLE"), ("both", "BAD_ROLES")])
def test_who_has_no_role_or_two_that_do_not_go_together(
    placet_desk: Desk, company: Provider, http: httpx.Client, user: str, code: str
) -> None:
    assert _said(come(http, company, user)) == code
    assert http.get("/api/session").status_code == 401
    assert placet_desk.query(
        "SELECT count(*) FROM review.identity WHERE subject = %s", USERS[user]["sub"]
    ) == [(0,)]


def test_a_disabled_account_does_not_come_in(
    placet_desk: Desk, company: Provider, http: httpx.Client
) -> None:
    come(http, company, "noa")
    account = who(http)["actor_id"]
    admin = placet_desk.person("admin")
    version = admin.http.get(f"/api/people/{account}").json()["version"]
    path = f"/api/people/{account}"
    assert admin.http.post(f"{path}/disable", json={"version": version}).status_code == 200
    assert http.get("/api/session").status_code == 401
    assert _said(come(http, company, "noa")) == "ACCOUNT_DISABLED"
    assert http.get("/api/session").status_code == 401
    admin.http.post(f"{path}/enable", json={"version": version + 1})
    assert come(http, company, "noa").status_code == 303


def test_a_name_that_somebody_has_here_is_another_person(
    placet_desk: Desk, company: Provider, http: httpx.Client
) -> None:
    """What a provider calls somebody is no proof: the local account keeps its owner."""
    come(http, company, "rae")
    session = who(http)
    local = placet_desk.person("reviewer").http.get("/api/session").json()
    assert session["username"].startswith("reviewer-")
    assert session["person_id"] != local["person_id"]
    company.arrange(users={"rae": USERS["rae"] | {"sub": "u-12", "name": "Reviewer"}})
    come(http, company, "rae")
    people = placet_desk.person("admin").http.get("/people").text
    assert people.count("same name as another") == 3  # perhaps one person, there thrice
    come(http, company, "bare")
    assert who(http)["username"] == "script"


def test_somebody_the_provider_knows_is_said_beforehand_to_be_a_person(
    placet_desk: Desk, company: Provider, http: httpx.Client
) -> None:
    placet_desk.account("olga", "reviewer")
    olga = placet_desk.person("olga").http.get("/api/session").json()
    admin = placet_desk.person("admin")
    path = f"/api/people/{olga['actor_id']}/identity"
    assert admin.http.post(path, json={"subject": "u-9"}).status_code == 200
    assert admin.http.post(path, json={"subject": "u-9"}).status_code == 409
    company.arrange(users={"olga": {"sub": "u-9", "groups": ["desk-approvers"]}})
    come(http, company, "olga")
    session = who(http)
    assert session["person_id"] == olga["person_id"]
    assert session["actor_id"] != olga["actor_id"]
    # One person: what they approved first with a password they cannot approve again.
    item = review_item("dual", risk=Risk(score=0.95))
    placet_desk.ingest([item])
    local = placet_desk.person("olga")
    assert local.decide(local.item(item.item_id)).status_code == 201
    _prove(http, company, "olga")
    answer = _approve(http, item.item_id)
    assert (answer.status_code, answer.json()["code"]) == (403, "SECOND_APPROVAL_REQUIRED")


def _approve(http: httpx.Client, item: str) -> httpx.Response:
    headers = {"X-CSRF-Token": who(http)["csrf_token"], "Idempotency-Key": "k"}
    http.post(f"/api/items/{item}/evidence", headers=headers)
    seen = http.get(f"/api/items/{item}").json()
    body = {
        "action": "APPROVE",
        "revision": seen["revision"],
        "seen_digest": seen["seen_digest"],
    }
    return http.post(f"/api/items/{item}/decisions", json=body, headers=headers)


def _prove(http: httpx.Client, company: Provider, user: str) -> httpx.Response:
    address = leave(http, "/review/oidc?again=1&next=/review")
    asked = parse_qs(urlsplit(address).query)
    assert (asked["prompt"], asked["max_age"]) == (["login"], ["0"])
    return http.get(company.sign_in(address, user))


# Proving it again, in a critical lane


def test_a_critical_approval_takes_a_fresh_sign_in_at_the_company(
    placet_desk: Desk, company: Provider, http: httpx.Client
) -> None:
    item = review_item("critical", risk=Risk(score=0.95))
    placet_desk.ingest([item])
    company.arrange(users={"pia": {"sub": "u-10", "groups": ["desk-reviewers"]}})
    come(http, company, "pia")
    refused = _approve(http, item.item_id)
    assert (refused.status_code, refused.json()["code"]) == (403, "PASSWORD_NEEDED")
    assert refused.json()["prove"] == "oidc"
    page = http.get(f"/review/items/{item.item_id}").text
    assert "/review/oidc?again=1" in page
    assert 'name="password"' not in page
    csrf = {"X-CSRF-Token": who(http)["csrf_token"]}
    typed = http.post("/api/session/proof", json={"password": "any"}, headers=csrf)
    assert typed.status_code == 409
    cookie = http.cookies["placet_session"]
    assert _prove(http, company, "pia").status_code == 303
    assert http.cookies["placet_session"] == cookie  # the same session, and its CSRF token
    assert _approve(http, item.item_id).status_code == 201
    rows = placet_desk.query("SELECT payload FROM review.outbox WHERE type = 'ReviewActivity'")
    events = [decode(row[0]) for row in rows]
    (first,) = [e for e in events if isinstance(e, ReviewActivity) and e.statement]
    assert from_text(first.statement or "").approvers[0].proved_by == "oidc"


@pytest.mark.parametrize(
    ("user", "claims"),
    [
        ("mia", {}),  # somebody else signs in
        ("ned", {"auth_time": None}),
        ("ned", {"auth_time": 1_700_000_000}),  # when they came in the morning
    ],
)
def test_what_does_not_prove_it(
    placet_desk: Desk,
    company: Provider,
    http: httpx.Client,
    user: str,
    claims: dict[str, Any],
) -> None:
    ned = {"ned": {"sub": "u-11", "groups": ["desk-reviewers"]}}
    company.arrange(users=ned)
    come(http, company, "ned")
    company.arrange(wrong={"claims": claims})
    assert _said(_prove(http, company, user)) == "SIGN_IN_REFUSED"
    assert placet_desk.query(
        "SELECT count(*) FROM review.session WHERE signed_in_by = 'oidc' AND proved_at IS NOT NULL"
        " AND account_id = %s",
        who(http)["actor_id"],
    ) == [(0,)]


# What goes wrong on the way


WRONG: dict[str, dict[str, Any]] = {
    "another nonce": {"claims": {"nonce": "replayed"}},
    "no nonce": {"claims": {"nonce": None}},
    "another audience": {"claims": {"aud": "somebody-else"}},
    "several audiences, none named": {"claims": {"aud": [CLIENT, "other"]}},
    "made for another party": {"claims": {"aud": [CLIENT, "other"], "azp": "other"}},
    "another issuer": {"claims": {"iss": "https://evil.example"}},
    "over": {"claims": {"exp": 1_700_000_000}},
    "issued in the future": {"claims": {"iat": 4_000_000_000}},
    "no end": {"claims": {"exp": None}},
    "no subject": {"claims": {"sub": None}},
    "an unknown key": {"key": "stranger"},
    "a forged signature": {"key": "stranger with its name"},
    "no signature": {"algorithm": "none"},
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_token_that_does_not_hold(
    placet_desk: Desk, company: Provider, http: httpx.Client, wrong: str
) -> None:
    company.arrange(wrong=WRONG[wrong])
    placet_desk.query("DELETE FROM review.outbox RETURNING 1")
    assert _said(come(http, company, "mia")) == "SIGN_IN_REFUSED"
    assert http.get("/api/session").status_code == 401
    (told,) = controls(placet_desk)
    assert (told.control, told.detail["code"]) == ("SIGN_IN_FAILED", "SIGN_IN_REFUSED")


def test_the_clocks_may_differ_a_little(company: Provider, http: httpx.Client) -> None:
    assert timedelta(seconds=60) == LEEWAY
    import time

    company.arrange(wrong={"claims": {"exp": int(time.time()) - 20}})
    assert come(http, company, "mia").status_code == 303


def test_a_way_back_is_good_once(company: Provider, http: httpx.Client) -> None:
    back = company.sign_in(leave(http), "mia")
    assert http.get(back).status_code == 303
    assert _said(http.get(back)) == "SIGN_IN_REFUSED"


def test_a_code_that_was_used_is_refused_by_the_provider_too(
    company: Provider, http: httpx.Client
) -> None:
    first = company.sign_in(leave(http), "mia")
    code = parse_qs(urlsplit(first).query)["code"][0]
    http.get(first)
    second = company.sign_in(leave(http), "mia")
    state = parse_qs(urlsplit(second).query)["state"][0]
    replayed = http.get(f"/review/oidc/callback?code={code}&state={state}")
    assert _said(replayed) == "SIGN_IN_REFUSED"
    assert "invalid_grant" in replayed.text


@pytest.mark.parametrize("state", ["", "made-up"])
def test_a_state_that_nobody_drew(company: Provider, http: httpx.Client, state: str) -> None:
    back = company.sign_in(leave(http), "mia")
    code = parse_qs(urlsplit(back).query)["code"][0]
    answer = http.get(f"/review/oidc/callback?code={code}&state={state}")
    assert _said(answer) == "SIGN_IN_REFUSED"


def test_a_link_that_somebody_else_began_signs_nobody_in(
    placet_desk: Desk, company: Provider, http: httpx.Client
) -> None:
    """Log-in CSRF: the victim's browser did not ask for it."""
    back = company.sign_in(leave(http), "mia")
    with httpx.Client(base_url=placet_desk.url) as victim:
        assert _said(victim.get(back)) == "SIGN_IN_REFUSED"
        assert victim.get("/api/session").status_code == 401


def test_an_attempt_that_took_too_long(
    placet_desk: Desk, company: Provider, http: httpx.Client
) -> None:
    back = company.sign_in(leave(http), "mia")
    placet_desk.query("UPDATE review.sign_in_attempt SET expires_at = now() RETURNING 1")
    assert _said(http.get(back)) == "SIGN_IN_REFUSED"


def test_somebody_who_changes_their_mind(company: Provider, http: httpx.Client) -> None:
    page = company.sign_in(leave(http), "unknown user")
    answer = http.get(page)
    assert _said(answer) == "SIGN_IN_REFUSED"
    assert "access_denied" in answer.text


def test_who_is_signed_in_there_already_types_nothing(
    company: Provider, http: httpx.Client
) -> None:
    come(http, company, "mia")
    assert http.get(company.sign_in(leave(http), "")).status_code == 303
    assert who(http)["name"] == "Mia Berg"


def test_new_keys_are_found(company: Provider, http: httpx.Client) -> None:
    assert come(http, company, "mia").status_code == 303
    company.arrange(rotate=True)
    assert come(http, company, "mia").status_code == 303


@pytest.mark.parametrize(
    "metadata",
    [
        {"issuer": "https://evil.example"},
        {"token_endpoint": "https://evil.example/token"},
        {"jwks_uri": None},
    ],
)
def test_a_provider_that_points_elsewhere_is_not_followed(
    placet_desk: Desk, company: Provider, metadata: dict[str, Any]
) -> None:
    import asyncio

    from review_api.problems import Code, ProblemError
    from review_api.provider import Provider as Edge

    company.arrange(wrong={"metadata": metadata})
    told = settings(
        placet_desk.dsn,
        placet_desk.folder,
        "http://127.0.0.1:9",
        oidc_issuer=company.issuer,
        oidc_client_id=CLIENT,
        oidc_roles=ROLES,
    )

    async def ask() -> Code:
        edge = Edge(told.company(), "http://127.0.0.1/review/oidc/callback")  # type: ignore[arg-type]
        try:
            await edge.address(state="s", nonce="n", verifier="v" * 43, again=False)
        except ProblemError as problem:
            return problem.code
        finally:
            await edge.close()
        raise AssertionError("it was followed")

    assert asyncio.run(ask()) is Code.SIGN_IN_REFUSED


def test_signing_out_ends_the_session_and_offers_the_companys(
    company: Provider, http: httpx.Client
) -> None:
    come(http, company, "mia")
    left = http.post("/review/sign-out", data={"csrf": who(http)["csrf_token"]})
    page = http.get(left.headers["location"]).text
    assert f'href="{company.issuer}/end-session"' in page
    assert http.get("/api/session").status_code == 401


def test_no_password_opens_such_an_account(
    placet_desk: Desk, company: Provider, http: httpx.Client
) -> None:
    come(http, company, "mia")
    session = who(http)
    admin = placet_desk.person("admin")
    path = f"/api/people/{session['actor_id']}"
    version = admin.http.get(path).json()["version"]
    made = admin.http.post(f"{path}/password", json={"version": version})
    assert (made.status_code, made.json()["code"]) == (409, "NOT_POSSIBLE")
    for password in ("", "None", "password"):
        body = {"username": session["username"], "password": password}
        assert httpx.post(f"{placet_desk.url}/api/session", json=body).status_code == 401
    placet_desk.query("DELETE FROM review.sign_in_failure RETURNING 1")


def test_local_accounts_go_on_beside_it(placet_desk: Desk) -> None:
    person = Person(placet_desk.url, "auditor", "auditor-secret")
    assert person.http.get("/api/session").json()["roles"] == ["auditor"]
    person.http.close()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"oidc_issuer": "http://idp.example"}, "https"),
        ({"oidc_client_id": ""}, "oidc_client_id"),
        ({"oidc_roles": {}}, "oidc_roles"),
        ({"oidc_roles": {"x": ["owner"]}}, "owner"),
    ],
)
def test_settings_that_cannot_work_are_refused_at_start(
    placet_desk: Desk, changes: dict[str, Any], said: str
) -> None:
    told = {"oidc_issuer": "https://idp.example", "oidc_client_id": "x", "oidc_roles": ROLES}
    with pytest.raises(ValueError, match=said):
        settings(placet_desk.dsn, placet_desk.folder, "http://127.0.0.1:9", **(told | changes))


def test_a_provider_that_is_away_is_named_and_other_ways_stay(
    placet_desk: Desk, company: Provider, http: httpx.Client
) -> None:
    """The last of them: the provider ends here."""
    back = company.sign_in(leave(http), "mia")
    company.stop()
    answer = http.get(back)
    assert (answer.status_code, _said(answer)) == (503, "PROVIDER_AWAY")
    assert "Acme" in answer.text
    assert 'name="password"' in answer.text
    assert placet_desk.person("sre").http.get("/insight").status_code == 200
