"""The queue and an item beside it."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode
from uuid import UUID, uuid4

from fastapi import APIRouter, Request, Response
from starlette.responses import RedirectResponse

from review_api.api.guard import GuardedRoute, admission, needs, session_token
from review_api.auth import token_hash
from review_api.commands.look import Sight
from review_api.desk import desk_of
from review_api.listing import TABS, Listing, Page, parse_filter
from review_api.oversight import wants_evidence
from review_api.pages import change, view
from review_api.pages.render import html
from review_api.policy import Lane
from review_api.problems import ProblemError
from review_api.review import OPEN, State
from review_api.roles import Permission, Role, may
from review_api.store import Actor

router = APIRouter(route_class=GuardedRoute, include_in_schema=False)

_SHOWN = "40"
_FIRST_TAB = "ordinary"
_SECOND = "second"
_TITLES = {
    _SECOND: "Needs my second",
    "ordinary": "To decide",
    "critical": "Critical",
    "asked": "Asked",
    "writing": "Writing",
    "trouble": "Trouble",
    "done": "Done",
}
_ORDERS = {"due,-risk": "Due first", "-divergence": "Straying first"}


@router.get("/", **needs(Permission.PUBLIC))
async def home() -> Response:
    """Go to the queue."""
    return RedirectResponse("/review", 303)


@router.get("/review", **needs(Permission.READ))
async def queue(request: Request) -> Response:
    """Return the queue."""
    return html(request, "queue.html", **await beside(request), shown=None)


@router.get("/review/items/{item_id}", **needs(Permission.READ))
async def item(request: Request, item_id: UUID) -> Response:
    """Return an item, with the queue it was taken from."""
    desk = desk_of(request)
    if _may_decide(request) and not _ahead(request):
        await desk.claims.opened(token_hash(session_token(request)), admission(request), item_id)
    return await item_page(request, item_id, await _kept(request, item_id))


async def _kept(request: Request, item_id: UUID) -> change.Draft:
    """Return what this person has typed here before, under a new key."""
    if not _may_decide(request):
        return change.Draft(key=str(uuid4()))
    typed = await desk_of(request).drafts.read(request.state.actor.person_id, item_id)
    return change.Draft(
        key=str(uuid4()),
        fields=typed.fields,
        comment=typed.comment,
        reason_code=typed.reason_code,
    )


@router.get("/review/decisions/{decision_id}/state", **needs(Permission.READ, by_itself=True))
async def state(request: Request, decision_id: UUID) -> Response:
    """Return how a decision stands: the fragment that an open page puts in place of its own."""
    found = await desk_of(request).look.decision(decision_id)
    progress = view.progress(State(found.row["state"]), found, request.state.actor.person_id)
    return html(request, "progress.html", progress=progress, way=query(request))


async def item_page(
    request: Request,
    item_id: UUID,
    draft: change.Draft,
    problem: ProblemError | None = None,
) -> Response:
    """Return an item's page; with `problem`, why what was sent could not be used, and the draft."""
    desk = desk_of(request)
    sight = await desk.look.item(item_id)
    around = await beside(request)
    actor = request.state.actor
    unopened = await _unopened(request, sight)
    return html(
        request,
        "item.html",
        200 if problem is None else problem.kind.status,
        **around,
        shown=str(item_id),
        sight=sight,
        item=sight.item,
        fields=change.decided(sight) or change.fields(sight, draft),
        captions=change.captions(sight),
        draft=draft,
        problem=problem,
        request_id=request.scope.get("placet_request_id", ""),
        progress=view.progress(sight.state, sight.decision, actor.person_id),
        obstacles=view.obstacles(sight, actor, may_decide=_may_decide(request), unopened=unopened),
        notes=view.notes(sight),
        revised=change.revised(sight),
        moved=change.moved(sight),
        limits=view.limits(sight),
        verb=view.verb(sight),
        is_open=sight.state in OPEN,
        may_undo=view.undo_verb(sight, actor),
        reasons=desk.policy.reasons,
        past_words=view.past_words,
        follower=follower(around["page"], str(item_id), actor.person_id),
        claim=view.claim(sight, actor.person_id),
        prove=await _prove(request, sight),
        unopened=unopened,
        skip_reasons=view.SKIP_WORDS,
    )


