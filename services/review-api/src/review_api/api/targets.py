"""Operating targets over HTTP: how they are, pause, resume, and what becomes of a stuck write."""

from uuid import UUID

import orjson
from fastapi import APIRouter, Request, Response
from msgspec import Struct

from review_api.api.bodies import checked_text, documented, read
from review_api.api.guard import GuardedRoute, needs
from review_api.commands.stops import EVERYTHING
from review_api.desk import desk_of
from review_api.problems import Code, ProblemError
from review_api.roles import Permission

router = APIRouter(prefix="/api", route_class=GuardedRoute, tags=["operations"])

_ACCEPTED = 202
_NO_STORE = {"Cache-Control": "no-store"}


class ReasonBody(Struct, kw_only=True, forbid_unknown_fields=True):
    """`POST /api/targets/{name}/pause` and `/resume`."""

    reason: str


class UnstickBody(Struct, kw_only=True, forbid_unknown_fields=True):
    """`POST /api/write-backs/{write_back_id}/unstick`; `action`: adopt, resend or give-up."""

    action: str
    reason: str


@router.get("/targets", **needs(Permission.MEASURES))
async def targets(request: Request) -> Response:
    """Return every target with its state and what waits for it."""
    states = await desk_of(request).target_states.read()
    return Response(
        orjson.dumps({"targets": states}), 200, _NO_STORE, media_type="application/json"
    )


@router.post(
    "/targets/{name}/pause",
    status_code=_ACCEPTED,
    **needs(Permission.PAUSE, extra=documented(ReasonBody)),
)
async def pause(request: Request, name: str) -> Response:
    """Have nothing more written to a target. 202: its dispatcher hears of it within 5 s."""
    sent = await read(request, ReasonBody)
    reason = checked_text("reason", sent.reason) or ""
    await desk_of(request).stops.stop(request.state.actor, _target(name), reason)
    return _accepted(target=name, asked="pause")


@router.post(
    "/targets/{name}/resume",
    status_code=_ACCEPTED,
    **needs(Permission.RESUME, extra=documented(ReasonBody)),
)
async def resume(request: Request, name: str) -> Response:
    """Have a target written to again."""
    sent = await read(request, ReasonBody)
    reason = checked_text("reason", sent.reason) or ""
    await desk_of(request).stops.resume(request.state.actor, _target(name), reason)
    return _accepted(target=name, asked="resume")


@router.post(
    "/write-backs/{write_back_id}/unstick",
    status_code=_ACCEPTED,
    **needs(Permission.UNSTICK, extra=documented(UnstickBody)),
)
async def unstick(request: Request, write_back_id: str) -> Response:
    """Say what becomes of a write that is STUCK. 202: follow it at its decision."""
    sent = await read(request, UnstickBody)
    reason = checked_text("reason", sent.reason) or ""
    try:
        key = UUID(write_back_id)
    except ValueError:
        raise ProblemError(Code.NOT_FOUND, "write_back_id is not an id.") from None
    await desk_of(request).operate.unstick(request.state.actor, key, sent.action, reason)
    return _accepted(write_back_id=str(key), asked=sent.action)


def _target(name: str) -> str:
    if name == EVERYTHING:
        raise ProblemError(Code.NOT_FOUND, "There is no target of that name.")
    return name


def _accepted(**body: str) -> Response:
    return Response(orjson.dumps(body), _ACCEPTED, _NO_STORE, media_type="application/json")
