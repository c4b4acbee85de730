"""Errors as pages: what happened, what was kept, what to do next."""

from urllib.parse import quote

from fastapi import Request, Response
from starlette.datastructures import FormData
from starlette.responses import RedirectResponse

from review_api.pages.render import html
from review_api.problems import Code, ProblemError

_PAGES = ("/review", "/people", "/policy", "/stop", "/audit")
_SAFE = frozenset({"GET", "HEAD"})


def is_page(request: Request) -> bool:
    """Tell whether a browser asks: everything that is not the API or a probe."""
    path = request.url.path
    if request.headers.get("accept") == "application/json":  # a page's own script
        return False
    if path.startswith(_PAGES) or path in {"/", "/insight"}:
        return True
    return not path.startswith("/api") and "text/html" in request.headers.get("accept", "")


def page(request: Request, problem: ProblemError, request_id: str) -> Response:
    """Return the page of a problem; who is not signed in is asked to, and comes back."""
    if problem.code is Code.NOT_SIGNED_IN and request.method in _SAFE:
        back = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        return RedirectResponse(f"/review/sign-in?next={quote(back, safe='')}", 303)
    answer = html(
        request,
        "error.html",
        problem.kind.status,
        problem=problem,
        request_id=request_id,
        kept=_typed(request),
    )
    if problem.retry_after is not None:
        answer.headers["Retry-After"] = str(problem.retry_after)
    return answer


def _typed(request: Request) -> str:
    """Return the comment that was typed, so that nobody has to write it again."""
    form: FormData | None = getattr(request, "_form", None)
    comment = "" if form is None else form.get("comment", "")
    return comment if isinstance(comment, str) else ""
