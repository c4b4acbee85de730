"""Accounts, for administrators."""

from typing import Any
from uuid import UUID

import orjson
from fastapi import APIRouter, Request, Response

from contract.statement import timestamp_text
from review_api.api.bodies import PersonBody, documented, read
from review_api.api.guard import GuardedRoute, needs
from review_api.commands.people import new_account
from review_api.desk import desk_of
from review_api.problems import Code, ProblemError
from review_api.roles import Permission
from review_api.store import Row

router = APIRouter(prefix="/api", route_class=GuardedRoute, tags=["people"])


@router.post("/people", status_code=201, **needs(Permission.PEOPLE, extra=documented(PersonBody)))
async def add(request: Request) -> Response:
    """Make an account. A password that was made for it is in the answer, and nowhere else."""
    sent = await read(request, PersonBody)
    person = None if sent.person_id is None else _person(sent.person_id)
    new = new_account(sent.username, sent.name, sent.roles, sent.password, person)
    desk, actor = desk_of(request), request.state.actor
    account, owner = await desk.people.add(
        new, actor_id=str(actor.account_id), role=actor.roles[0].value
    )
    desk.hint()
    body: dict[str, Any] = {
        "actor_id": str(account),
        "person_id": str(owner),
        "username": new.username,
        "name": new.name,
        "roles": new.roles,
    }
    if sent.password is None:
        body["password"] = new.password
    return Response(orjson.dumps(body), 201, _NO_STORE, media_type="application/json")


@router.get("/people", **needs(Permission.PEOPLE))
async def people(request: Request) -> Response:
    """Return every account, up to a thousand."""
    rows = await desk_of(request).store.all("people")
    body = orjson.dumps({"people": [_listed(row) for row in rows]})
    return Response(body, 200, _NO_STORE, media_type="application/json")


_NO_STORE = {"Cache-Control": "no-store"}


def _person(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise ProblemError(Code.BAD_VALUE, "person_id is not an id.") from None


def _listed(row: Row) -> dict[str, Any]:
    return {
        "actor_id": str(row["account_id"]),
        "person_id": str(row["person_id"]),
        "username": row["username"],
        "name": row["name"],
        "roles": row["roles"],
        "created_at": timestamp_text(row["created_at"]),
        "disabled": row["disabled_at"] is not None,
    }
