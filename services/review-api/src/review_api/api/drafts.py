"""Drafts over HTTP: what a page saves while somebody types."""

from uuid import UUID

from fastapi import APIRouter, Request, Response

from review_api.api.bodies import DraftBody, checked_text, documented, read
from review_api.api.guard import GuardedRoute, needs
from review_api.commands.drafts import Typed
from review_api.desk import desk_of
from review_api.problems import Code, ProblemError
from review_api.roles import Permission

router = APIRouter(prefix="/api", route_class=GuardedRoute, tags=["drafts"])

_MOST_FIELDS = 50
_LONGEST_FIELD = 262_144
_LONGEST_CODE = 64


@router.put(
    "/items/{item_id}/draft",
    status_code=204,
    **needs(Permission.DECIDE, extra=documented(DraftBody)),
)
async def save(request: Request, item_id: UUID) -> Response:
    """Keep what was typed, for whoever typed it: the latest takes the place of the one before."""
    sent = await read(request, DraftBody)
    if len(sent.fields) > _MOST_FIELDS:
        raise ProblemError(Code.BAD_BODY, f"At most {_MOST_FIELDS} fields.")
    typed = Typed(
        fields={_text(name): _text(text) for name, text in sent.fields.items()},
        comment=checked_text("comment", sent.comment) or "",
        reason_code=checked_text("reason_code", sent.reason_code, _LONGEST_CODE) or "",
    )
    await desk_of(request).drafts.save(request.state.actor.person_id, item_id, sent.revision, typed)
    return Response(status_code=204, headers={"Cache-Control": "no-store"})


def _text(text: str) -> str:
    return checked_text("a field", text, _LONGEST_FIELD) or ""
