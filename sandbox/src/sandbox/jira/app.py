"""Wires the Jira stand-in: routes, error answers, headers, and what the panel may do to issues."""

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.types import Scope

from sandbox.faults import Fault
from sandbox.jira import comments, creation, documents, issues, properties, search, server
from sandbox.jira.accounts import ACCOUNTS, BY_ID, BY_NAME
from sandbox.jira.errors import JiraError
from sandbox.jira.fields import FIELDS, Dialect, FieldValueError, parse
from sandbox.jira.queries import SCHEMA
from sandbox.jira.records import Author, Issue, Records
from sandbox.jira.rendering import shown
from sandbox.jira.seed import Seeder
from sandbox.jira.session import Site, request_id
from sandbox.limits import Limiter
from sandbox.stand_in import StandIn, assemble
from sandbox.store import JsonObject, Store
from sandbox.system import RefusedEditError, UnknownRecordError

DEPLOYMENTS = frozenset({"cloud", "data-center"})
DEFAULTS: JsonObject = {
    "search_delay": 2.0,  # seconds until a search sees a write
    "task_delay": 0.05,  # seconds until a conditional property write runs
    "requests_per_second": None,  # per endpoint and method
    "writes_per_issue_per_second": None,
    "comments_per_issue": 5000,
}
WORDS = {
    412: "The precondition given in one or more of the request-header fields evaluated to false.",
    429: "Rate limit exceeded.",
    500: "Internal server error",
    503: "Service Unavailable",
}


def jira(path: Path | None, deployment: str = "cloud") -> StandIn:
    cloud = deployment == "cloud"
    records = Records(Store(path, SCHEMA, Seeder(cloud=cloud), DEFAULTS))
    site = Site(
        records=records,
        cloud=cloud,
        limiter=Limiter(),
        run_due_tasks=partial(properties.run_due_tasks, records),
    )
    # `/issue/properties/{key}` before `/issue/{name}`: the first route that fits answers.
    parts = (properties, issues, creation, comments, search, server)
    system = JiraSystem(records, cloud=cloud)
    routers = [part.routes(site) for part in parts]
    return assemble(system, records.store, routers, _prepare, _headers)


def _prepare(app: FastAPI) -> None:
    @app.exception_handler(JiraError)
    async def refused(request: Request, error: JiraError) -> Response:
        del request
        return error.response()

    @app.exception_handler(HTTPException)
    async def unknown(request: Request, error: HTTPException) -> Response:
        if request.url.path.startswith("/_sandbox"):
            return JSONResponse({"detail": error.detail}, error.status_code)
        body = {"message": f"null for uri: {request.url}", "status-code": error.status_code}
        return JSONResponse(body, error.status_code)


def _headers(scope: Scope) -> dict[str, str]:
    session_headers: dict[str, str] = scope["state"].get("headers", {})
    return {
        "X-AREQUESTID": request_id(Request(scope)),
        "Cache-Control": "no-cache, no-store, no-transform",
        **session_headers,
    }


class JiraSystem:
    """The panel's and the page's view of the issues."""

    record_word = "issue"
    title_field = "Summary"

    def __init__(self, records: Records, *, cloud: bool) -> None:
        self._records = records
        self._cloud = cloud
        self.name = "jira" if cloud else "jira-data-center"
        self.title = "Jira Cloud stand-in" if cloud else "Jira Data Center stand-in"

    def records(self) -> list[JsonObject]:
        properties.run_due_tasks(self._records)
        return [self._record(issue) for issue in self._records.all()]

    def _record(self, issue: Issue) -> JsonObject:
        fields = {
            FIELDS[name].name: shown(FIELDS[name], value) or ""
            for name, value in issue.fields.items()
            if name not in {"summary", "project", "issuetype"}
        }
        comments_shown = [
            {
                "author": BY_ID[row["author"]].display_name,
                "at": row["created"],
                "text": documents.plain(json.loads(row["body"])),
                "markers": self._records.properties("comment", row["id"]),
            }
            for row in self._records.comments(issue)
        ]
        return {
            "record": issue.key,
            "title": issue.fields["summary"],
            "version": None,
            "updated": issue.updated,
            "fields": fields,
            "markers": self._records.properties("issue", issue.id),
            "comments": comments_shown,
        }

    def edit(self, record: str, fields: Mapping[str, Any], by: str) -> None:
        """Plain values: names of options and priorities, ISO dates, text."""
        issue = self._find(record)
        values = {}
        for name, raw in fields.items():
            field = FIELDS.get(name) or {f.name: f for f in FIELDS.values()}.get(name)
            if field is None:
                raise RefusedEditError(f"there is no field {name}")
            dialect = Dialect(base="", version="2", cloud=self._cloud)
            try:
                values[field.id] = parse(field, _as_sent(field.id, raw), dialect)
            except FieldValueError as error:
                raise RefusedEditError(str(error)) from error
            if self._cloud and isinstance(values[field.id], str) and field.kind == "text":
                values[field.id] = documents.to_document(str(values[field.id]))
        with self._records.store.transaction():
            self._records.write_fields(issue, values, _person(by))

    def delete(self, record: str, by: str) -> None:
        issue = self._find(record)
        with self._records.store.transaction():
            self._records.delete(issue, _person(by))

    def _find(self, record: str) -> Issue:
        issue = self._records.find(record)
        if issue is None:
            raise UnknownRecordError(record)
        return issue

    def refuse(self, fault: Fault) -> Response:
        headers = {} if fault.retry_after is None else {"Retry-After": str(fault.retry_after)}
        if fault.status == 429 and self._cloud:  # noqa: PLR2004
            headers["RateLimit-Reason"] = "jira-burst-based"
        message = WORDS.get(fault.status, "The stand-in was told to fail.")
        return JiraError(fault.status, message, headers=headers).response()


def _as_sent(name: str, raw: Any) -> Any:
    """What the browser would send for what a person typed."""
    if not isinstance(raw, str) or not raw:
        return raw
    match FIELDS[name].kind:
        case "option":
            return {"value": raw}
        case "priority":
            return {"name": raw}
        case "array":
            return raw.split()
        case "number":
            return _number(raw)
        case _:
            return raw


def _number(raw: str) -> float:
    try:
        return float(raw)
    except ValueError as error:
        raise RefusedEditError(f"{raw} is not a number") from error


def _person(by: str) -> Author:
    named = {account.display_name: account for account in ACCOUNTS}
    return Author(account=named.get(by) or BY_NAME["dana"], via="hand")
