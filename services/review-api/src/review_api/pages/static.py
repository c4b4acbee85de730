"""Style and scripts. Their addresses change with their content, so browsers keep them for good."""

import mimetypes

from fastapi import APIRouter, Request, Response

from review_api.api.guard import GuardedRoute, needs
from review_api.pages.render import RELEASE, SMALL, STATIC
from review_api.problems import Code, ProblemError
from review_api.roles import Permission

router = APIRouter(route_class=GuardedRoute, include_in_schema=False)


@router.get("/review/static/{release}/{name}", **needs(Permission.PUBLIC))
async def static(request: Request, release: str, name: str) -> Response:
    """Return a file of this release; under another one's address nobody may keep it."""
    data = STATIC.get(name)
    if data is None:
        raise ProblemError(Code.NOT_FOUND, "There is no such file.")
    kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
    kept = "public, max-age=31536000, immutable" if release == RELEASE else "no-store"
    headers = {"Cache-Control": kept, "Vary": "Accept-Encoding"}
    if "gzip" in request.headers.get("accept-encoding", ""):
        data, headers["Content-Encoding"] = SMALL[name], "gzip"
    return Response(data, 200, headers, media_type=kind)
