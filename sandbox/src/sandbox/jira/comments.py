"""Comments and their properties: list, add, change, delete."""

import json
import sqlite3
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from sandbox.jira import documents
from sandbox.jira.accounts import BY_ID, Permission
from sandbox.jira.errors import JiraError, field_error, property_missing
from sandbox.jira.records import Issue
from sandbox.jira.rendering import timestamp, user
from sandbox.jira.session import Session, Site, check_property, property_list, whole_number
from sandbox.store import JsonObject

ORDERS = {"created", "+created", "-created"}
CLOUD_PAGE = 50
DATA_CENTER_PAGE = 1_048_576
COMMENT_MISSING = "Can not find a comment for the id: {}."


def routes(site: Site) -> APIRouter:
    router = APIRouter(prefix="/rest/api/{version}")
    _add_list_routes(router, site)
    _add_one_routes(router, site)
    _add_property_routes(router, site)
    return router


def _add_list_routes(router: APIRouter, site: Site) -> None:
    @router.get("/issue/{name}/comment")
    async def comments(request: Request, version: str, name: str) -> JSONResponse:
        session = site.open(request, version)
        query = request.query_params
        if query.get("orderBy", "created") not in ORDERS:
            raise JiraError(400, f"The order by '{query['orderBy']}' is not supported.")
        start = whole_number(query.get("startAt"), 0)
        size = whole_number(query.get("maxResults"), CLOUD_PAGE if site.cloud else DATA_CENTER_PAGE)
        expand, order = query.get("expand", ""), query.get("orderBy", "created")
        issue = session.issue(name)
        page = page_of_comments(session, issue, start, size, expand=expand, order=order)
        return JSONResponse(page)

    @router.post("/issue/{name}/comment")
    async def add(request: Request, version: str, name: str) -> JSONResponse:
        session = site.open(request, version)
        body = await session.json_object()
        issue = session.issue(name)
        site.limit_writes(issue)
        if not session.may(Permission.COMMENT):
            session.require_sign_in()
            who = session.caller.account.display_name
            raise field_error(
                "comment", f"{who}, you do not have the permission to comment on this issue."
            )
        text, visibility, properties = comment_body(session, body)
        with session.records.store.transaction():
            if len(session.records.comments(issue)) >= session.records.store.setting(
                "comments_per_issue"
            ):
                raise JiraError(413, "The issue has reached the limit of comments.")
            number = session.records.add_comment(
                issue, text, visibility, properties, session.author
            )
        return JSONResponse(_one(session, issue, number, request), 201)


def _add_one_routes(router: APIRouter, site: Site) -> None:
    @router.get("/issue/{name}/comment/{number}")
    async def get(request: Request, version: str, name: str, number: str) -> JSONResponse:
        session = site.open(request, version)
        issue = session.issue(name)
        return JSONResponse(_one(session, issue, _find(session, issue, number)["id"], request))

    @router.put("/issue/{name}/comment/{number}")
    async def put(request: Request, version: str, name: str, number: str) -> JSONResponse:
        session = site.open(request, version)
        body = await session.json_object()
        issue = session.issue(name)
        row = _find(session, issue, number)
        _require_edit(session, row)
        text, _, properties = comment_body(session, body)
        with session.records.store.transaction():
            session.records.edit_comment(issue, row, text, properties, session.author)
        return JSONResponse(_one(session, issue, row["id"], request))

    @router.delete("/issue/{name}/comment/{number}")
    async def delete(request: Request, version: str, name: str, number: str) -> Response:
        session = site.open(request, version)
        issue = session.issue(name)
        row = _find(session, issue, number)
        _require_edit(session, row)
        with session.records.store.transaction():
            session.records.delete_comment(issue, row, session.author)
        return Response(status_code=204)


