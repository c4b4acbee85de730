"""People and their accounts: who may sign in, as what. Forms that work without JavaScript.

A change is a POST, then 303 to the account. A password that was made is the one exception: it is in
the answer to the POST itself, because there is no address and no store that it could be fetched
from. Sending that POST again does nothing: the account has another version by then.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from fastapi import APIRouter, Request, Response
from starlette.datastructures import FormData
from starlette.responses import RedirectResponse

from review_api.api.bodies import checked_text
from review_api.api.guard import GuardedRoute, needs
from review_api.api.people import LONGEST_REASON
from review_api.commands.accounts import Asked
from review_api.commands.conduct import DAYS, MOST
from review_api.commands.people import new_account
from review_api.desk import desk_of
from review_api.pages.render import html
from review_api.problems import Code, ProblemError
from review_api.roles import Permission, Role, may
from review_api.store import Row

router = APIRouter(route_class=GuardedRoute, include_in_schema=False)

ROLE_WORDS: Final = {
    Role.REVIEWER: "decides, and gives the first of two approvals",
    Role.APPROVER: "decides, gives the second approval, undoes",
    Role.ADMIN: "people and policy; never decides",
    Role.AUDITOR: "reads everything; changes nothing",
    Role.SRE: "operates; sees no proposal's text",
}
_DONE: Final = {
    "roles": "The roles were changed. They count from now on.",
    "disable": "Nobody can sign in with this account. Its sessions are over.",
    "enable": "The account is open again.",
    "identity": "Whoever signs in with it is this person.",
}
_MOST: Final = 1_000
_ELSEWHERE: Final = frozenset({Code.NOT_FOUND, Code.NOT_SIGNED_IN, Code.WRONG_ROLE})


@dataclass(frozen=True, slots=True, kw_only=True)
class Typed:
    """What somebody had typed into a form that was refused."""

    name: str = ""
    username: str = ""
    roles: tuple[str, ...] = ()
    reason: str = ""


@router.get("/people", **needs(Permission.OVERSEE))
async def people(request: Request) -> Response:
    """Return who there is, and the form that adds somebody."""
    return await _list(request)


@router.post("/people", **needs(Permission.PEOPLE))
async def add(request: Request) -> Response:
    """Add somebody; the answer shows the password that was made, once."""
    sent = await request.form()
    typed = _typed(sent)
    desk = desk_of(request)
    try:
        person = _id(sent, "person_id")
        new = new_account(typed.username.strip(), typed.name.strip(), typed.roles, None, person)
        account, _, _ = await desk.people.add(new, request.state.actor, _reason(typed))
    except ProblemError as problem:
        if problem.code in _ELSEWHERE:
            raise
        beside = _id(sent, "beside")
        if beside is not None:
            return await _account(request, beside, typed=typed, problem=problem)
        return await _list(request, typed, problem)
    desk.hint()
    return await _account(request, account, status=201, secret=new.password)


@router.get("/people/{account_id}", **needs(Permission.OVERSEE))
async def account(request: Request, account_id: UUID, done: str = "") -> Response:
    """Return an account, and what may be done to it."""
    return await _account(request, account_id, done=_DONE.get(done))


@router.post("/people/{account_id}/roles", **needs(Permission.PEOPLE))
async def roles(request: Request, account_id: UUID) -> Response:
    """Give an account other roles."""
    return await _change(request, account_id, "roles")


@router.post("/people/{account_id}/disable", **needs(Permission.PEOPLE))
async def disable(request: Request, account_id: UUID) -> Response:
    """Let nobody sign in with an account."""
    return await _change(request, account_id, "disable")


@router.post("/people/{account_id}/enable", **needs(Permission.PEOPLE))
async def enable(request: Request, account_id: UUID) -> Response:
    """Let its owner sign in again."""
    return await _change(request, account_id, "enable")


@router.post("/people/{account_id}/password", **needs(Permission.PEOPLE))
async def password(request: Request, account_id: UUID) -> Response:
    """Make a password for one sign-in; the answer shows it, once."""
    return await _change(request, account_id, "password")


@router.post("/people/{account_id}/identity", **needs(Permission.PEOPLE))
async def identity(request: Request, account_id: UUID) -> Response:
    """Say who this person is at the company's provider."""
    sent, company = await request.form(), desk_of(request).company
    try:
        if company is None:
            raise ProblemError(Code.NOT_FOUND, "No company's sign-in is configured here.")
        subject, reason = _text(sent, "subject").strip(), _reason(_typed(sent))
        await company.say(account_id, subject, request.state.actor, reason)
    except ProblemError as problem:
        if problem.code in _ELSEWHERE:
            raise
        return await _account(request, account_id, problem=problem)
    return RedirectResponse(f"/people/{account_id}?done=identity", 303)


