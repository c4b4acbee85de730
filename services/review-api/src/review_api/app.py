"""The web application: routes, a guard on every one, errors in the form of their asker."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from review_api.api import (
    bulk,
    claims,
    comments,
    decisions,
    drafts,
    errors,
    evidence,
    items,
    labels,
    operations,
    oversight,
    people,
    policy,
    session,
    stops,
    targets,
)
from review_api.api.document import describe
from review_api.api.guard import GuardedRoute, UnguardedRouteError, needs
from review_api.api.middleware import Careful
from review_api.desk import Desk
from review_api.pages import audit as audit_pages
from review_api.pages import bulk as bulk_pages
from review_api.pages import company as company_pages
from review_api.pages import errors as page_errors
from review_api.pages import forms, insight, queue, sign_in, static
from review_api.pages import people as people_pages
from review_api.pages import policy as policy_pages
from review_api.pages import settings as settings_page
from review_api.pages import stop as stop_page
from review_api.problems import ProblemError
from review_api.roles import Permission

ROUTERS = (
    items.router,
    labels.router,
    bulk.router,
    decisions.router,
    claims.router,
    evidence.router,
    comments.router,
    drafts.router,
    session.router,
    people.router,
    policy.router,
    oversight.router,
    operations.router,
    targets.router,
    stops.router,
    queue.router,
    forms.router,
    bulk_pages.router,
    insight.router,
    stop_page.router,
    people_pages.router,
    policy_pages.router,
    settings_page.router,
    audit_pages.router,
    sign_in.router,
    company_pages.router,
    static.router,
)


def create_app(desk: Desk) -> FastAPI:
    """Return the application that serves `desk`.

    Raises:
        UnguardedRouteError: a route declares no permission.
    """

    @asynccontextmanager
    async def living(_: FastAPI) -> AsyncIterator[None]:
        await desk.open()
        yield
        await desk.close()

    app = FastAPI(
        title="Placet review API",
        summary="A person's decision between a model and a business system.",
        version="0.1.0",
        lifespan=living,
        openapi_url=None,  # served by a guarded route below; the pages that show it load a CDN
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.desk = desk
    app.router.route_class = GuardedRoute
    for router in ROUTERS:
        app.router.routes.extend(router.routes)  # as they are: each is its own guard

    @app.get("/api/openapi.json", include_in_schema=False, **needs(Permission.PUBLIC))
    async def openapi() -> Response:
        return JSONResponse(describe(app))

    for raised in (ProblemError, HTTPException, RequestValidationError, Exception):
        app.add_exception_handler(raised, _refused)
    check_guards(app)
    app.add_middleware(Careful, secure=desk.secure)
    return app


def check_guards(app: FastAPI) -> None:
    """Fail where anything is served that nobody guards."""
    for route in app.routes:
        if not isinstance(route, GuardedRoute):
            raise UnguardedRouteError(f"{route} is not guarded")


async def _refused(request: Request, error: Exception) -> Response:
    problem = errors.problem_of(error)
    request_id = errors.report(request, error, problem)
    if page_errors.is_page(request):
        return page_errors.page(request, problem, request_id)
    return errors.document(problem, request_id)


def routes(app: FastAPI) -> list[APIRoute]:
    """Return every route, for the table of who may call what."""
    return [route for route in app.routes if isinstance(route, APIRoute)]