def _add_property_routes(router: APIRouter, site: Site) -> None:
    @router.get("/comment/{number}/properties")
    async def keys(request: Request, version: str, number: str) -> JSONResponse:
        session = site.open(request, version)
        _, row = _issue_of(session, number)
        values = session.records.properties("comment", row["id"])
        base = session.dialect.url(f"comment/{number}/properties")
        return JSONResponse({"keys": [{"self": f"{base}/{key}", "key": key} for key in values]})

    @router.get("/comment/{number}/properties/{key}")
    async def value(request: Request, version: str, number: str, key: str) -> JSONResponse:
        session = site.open(request, version)
        _, row = _issue_of(session, number)
        values = session.records.properties("comment", row["id"])
        if key not in values:
            raise property_missing(key)
        return JSONResponse({"key": key, "value": values[key]})

    @router.put("/comment/{number}/properties/{key}")
    async def put(request: Request, version: str, number: str, key: str) -> Response:
        session = site.open(request, version)
        given = await session.json()
        issue, row = _issue_of(session, number)
        _require_edit(session, row, status=403)
        check_property(key, given)
        with session.records.store.transaction():
            new = key not in session.records.properties("comment", row["id"])
            session.records.comment_property(issue, row["id"], key, given, session.author)
        return JSONResponse({}, 201 if new else 200)

    @router.delete("/comment/{number}/properties/{key}")
    async def delete(request: Request, version: str, number: str, key: str) -> Response:
        session = site.open(request, version)
        issue, row = _issue_of(session, number)
        _require_edit(session, row, status=403)
        if key not in session.records.properties("comment", row["id"]):
            raise property_missing(key)
        with session.records.store.transaction():
            session.records.comment_property(issue, row["id"], key, None, session.author)
        return Response(status_code=204)


def comment_body(session: Session, body: JsonObject) -> tuple[object, object, dict[str, Any]]:
    """Text, visibility and properties of what somebody sent. Raises JiraError 400."""
    text = body.get("body")
    if session.dialect.documents:
        if not documents.is_document(text):
            raise field_error("comment", "Comment body is not valid!")
    elif not isinstance(text, str) or not text.strip():
        raise field_error("comment", "Comment body can not be empty!")
    if documents.too_long(text):
        raise field_error(
            "comment",
            "The entered text is too long. It exceeds the allowed limit of 32,767 characters.",
        )
    return text, body.get("visibility"), property_list(body)


def page_of_comments(
    session: Session, issue: Issue, start: int, size: int, *, expand: str, order: str = "created"
) -> JsonObject:
    rows = session.records.comments(issue)
    ordered = rows[::-1] if order.startswith("-") else rows
    shown = [comment_json(session, issue, row, expand) for row in ordered[start : start + size]]
    return {"startAt": start, "maxResults": size, "total": len(rows), "comments": shown}


def comment_json(session: Session, issue: Issue, row: sqlite3.Row, expand: str) -> JsonObject:
    body, dialect = json.loads(row["body"]), session.dialect
    comment: JsonObject = {
        "self": dialect.url(f"issue/{issue.id}/comment/{row['id']}"),
        "id": str(row["id"]),
        "author": user(BY_ID[row["author"]], dialect),
        "body": documents.to_document(body) if dialect.documents else documents.to_wiki(body),
        "updateAuthor": user(BY_ID[row["editor"]], dialect),
        "created": timestamp(row["created"]),
        "updated": timestamp(row["updated"]),
    }
    if session.site.cloud:
        comment["jsdPublic"] = True
    visibility = json.loads(row["visibility"])
    if visibility:
        comment["visibility"] = visibility
    if "properties" in expand.split(","):
        values = session.records.properties("comment", row["id"])
        comment["properties"] = [{"key": key, "value": value} for key, value in values.items()]
    return comment


def _one(session: Session, issue: Issue, number: int, request: Request) -> JsonObject:
    row = session.records.comment(number)
    if row is None:
        raise JiraError(404, COMMENT_MISSING.format(number))
    return comment_json(session, issue, row, request.query_params.get("expand", ""))


def _find(session: Session, issue: Issue, number: str) -> sqlite3.Row:
    row = session.records.comment(whole_number(number, -1))
    if row is None or row["issue_id"] != issue.id:
        raise JiraError(404, COMMENT_MISSING.format(number))
    return row


def _issue_of(session: Session, number: str) -> tuple[Issue, sqlite3.Row]:
    row = session.records.comment(whole_number(number, -1))
    if row is None:
        raise JiraError(404, COMMENT_MISSING.format(number))
    return session.issue(str(row["issue_id"])), row


def _require_edit(session: Session, row: sqlite3.Row, status: int = 400) -> None:
    own = row["author"] == session.caller.account.account_id
    needed = Permission.EDIT_OWN_COMMENTS if own else Permission.EDIT_ALL_COMMENTS
    if not session.may(needed):
        session.require_sign_in()
        raise JiraError(status, "You do not have permission to edit this comment.")
