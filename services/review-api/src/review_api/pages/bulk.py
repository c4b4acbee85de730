"""Several items at once with forms: what is selected, a page that asks, a page that tells.

Selecting decides nothing, and neither does the page that asks; what it sends has a key, so sending
it twice is harmless. Works without scripts.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote
from uuid import UUID, uuid4

import orjson
from fastapi import APIRouter, Request, Response
from starlette.datastructures import FormData
from starlette.responses import RedirectResponse

from review_api.api.bodies import checked_text
from review_api.api.guard import GuardedRoute, admission, needs, session_token
from review_api.auth import token_hash
from review_api.commands.bulk import MOST, BulkOrder, Picked
from review_api.desk import desk_of
from review_api.pages import view
from review_api.pages.queue import query
from review_api.pages.render import html
from review_api.problems import Code, ProblemError
from review_api.review import OPEN, State
from review_api.roles import Permission
from review_api.store import Row

router = APIRouter(route_class=GuardedRoute, include_in_schema=False)

VERBS: Final[Mapping[str, tuple[str, str]]] = {
    "REJECT": ("Reject", "rejected"),
    "NEED_INFO": ("Ask about", "asked about"),
}
"""What each action is called, before and after."""
_LONGEST_KEY: Final = 200
_ASKS_AGAIN: Final = frozenset(
    {Code.REASON_REQUIRED, Code.BAD_REASON, Code.TEXT_TOO_LONG}
    | {Code.PASSWORD_NEEDED, Code.WRONG_PASSWORD, Code.SIGN_IN_LOCKED}
)


@router.post("/review/bulk", **needs(Permission.DECIDE))
async def ask(request: Request) -> Response:
    """Show what is selected and what would become of it. Changes nothing."""
    sent = await request.form()
    return await _asked(request, sent, _picked(sent), None)


@router.post("/review/bulk/decisions", **needs(Permission.DECIDE))
async def decide(request: Request) -> Response:
    """Decide what was selected, and go to the page that says what became of each."""
    sent = await request.form()
    picked, key = _picked(sent), _key(_text(sent, "key")) or str(uuid4())
    desk, session = desk_of(request), token_hash(session_token(request))
    try:
        order = BulkOrder(
            action=_text(sent, "action"),
            items=picked,
            reason_code=_text(sent, "reason_code") or None,
            comment=checked_text("comment", _text(sent, "comment").replace("\r\n", "\n")),
        )
        actor = request.state.actor
        if password := _text(sent, "password"):
            await desk.reentry(session, admission(request), password)
        answer = await desk.bulk(session, actor, admission(request), key, order)
    except ProblemError as problem:
        if problem.code not in _ASKS_AGAIN:
            raise
        return await _asked(request, sent, picked, problem)
    told = orjson.loads(answer.body)
    if told["unsure"]:
        return await _told(request, told, sent)  # not kept: the form on it asks again
    way = query(request)
    place = f"/review/bulk/decisions/{quote(key, safe='')}"
    return RedirectResponse(place + (f"?{way}" if way else ""), 303)


@router.get("/review/bulk/decisions/{key}", **needs(Permission.DECIDE))
async def decided(request: Request, key: str) -> Response:
    """Show what became of each item of a request of one's own."""
    row = await desk_of(request).bulk.stored(request.state.actor, _key(key))
    told = None if row is None else orjson.loads(row["body"])
    if told is None or "results" not in told:
        raise ProblemError(Code.NOT_FOUND, "Nothing was decided under this address.")
    return await _told(request, told, None)


async def _asked(
    request: Request, sent: FormData, picked: Sequence[Picked], problem: ProblemError | None
) -> Response:
    action = _text(sent, "action")
    if action not in VERBS:
        raise ProblemError(
            Code.NOT_SUPPORTED, "Several can be rejected or asked about; approve one at a time."
        )
    if not picked:
        raise ProblemError(Code.BAD_VALUE, "Nothing is selected. Nothing was decided.")
    if len(picked) > MOST:
        raise ProblemError(
            Code.TOO_MANY_ITEMS,
            f"{len(picked):,} items were sent; {MOST} is what one page shows. Nothing was decided.",
        )
    desk = desk_of(request)
    rows = await desk.bulk.listed([one.item_id for one in picked])
    known = {row["item_id"]: row for row in rows}
    return html(
        request,
        "bulk.html",
        200 if problem is None else problem.kind.status,
        action=action,
        verb=VERBS[action][0],
        count=counted(len(picked)),
        picked=[(one, known.get(one.item_id)) for one in picked],
        obstacle=lambda one, row: obstacle(one, row, request.state.actor.person_id),
        states=view.STATES,
        reasons=desk.policy.reasons,
        reason_code=_text(sent, "reason_code"),
        comment=_text(sent, "comment"),
        key=_key(_text(sent, "key")) or str(uuid4()),
        problem=problem,
        way=query(request),
        prove=await desk.bulk.proves(token_hash(session_token(request)), rows),
    )


async def _told(request: Request, told: Mapping[str, Any], sent: FormData | None) -> Response:
    results = told["results"]
    rows = await desk_of(request).bulk.listed([UUID(one["item_id"]) for one in results])
    titles = {str(row["item_id"]): row["title"] or row["external_id"] for row in rows}
    order = ("UNSURE", "SKIPPED", "DECIDED")  # what still needs somebody comes first
    return html(
        request,
        "bulk_done.html",
        told=told,
        done=VERBS[told["action"]][1],
        results=sorted(results, key=lambda one: order.index(one["result"])),
        titles=titles,
        again=[] if sent is None else _fields(sent),
        way=query(request),
    )


def obstacle(one: Picked, row: Row | None, person_id: UUID) -> str | None:
    """Return why an item would be passed over as things are, in words; None: it would not."""
    if row is None:
        return "There is no such item."
    if row["revision"] != one.revision:
        return f"Revision {row['revision']} has come since: open it and look."
    if State(row["state"]) not in OPEN:
        return f"It is {view.STATES[State(row['state'])][0]} by now."
    if row["claimed_by"] is not None and row["claim_person"] != person_id:
        return f"{row['claimed_by']} is at it."
    return None


def counted(number: int) -> str:
    """Return a number of items in words."""
    return "1 item" if number == 1 else f"{number:,} items"


def _picked(sent: FormData) -> list[Picked]:
    """Return the items of the boxes that are ticked: `id:revision` each."""
    picked = []
    for value in sent.getlist("item"):
        item, _, revision = value.partition(":") if isinstance(value, str) else ("", "", "")
        try:
            picked.append(Picked(item_id=UUID(item), revision=int(revision[:9])))
        except ValueError:
            raise ProblemError(Code.BAD_BODY, "The form is of another form.") from None
    return picked


def _key(text: str) -> str:
    """Return `text` where it can be a key; empty where it cannot."""
    return text if len(text) <= _LONGEST_KEY and text.isascii() and text.isprintable() else ""


def _fields(sent: FormData) -> list[tuple[str, str]]:
    return [(name, value) for name, value in sent.multi_items() if isinstance(value, str)]


def _text(sent: FormData, name: str) -> str:
    value = sent.get(name, "")
    return value if isinstance(value, str) else ""
