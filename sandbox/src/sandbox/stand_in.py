"""Puts a stand-in together: its own routes, the panel, the page, and the fault layer around all."""

from collections.abc import Callable
from dataclasses import dataclass

from fastapi import APIRouter, FastAPI
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sandbox.fault_layer import FaultLayer
from sandbox.faults import FaultBook
from sandbox.page import page
from sandbox.panel import panel
from sandbox.store import Store
from sandbox.system import System


@dataclass(frozen=True, slots=True)
class StandIn:
    title: str
    app: ASGIApp
    store: Store


def assemble(
    system: System,
    store: Store,
    routers: list[APIRouter],
    prepare: Callable[[FastAPI], None],
    headers: Callable[[Scope], dict[str, str]],
) -> StandIn:
    """`prepare` adds the system's own error handlers; `headers` is asked when an answer starts."""
    api = FastAPI(title=system.title, docs_url=None, redoc_url=None, openapi_url=None)
    prepare(api)
    book = FaultBook(store)
    layer = FaultLayer(_with_headers(api, headers), book, system.refuse)
    api.include_router(panel(system, store, book, layer))
    api.include_router(page(system, store, book, layer))
    for router in routers:
        api.include_router(router)
    return StandIn(title=system.title, app=layer, store=store)


def _with_headers(app: ASGIApp, headers: Callable[[Scope], dict[str, str]]) -> ASGIApp:
    async def add_headers(scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(headers(scope))
            await send(message)

        await app(scope, receive, with_headers)

    return add_headers
