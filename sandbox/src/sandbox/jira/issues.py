"""Reading and editing issues: `GET` and `PUT /issue/{key}`, edit metadata, history."""

import json
import sqlite3
from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from sandbox.jira.accounts import BY_ID, Permission
from sandbox.jira.comments import comment_body, page_of_comments
from sandbox.jira.errors import NOT_JSON, JiraError, field_error
from sandbox.jira.fields import FIELDS, FieldValueError, Kind, parse, unsettable
from sandbox.jira.records import Issue
from sandbox.jira.rendering import edit_metadata, render, timestamp, user
from sandbox.jira.session import Session, Site, property_list, whole_number
from sandbox.store import JsonObject

EXPANDABLE = "names,editmeta,changelog"
CLOUD_HISTORY = 100  # histories inside an issue; the rest is on its own page


def routes(site: Site) -> APIRouter:
    router = APIRouter(prefix="/rest/api/{version}/issue/{name}")

    @router.get("")
    async def get(request: Request, version: str, name: str) -> JSONResponse:
        session = site.open(request, version)
        return JSONResponse(issue_json(session, session.issue(name), request.query_params))

    @router.put("")
    async def put(request: Request, version: str, name: str) -> Response:
        session = site.open(request, version)
        body = await session.json_object()
        issue = session.issue(name)
        site.limit_writes(issue)
        with session.records.store.transaction():
            _edit(session, issue, body)
        if request.query_params.get("returnIssue") == "true" and site.cloud:
            return JSONResponse(issue_json(session, session.issue(name), request.query_params))
        return Response(status_code=204)

    @router.get("/editmeta")
    async def editmeta(request: Request, version: str, name: str) -> JSONResponse:
        session = site.open(request, version)
        session.issue(name)
        editable = [f for f in FIELDS.values() if f.kind is not Kind.FIXED]
        shown = editable if session.may(Permission.EDIT) else []
        return JSONResponse({"fields": {f.id: edit_metadata(f, session.dialect) for f in shown}})

    @router.get("/changelog")
    async def changelog(request: Request, version: str, name: str) -> JSONResponse:
        session = site.open(request, version)
        if not site.cloud:
            raise JiraError(404, f"null for uri: {request.url}")
        return JSONResponse(_changelog_page(session, session.issue(name)))

    @router.api_route("/transitions", methods=["GET", "POST"])
    async def transitions(request: Request, version: str, name: str) -> JSONResponse:
        session = site.open(request, version)
        session.issue(name)
        raise JiraError(501, "This stand-in has no workflow transitions.")

    return router


def issue_json(session: Session, issue: Issue, query: Mapping[str, str]) -> JsonObject:
    """An issue as Jira shows it; `query` has `fields`, `expand` and `properties`."""
    expand = set(query.get("expand", "").split(","))
    body: JsonObject = {
        "expand": EXPANDABLE,
        "id": str(issue.id),
        "self": session.dialect.url(f"issue/{issue.id}"),
        "key": issue.key,
        "fields": _fields_json(session, issue, _asked(query.get("fields"), "*all")),
    }
    if "properties" in query:
        everything = session.records.properties("issue", issue.id)
        body["properties"] = _chosen(everything, _asked(query["properties"], ""))
    if "changelog" in expand:
        body["changelog"] = _changelog_inside(session, issue)
    if "names" in expand:
        body["names"] = {name: FIELDS[name].name for name in body["fields"] if name in FIELDS}
    if "editmeta" in expand:
        fields = [f for f in FIELDS.values() if f.kind is not Kind.FIXED]
        body["editmeta"] = {"fields": {f.id: edit_metadata(f, session.dialect) for f in fields}}
    return body


def _asked(text: str | None, default: str) -> list[str]:
    return [name for name in (default if text is None else text).split(",") if name]


def _chosen(values: JsonObject, asked: list[str]) -> JsonObject:
    """`*all`, names, and names with a minus in front."""
    hidden = {name[1:] for name in asked if name.startswith("-")}
    everything = not set(asked) - {f"-{name}" for name in hidden} or bool(
        {"*all", "*navigable"} & set(asked)
    )
    return {k: v for k, v in values.items() if (everything or k in asked) and k not in hidden}


def _fields_json(session: Session, issue: Issue, asked: list[str]) -> JsonObject:
    dialect = session.dialect
    values = {name: render(FIELDS[name], value, dialect) for name, value in issue.fields.items()}
    values["created"] = timestamp(issue.created)
    values["updated"] = timestamp(issue.updated)
    chosen = _chosen({**values, "comment": None}, asked)
    if "comment" in chosen:
        chosen["comment"] = page_of_comments(session, issue, 0, 5000, expand="")
    return chosen


