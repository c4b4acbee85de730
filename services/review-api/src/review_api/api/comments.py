"""Comments over HTTP."""

from uuid import UUID

import orjson
from fastapi import APIRouter, Request, Response

from contract.statement import timestamp_text
from review_api.api.bodies import CommentBody, checked_text, documented, read
from review_api.api.decisions import idempotency_key
from review_api.api.guard import GuardedRoute, admission, needs, session_token
from review_api.auth import token_hash
from review_api.desk import desk_of
from review_api.problems import Code, ProblemError
from review_api.roles import Permission

router = APIRouter(prefix="/api", route_class=GuardedRoute, tags=["comments"])


@router.post(
    "/items/{item_id}/comments",
    status_code=201,
    **needs(Permission.DECIDE, extra=documented(CommentBody)),
)
async def comment(request: Request, item_id: UUID) -> Response:
    """Say something of an item without deciding it. The same key again is the same comment."""
    key = idempotency_key(request)
    text = checked_text("text", (await read(request, CommentBody)).text)
    if text is None or not text.strip():
        raise ProblemError(Code.BAD_VALUE, "text is empty.")
    said = await desk_of(request).comments.add(
        token_hash(session_token(request)), admission(request), item_id, text, key
    )
    body = orjson.dumps(
        {
            "comment_id": str(said.comment_id),
            "item_id": str(said.item_id),
            "revision": said.revision,
            "by": said.name,
            "at": timestamp_text(said.at),
        }
    )
    headers = {"Cache-Control": "no-store"}
    if said.replayed:
        headers["Idempotency-Replayed"] = "true"
    return Response(body, 201, headers, media_type="application/json")
