"""Searching: what the index knows, which is later than what was written. Never a probe."""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from sandbox.jira import documents, jql
from sandbox.jira.accounts import Permission
from sandbox.jira.errors import JiraError
from sandbox.jira.fields import FIELDS
from sandbox.jira.issues import issue_json
from sandbox.jira.records import Issue
from sandbox.jira.rendering import shown
from sandbox.jira.session import Session, Site, whole_number
from sandbox.store import JsonObject

MAX_PAGE = 5000
MAX_RECONCILED = 50
UNBOUNDED = (
    "Unbounded JQL queries are not allowed here. Please add a search restriction to your query."
)
GONE = (
    "The requested API has been removed. Please migrate to the /rest/api/3/search/jql API. "
    "A full migration guideline is available at https://developer.atlassian.com/changelog/#CHANGE-2046"
)


def routes(site: Site) -> APIRouter:
    router = APIRouter(prefix="/rest/api/{version}/search")

    @router.api_route("/jql", methods=["GET", "POST"])
    async def enhanced(request: Request, version: str) -> JSONResponse:
        session = site.open(request, version)
        if not site.cloud:
            raise JiraError(404, f"null for uri: {request.url}")
        return JSONResponse(_enhanced(session, await _parameters(session)))

    @router.api_route("", methods=["GET", "POST"])
    async def classic(request: Request, version: str) -> JSONResponse:
        session = site.open(request, version)
        if site.cloud:
            raise JiraError(410, GONE)
        return JSONResponse(_classic(session, await _parameters(session)))

    return router


async def _parameters(session: Session) -> JsonObject:
    """The same names whether they came in the query or in the body."""
    if session.request.method == "POST":
        return await session.json_object()
    query = session.request.query_params
    lists = {"fields", "properties", "reconcileIssues"}
    return {name: query.getlist(name) if name in lists else query[name] for name in query}


def _names(parameters: JsonObject, name: str, default: list[str]) -> list[str]:
    given = parameters.get(name)
    if given is None:
        return default
    values = given if isinstance(given, list) else [given]
    return [part for value in values for part in str(value).split(",") if part]


def _enhanced(session: Session, parameters: JsonObject) -> JsonObject:
    query = _query(parameters)
    if not query.clauses:
        raise JiraError(
            400,
            UNBOUNDED,
        )
    fresh = [whole_number(name, -1) for name in _names(parameters, "reconcileIssues", [])]
    if len(fresh) > MAX_RECONCILED:
        raise JiraError(400, "At most 50 issues can be reconciled.")
    found = _found(session, query, frozenset(fresh))
    start = whole_number(parameters.get("nextPageToken"), 0)
    size = min(whole_number(parameters.get("maxResults"), 50), MAX_PAGE)
    fields = _names(parameters, "fields", ["id"])
    page = [_row(session, issue, fields, parameters) for issue in found[start : start + size]]
    last = start + size >= len(found)
    body: JsonObject = {"issues": page, "isLast": last}
    return body if last else {**body, "nextPageToken": str(start + size)}


def _classic(session: Session, parameters: JsonObject) -> JsonObject:
    found = _found(session, _query(parameters), frozenset())
    start = whole_number(parameters.get("startAt"), 0)
    size = min(whole_number(parameters.get("maxResults"), 50), 1000)
    fields = _names(parameters, "fields", ["*navigable"])
    page = [_row(session, issue, fields, parameters) for issue in found[start : start + size]]
    return {"startAt": start, "maxResults": size, "total": len(found), "issues": page}


def _query(parameters: JsonObject) -> jql.Query:
    try:
        return jql.parse(str(parameters.get("jql") or ""))
    except jql.JqlError as error:
        raise JiraError(400, str(error)) from error


def _row(session: Session, issue: Issue, fields: list[str], parameters: JsonObject) -> JsonObject:
    query = {"fields": ",".join(fields), "expand": str(parameters.get("expand") or "")}
    properties = _names(parameters, "properties", [])
    if properties:
        query["properties"] = ",".join(properties)
    body = issue_json(session, issue, query)
    if fields == ["id"]:
        del body["fields"]
    return body


def _found(session: Session, query: jql.Query, fresh: frozenset[int]) -> list[Issue]:
    """Matched and shown as indexed; issues in `fresh` as they are."""
    if not session.may(Permission.BROWSE):
        return []
    now = {issue.id: issue for issue in session.records.all()}
    known = {indexed_id: fields for indexed_id, _, fields in session.records.indexed()}
    seen = []
    for known_id, issue in now.items():
        fields: Any = issue.fields if known_id in fresh else known.get(known_id)
        if fields is None:
            continue
        as_seen = Issue(
            id=issue.id, key=issue.key, fields=fields, created=issue.created, updated=issue.updated
        )
        if query.holds(_searchable(as_seen)):
            seen.append(as_seen)
    return sorted(seen, key=lambda i: _order(i, query.order), reverse=query.descending)


def _order(issue: Issue, name: str) -> tuple[object, int]:
    value = {"created": issue.created, "updated": issue.updated}.get(name, 0.0)
    return value, issue.id


def _searchable(issue: Issue) -> dict[str, tuple[str, ...]]:
    fields = issue.fields
    key, own_id = issue.key.lower(), str(issue.id)
    summary = str(fields["summary"]).lower()
    description = documents.plain(fields["description"]).lower()
    project = fields["project"]
    return {
        "key": (key, own_id),
        "issuekey": (key, own_id),
        "issue": (key, own_id),
        "id": (own_id, key),
        "project": (project["key"].lower(), project["name"].lower(), project["id"]),
        "status": (str(shown(FIELDS["status"], fields["status"])).lower(),),
        "priority": (str(shown(FIELDS["priority"], fields["priority"])).lower(),),
        "labels": tuple(str(label).lower() for label in fields["labels"]),
        "summary": (summary,),
        "description": (description,) if description else (),
        "text": (summary, description),
    }
