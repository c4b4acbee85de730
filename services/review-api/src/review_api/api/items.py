"""Items over HTTP: pages of the queue, and one item whole."""

import hashlib
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response

from review_api.api import shapes
from review_api.api.guard import GuardedRoute, needs
from review_api.desk import desk_of
from review_api.listing import parse_filter
from review_api.roles import Permission

router = APIRouter(prefix="/api", route_class=GuardedRoute, tags=["items"])

Text = Annotated[str, Query()]


@router.get("/items", **needs(Permission.READ))
async def items(
    request: Request,
    *,
    state: Text = "",
    lane: Text = "",
    source: Text = "",
    q: Text = "",
    sort: Text = "",
    cursor: Text = "",
    limit: Text = "",
) -> Response:
    """Return a page. `state` takes several, by comma; no filter means all; `next` is a cursor."""
    asked = {
        "state": state,
        "lane": lane,
        "source": source,
        "q": q,
        "sort": sort,
        "cursor": cursor,
        "limit": limit,
    }
    viewer = request.state.actor.person_id
    found = await desk_of(request).listing.page(parse_filter(asked), viewer)
    headers = {"Cache-Control": "no-store"}
    return Response(shapes.page(found), 200, headers, media_type="application/json")


@router.get("/items/{item_id}", **needs(Permission.READ))
async def item(request: Request, item_id: UUID) -> Response:
    """Return an item with what its target holds now, its history, and the digest of both."""
    body = shapes.item(await desk_of(request).look.item(item_id))
    tag = f'"{hashlib.sha256(body).hexdigest()[:24]}"'
    headers = {"ETag": tag, "Cache-Control": "private, no-cache"}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    return Response(body, 200, headers, media_type="application/json")
