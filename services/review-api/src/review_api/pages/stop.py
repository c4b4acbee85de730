"""The stop switch as a page: what is stopped, and a form to stop it or to let it go."""

from fastapi import APIRouter, Request, Response
from starlette.datastructures import FormData
from starlette.responses import RedirectResponse

from review_api.api.bodies import checked_text
from review_api.api.guard import GuardedRoute, needs
from review_api.commands.stops import EVERYTHING
from review_api.desk import desk_of
from review_api.pages.errors import is_page
from review_api.pages.render import html
from review_api.problems import Code, ProblemError
from review_api.roles import Permission, may

router = APIRouter(route_class=GuardedRoute, include_in_schema=False)

_AGAIN = frozenset({Code.BAD_VALUE, Code.NOT_POSSIBLE, Code.TEXT_TOO_LONG, Code.BAD_TEXT})


@router.get("/stop", **needs(Permission.PAUSE))
async def page(request: Request) -> Response:
    """Show what is written to, and what is not."""
    return await _shown(request, None, "", "")


@router.post("/stop", **needs(Permission.PAUSE))
async def stop(request: Request) -> Response:
    """Stop a target, or everything."""
    sent = await request.form()
    return await _done(request, sent, resume=False)


@router.post("/stop/resume", **needs(Permission.RESUME))
async def resume(request: Request) -> Response:
    """Let a target go, or everything."""
    sent = await request.form()
    return await _done(request, sent, resume=True)


async def _done(request: Request, sent: FormData, *, resume: bool) -> Response:
    desk, actor = desk_of(request), request.state.actor
    scope, reason = _text(sent, "scope"), _text(sent, "reason")
    act = desk.stops.resume if resume else desk.stops.stop
    try:
        if not scope:
            raise ProblemError(Code.BAD_VALUE, "Choose what is meant.")
        await act(actor, scope, checked_text("reason", reason) or "")
    except ProblemError as problem:
        if not is_page(request) or problem.code not in _AGAIN:
            raise
        return await _shown(request, problem, scope, reason)
    return RedirectResponse("/stop", 303)


async def _shown(
    request: Request, problem: ProblemError | None, scope: str, reason: str
) -> Response:
    stops = await desk_of(request).stops.read()
    held = {one.scope for one in stops}
    targets = desk_of(request).stops.targets
    return html(
        request,
        "stop.html",
        200 if problem is None else problem.kind.status,
        held=stops,
        free=[one for one in (EVERYTHING, *targets) if one not in held],
        everything=EVERYTHING,
        may_resume=may(request.state.actor.roles, Permission.RESUME),
        problem=problem,
        scope=scope,
        reason=reason,
    )


def _text(sent: FormData, name: str) -> str:
    value = sent.get(name, "")
    return value if isinstance(value, str) else ""