def _history(session: Session, row: sqlite3.Row) -> JsonObject:
    history: JsonObject = {
        "id": str(row["id"]),
        "author": user(BY_ID[row["author"]], session.dialect),
        "created": timestamp(row["at"]),
        "items": json.loads(row["items"]),
    }
    metadata = json.loads(row["metadata"])
    return {**history, "historyMetadata": metadata} if metadata else history


def _changelog_inside(session: Session, issue: Issue) -> JsonObject:
    """Cloud: newest first and at most a hundred; Data Center: all, oldest first."""
    rows = session.records.changes(issue)
    shown = rows[::-1][:CLOUD_HISTORY] if session.site.cloud else rows
    histories = [_history(session, row) for row in shown]
    return {"startAt": 0, "maxResults": len(shown), "total": len(rows), "histories": histories}


def _changelog_page(session: Session, issue: Issue) -> JsonObject:
    start = whole_number(session.request.query_params.get("startAt"), 0)
    size = min(whole_number(session.request.query_params.get("maxResults"), 100), 100)
    rows = session.records.changes(issue)
    link = session.dialect.url(f"issue/{issue.key}/changelog")
    last = start + size >= len(rows)
    page: JsonObject = {
        "self": f"{link}?startAt={start}&maxResults={size}",
        "maxResults": size,
        "startAt": start,
        "total": len(rows),
        "isLast": last,
        "values": [_history(session, row) for row in rows[start : start + size]],
    }
    return (
        page if last else {**page, "nextPage": f"{link}?startAt={start + size}&maxResults={size}"}
    )


def _edit(session: Session, issue: Issue, body: JsonObject) -> None:
    """Everything is checked before anything is written; the first bad field refuses the edit."""
    if not session.may(Permission.EDIT):
        session.require_sign_in()
        raise JiraError(403, "You do not have permission to edit issues in this project.")
    if body.get("transition"):
        raise JiraError(400, "This stand-in has no workflow transitions.")
    unknown = set(body) - {"fields", "update", "properties", "historyMetadata", "transition"}
    if unknown:
        name = min(unknown)
        raise JiraError(
            400, f'Unrecognized field "{name}" (Class IssueUpdateBean), not marked as ignorable'
        )
    fields, update = _object(body, "fields"), _object(body, "update")
    comments = update.pop("comment", [])
    values = _field_values(session, issue, fields, update)
    added = [comment_body(session, operation["add"]) for operation in _additions(comments)]
    metadata = body.get("historyMetadata")
    session.records.write_fields(
        issue, values, session.author, properties=property_list(body), metadata=metadata
    )
    for text, visibility, properties in added:
        session.records.add_comment(issue, text, visibility, properties, session.author)


def _object(body: JsonObject, name: str) -> JsonObject:
    value = body.get(name) or {}
    if not isinstance(value, dict):
        raise JiraError(400, NOT_JSON)
    return dict(value)


def _additions(comments: Any) -> list[JsonObject]:
    """Only `add` is there for comments in an edit."""
    listed: list[Any] = comments if isinstance(comments, list) else [None]
    for operation in listed:
        if not isinstance(operation, dict) or not isinstance(operation.get("add"), dict):
            raise field_error("comment", "Operation is not supported for field 'comment'.")
    return listed


def _field_values(
    session: Session, issue: Issue, fields: JsonObject, update: JsonObject
) -> JsonObject:
    errors: dict[str, str] = {}
    values: JsonObject = {}
    for name in [*fields, *update]:
        field = FIELDS.get(name)
        if field is None:
            errors[name] = unsettable(name)
        elif name in fields and name in update:
            errors[name] = f"Field '{name}' cannot be in both 'fields' and 'update'."
        else:
            try:
                raw = fields[name] if name in fields else _updated(issue, name, update[name])
                values[name] = parse(field, raw, session.dialect)
            except FieldValueError as error:
                errors[name] = str(error)
    if errors:
        raise JiraError(400, errors=errors)
    return values


def _updated(issue: Issue, name: str, operations: Any) -> Any:
    """The value after `set`, `add` and `remove`. Raises FieldValueError."""
    value = issue.fields.get(name)
    for operation in operations if isinstance(operations, list) else [None]:
        pair = next(iter(operation.items()), None) if isinstance(operation, dict) else None
        verb, operand = pair or ("", None)
        if verb == "set":
            value = operand
        elif FIELDS[name].kind is Kind.LABELS and verb == "add":
            value = [*(value or []), operand]
        elif FIELDS[name].kind is Kind.LABELS and verb == "remove":
            value = [label for label in value or [] if label != operand]
        else:
            raise FieldValueError(f"Operation '{verb}' is not supported for field '{name}'.")
    return value
