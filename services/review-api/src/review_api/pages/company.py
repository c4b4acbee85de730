"""Signing in at the company's provider: the way there and the way back.

Both are GETs, as the protocol has it; neither decides anything. What goes wrong is said on the
sign-in page, where other ways in are.
"""

from typing import Final

from fastapi import APIRouter, Request, Response
from starlette.responses import RedirectResponse

from review_api import auth
from review_api.api.guard import GuardedRoute, needs, session_token
from review_api.api.session import set_cookie
from review_api.commands.company_sign_in import OIDC, SECONDS, CompanySignIn
from review_api.desk import desk_of
from review_api.pages.sign_in import local, shown
from review_api.problems import Code, ProblemError
from review_api.roles import Permission

router = APIRouter(route_class=GuardedRoute, include_in_schema=False)

COOKIE: Final = "placet_oidc"
PATH: Final = "/review/oidc"
_SAID: Final = frozenset(
    {
        Code.SIGN_IN_REFUSED,
        Code.NO_ROLE,
        Code.BAD_ROLES,
        Code.ACCOUNT_DISABLED,
        Code.PROVIDER_AWAY,
    }
)
_LONGEST: Final = 4_096


@router.get(PATH, **needs(Permission.PUBLIC))
async def leave(
    request: Request,
    next: str = "",  # noqa: A002 - the parameter's name
    again: str = "",
) -> Response:
    """Go to the provider; with `again`, to prove anew who one is."""
    desk, back = desk_of(request), local(next)
    session = await _to_prove(request) if again else None
    try:
        departure = await _company(request).leave(back, session)
    except ProblemError as problem:
        return _said(request, problem, back)
    answer = RedirectResponse(departure.address, 303, {"Cache-Control": "no-store"})
    answer.set_cookie(
        COOKIE,
        departure.browser,
        max_age=SECONDS,
        path=PATH,
        secure=desk.secure,
        httponly=True,
        samesite="lax",
    )
    return answer


@router.get(f"{PATH}/callback", **needs(Permission.PUBLIC))
async def arrive(request: Request, state: str = "", code: str = "", error: str = "") -> Response:
    """Come back from the provider: signed in, or told why not."""
    desk = desk_of(request)
    try:
        if error or not code or len(code) + len(state) > _LONGEST:
            why = f"it said {error[:40]}" if error and error.isprintable() else "it holds no code"
            raise ProblemError(Code.SIGN_IN_REFUSED, f"You were not signed in: {why}.")
        returned = await _company(request).arrive(
            state, code, request.cookies.get(COOKIE, ""), session_token(request)
        )
    except ProblemError as problem:
        answer = _said(request, problem, "/review")
    else:
        answer = RedirectResponse(returned.back, 303, {"Cache-Control": "no-store"})
        if returned.session is not None:
            set_cookie(answer, returned.session, secure=desk.secure)
    answer.delete_cookie(COOKIE, path=PATH)
    return answer


async def _to_prove(request: Request) -> bytes | None:
    """Return the session to prove, where it was opened this way; others begin anew."""
    token = auth.token_hash(session_token(request))
    known = await desk_of(request).reentry.proof(token)
    return token if known is not None and known[0].by == OIDC else None


def _company(request: Request) -> CompanySignIn:
    company = desk_of(request).company
    if company is None:
        raise ProblemError(Code.NOT_FOUND, "No company's sign-in is configured here.")
    return company


def _said(request: Request, problem: ProblemError, back: str) -> Response:
    if problem.code not in _SAID:
        raise problem
    return shown(request, problem.kind.status, back=back, problem=problem)