async def _prove(request: Request, sight: Sight) -> view.Prove | None:
    """Return what has to be proved before this person decides; None: nothing."""
    if sight.lane is not Lane.CRITICAL or not _may_decide(request):
        return None
    reentry = desk_of(request).reentry
    known = await reentry.proof(token_hash(session_token(request)))
    return None if known is None else view.prove(sight, known[0], known[1], reentry.window)


async def _unopened(request: Request, sight: Sight) -> bool:
    """Tell whether the evidence is still closed to somebody who has to look at it first."""
    rules, critical = desk_of(request).policy.oversight, sight.lane is Lane.CRITICAL
    if sight.state not in OPEN or not _may_decide(request):
        return False
    if not wants_evidence(rules, sight.item, critical=critical):
        return False
    asked = {"item": UUID(sight.item.item_id), "revision": sight.item.revision}
    asked["person"] = request.state.actor.person_id
    return await desk_of(request).store.one("evidence_opened", asked) is None


def _ahead(request: Request) -> bool:
    """Tell whether a page is fetched before anybody asks for it: nobody has looked yet."""
    return "x-placet-ahead" in request.headers or "prefetch" in request.headers.get(
        "sec-purpose", ""
    )


def _may_decide(request: Request) -> bool:
    """Tell whether whoever is signed in may decide at all."""
    return may(request.state.actor.roles, Permission.DECIDE)


async def beside(request: Request) -> dict[str, Any]:
    """Return what the queue's column shows, from the query string."""
    asked = dict(request.query_params)
    actor = request.state.actor
    tabs = {name: title for name, title in _TITLES.items() if name != _SECOND or _seconds(actor)}
    tab = asked.get("tab", _FIRST_TAB)
    tab = tab if tab in tabs else _FIRST_TAB
    states, lane = TABS[tab]
    text = asked.get("q", "").strip()
    filters = {name: asked.get(name, "") for name in ("q", "sort", "cursor")}
    filters |= {"limit": _SHOWN}
    if not text:  # a search looks everywhere
        filters |= {"state": ",".join(states), "lane": lane or ""}
    listing, viewer = desk_of(request).listing, actor.person_id
    try:
        wanted = replace(parse_filter(filters), second=tab == _SECOND and not text)
        page, wrong = await listing.page(wanted, viewer), None
    except ProblemError as problem:
        page, wrong = Page(rows=[], next=None), problem
    way = {name: asked[name] for name in ("tab", "q", "sort", "cursor") if asked.get(name)}
    return {
        "page": page,
        "wrong": wrong,
        "tabs": tabs,
        "tab": tab,
        "counts": await _counts(listing, actor),
        "orders": _ORDERS,
        "sort": asked.get("sort") or "due,-risk",
        "q": text,
        "way": urlencode(way),
        "next_way": urlencode({**way, "cursor": page.next}) if page.next else None,
        "first_way": urlencode({k: v for k, v in way.items() if k != "cursor"}),
        "past_first": "cursor" in way,
        "states": view.STATES,
        "pickable": OPEN if _may_decide(request) else frozenset(),
        "codes": desk_of(request).policy.reasons,
    }


def _seconds(actor: Actor) -> bool:
    """Tell whether second approvals are theirs to give."""
    return Role.APPROVER in actor.roles


async def _counts(listing: Listing, actor: Actor) -> Mapping[str, int]:
    counts = await listing.counts()
    if not _seconds(actor):
        return counts
    return {**counts, _SECOND: await listing.count_second(actor.person_id)}


def query(request: Request) -> str:
    """Return the part of the query string that says where in the queue one is."""
    asked = request.query_params
    return urlencode(
        {name: asked[name] for name in ("tab", "q", "sort", "cursor") if name in asked}
    )


def follower(page: Page, item_id: str, person_id: UUID) -> str | None:
    """Return the item after this one in the column, else the first that is another one.

    Passes over what somebody else holds, and what `person_id` has skipped.
    """
    ids = [str(row["item_id"]) for row in page.rows]
    rest = page.rows[ids.index(item_id) + 1 :] if item_id in ids else page.rows
    free = (row for row in rest if not row["skipped"] and not view.taken(row, person_id))
    return next((str(row["item_id"]) for row in free), None)
