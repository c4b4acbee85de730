"""What is done to an item short of deciding it: opening its evidence, leaving it as it is."""

from uuid import UUID

import msgspec
import orjson
from fastapi import APIRouter, Request, Response

from review_api.api.guard import GuardedRoute, admission, needs, session_token
from review_api.auth import token_hash
from review_api.desk import desk_of
from review_api.roles import Permission

router = APIRouter(prefix="/api", route_class=GuardedRoute, tags=["decisions"])


@router.post("/items/{item_id}/evidence", **needs(Permission.DECIDE))
async def open_evidence(request: Request, item_id: UUID) -> Response:
    """Open what a proposal rests on, and return it. Approving what is risky needs this first."""
    desk, session = desk_of(request), token_hash(session_token(request))
    revision = await desk.claims.evidence(session, admission(request), item_id)
    item = (await desk.look.item(item_id)).item
    body = orjson.dumps(
        {
            "item_id": str(item_id),
            "revision": revision,
            "retrieval": msgspec.to_builtins(item.retrieval),
            "evidence": msgspec.to_builtins(item.evidence),
        }
    )
    return Response(body, 200, {"Cache-Control": "no-store"}, media_type="application/json")


@router.post("/items/{item_id}/keep", status_code=204, **needs(Permission.DECIDE))
async def keep(request: Request, item_id: UUID) -> Response:
    """Say no to an undo that waits for its second person: the change stays written."""
    session = token_hash(session_token(request))
    await desk_of(request).keep(session, admission(request), item_id)
    return Response(status_code=204)
