"""Decisions over HTTP: take one, take it back, read one."""

from typing import Any, Final
from uuid import UUID

from fastapi import APIRouter, Request, Response

from conveyor import metrics
from review_api.api import shapes
from review_api.api.bodies import DecisionBody, checked_text, documented, read
from review_api.api.guard import GuardedRoute, admission, needs, session_token
from review_api.auth import token_hash
from review_api.commands.decide import Answer
from review_api.commands.judgement import Order
from review_api.desk import desk_of
from review_api.problems import Code, ProblemError
from review_api.roles import Permission

router = APIRouter(prefix="/api", route_class=GuardedRoute, tags=["decisions"])

_LONGEST_KEY = 200
_LONGEST_CODE = 64


def _id_parameter(name: str) -> dict[str, Any]:
    schema = {"type": "string", "format": "uuid"}
    return {"name": name, "in": "path", "required": True, "schema": schema}


KEY_PARAMETER: Final[dict[str, Any]] = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": True,
    "schema": {"type": "string", "minLength": 1, "maxLength": _LONGEST_KEY},
}
_BODY = documented(DecisionBody) | {"parameters": [_id_parameter("item_id"), KEY_PARAMETER]}


@router.post(
    "/items/{item_id}/decisions",  # noqa: FAST003 - read from the request
    status_code=201,
    **needs(Permission.DECIDE, by_command=True, extra=_BODY),
)
async def decide(request: Request) -> Response:
    """Decide an item. Of several at once exactly one is 201; the others are told who won."""
    try:
        key, (order, password) = idempotency_key(request), await _order(request)
    except ProblemError:
        # Who may not decide at all hears that, rather than what their request lacks.
        actor = await desk_of(request).store.actor(token_hash(session_token(request)))
        admission(request)(actor)
        raise
    session = token_hash(session_token(request))
    if password is not None:
        await desk_of(request).reentry(session, admission(request), password)
    return answered(await desk_of(request).decide(session, admission(request), key, order))


async def _order(request: Request) -> tuple[Order, str | None]:
    sent = await read(request, DecisionBody)
    order = Order(
        item_id=_id(request, "item_id"),
        action=sent.action,
        revision=sent.revision,
        seen_digest=sent.seen_digest[:_LONGEST_KEY],
        fields={name: bytes(raw) for name, raw in sent.fields.items()},
        comment=checked_text("comment", sent.comment),
        reason_code=checked_text("reason_code", sent.reason_code, _LONGEST_CODE),
        claim_token=sent.claim_token,
    )
    return order, sent.password


def _id(request: Request, name: str) -> UUID:
    try:
        return UUID(request.path_params[name])
    except ValueError:
        raise ProblemError(Code.NOT_FOUND, f"{name} is not an id.") from None


def idempotency_key(request: Request) -> str:
    """Return the request's key.

    Raises:
        ProblemError: it is missing, or nothing that a key can be.
    """
    key = request.headers.get("idempotency-key")
    if key is None:
        raise ProblemError(Code.KEY_REQUIRED, "Without a key a retry could decide twice.")
    if not 1 <= len(key) <= _LONGEST_KEY or not key.isascii() or not key.isprintable():
        raise ProblemError(Code.KEY_BAD, "The key is empty, too long or not printable ASCII.")
    return key


def answered(answer: Answer) -> Response:
    """Return a stored or a new answer, byte for byte the same."""
    headers = {"Cache-Control": "no-store"}
    if answer.replayed:
        metrics.IDEMPOTENCY_HITS.inc()
        headers["Idempotency-Replayed"] = "true"
    return Response(answer.body, answer.status, headers, media_type="application/json")


@router.get("/decisions/{decision_id}", **needs(Permission.READ))
async def decision(request: Request, decision_id: UUID) -> Response:
    """Return a decision, its signed statement and the state of its write-backs."""
    found = await desk_of(request).look.decision(decision_id)
    headers = {"Cache-Control": "no-store"}
    return Response(shapes.decision(found), 200, headers, media_type="application/json")


@router.post(
    "/decisions/{decision_id}/take-back",  # noqa: FAST003 - read from the request
    **needs(Permission.DECIDE, by_command=True),
)
async def take_back(request: Request) -> Response:
    """Take a decision back within its hold. Doing it again answers the same."""
    decision_id = _id(request, "decision_id")
    desk = desk_of(request)
    session = token_hash(session_token(request))
    taking = await desk.take_back(session, admission(request), decision_id)
    found = await desk.look.decision(UUID(taking))
    headers = {"Cache-Control": "no-store"}
    return Response(shapes.decision(found), 200, headers, media_type="application/json")
