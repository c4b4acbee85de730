"""Runs a stand-in under uvicorn with the connection's transport in reach of the fault layer."""

import asyncio
import socket

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from sandbox.fault_layer import TRANSPORT

KEEP_ALIVE = 75  # seconds an idle connection stays open: longer than clients pause
GRACE = 2  # seconds a request may still take after SIGTERM; held ones are cut then


class TransportInScope(HttpToolsProtocol):
    """uvicorn's own protocol; each request's scope also holds its connection."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        app: ASGIApp = self.app

        async def with_transport(scope: Scope, receive: Receive, send: Send) -> None:
            scope[TRANSPORT] = transport
            await app(scope, receive, send)

        self.app = with_transport


class AnnouncingServer(uvicorn.Server):
    """Says where it listens, once it does and once a signal would end it properly."""

    def __init__(self, config: uvicorn.Config, title: str) -> None:
        super().__init__(config)
        self._title = title

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        host, port = (sockets or [])[0].getsockname()
        print(f"{self._title}: http://{host}:{port}", flush=True)  # noqa: T201


def serve(app: ASGIApp, title: str, host: str, port: int) -> None:
    """Blocks until SIGTERM or SIGINT, which then end the process; port 0 is any that is free."""
    with socket.create_server((host, port), backlog=2048) as listener:
        AnnouncingServer(_config(app), title).run(sockets=[listener])


def _config(app: ASGIApp) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=TransportInScope,
        ws="none",
        lifespan="off",
        access_log=False,
        log_level="warning",
        server_header=False,
        timeout_graceful_shutdown=GRACE,
        timeout_keep_alive=KEEP_ALIVE,
    )
