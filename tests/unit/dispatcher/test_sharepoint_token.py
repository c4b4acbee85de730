"""Secrets and tokens: what a file may say, when a token is renewed, what is never shown."""

import base64
import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import jwt
import pytest
import requests
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from contract.targets import TargetConfig
from dispatcher.targets.sharepoint_answers import LostError
from dispatcher.targets.sharepoint_http import Session
from dispatcher.targets.sharepoint_list import check_config
from dispatcher.targets.sharepoint_token import (
    Secret,
    Tokens,
    load_secret,
    parse_secret,
    require_tls,
)
from dispatcher.targets.target import StartRefusedError
from dispatcher.writeback import Code

SITE = "https://contoso.sharepoint.test/sites/support"
TOKEN_URL = "https://login.test/tenant/oauth2/v2.0/token"
PLAIN = {"client_id": "me", "token_url": TOKEN_URL, "client_secret": "hush"}


class Endpoint:
    """Stands where `requests` sends: gives tokens one after the other."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, life: float = 3600) -> None:
        self.forms: list[dict[str, list[str]]] = []
        self.body: Any = None
        self.status = 200
        self.life = life
        monkeypatch.setattr(Session, "send", self._send)

    def _send(self, request: requests.PreparedRequest, **_: Any) -> requests.Response:
        assert request.url == TOKEN_URL
        assert "Authorization" not in request.headers
        self.forms.append(parse_qs(str(request.body)))
        body = {"access_token": f"t{len(self.forms)}", "expires_in": self.life}
        response = requests.Response()
        response.status_code = self.status
        response.headers["Content-Type"] = "application/json"
        response._content = json.dumps(body if self.body is None else self.body).encode()
        return response


def tokens(now: list[float], secret: Secret | None = None) -> Tokens:
    known = secret or parse_secret(json.dumps(PLAIN), SITE)
    return Tokens(lambda: known, 5.0, clock=lambda: now[0])


def test_a_token_is_kept_and_renewed_before_it_expires(monkeypatch: pytest.MonkeyPatch) -> None:
    endpoint, now = Endpoint(monkeypatch), [0.0]
    source = tokens(now)
    assert [source.current(), source.current()] == ["t1", "t1"]
    now[0] = 3299
    assert source.current() == "t1"
    now[0] = 3301
    assert source.current() == "t2"
    [first, _] = endpoint.forms
    assert first["grant_type"] == ["client_credentials"]
    assert first["scope"] == ["https://contoso.sharepoint.test/.default"]


def test_a_token_of_a_short_life_is_used_for_half_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    Endpoint(monkeypatch, life=60)
    now = [0.0]
    source = tokens(now)
    assert source.current() == "t1"
    now[0] = 29
    assert source.current() == "t1"
    now[0] = 31
    assert source.current() == "t2"


def test_a_token_that_was_refused_is_replaced_once(monkeypatch: pytest.MonkeyPatch) -> None:
    Endpoint(monkeypatch)
    source = tokens([0.0])
    source.spoilt(source.current())
    assert source.current() == "t2"
    source.spoilt("t1")  # another thread's late word about an old one
    assert source.current() == "t2"


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        (401, {"error": "invalid_client", "error_description": "hush"}, Code.LOGIN_REFUSED),
        (400, {"error": "unauthorized_client"}, Code.LOGIN_REFUSED),
        (200, {"access_token": "x\r\nX-Evil: 1", "expires_in": 5}, Code.LOGIN_REFUSED),
        (200, {"access_token": "x"}, Code.LOGIN_REFUSED),
        (200, [], Code.LOGIN_REFUSED),
        (302, {}, Code.LOGIN_REFUSED),
        (429, {}, Code.TARGET_BUSY),
        (503, {}, Code.TARGET_BUSY),
        (500, {}, Code.TARGET_AWAY),
    ],
)
def test_no_token_has_a_name_and_no_values(
    monkeypatch: pytest.MonkeyPatch, status: int, body: Any, code: Code
) -> None:
    endpoint = Endpoint(monkeypatch)
    endpoint.status, endpoint.body = status, body
    with pytest.raises(LostError) as lost:
        tokens([0.0]).current()
    assert lost.value.outcome.code is code
    assert lost.value.outcome.whole_target
    assert "hush" not in str(lost.value)


def test_a_certificate_signs_an_assertion_for_the_token_endpoint_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    endpoint = Endpoint(monkeypatch)
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()
    values = {"client_id": "me", "token_url": TOKEN_URL, "private_key": pem, "thumbprint": "AA:01"}
    secret = parse_secret(json.dumps(values), SITE)
    assert pem not in repr(secret)
    tokens([0.0], secret).current()
    [form] = endpoint.forms
    assert "client_secret" not in form
    [assertion] = form["client_assertion"]
    claims = jwt.decode(assertion, key.public_key(), ["RS256"], audience=TOKEN_URL)
    assert claims["iss"] == claims["sub"] == "me"
    x5t = jwt.get_unverified_header(assertion)["x5t"]
    assert base64.urlsafe_b64decode(x5t + "==") == b"\xaa\x01"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "hush",
        '{"client_id": "me"}',
        json.dumps({**PLAIN, "client_secret": None}),
        json.dumps({**PLAIN, "client_secret": 5}),
        json.dumps({**PLAIN, "extra": "hush"}),
        json.dumps({**PLAIN, "private_key": "hush", "thumbprint": "aa"}),
        json.dumps({"client_id": "me", "token_url": TOKEN_URL, "private_key": "hush"}),
        json.dumps({"client_id": "me", "token_url": TOKEN_URL, "private_key": "hush",
                    "thumbprint": "aa"}),
    ],
)  # fmt: skip
def test_a_secret_file_that_cannot_be_used_is_refused_without_showing_it(text: str) -> None:
    with pytest.raises(StartRefusedError) as refused:
        parse_secret(text, SITE)
    assert refused.value.code == "BAD_SECRET_FILE"
    assert "hush" not in str(refused.value)
    assert refused.value.__cause__ is None


@pytest.mark.parametrize(
    "url", ["http://login.test/token", "login.test/token", "https://", "https://u:p@x.test/", ""]
)
def test_secrets_are_sent_over_tls_alone(url: str) -> None:
    with pytest.raises(StartRefusedError) as refused:
        parse_secret(json.dumps({**PLAIN, "token_url": url}), SITE)
    assert refused.value.code == "BAD_URL"
    with pytest.raises(StartRefusedError):
        require_tls(url, "url")


def test_a_secret_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StartRefusedError):
        load_secret(tmp_path / "none.json", SITE)


def test_a_secret_file_that_went_away_is_no_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    Endpoint(monkeypatch)
    source = Tokens(lambda: load_secret(Path("/nowhere"), SITE), 5.0)
    with pytest.raises(LostError) as lost:
        source.current()
    assert lost.value.outcome.code is Code.LOGIN_REFUSED


@pytest.mark.parametrize(
    "changes",
    [
        {"url": None},
        {"table": None},
        {"columns": ()},
        {"secret_file": None},
        {"version_column": "Version"},
        {"key_column": "ID"},
        {"columns": ("PlacetWriteBack",)},
        {"url": "https://x.test/?a=b"},
    ],
)
def test_a_configuration_that_is_no_sharepoint_target_is_refused(changes: dict[str, Any]) -> None:
    values: dict[str, Any] = {
        "name": "articles", "kind": "sharepoint", "dispatcher_url": "http://127.0.0.1:1",
        "url": SITE, "table": "T", "secret_file": "s", "columns": ("Title",),
    }  # fmt: skip
    check_config(TargetConfig(**values))
    with pytest.raises(StartRefusedError) as refused:
        check_config(TargetConfig(**(values | changes)))
    assert refused.value.code == "CONFIG_INCOMPLETE"
