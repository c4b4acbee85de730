"""Claims over HTTP: who is at an item, and who has passed it over."""

from typing import TypeVar
from uuid import UUID

import orjson
from fastapi import APIRouter, Request, Response

from contract.statement import timestamp_text
from review_api.api.bodies import ClaimBody, ReleaseBody, SkipBody, documented, read
from review_api.api.guard import GuardedRoute, admission, needs, session_token
from review_api.auth import token_hash
from review_api.claim import LEASE
from review_api.commands.claims import Held
from review_api.desk import desk_of
from review_api.problems import Code, ProblemError
from review_api.roles import Permission

router = APIRouter(prefix="/api", route_class=GuardedRoute, tags=["claims"])

T = TypeVar("T")
_ITEM = {
    "parameters": [
        {
            "name": "item_id",
            "in": "path",
            "required": True,
            "schema": {"type": "string", "format": "uuid"},
        }
    ]
}
_NO_STORE = {"Cache-Control": "no-store"}


@router.post(
    "/items/{item_id}/claim",  # noqa: FAST003 - read from the request
    **needs(
        Permission.DECIDE, by_command=True, by_itself=True, extra=documented(ClaimBody) | _ITEM
    ),
)
async def claim(request: Request) -> Response:
    """Claim an item for 90 seconds, or, with the claim's token, keep it for 90 more."""
    sent = await _sent(request, ClaimBody)
    held = await desk_of(request).claims.claim(
        _session(request), admission(request), _item(request), sent.claim_token
    )
    return Response(_shown(held), 200, _NO_STORE, media_type="application/json")


@router.post(
    "/items/{item_id}/release",  # noqa: FAST003 - read from the request
    status_code=204,
    **needs(
        Permission.DECIDE, by_command=True, by_itself=True, extra=documented(ReleaseBody) | _ITEM
    ),
)
async def release(request: Request) -> Response:
    """Give a claim back. Once is enough, and twice does no harm."""
    sent = await _sent(request, ReleaseBody)
    await desk_of(request).claims.release(
        _session(request), admission(request), _item(request), sent.claim_token, sent.until
    )
    return Response(status_code=204, headers=_NO_STORE)


@router.post(
    "/items/{item_id}/skip",  # noqa: FAST003 - read from the request
    status_code=204,
    **needs(Permission.DECIDE, by_command=True, extra=documented(SkipBody) | _ITEM),
)
async def skip(request: Request) -> Response:
    """Pass an item over, with a reason: it stays for the others."""
    sent = await _sent(request, SkipBody)
    await desk_of(request).claims.skip(
        _session(request), admission(request), _item(request), sent.reason
    )
    return Response(status_code=204, headers=_NO_STORE)


async def _sent(request: Request, kind: type[T]) -> T:
    """Return the body. Who may not claim at all hears that, rather than what the body lacks."""
    try:
        _item(request)
        return await read(request, kind)
    except ProblemError:
        admission(request)(await desk_of(request).store.actor(_session(request)))
        raise


def _session(request: Request) -> bytes:
    return token_hash(session_token(request))


def _item(request: Request) -> UUID:
    try:
        return UUID(request.path_params["item_id"])
    except ValueError:
        raise ProblemError(Code.NOT_FOUND, "item_id is not an id.") from None


def _shown(held: Held) -> bytes:
    return orjson.dumps(
        {
            "item_id": str(held.item_id),
            "claim_token": held.token,
            "by": held.name,
            "until": timestamp_text(held.until),
            "now": timestamp_text(held.now),
            "lease_seconds": int(LEASE.total_seconds()),
        }
    )
