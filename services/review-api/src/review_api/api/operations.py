"""Is it alive, is it ready, what does it measure. Without text, so probes need not sign in."""

import orjson
from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from review_api.api.guard import GuardedRoute, needs
from review_api.desk import desk_of
from review_api.problems import ProblemError
from review_api.roles import Permission

router = APIRouter(route_class=GuardedRoute, tags=["operations"])


@router.get("/healthz", **needs(Permission.PUBLIC))
async def alive() -> Response:
    """Answer: the process is alive."""
    return Response(b'{"status":"alive"}', media_type="application/json")


@router.get("/readyz", **needs(Permission.PUBLIC))
async def ready(request: Request) -> Response:
    """Answer 200 where the database answers."""
    try:
        await desk_of(request).store.one("ready")
    except ProblemError:
        return Response(b'{"database":false}', 503, media_type="application/json")
    return Response(b'{"database":true}', media_type="application/json")


@router.get(
    "/metrics",
    response_class=Response,
    responses={200: {"content": {CONTENT_TYPE_LATEST: {}}}},
    **needs(Permission.PUBLIC),
)
async def prometheus() -> Response:
    """Return the process's metrics in Prometheus' text form."""
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


@router.get("/api/metrics/review", **needs(Permission.MEASURES))
async def measures(request: Request) -> Response:
    """Return the six measures of the last 24 hours as numbers."""
    body = orjson.dumps(dict(await desk_of(request).measures.read()))
    return Response(body, 200, {"Cache-Control": "no-store"}, media_type="application/json")
