"""One request to SharePoint: which app calls, in which JSON form, and what it may do."""

import uuid
from dataclasses import dataclass
from typing import Any

from fastapi import Request
from fastapi.responses import JSONResponse

from sandbox.limits import Limiter
from sandbox.sharepoint import odata
from sandbox.sharepoint.accounts import App, digest_holds, sign_in
from sandbox.sharepoint.errors import DIGEST, PlainError, SharePointError, bad_query, denied
from sandbox.sharepoint.odata import Entity, Form, form_of
from sandbox.sharepoint.records import Author, Records
from sandbox.store import parse_json

NEAR_LIMIT = 0.2  # RateLimit headers appear when this part of the quota is left
BAD_DIGEST = (
    "The security validation for this page is invalid and might be corrupted. "
    "Please use your web browser's Back button to try your operation again."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    records: Records
    limiter: Limiter

    def open(self, request: Request) -> "Session":
        """Raises SharePointError where the caller is nobody, has no rights, or is too fast."""
        store = self.records.store
        app = sign_in(request.headers.get("authorization"), store.now())
        self._limit(request, app)
        form = form_of(request.headers.get("accept"))
        request.state.form = form
        self._check_digest(request)
        if not app.permissions:
            raise denied()
        return Session(site=self, request=request, app=app, form=form)

    def _limit(self, request: Request, app: App) -> None:
        per_second = self.records.store.setting("requests_per_second")
        if not per_second:
            return
        verdict = self.limiter.take(app.client_id, per_second, self.records.store.now())
        headers = {
            "RateLimit-Limit": str(verdict.limit),
            "RateLimit-Remaining": str(verdict.remaining),
            "RateLimit-Reset": str(verdict.retry_after or 1),
        }
        if verdict.retry_after:
            waiting = {"Retry-After": str(verdict.retry_after), **headers}
            raise PlainError(429, "429 TOO MANY REQUESTS", headers=waiting)
        if verdict.remaining < verdict.limit * NEAR_LIMIT:
            request.state.headers = headers

    def _check_digest(self, request: Request) -> None:
        """With OAuth no digest is needed; one that is sent has to hold."""
        digest = request.headers.get("x-requestdigest")
        if (
            digest is None
            or request.method == "GET"
            or request.url.path.lower().endswith("contextinfo")
        ):
            return
        store = self.records.store
        if not digest_holds(digest, store.now(), store.setting("digest_seconds")):
            raise SharePointError(403, DIGEST, BAD_DIGEST)


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    site: Site
    request: Request
    app: App
    form: Form

    @property
    def records(self) -> Records:
        return self.site.records

    @property
    def author(self) -> Author:
        return Author(name=self.app.name, request_id=request_id(self.request))

    @property
    def web(self) -> str:
        """The site's own address."""
        path = self.request.url.path.split("/_api")[0]
        return f"{str(self.request.base_url).rstrip('/')}{path}"

    def uri(self, path: str) -> str:
        return f"{self.web}/_api/{path}"

    def require(self, bit: int) -> None:
        if not self.app.may(bit):
            raise denied()

    async def body(self) -> dict[str, Any]:
        """What was sent, without its metadata. Raises SharePointError 400."""
        try:
            values = parse_json(await self.request.body())
        except ValueError as error:
            raise bad_query("Invalid JSON. The JSON reader could not read the request.") from error
        if not isinstance(values, dict):
            raise bad_query("Invalid JSON. A 'StartObject' node was expected.")
        return values

    @property
    def sent_form(self) -> Form:
        return form_of(self.request.headers.get("content-type") or "application/json")

    def answer(self, entity: Entity, status: int = 200) -> JSONResponse:
        selected = odata.select(entity, self.request.query_params.get("$select"))
        headers = {"ETag": entity.etag} if entity.etag else {}
        return self.json(odata.one(selected, self.form), status, headers)

    def json(
        self, body: dict[str, Any], status: int = 200, headers: dict[str, str] | None = None
    ) -> JSONResponse:
        return JSONResponse(body, status, headers, media_type=self.form.content_type)


def request_id(request: Request) -> str:
    """The caller's own, or one drawn for it."""
    if not hasattr(request.state, "id"):
        given = request.headers.get("client-request-id")
        request.state.id = given or str(uuid.uuid4())
    return str(request.state.id)
