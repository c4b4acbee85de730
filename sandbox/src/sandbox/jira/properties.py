"""Issue properties, and Cloud's conditional write: a task that checks its filter when it runs."""

import json
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse, RedirectResponse

from sandbox.jira.accounts import BY_ID, Permission
from sandbox.jira.errors import NOT_JSON, JiraError, property_missing
from sandbox.jira.records import Author, Issue, Records
from sandbox.jira.session import Session, Site, check_property, request_id, whole_number
from sandbox.store import JsonObject

INSERT_TASK = "INSERT INTO task (submitter, submitted, due, work) VALUES (?, ?, ?, ?)"
DUE_TASKS = """
SELECT id, submitter, due, work FROM task WHERE finished IS NULL AND due <= ? ORDER BY due, id
"""


def routes(site: Site) -> APIRouter:
    router = APIRouter(prefix="/rest/api/{version}")
    _add_issue_routes(router, site)
    _add_conditional_routes(router, site)
    return router


def _add_issue_routes(router: APIRouter, site: Site) -> None:
    @router.get("/issue/{name}/properties")
    async def keys(request: Request, version: str, name: str) -> JSONResponse:
        session = site.open(request, version)
        issue = session.issue(name)
        base = session.dialect.url(f"issue/{issue.key}/properties")
        values = session.records.properties("issue", issue.id)
        return JSONResponse({"keys": [{"self": f"{base}/{key}", "key": key} for key in values]})

    @router.get("/issue/{name}/properties/{key}")
    async def value(request: Request, version: str, name: str, key: str) -> JSONResponse:
        session = site.open(request, version)
        row = session.records.property("issue", session.issue(name).id, key)
        if row is None:
            raise property_missing(key)
        return JSONResponse({"key": key, "value": json.loads(row["value"])})

    @router.put("/issue/{name}/properties/{key}")
    async def put(request: Request, version: str, name: str, key: str) -> JSONResponse:
        session = site.open(request, version)
        given = await session.json()
        issue = session.issue(name)
        site.limit_writes(issue)
        _require_edit(session)
        check_property(key, given)
        with session.records.store.transaction():
            new = session.records.set_property(issue, key, given, session.author)
        return JSONResponse({}, 201 if new else 200)

    @router.delete("/issue/{name}/properties/{key}")
    async def delete(request: Request, version: str, name: str, key: str) -> Response:
        session = site.open(request, version)
        issue = session.issue(name)
        _require_edit(session)
        if session.records.property("issue", issue.id, key) is None:
            raise property_missing(key)
        with session.records.store.transaction():
            session.records.drop_property(issue, key, session.author)
        return Response(status_code=204)


def _add_conditional_routes(router: APIRouter, site: Site) -> None:
    @router.put("/issue/properties/{key}")
    async def put(request: Request, version: str, key: str) -> Response:
        session = _cloud_session(site, request, version)
        body = await session.json_object()
        session.require_sign_in()
        if not session.may(Permission.BROWSE):
            raise JiraError(400, "No issues are visible.")
        work = _checked(key, body)
        with session.records.store.transaction():
            number = _submit(session, {**work, "request_id": request_id(request)})
        return RedirectResponse(session.dialect.url(f"task/{number}"), status_code=303)

    @router.get("/task/{number}")
    async def task(request: Request, version: str, number: str) -> JSONResponse:
        session = _cloud_session(site, request, version)
        session.require_sign_in()
        return JSONResponse(_task_json(session, whole_number(number, -1)))


def _cloud_session(site: Site, request: Request, version: str) -> Session:
    session = site.open(request, version)
    if not site.cloud:
        raise JiraError(404, f"null for uri: {request.url}")
    return session


def _require_edit(session: Session) -> None:
    if not session.may(Permission.EDIT):
        session.require_sign_in()
        raise JiraError(403, "You do not have permission to edit issues in this project.")


def _checked(key: str, body: JsonObject) -> JsonObject:
    """The work of a task. Raises JiraError 400."""
    criteria = body.get("filter") or {}
    if not isinstance(criteria, dict):
        raise JiraError(400, NOT_JSON)
    if "expression" in body:
        raise JiraError(400, "This stand-in evaluates no Jira expressions.")
    if "value" not in body:
        raise JiraError(400, "Either a value or an expression must be given.")
    unknown = set(criteria) - {"entityIds", "currentValue", "hasProperty"}
    if unknown:
        raise JiraError(400, f"Unknown filter: {min(unknown)}")
    if "currentValue" in criteria and criteria.get("hasProperty") is False:
        raise JiraError(400, "currentValue and hasProperty false exclude each other.")
    identities = criteria.get("entityIds", [])
    if not isinstance(identities, list) or any(whole_number(i, -1) < 0 for i in identities):
        raise JiraError(400, "entityIds must be a list of issue ids.")
    check_property(key, body["value"])
    return {"key": key, "value": body["value"], "filter": criteria}


def _submit(session: Session, work: JsonObject) -> int:
    store = session.records.store
    now, who = store.now(), session.caller.account.account_id
    return store.execute(INSERT_TASK, who, now, now + store.setting("task_delay"), json.dumps(work))


def _task_json(session: Session, number: int) -> JsonObject:
    row = session.records.store.row(
        "SELECT id, submitter, submitted, due, finished FROM task WHERE id = ?", number
    )
    if row is None:
        raise JiraError(404, "The task was not found.")
    if row["submitter"] != session.caller.account.account_id:
        raise JiraError(403, "You do not have permission to see this task.")
    done = row["finished"] is not None
    body: JsonObject = {
        "self": session.dialect.url(f"task/{number}"),
        "id": str(number),
        "description": "Set an entity property on multiple issues",
        "status": "COMPLETE" if done else "ENQUEUED",
        "submittedBy": 10000,
        "progress": 100 if done else 0,
        "elapsedRuntime": 0,
        "submitted": _milliseconds(row["submitted"]),
        "lastUpdate": _milliseconds(row["finished"] or row["submitted"]),
    }
    if done:
        body["started"] = body["finished"] = _milliseconds(row["finished"])
    return body


def _milliseconds(seconds: float) -> int:
    return int(seconds * 1000)


def run_due_tasks(records: Records) -> None:
    """Runs in the order in which they fell due, each in its own transaction.

    Called before every request: nobody can tell from outside that the task did not run by itself.
    """
    for row in records.store.rows(DUE_TASKS, records.store.now()):
        work = json.loads(row["work"])
        author = Author(account=BY_ID[row["submitter"]], via="task", request_id=work["request_id"])
        with records.store.transaction():
            for issue in records.all():
                if author.account.may(Permission.EDIT) and _eligible(records, issue, work):
                    records.set_property(issue, work["key"], work["value"], author)
            records.store.execute(
                "UPDATE task SET finished = ? WHERE id = ?", row["due"], row["id"]
            )


def _eligible(records: Records, issue: Issue, work: JsonObject) -> bool:
    """All criteria at once, checked in the transaction that writes."""
    criteria: dict[str, Any] = work["filter"]
    row = records.property("issue", issue.id, work["key"])
    if "entityIds" in criteria and issue.id not in [
        int(number) for number in criteria["entityIds"]
    ]:
        return False
    if "hasProperty" in criteria and (row is not None) is not bool(criteria["hasProperty"]):
        return False
    if "currentValue" not in criteria:
        return True
    return row is not None and json.loads(row["value"]) == criteria["currentValue"]
