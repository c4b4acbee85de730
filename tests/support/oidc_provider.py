"""A company's OpenID provider: a small one that keeps to the standard, as a process of its own.

Discovery 1.0, authorization code with PKCE (S256 required), codes good once, ID tokens signed with
a key that can be rotated. What a provider may get wrong can be asked for at `/test`. Knows nothing
of Placet.
"""

import json
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from html import escape
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx
import uvicorn
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from fastapi import FastAPI, Request, Response
from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey
from starlette.responses import JSONResponse, RedirectResponse

CLIENT, SECRET = "placet", "a secret of the company's"
CALLBACK = "http://127.0.0.1/review/oidc/callback"
_ASKED = ("client_id", "redirect_uri", "state", "nonce", "code_challenge", "max_age", "scope")


@dataclass
class State:
    """What the provider knows."""

    issuer: str
    keys: list[RSAKey] = field(default_factory=lambda: [_key()])
    users: dict[str, dict[str, Any]] = field(default_factory=dict)
    codes: dict[str, dict[str, Any]] = field(default_factory=dict)
    wrong: dict[str, Any] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)


def _key() -> RSAKey:
    return RSAKey.generate_key(2048, {"kid": secrets.token_hex(4), "use": "sig", "alg": "RS256"})


def application(state: State) -> FastAPI:  # noqa: C901 - one protocol, one place
    app = FastAPI(openapi_url=None)

    @app.middleware("http")
    async def count(request: Request, go: Any) -> Response:
        if not request.url.path.startswith("/test"):
            state.asked.append(request.url.path)
        answer: Response = await go(request)
        return answer

    @app.get("/.well-known/openid-configuration")
    async def discovery() -> Any:
        at = state.issuer
        found = {
            "issuer": at,
            "authorization_endpoint": f"{at}/authorize",
            "token_endpoint": f"{at}/token",
            "jwks_uri": f"{at}/jwks",
            "end_session_endpoint": f"{at}/end-session",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "code_challenge_methods_supported": ["S256"],
        }
        return found | state.wrong.get("metadata", {})

    @app.get("/jwks")
    async def jwks() -> Any:
        return KeySet(state.keys[-1:]).as_dict(private=False)

    @app.get("/authorize")
    async def authorize(request: Request) -> Response:
        sent = dict(request.query_params)
        right = {"client_id": CLIENT, "redirect_uri": CALLBACK, "response_type": "code"}
        if any(sent.get(name) != value for name, value in right.items()):
            return Response("not a client of ours", 400)
        if "openid" not in sent.get("scope", "").split():
            return Response("invalid_scope", 400)
        if sent.get("code_challenge_method") != "S256" or not sent.get("nonce"):
            return _back(sent, {"error": "invalid_request"})
        known = state.users.get(request.cookies.get("provider", ""))
        if known is not None and sent.get("prompt") != "login":
            return _code(state, sent, known)
        fields = "".join(
            f'<input type="hidden" name="{name}" value="{escape(sent.get(name, ""))}">'
            for name in _ASKED
        )
        form = f'<form method="post"><input name="user" autofocus>{fields}<button>Go on</button>'
        return Response(
            f"<!doctype html><title>Company</title>{form}</form>", media_type="text/html"
        )

    @app.post("/authorize")
    async def signed_in(request: Request) -> Response:
        sent = {name: str(value) for name, value in (await request.form()).items()}
        known = state.users.get(sent["user"])
        if known is None:
            return _back(sent, {"error": "access_denied"})
        answer = _code(state, sent, known)
        answer.set_cookie("provider", sent["user"])
        return answer

    @app.post("/token")
    async def token(request: Request) -> Response:
        sent = dict(await request.form())
        login = httpx.BasicAuth(CLIENT, SECRET)._auth_header
        if request.headers.get("authorization") != login:
            return JSONResponse({"error": "invalid_client"}, 401)
        kept = state.codes.pop(str(sent.get("code")), None)  # good once
        if kept is None or kept["redirect_uri"] != sent.get("redirect_uri"):
            return JSONResponse({"error": "invalid_grant"}, 400)
        if create_s256_code_challenge(str(sent.get("code_verifier"))) != kept["code_challenge"]:
            return JSONResponse({"error": "invalid_grant"}, 400)
        access = secrets.token_urlsafe(16)
        signed = _id_token(state, kept)
        return JSONResponse({"access_token": access, "token_type": "Bearer", "id_token": signed})

    @app.post("/test")
    async def arrange(request: Request) -> Any:
        """Users by name, what is `wrong` with the next token, whether to rotate the key."""
        sent = await request.json()
        state.users |= sent.get("users", {})
        state.wrong = sent.get("wrong", {})
        if sent.get("rotate"):
            state.keys.append(_key())
        return {"asked": state.asked}

    return app


