"""The outermost layer of a stand-in: makes faults happen to real requests, at the socket.

It reads the whole request first, so that work held back still happens after the client has gone.
Connections end by aborting the transport that `server` puts into the scope: no polite last byte.
"""

import asyncio
import itertools
import socket
import struct
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sandbox.faults import Fault, FaultBook, Kind, When
from sandbox.store import JsonObject

TRANSPORT = "sandbox.transport"
OWN_PATHS = ("/_sandbox", "/favicon.ico")
RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER with no time: the peer gets a reset

LOGIN_PAGE = """<!doctype html><html><head><title>Sign in</title></head>
<body><h1>Sign in to continue</h1><form method="post"><input name="user"></form></body></html>"""


@dataclass(slots=True)
class Held:
    """Requests that wait for somebody to release them."""

    waiting: dict[int, tuple[str, asyncio.Event]] = field(default_factory=dict)
    numbers: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))

    async def wait(self, what: str) -> None:
        number, event = next(self.numbers), asyncio.Event()
        self.waiting[number] = (what, event)
        try:
            await event.wait()
        finally:
            self.waiting.pop(number, None)

    def release(self, number: int | None) -> int:
        """How many it let go; None is all of them."""
        chosen = [e for n, (_, e) in self.waiting.items() if number in (None, n)]
        for event in chosen:
            event.set()
        return len(chosen)

    def as_json(self) -> list[JsonObject]:
        return [{"id": number, "request": what} for number, (what, _) in self.waiting.items()]


class FaultLayer:
    """ASGI middleware. `refuse` words an error answer as the system would."""

    def __init__(self, app: ASGIApp, book: FaultBook, refuse: Callable[[Fault], Response]) -> None:
        self._app = app
        self._book = book
        self._refuse = refuse
        self.held = Held()
        self.requests: deque[JsonObject] = deque(maxlen=5000)
        self._count = itertools.count(1)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] == "/" or scope["path"].startswith(OWN_PATHS):
            await self._app(scope, receive, send)
            return
        path = _path(scope)
        fault = self._book.strike(scope["method"], path)
        entry = self._log(scope, path, fault)
        if fault is None:
            await self._app(scope, receive, _watched(send, entry))
        else:
            await self._strike(fault, scope, receive, _watched(send, entry))

    def _log(self, scope: Scope, path: str, fault: Fault | None) -> JsonObject:
        headers = {name.decode(): value.decode("latin-1") for name, value in scope["headers"]}
        entry: JsonObject = {
            "sequence": next(self._count),
            "method": headers.get("x-http-method", scope["method"]),
            "path": path,
            "status": None,
            "fault": None if fault is None else f"{fault.kind}/{fault.when}",
            "request_id": headers.get("x-request-id") or headers.get("client-request-id"),
        }
        self.requests.append(entry)
        return entry

    async def _strike(self, fault: Fault, scope: Scope, receive: Receive, send: Send) -> None:
        body = await _read(receive)
        if fault.when is When.BEFORE and not await self._let_pass(fault, scope, receive, send):
            return
        answer = await _record(self._app, scope, body)
        if fault.when is When.AFTER and not await self._let_pass(
            fault, scope, receive, send, answer
        ):
            return
        for message in answer:
            await send(message)

    async def _let_pass(
        self,
        fault: Fault,
        scope: Scope,
        receive: Receive,
        send: Send,
        answer: list[Message] | None = None,
    ) -> bool:
        """Does the fault; False when the client has had all it will get."""
        match fault.kind:
            case Kind.HOLD:
                await self.held.wait(f"{scope['method']} {_path(scope)}")
                return True
            case Kind.DELAY:
                await asyncio.sleep(fault.seconds)
                return True
            case Kind.DROP:
                await _abort(scope, receive, reset=fault.reset)
            case Kind.CUT:
                await _send_half(answer or [], send)
                await _abort(scope, receive, reset=fault.reset)
            case Kind.TRUNCATE:
                await _send_truncated(answer or [], send)
            case Kind.STATUS:
                await self._refuse(fault)(scope, receive, send)
            case Kind.REDIRECT:
                await RedirectResponse(fault.location, status_code=307)(scope, receive, send)
            case Kind.PAGE:
                await HTMLResponse(LOGIN_PAGE)(scope, receive, send)
        return False


def _path(scope: Scope) -> str:
    query = scope["query_string"].decode("latin-1")
    return f"{scope['path']}?{query}" if query else str(scope["path"])


def _watched(send: Send, entry: JsonObject) -> Send:
    async def watch(message: Message) -> None:
        if message["type"] == "http.response.start":
            entry["status"] = message["status"]
        await send(message)

    return watch


async def _read(receive: Receive) -> bytes:
    body = b""
    while True:
        message = await receive()
        body += bytes(message.get("body", b""))
        if message["type"] == "http.disconnect" or not message.get("more_body", False):
            return body


async def _record(app: ASGIApp, scope: Scope, body: bytes) -> list[Message]:
    """Runs the application to its end, whatever the client does, and keeps its answer."""
    messages: list[Message] = []
    pending: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Message:
        if pending:
            return pending.pop()
        await asyncio.Event().wait()  # no disconnect: the work is to be done
        raise AssertionError

    async def send(message: Message) -> None:
        messages.append(message)

    await app(scope, receive, send)
    return messages


async def _abort(scope: Scope, receive: Receive, *, reset: bool) -> None:
    transport: Any = scope[TRANSPORT]
    if reset:
        transport.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE
        )
    transport.abort()
    # The server would answer 500 for an application that returns without answering: wait
    # until it has noticed that nobody is there.
    while (await receive())["type"] != "http.disconnect":
        pass


def _whole_body(answer: list[Message]) -> bytes:
    return b"".join(m.get("body", b"") for m in answer if m["type"] == "http.response.body")


async def _send_half(answer: list[Message], send: Send) -> None:
    body = _whole_body(answer)
    start = dict(answer[0])
    if not body:  # a 204 has nothing to cut: promise a body and do not deliver it
        start["status"] = 200
        start["headers"] = [*start["headers"], (b"content-length", b"64")]
    await send(start)
    half = body[: len(body) // 2]
    await send({"type": "http.response.body", "body": half or b" ", "more_body": True})


async def _send_truncated(answer: list[Message], send: Send) -> None:
    body = _whole_body(answer)
    half = body[: len(body) // 2]
    headers = [(k, v) for k, v in answer[0]["headers"] if k.lower() != b"content-length"]
    headers.append((b"content-length", str(len(half)).encode()))
    await send({**answer[0], "headers": headers})
    await send({"type": "http.response.body", "body": half})
