"""Signing in and out, for people."""

from fastapi import APIRouter, Request, Response
from starlette.responses import RedirectResponse

from review_api import auth
from review_api.api.guard import GuardedRoute, needs, session_token
from review_api.api.session import set_cookie
from review_api.desk import desk_of
from review_api.pages.render import html
from review_api.problems import Code, ProblemError
from review_api.roles import Permission

router = APIRouter(route_class=GuardedRoute, include_in_schema=False)

_REFUSED = frozenset(
    {
        Code.BAD_CREDENTIALS,
        Code.SIGN_IN_LOCKED,
        Code.PASSWORD_CHANGE_REQUIRED,
        Code.BAD_PASSWORD,
    }
)
_OURS = ("/review", "/insight", "/people", "/policy", "/stop")


@router.get("/review/sign-in", **needs(Permission.PUBLIC))
async def form(
    request: Request,
    next: str = "",  # noqa: A002 - the parameter's name
    change: str = "",
    left: str = "",
) -> Response:
    """Return the form; with `change`, the one that exchanges a password for another one."""
    return shown(request, 200, back=local(next), changes=bool(change), left=bool(left))


@router.post("/review/sign-in", **needs(Permission.PUBLIC))
async def sign_in(request: Request) -> Response:
    """Sign in and go where one wanted to go."""
    sent = await request.form()
    username, password = str(sent.get("username", "")), str(sent.get("password", ""))
    back = local(str(sent.get("next", "")))
    chosen = sent.get("new_password")
    new_password = chosen if isinstance(chosen, str) else None
    desk = desk_of(request)
    try:
        session = await desk.sign_in(
            username.strip(), password, session_token(request), new_password
        )
    except ProblemError as problem:
        if problem.code not in _REFUSED:
            raise
        return shown(
            request,
            problem.kind.status,
            back=back,
            username=username,
            changes=new_password is not None or problem.code is Code.PASSWORD_CHANGE_REQUIRED,
            problem=problem,
        )
    answer = RedirectResponse(back, 303)
    set_cookie(answer, session, secure=desk.secure)
    return answer


def shown(
    request: Request,
    status: int,
    *,
    back: str,
    changes: bool = False,
    username: str = "",
    problem: ProblemError | None = None,
    left: bool = False,
) -> Response:
    """Return the sign-in page; `left`: somebody has just signed out."""
    company = desk_of(request).company
    return html(
        request,
        "sign_in.html",
        status,
        next=back,
        username=username,
        changes=changes,
        problem=problem,
        company=None if company is None else company.provider.company.name,
        out=None if company is None or not left else company.provider.sign_out_address,
    )


@router.post("/review/sign-out", **needs(Permission.SIGNED_IN))
async def sign_out(request: Request) -> Response:
    """End the session."""
    await desk_of(request).sign_in.out(session_token(request))
    answer = RedirectResponse("/review/sign-in?left=1", 303)
    answer.delete_cookie(auth.COOKIE, path="/")
    return answer


def local(address: str) -> str:
    """Return `address` where it is a page of ours; other people's links lead nowhere else."""
    good = address.startswith(_OURS) and "\\" not in address and address.isprintable()
    return address if good and not address.startswith("/review/sign-") else "/review"