async def _change(request: Request, account_id: UUID, what: str) -> Response:
    sent = await request.form()
    typed = _typed(sent)
    secret = None
    try:
        secret = await _do(request, account_id, what, sent, typed)
    except ProblemError as problem:
        if problem.code in _ELSEWHERE:
            raise
        return await _account(request, account_id, problem=problem)
    if secret is not None:
        return await _account(request, account_id, secret=secret)
    return RedirectResponse(f"/people/{account_id}?done={what}", 303)


async def _do(
    request: Request, account_id: UUID, what: str, sent: FormData, typed: Typed
) -> str | None:
    accounts = desk_of(request).accounts
    asked = Asked(
        actor=request.state.actor,
        account_id=account_id,
        version=_version(sent),
        reason=_reason(typed),
    )
    match what:
        case "roles":
            await accounts.roles(asked, list(typed.roles))
        case "disable":
            await accounts.disable(asked)
        case "enable":
            await accounts.enable(asked)
        case _:
            return await accounts.new_password(asked)
    return None


async def _list(
    request: Request, typed: Typed | None = None, problem: ProblemError | None = None
) -> Response:
    desk = desk_of(request)
    rows = await desk.store.all("people")
    return html(
        request,
        "people.html",
        200 if problem is None else problem.kind.status,
        folk=(folk := _folk(rows)),
        twice=_twice(folk),
        accounts=len(rows),
        cut=len(rows) == _MOST,
        reviewers=await desk.watch.reviewers(desk.policy.oversight),
        newest=MOST,
        days=DAYS,
        typed=typed or Typed(),
        problem=problem,
        **_common(request),
    )


async def _account(
    request: Request,
    account_id: UUID,
    *,
    status: int = 200,
    done: str | None = None,
    secret: str | None = None,
    typed: Typed | None = None,
    problem: ProblemError | None = None,
) -> Response:
    desk = desk_of(request)
    row, others = await desk.accounts.beside(account_id)
    company = desk.company
    return html(
        request,
        "account.html",
        status if problem is None else problem.kind.status,
        one=row,
        others=others,
        company=None if company is None else company.provider.company.name,
        subjects=[] if company is None else await company.subjects(row["person_id"]),
        own=row["account_id"] == request.state.actor.account_id,
        done=done,
        secret=secret,
        typed=typed or Typed(),
        problem=problem,
        **_common(request),
    )


def _common(request: Request) -> dict[str, Any]:
    return {
        "role_words": ROLE_WORDS,
        "may_change": may(request.state.actor.roles, Permission.PEOPLE),
        "request_id": request.scope.get("placet_request_id", ""),
    }


def _folk(rows: Iterable[Row]) -> list[list[Row]]:
    """Return accounts by person, the people by name."""
    found: dict[UUID, list[Row]] = {}
    for row in rows:
        found.setdefault(row["person_id"], []).append(row)
    return sorted(found.values(), key=lambda one: (one[0]["name"].casefold(), one[0]["username"]))


def _twice(folk: Iterable[list[Row]]) -> set[str]:
    """Return names that several people have: perhaps one of them is there twice."""
    names = Counter(accounts[0]["name"].casefold() for accounts in folk)
    return {name for name, many in names.items() if many > 1}


def _typed(sent: FormData) -> Typed:
    return Typed(
        name=_text(sent, "name"),
        username=_text(sent, "username"),
        roles=tuple(role for role in sent.getlist("roles") if isinstance(role, str)),
        reason=_text(sent, "reason"),
    )


def _text(sent: FormData, name: str) -> str:
    value = sent.get(name, "")
    return value if isinstance(value, str) else ""


def _reason(typed: Typed) -> str | None:
    return checked_text("reason", typed.reason.strip(), LONGEST_REASON)


def _version(sent: FormData) -> int:
    text = _text(sent, "version")
    if not (text.isascii() and text.isdigit()):
        raise ProblemError(Code.BAD_BODY, "The form is incomplete.")
    return int(text[:9])


def _id(sent: FormData, name: str) -> UUID | None:
    text = _text(sent, name)
    try:
        return UUID(text) if text else None
    except ValueError:
        raise ProblemError(Code.BAD_VALUE, f"{name} is not an id.") from None
