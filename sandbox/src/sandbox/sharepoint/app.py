"""Wires the SharePoint stand-in: routes, error answers, headers, and the panel's hand on items."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, FastAPI, Form, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse
from starlette.exceptions import HTTPException
from starlette.types import Scope

from sandbox.faults import Fault
from sandbox.limits import Limiter
from sandbox.sharepoint import items, odata, webs
from sandbox.sharepoint.accounts import token_for
from sandbox.sharepoint.columns import Column, Kind, parse, plain
from sandbox.sharepoint.errors import (
    SERVICE,
    PlainError,
    SharePointError,
    unknown_resource,
)
from sandbox.sharepoint.queries import SCHEMA
from sandbox.sharepoint.records import Author, Item, ItemList, Records
from sandbox.sharepoint.seed import seed
from sandbox.sharepoint.session import Site, request_id
from sandbox.sharepoint.webs import LIBRARY_VERSION, SITE
from sandbox.stand_in import StandIn, assemble
from sandbox.store import JsonObject, Store
from sandbox.system import RefusedEditError, UnknownRecordError

DEFAULTS: JsonObject = {
    "token_seconds": 3599,
    "digest_seconds": 1800,
    "requests_per_second": None,  # per app
}
ROOTS = ("/_api", f"{SITE}/_api")
METHODS = ["GET", "POST", "PATCH", "MERGE", "DELETE", "PUT"]


def sharepoint(path: Path | None) -> StandIn:
    records = Records(Store(path, SCHEMA, seed, DEFAULTS))
    site = Site(records=records, limiter=Limiter())
    system = SharePointSystem(records)
    return assemble(system, records.store, [_routes(site)], _prepare, _headers)


def _routes(site: Site) -> APIRouter:
    router = APIRouter()

    @router.post("/{tenant}/oauth2/v2.0/token")
    async def token(
        tenant: str,
        client_id: Annotated[str, Form()] = "",
        client_secret: Annotated[str, Form()] = "",
    ) -> JsonObject:
        del tenant
        store = site.records.store
        seconds = store.setting("token_seconds")
        access = token_for(client_id, client_secret, store.now() + seconds)
        return {
            "token_type": "Bearer",
            "expires_in": seconds,
            "ext_expires_in": seconds,
            "access_token": access,
        }

    async def api(request: Request, path: str) -> Response:
        return await _dispatch(site, request, path)

    for root in ROOTS:
        router.add_api_route(root + "/{path:path}", api, methods=METHODS, response_model=None)
    return router


async def _dispatch(site: Site, request: Request, path: str) -> Response:
    session = site.open(request)
    segments = odata.segments(path)
    names = [segment.name for segment in segments]
    if names == ["contextinfo"] and request.method == "POST":
        return webs.context_information(session)
    if names[:1] != ["web"]:
        raise unknown_resource(names[0] if names else "")
    if names == ["web"]:
        return webs.web(session)
    if names == ["web", "currentuser"]:
        return webs.current_user(session)
    if names[1] != "lists":
        raise unknown_resource(names[1])
    where, rest = webs.find_list(session, segments[1:])
    if where is None:
        return webs.lists(session)
    if not rest:
        return webs.one_list(session, where)
    if rest[0].name == "fields":
        return webs.fields(session, where, rest[1:])
    if rest[0].name in {"items", "getitembyid"}:
        return await items.answer(session, where, rest)
    raise unknown_resource(rest[0].name)


def _prepare(app: FastAPI) -> None:
    @app.exception_handler(PlainError)
    async def refused_plainly(request: Request, error: PlainError) -> Response:
        del request
        if error.json is not None:
            return JSONResponse(dict(error.json), error.status, error.headers)
        return PlainTextResponse(error.message, error.status, error.headers)

    @app.exception_handler(SharePointError)
    async def refused(request: Request, error: SharePointError) -> Response:
        form = getattr(request.state, "form", odata.Form.VERBOSE)
        body = odata.error(error.code, error.message, form)
        return JSONResponse(body, error.status, error.headers, media_type=form.content_type)

    @app.exception_handler(HTTPException)
    async def unknown(request: Request, error: HTTPException) -> Response:
        if request.url.path.startswith("/_sandbox"):
            return JSONResponse({"detail": error.detail}, error.status_code)
        return PlainTextResponse("404 FILE NOT FOUND", error.status_code)


def _headers(scope: Scope) -> dict[str, str]:
    number = request_id(Request(scope))
    session_headers: dict[str, str] = scope["state"].get("headers", {})
    return {
        "Cache-Control": "private, max-age=0",
        "MicrosoftSharePointTeamServices": LIBRARY_VERSION.rpartition(".")[0],
        "X-SharePointHealthScore": "1",
        "SPRequestGuid": number,
        "request-id": number,
        "DATASERVICEVERSION": "3.0",
        **session_headers,
    }


class SharePointSystem:
    """The panel's and the page's view of the items."""

    name = "sharepoint"
    title = "SharePoint stand-in"
    record_word = "item"
    title_field = "Title"

    def __init__(self, records: Records) -> None:
        self._records = records

    def records(self) -> list[JsonObject]:
        where = self._list()
        return [self._record(where, item) for item in self._records.items(where)]

    def _record(self, where: ItemList, item: Item) -> JsonObject:
        markers, fields = {}, {}
        for name, value in item.fields.items():
            column = where.columns[name]
            if name.startswith("Placet"):
                if value is not None:
                    markers[column.title] = value
            elif name != "Title":
                fields[column.title] = plain(value)
        return {
            "record": str(item.id),
            "title": item.fields["Title"] or "",
            "version": f"{item.version}.0",
            "updated": item.modified,
            "fields": fields,
            "markers": markers,
            "comments": [],
        }

    def edit(self, record: str, fields: Mapping[str, Any], by: str) -> None:
        where, item = self._list(), self._find(record)
        by_title = {column.title: column for column in where.columns.values()}
        values = {}
        try:
            for name, raw in fields.items():
                column = where.columns.get(name) or by_title.get(name)
                if column is None or column.read_only:
                    raise RefusedEditError(f"there is no column {name} to edit")
                values[column.name] = parse(column, _as_sent(column, raw))
            with self._records.store.transaction():
                self._records.merge(where, item, values, Author(name=by, via="hand"))
        except SharePointError as error:
            raise RefusedEditError(error.message) from error

    def delete(self, record: str, by: str) -> None:
        item = self._find(record)
        with self._records.store.transaction():
            self._records.delete(self._list(), item, Author(name=by, via="hand"))

    def _list(self) -> ItemList:
        return self._records.lists()[0]

    def _find(self, record: str) -> Item:
        item = self._records.item(self._list(), int(record)) if record.isdecimal() else None
        if item is None:
            raise UnknownRecordError(record)
        return item

    def refuse(self, fault: Fault) -> Response:
        headers = {} if fault.retry_after is None else {"Retry-After": str(fault.retry_after)}
        if fault.status == 429:  # noqa: PLR2004
            return PlainTextResponse("429 TOO MANY REQUESTS", 429, headers)
        if fault.status == 503:  # noqa: PLR2004
            return PlainTextResponse("Server Too Busy", 503, headers)
        message = {
            412: "The request ETag value '\"0\"' does not match the object's ETag value '\"1\"'.",
            500: "An unexpected error has occurred.",
        }.get(fault.status, "The stand-in was told to fail.")
        form = odata.Form.VERBOSE
        body = odata.error(SERVICE, message, form)
        return JSONResponse(body, fault.status, headers, media_type=form.content_type)


def _as_sent(column: Column, raw: Any) -> Any:
    """What the browser would send for what a person typed. Raises RefusedEditError."""
    if not isinstance(raw, str):
        return raw
    match column.kind:
        case Kind.NUMBER:
            try:
                return float(raw) if raw else None
            except ValueError as error:
                raise RefusedEditError(f"{raw} is not a number") from error
        case Kind.BOOLEAN:
            return raw.lower() in {"yes", "true", "1"}
        case Kind.MULTICHOICE:
            return [part.strip() for part in raw.split(",") if part.strip()]
        case Kind.URL:
            return {"Url": raw}
        case Kind.DATETIME:
            return raw or None
        case _:
            return raw
