"""The six measures, drawn."""

from fastapi import APIRouter, Request, Response

from review_api.api.guard import GuardedRoute, needs
from review_api.charts import HEIGHT, WIDTH, charts
from review_api.desk import desk_of
from review_api.pages.render import html
from review_api.roles import Permission

router = APIRouter(route_class=GuardedRoute, include_in_schema=False)


@router.get("/insight", **needs(Permission.MEASURES))
async def insight(request: Request) -> Response:
    """Return how the last 24 hours went, in six charts that are also tables."""
    measures = desk_of(request).measures
    drawn = charts(await measures.read(), await measures.by_hour())
    return html(request, "insight.html", charts=drawn, width=WIDTH, height=HEIGHT)
