"""Accounts, for administrators. Auditors read."""

from typing import Any
from uuid import UUID

import orjson
from fastapi import APIRouter, Request, Response

from contract.statement import timestamp_text
from review_api.api.bodies import (
    AccountBody,
    IdentityBody,
    PersonBody,
    RolesBody,
    checked_text,
    documented,
    read,
)
from review_api.api.guard import GuardedRoute, needs
from review_api.commands.accounts import Asked
from review_api.commands.people import new_account
from review_api.desk import desk_of
from review_api.problems import Code, ProblemError
from review_api.roles import Permission
from review_api.store import Row

router = APIRouter(prefix="/api", route_class=GuardedRoute, tags=["people"])

LONGEST_REASON = 1_000
_NO_STORE = {"Cache-Control": "no-store"}


@router.post("/people", status_code=201, **needs(Permission.PEOPLE, extra=documented(PersonBody)))
async def add(request: Request) -> Response:
    """Make an account. A password that was made for it is in the answer, and nowhere else."""
    sent = await read(request, PersonBody)
    person = None if sent.person_id is None else _person(sent.person_id)
    new = new_account(sent.username, sent.name, sent.roles, sent.password, person)
    desk = desk_of(request)
    account, owner, name = await desk.people.add(new, request.state.actor, _reason(sent.reason))
    desk.hint()
    body: dict[str, Any] = {
        "actor_id": str(account),
        "person_id": str(owner),
        "username": new.username,
        "name": name,
        "roles": new.roles,
    }
    if new.one_time:
        body["password"] = new.password
    return _answer(body, 201)


@router.get("/people", **needs(Permission.OVERSEE))
async def people(request: Request) -> Response:
    """Return every account, up to a thousand."""
    rows = await desk_of(request).store.all("people")
    return _answer({"people": [_listed(row) for row in rows]})


@router.get("/people/{account_id}", **needs(Permission.OVERSEE))
async def account(request: Request, account_id: UUID) -> Response:
    """Return an account. Its `version` is what a change of it is asked for with."""
    return await _now(request, account_id)


@router.post("/people/{account_id}/roles", **needs(Permission.PEOPLE, extra=documented(RolesBody)))
async def roles(request: Request, account_id: UUID) -> Response:
    """Give an account these roles and no others. They count from its next request on."""
    sent = await read(request, RolesBody)
    asked = _asked(request, account_id, sent)
    await desk_of(request).accounts.roles(asked, sent.roles)
    return await _now(request, account_id)


@router.post(
    "/people/{account_id}/disable", **needs(Permission.PEOPLE, extra=documented(AccountBody))
)
async def disable(request: Request, account_id: UUID) -> Response:
    """Let nobody sign in with an account; its sessions end, and what it claimed is free."""
    asked = _asked(request, account_id, await read(request, AccountBody))
    await desk_of(request).accounts.disable(asked)
    return await _now(request, account_id)


@router.post(
    "/people/{account_id}/enable", **needs(Permission.PEOPLE, extra=documented(AccountBody))
)
async def enable(request: Request, account_id: UUID) -> Response:
    """Let the owner of an account sign in again."""
    asked = _asked(request, account_id, await read(request, AccountBody))
    await desk_of(request).accounts.enable(asked)
    return await _now(request, account_id)


@router.post(
    "/people/{account_id}/password", **needs(Permission.PEOPLE, extra=documented(AccountBody))
)
async def password(request: Request, account_id: UUID) -> Response:
    """Make a password for one sign-in. It is in the answer and nowhere else; sessions end."""
    asked = _asked(request, account_id, await read(request, AccountBody))
    made = await desk_of(request).accounts.new_password(asked)
    row, _ = await desk_of(request).accounts.beside(account_id)
    return _answer(_listed(row) | {"password": made})


@router.post(
    "/people/{account_id}/identity", **needs(Permission.PEOPLE, extra=documented(IdentityBody))
)
async def identity(request: Request, account_id: UUID) -> Response:
    """Say that somebody the company's provider knows is the person of this account."""
    sent = await read(request, IdentityBody)
    company = desk_of(request).company
    if company is None:
        raise ProblemError(Code.NOT_FOUND, "No company's sign-in is configured here.")
    await company.say(account_id, sent.subject, request.state.actor, _reason(sent.reason))
    return await _now(request, account_id)


def _asked(request: Request, account_id: UUID, sent: AccountBody | RolesBody) -> Asked:
    return Asked(
        actor=request.state.actor,
        account_id=account_id,
        version=sent.version,
        reason=_reason(sent.reason),
    )


def _reason(text: str | None) -> str | None:
    return checked_text("reason", text, LONGEST_REASON)


def _person(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise ProblemError(Code.BAD_VALUE, "person_id is not an id.") from None


async def _now(request: Request, account_id: UUID) -> Response:
    row, _ = await desk_of(request).accounts.beside(account_id)
    return _answer(_listed(row))


def _answer(body: dict[str, Any], status: int = 200) -> Response:
    return Response(orjson.dumps(body), status, _NO_STORE, media_type="application/json")


def _listed(row: Row) -> dict[str, Any]:
    came = row["last_sign_in_at"]
    return {
        "actor_id": str(row["account_id"]),
        "person_id": str(row["person_id"]),
        "username": row["username"],
        "name": row["name"],
        "roles": row["roles"],
        "created_at": timestamp_text(row["created_at"]),
        "disabled": row["disabled_at"] is not None,
        "one_time_password": row["one_time"],
        "last_sign_in_at": None if came is None else timestamp_text(came),
        "changed_at": timestamp_text(row["changed_at"]),
        "changed_by": row["changed_by"],
        "version": row["version"],
    }
