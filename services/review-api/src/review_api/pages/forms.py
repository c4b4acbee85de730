"""Deciding with a form: POST, then 303 to the item, whose page shows what became of it.

What cannot be used comes back with everything that was typed, and why.
"""

from uuid import UUID, uuid4

from fastapi import APIRouter, Request, Response
from starlette.datastructures import FormData
from starlette.responses import RedirectResponse

from review_api import marks
from review_api.api import shapes
from review_api.api.bodies import checked_text
from review_api.api.decisions import answered
from review_api.api.guard import GuardedRoute, admission, needs, session_token
from review_api.auth import token_hash
from review_api.commands.drafts import Typed
from review_api.commands.judgement import Order
from review_api.desk import Desk, desk_of
from review_api.pages import change
from review_api.pages.errors import is_page
from review_api.pages.queue import beside, follower, item_page, query
from review_api.problems import Code, ProblemError
from review_api.proposal import ValueRefusedError, compact
from review_api.roles import Permission

router = APIRouter(route_class=GuardedRoute, include_in_schema=False)

_FIELD = "field:"
_LONGEST_KEY = 200


@router.post("/review/items/{item_id}/decision", **needs(Permission.DECIDE))
async def decide(request: Request, item_id: UUID) -> Response:
    """Decide, and go back to the item; or show why not, with the draft."""
    sent = await request.form()
    draft = _draft(sent)
    try:
        order = await _order(desk_of(request), item_id, sent, draft)
        session = token_hash(session_token(request))
        if password := _text(sent, "password"):
            await desk_of(request).reentry(session, admission(request), password)
        answer = await desk_of(request).decide(session, admission(request), draft.key, order)
    except ProblemError as problem:
        if not is_page(request) or problem.code in {Code.NOT_FOUND, Code.NOT_SIGNED_IN}:
            raise
        return await item_page(request, item_id, draft, problem)
    if not is_page(request):
        return answered(answer)
    return RedirectResponse(_item(item_id, request), 303)


@router.post("/review/decisions/{decision_id}/take-back", **needs(Permission.DECIDE))
async def take_back(request: Request, decision_id: UUID) -> Response:
    """Take a decision back, and go back to the item."""
    desk = desk_of(request)
    found = await desk.look.decision(decision_id)
    item_id: UUID = found.row["item_id"]
    session = token_hash(session_token(request))
    try:
        await desk.take_back(session, admission(request), decision_id)
    except ProblemError as problem:
        if not is_page(request):
            raise
        return await item_page(request, item_id, change.Draft(key=str(uuid4())), problem)
    if not is_page(request):
        return Response(shapes.decision(found), media_type="application/json")
    return RedirectResponse(_item(item_id, request), 303)


@router.post("/review/items/{item_id}/comment", **needs(Permission.DECIDE))
async def comment(request: Request, item_id: UUID) -> Response:
    """Say something without deciding, and go back to the item; the rest of the draft stays."""
    draft = _draft(await request.form())
    desk, session = desk_of(request), token_hash(session_token(request))
    try:
        text = checked_text("comment", draft.comment)
        if text is None or not text.strip():
            raise ProblemError(Code.BAD_VALUE, "There is no comment to add.")
        await desk.comments.add(session, admission(request), item_id, text, draft.key)
    except ProblemError as problem:
        if problem.code in {Code.NOT_FOUND, Code.NOT_SIGNED_IN}:
            raise
        return await item_page(request, item_id, draft, problem)
    await desk.drafts.said(request.state.actor.person_id, item_id)
    return RedirectResponse(_item(item_id, request), 303)


@router.post("/review/items/{item_id}/evidence", **needs(Permission.DECIDE))
async def open_evidence(request: Request, item_id: UUID) -> Response:
    """Open what the proposal rests on, and show it; what was typed meanwhile stays."""
    sent = await request.form()
    draft, desk = _draft(sent), desk_of(request)
    session = token_hash(session_token(request))
    revision = await desk.claims.evidence(session, admission(request), item_id)
    if draft.fields or draft.comment or draft.reason_code:
        proposed = await desk.look.proposal(item_id)
        typed = Typed(
            fields={name: text for name, text in draft.fields.items() if name in proposed},
            comment=checked_text("comment", draft.comment) or "",
            reason_code=draft.reason_code,
        )
        await desk.drafts.save(request.state.actor.person_id, item_id, revision, typed)
    return RedirectResponse(f"{_item(item_id, request)}#h-given", 303)


