"""The stop switch over HTTP: one action for a target, or for all of them."""

import orjson
from fastapi import APIRouter, Request, Response
from msgspec import Struct

from contract.statement import timestamp_text
from review_api.api.bodies import checked_text, documented, read
from review_api.api.guard import GuardedRoute, needs
from review_api.commands.stops import EVERYTHING, Stop
from review_api.desk import desk_of
from review_api.problems import Code, ProblemError
from review_api.roles import Permission

router = APIRouter(prefix="/api", route_class=GuardedRoute, tags=["operations"])

_ACCEPTED = 202
_NO_STORE = {"Cache-Control": "no-store"}


class StopBody(Struct, kw_only=True, forbid_unknown_fields=True):
    """`POST /api/stop` and `/api/resume`: a `target` by name, or `all`; and why."""

    reason: str
    target: str | None = None
    all: bool = False
    source: str | None = None
    """Not possible yet: what a dispatcher is given does not say which pipeline proposed it."""


@router.post(
    "/stop",
    status_code=_ACCEPTED,
    **needs(Permission.PAUSE, extra=documented(StopBody)),
)
async def stop(request: Request) -> Response:
    """Have nothing more written. 202: every dispatcher hears of it within 5 s; decisions wait."""
    scope, reason = await _sent(request)
    await desk_of(request).stops.stop(request.state.actor, scope, reason)
    return _accepted("stop", scope)


@router.post(
    "/resume",
    status_code=_ACCEPTED,
    **needs(Permission.RESUME, extra=documented(StopBody)),
)
async def resume(request: Request) -> Response:
    """Have it written again: what waited goes out, in order."""
    scope, reason = await _sent(request)
    await desk_of(request).stops.resume(request.state.actor, scope, reason)
    return _accepted("resume", scope)


@router.get("/stops", **needs(Permission.SIGNED_IN))
async def stops(request: Request) -> Response:
    """Return what is stopped, by whom, since when and why."""
    found = [_shown(one) for one in await desk_of(request).stops.read()]
    body = orjson.dumps({"stops": found})
    return Response(body, 200, _NO_STORE, media_type="application/json")


async def _sent(request: Request) -> tuple[str, str]:
    sent = await read(request, StopBody)
    if sent.source is not None:
        raise ProblemError(
            Code.NOT_SUPPORTED,
            "A source cannot be stopped by itself: stop the target it proposes changes to.",
        )
    if sent.all == (sent.target is not None):
        raise ProblemError(Code.BAD_VALUE, "Name a target, or say all: one of the two.")
    target = EVERYTHING if sent.all else sent.target or ""
    if target == EVERYTHING and not sent.all:
        raise ProblemError(Code.NOT_FOUND, "There is no target of that name.")
    return target, checked_text("reason", sent.reason) or ""


def _shown(one: Stop) -> dict[str, object]:
    return {
        "target": None if one.everything else one.scope,
        "all": one.everything,
        "by": one.name,
        "role": one.role,
        "reason": one.reason,
        "since": timestamp_text(one.at),
    }


def _accepted(asked: str, scope: str) -> Response:
    body = {"asked": asked, "target": None if scope == EVERYTHING else scope}
    return Response(orjson.dumps(body), _ACCEPTED, _NO_STORE, media_type="application/json")
