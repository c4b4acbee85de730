"""`POST /issue`: a new issue in the one project, as people and integrations make them."""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from sandbox.jira.accounts import Permission
from sandbox.jira.errors import NOT_JSON, JiraError
from sandbox.jira.fields import FIELDS, FieldValueError, Kind, parse, unsettable
from sandbox.jira.seed import FIXED, PROJECT
from sandbox.jira.session import Session, Site, property_list
from sandbox.store import JsonObject

DEFAULT_PRIORITY = "3"
_WRONG_PROJECT = "Specify a valid project ID or key"
_WRONG_TYPE = "Specify a valid issue type"


def routes(site: Site) -> APIRouter:
    router = APIRouter(prefix="/rest/api/{version}")

    @router.post("/issue")
    async def create(request: Request, version: str) -> JSONResponse:
        session = site.open(request, version)
        body = await session.json_object()
        values = _values(session, body.get("fields"))
        with session.records.store.transaction():
            issue = session.records.open_issue(
                PROJECT, values, session.author, properties=property_list(body)
            )
        url = session.dialect.url(f"issue/{issue.id}")
        return JSONResponse({"id": str(issue.id), "key": issue.key, "self": url}, 201)

    return router


def _values(session: Session, fields: Any) -> JsonObject:
    """Every field of the new issue; those that nobody set are empty. Raises JiraError 400."""
    if not isinstance(fields, dict):
        raise JiraError(400, NOT_JSON)
    session.require_sign_in()
    given = {name: raw for name, raw in fields.items() if name not in FIXED}
    errors = _misplaced(session, fields)
    values: JsonObject = {
        field.id: [] if field.kind is Kind.LABELS else None for field in FIELDS.values()
    }
    values |= {"priority": DEFAULT_PRIORITY, "reporter": session.caller.account.account_id}
    for name, raw in {"summary": None, **given}.items():
        field = FIELDS.get(name)
        try:
            if field is None:
                raise FieldValueError(unsettable(name))
            values[name] = parse(field, raw, session.dialect)
        except FieldValueError as error:
            errors[name] = str(error)
    if errors:
        raise JiraError(400, errors=errors)
    return {**values, **FIXED}


def _misplaced(session: Session, fields: JsonObject) -> dict[str, str]:
    """Who may not create is told what somebody who named no project is."""
    errors = {}
    if not session.may(Permission.CREATE) or not _names(fields, "project", "key"):
        errors["project"] = _WRONG_PROJECT
    if not _names(fields, "issuetype", "name"):
        errors["issuetype"] = _WRONG_TYPE
    return errors


def _names(fields: JsonObject, name: str, other: str) -> bool:
    given, fixed = fields.get(name), FIXED[name]
    return isinstance(given, dict) and (
        str(given.get("id")) == fixed["id"] or given.get(other) == fixed[other]
    )