@router.post("/review/items/{item_id}/keep", **needs(Permission.DECIDE))
async def keep(request: Request, item_id: UUID) -> Response:
    """Leave what is written as it is, though somebody asked to undo it."""
    session = token_hash(session_token(request))
    try:
        await desk_of(request).keep(session, admission(request), item_id)
    except ProblemError as problem:
        if problem.code in {Code.NOT_FOUND, Code.NOT_SIGNED_IN}:
            raise
        return await item_page(request, item_id, change.Draft(key=str(uuid4())), problem)
    return RedirectResponse(_item(item_id, request), 303)


@router.post("/review/items/{item_id}/skip", **needs(Permission.DECIDE))
async def skip(request: Request, item_id: UUID) -> Response:
    """Pass an item over, and go to the next one."""
    sent = await request.form()
    session = token_hash(session_token(request))
    reason = _text(sent, "reason")
    try:
        await desk_of(request).claims.skip(session, admission(request), item_id, reason)
    except ProblemError as problem:
        if problem.code is not Code.BAD_REASON:
            raise
        return await item_page(request, item_id, change.Draft(key=str(uuid4())), problem)
    page = (await beside(request))["page"]
    after = follower(page, str(item_id), request.state.actor.person_id)
    way = query(request)
    place = "/review" if after is None else f"/review/items/{after}"
    return RedirectResponse(place + (f"?{way}" if way else ""), 303)


def _item(item_id: UUID, request: Request) -> str:
    way = query(request)
    return f"/review/items/{item_id}" + (f"?{way}" if way else "")


def _text(sent: FormData, name: str) -> str:
    value = sent.get(name, "")
    return value if isinstance(value, str) else ""


def _draft(sent: FormData) -> change.Draft:
    typed = {
        name.removeprefix(_FIELD): _lines(_text(sent, name))
        for name in sent
        if name.startswith(_FIELD)
    }
    return change.Draft(
        key=_text(sent, "key")[:_LONGEST_KEY] or str(uuid4()),
        fields=typed,
        comment=_lines(_text(sent, "comment")),
        reason_code=_text(sent, "reason_code"),
    )


def _number(text: str) -> int | None:
    return int(text[:9]) if text.isascii() and text.isdigit() else None


def _lines(text: str) -> str:
    """Undo what browsers do to line ends in a form."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


async def _order(desk: Desk, item_id: UUID, sent: FormData, draft: change.Draft) -> Order:
    action, revision = _text(sent, "action"), _number(_text(sent, "revision"))
    if revision is None:
        raise ProblemError(Code.BAD_BODY, "The form is incomplete.")
    approves = action == "APPROVE"
    return Order(
        item_id=item_id,
        action=action,
        revision=revision,
        seen_digest=_text(sent, "seen_digest")[:_LONGEST_KEY],
        fields=await _edits(desk, item_id, draft) if approves else {},
        comment=checked_text("comment", draft.comment),
        reason_code=None if approves else draft.reason_code or None,
        claim_token=_number(_text(sent, "claim_token")),
    )


async def _edits(desk: Desk, item_id: UUID, draft: change.Draft) -> dict[str, bytes]:
    """Return the fields that somebody changed, as JSON; line ends alone are no change."""
    proposed = await desk.look.proposal(item_id)
    edits = {}
    for name, typed in draft.fields.items():
        if name not in proposed:
            raise ProblemError(Code.UNKNOWN_FIELD, "The change has another form by now.")
        was = marks.shown(proposed[name]) or ""
        if typed == _lines(was):
            continue
        text = typed.replace("\n", "\r\n") if "\r\n" in was else typed
        edits[name] = _as_json(text, is_text=proposed[name].startswith('"'))
    return edits


def _as_json(typed: str, *, is_text: bool) -> bytes:
    """Return what was typed as JSON: text where the field holds text, else the JSON it is."""
    if not is_text:
        return typed.encode(errors="replace")
    try:
        return compact(typed).encode()
    except ValueRefusedError as error:
        raise ProblemError(Code(error.code), f"{error}.") from error
