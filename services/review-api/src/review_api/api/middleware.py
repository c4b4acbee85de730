"""What every request gets: an id, a limit, and the headers that keep browsers careful.

One plain ASGI middleware; starlette's own base class costs more than a decision.
"""

import re
from collections.abc import MutableMapping
from typing import Any, Final
from uuid import uuid4

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from review_api.problems import Code, ProblemError

MAX_BODY: Final = 1_048_576
_SAFE_ID: Final = re.compile(rb"[A-Za-z0-9._-]{8,64}")
_CSP: Final = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self';"
    b" form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS: Final = [
    (b"content-security-policy", _CSP),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=()"),
]
_HSTS: Final = (b"strict-transport-security", b"max-age=31536000")


class Careful:
    """Wraps the application."""

    def __init__(self, app: ASGIApp, *, secure: bool) -> None:
        """`secure`: browsers come over https, and must not come otherwise again."""
        self._app = app
        self._headers = [*_HEADERS, _HSTS] if secure else _HEADERS

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _request_id(scope)
        scope["placet_request_id"] = request_id
        extra = [*self._headers, (b"x-request-id", request_id.encode())]

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *extra]
            await send(message)

        await self._app(scope, _limited(receive), sending)


def _request_id(scope: MutableMapping[str, Any]) -> str:
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _SAFE_ID.fullmatch(value):
            return str(value.decode())
    return uuid4().hex


def _limited(receive: Receive) -> Receive:
    """Stop reading a body that is too large, however it was announced."""
    left = MAX_BODY

    async def receiving() -> Message:
        nonlocal left
        message = await receive()
        if message["type"] == "http.request":
            left -= len(message.get("body", b""))
            if left < 0:
                raise ProblemError(Code.BODY_TOO_LARGE, f"At most {MAX_BODY:,} bytes are read.")
        return message

    return receiving