def _back(sent: dict[str, str], more: dict[str, str]) -> Response:
    place = f"{sent['redirect_uri']}?{urlencode(more | {'state': sent.get('state', '')})}"
    return RedirectResponse(place, 302)


def _code(state: State, sent: dict[str, str], user: dict[str, Any]) -> Response:
    code = secrets.token_urlsafe(16)
    state.codes[code] = {name: sent.get(name) for name in _ASKED} | {"user": user}
    return _back(sent, {"code": code})


def _id_token(state: State, kept: dict[str, Any]) -> str:
    now = int(time.time())
    claims = {
        "iss": state.issuer,
        "aud": CLIENT,
        "iat": now,
        "exp": now + 300,
        "nonce": kept["nonce"],
        "auth_time": now,
        **kept["user"],
    } | state.wrong.get("claims", {})
    claims = {name: value for name, value in claims.items() if value is not None}
    key = _key() if state.wrong.get("key") == "stranger" else state.keys[-1]
    if state.wrong.get("key") == "stranger with its name":
        key = RSAKey.import_key(_key().as_dict(private=True) | {"kid": state.keys[-1].kid})
    if state.wrong.get("algorithm") == "none":
        header, body = ({"alg": "none"}, claims)
        return ".".join([_part(header), _part(body), ""])
    return jwt.encode({"alg": "RS256", "kid": key.kid}, claims, key)


def _part(value: Any) -> str:
    import base64

    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


class Provider:
    """The running process, as tests see it."""

    def __init__(self, process: subprocess.Popen[str], issuer: str) -> None:
        self.process = process
        self.issuer = issuer
        self.browser = httpx.Client(base_url=issuer)
        """What somebody's browser keeps of the provider: its cookies, and no others."""

    def arrange(self, **what: Any) -> dict[str, Any]:
        answer = self.browser.post("/test", json=what)
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found

    def sign_in(self, address: str, user: str) -> str:
        """Go where the desk sent somebody, sign in there; return the way back to the desk.

        No `user`: whoever is signed in there already.
        """
        if user:
            self.browser.cookies.clear()
        page = self.browser.get(address)
        if page.status_code == 302:
            return _path(page.headers["location"])
        assert page.status_code == 200, page.text
        sent = dict(parse_qsl(urlsplit(address).query)) | {"user": user}
        return _path(self.browser.post("/authorize", data=sent).headers["location"])

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(10)


def _path(address: str) -> str:
    parts = urlsplit(address)
    return f"{parts.path}?{parts.query}"


@contextmanager
def provider() -> Iterator[Provider]:
    """A provider on loopback, in a process of its own."""
    command = [sys.executable, "-m", "tests.support.oidc_provider"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        issuer = process.stdout.readline().strip()
        assert issuer.startswith("http://127.0.0.1:"), "the provider did not start"
        running = Provider(process, issuer)
        yield running
        running.browser.close()
    finally:
        process.terminate()
        process.wait(10)
        process.stdout.close()


def main() -> None:
    listening = socket.create_server(("127.0.0.1", 0))
    issuer = f"http://127.0.0.1:{listening.getsockname()[1]}"
    server = uvicorn.Server(uvicorn.Config(application(State(issuer)), log_level="warning"))
    print(issuer, flush=True)  # connections wait in the socket until it serves  # noqa: T201
    server.run(sockets=[listening])


if __name__ == "__main__":
    main()
