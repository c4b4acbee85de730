"""Several items at once, over HTTP: one result for each."""

from typing import Any
from uuid import UUID

from fastapi import APIRouter, Request, Response
from msgspec import Struct

from contract.events import Int
from review_api.api.bodies import checked_text, documented, read
from review_api.api.decisions import KEY_PARAMETER, answered, idempotency_key
from review_api.api.guard import GuardedRoute, admission, needs, session_token
from review_api.auth import token_hash
from review_api.commands.bulk import BulkOrder, Picked
from review_api.desk import desk_of
from review_api.problems import Code, ProblemError
from review_api.roles import Permission

router = APIRouter(prefix="/api", route_class=GuardedRoute, tags=["decisions"])

_LONGEST_CODE = 64


class PickedBody(Struct, kw_only=True, forbid_unknown_fields=True):
    """An item, at the revision that was on screen."""

    item_id: UUID
    revision: Int


class BulkBody(Struct, kw_only=True, forbid_unknown_fields=True):
    """`POST /api/decisions/bulk`. `action`: REJECT or NEED_INFO; at most 200 items."""

    action: str
    items: list[PickedBody]
    reason_code: str | None = None
    comment: str | None = None
    password: str | None = None


def _documented() -> dict[str, Any]:
    """Return the OpenAPI of the body, with what an item is in its place: nothing is referred to."""
    body, item = documented(BulkBody), documented(PickedBody)
    schema = body["requestBody"]["content"]["application/json"]["schema"]
    schema["properties"]["items"]["items"] = item["requestBody"]["content"]["application/json"][
        "schema"
    ]
    return body | {"parameters": [KEY_PARAMETER]}


_BODY = _documented()


@router.post("/decisions/bulk", **needs(Permission.DECIDE, extra=_BODY))
async def bulk(request: Request) -> Response:
    """Reject, or ask about, several items: 200 with a result for each, DECIDED or SKIPPED and why.

    UNSURE: Placet was interrupted; send the same request again, and nothing is decided twice.
    """
    key, sent = idempotency_key(request), await read(request, BulkBody)
    if len(sent.action) > _LONGEST_CODE:
        raise ProblemError(Code.BAD_VALUE, "action is too long.")
    order = BulkOrder(
        action=sent.action,
        items=[Picked(item_id=one.item_id, revision=one.revision) for one in sent.items],
        reason_code=checked_text("reason_code", sent.reason_code, _LONGEST_CODE),
        comment=checked_text("comment", sent.comment),
    )
    session = token_hash(session_token(request))
    actor = request.state.actor
    if sent.password is not None:
        await desk_of(request).reentry(session, admission(request), sent.password)
    return answered(await desk_of(request).bulk(session, actor, admission(request), key, order))
