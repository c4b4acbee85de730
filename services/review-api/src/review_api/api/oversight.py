"""Oversight over HTTP: how people decide, and the items whose answer is known."""

from typing import Any

import orjson
from fastapi import APIRouter, Request, Response

from contract.statement import timestamp_text
from review_api.api.bodies import ControlItemBody, documented, read
from review_api.api.guard import GuardedRoute, needs
from review_api.commands.conduct import Reviewer
from review_api.commands.control_items import Known, is_right
from review_api.desk import desk_of
from review_api.roles import Permission
from review_api.store import Row

router = APIRouter(prefix="/api", route_class=GuardedRoute, tags=["oversight"])


@router.get("/oversight", **needs(Permission.OVERSEE))
async def oversight(request: Request) -> Response:
    """Return how each person decided lately, with what of it looks like a rubber stamp."""
    desk = desk_of(request)
    found = await desk.watch.reviewers(desk.policy.oversight)
    return _answer({"people": [_reviewer(one) for one in found]})


@router.post(
    "/control-items", status_code=201, **needs(Permission.POLICY, extra=documented(ControlItemBody))
)
async def add(request: Request) -> Response:
    """Say that an item which is to come is a control item, and what its answer is."""
    sent = await read(request, ControlItemBody)
    known = Known(source=sent.source, external_id=sent.external_id, expected=sent.expected)
    item = await desk_of(request).control_items.add(known, request.state.actor)
    return _answer({"item_id": item}, 201)


@router.get("/control-items", **needs(Permission.OVERSEE))
async def control_items(request: Request) -> Response:
    """Return the newest thousand, with who answered what."""
    rows = await desk_of(request).control_items.all()
    return _answer({"control_items": [_control_item(row) for row in rows]})


def _answer(body: dict[str, Any], status: int = 200) -> Response:
    headers = {"Cache-Control": "no-store"}
    return Response(orjson.dumps(body), status, headers, media_type="application/json")


def _reviewer(one: Reviewer) -> dict[str, Any]:
    seen = one.conduct
    return {
        "person_id": str(one.person_id),
        "name": one.name,
        "decided": seen.decided,
        "approved": seen.approved,
        "edited": seen.edited,
        "approve_share": seen.approve_share,
        "edit_share": seen.edit_share,
        "override_share": seen.override_share,
        "dwell_seconds": seen.dwell,
        "evidence_share": seen.evidence_share,
        "control_items": {"answered": seen.controls, "missed": seen.missed},
        "signals": one.signals,
    }


def _control_item(row: Row) -> dict[str, Any]:
    answered = row["decided_at"]
    return {
        "item_id": str(row["item_id"]),
        "source": row["source"],
        "external_id": row["external_id"],
        "expected": row["expected"],
        "added_at": timestamp_text(row["added_at"]),
        "added_by": row["added_by"],
        "arrived": row["arrived"],
        "released": row["released_at"] is not None,
        "answer": None
        if answered is None
        else {
            "by": row["name"],
            "person_id": str(row["person_id"]),
            "action": row["action"],
            "right": is_right(row["expected"], row["action"]),
            "at": timestamp_text(answered),
        },
    }
