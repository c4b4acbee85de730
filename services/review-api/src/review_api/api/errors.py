"""Errors as RFC 9457 problem documents, whatever raised them. Pages: see `pages.errors`."""

from typing import Any

import orjson
import structlog
from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from review_api.problems import Code, ProblemError

log = structlog.get_logger()

_STATUS = {404: Code.NOT_FOUND, 405: Code.METHOD_NOT_ALLOWED}


def problem_of(error: Exception) -> ProblemError:
    """Return `error` as one of the closed list; what nobody foresaw is INTERNAL."""
    match error:
        case ProblemError():
            return error
        case HTTPException():
            code = _STATUS.get(error.status_code, Code.BAD_REQUEST)
            return ProblemError(code, f"{error.detail}.")
        case RequestValidationError():
            return _invalid(error)
        case _:
            return ProblemError(
                Code.INTERNAL,
                "This is a fault of Placet's. What was committed before is kept; look before you "
                "try again.",
            )


def _invalid(error: RequestValidationError) -> ProblemError:
    first: dict[str, Any] = next(iter(error.errors()), {})
    place = [str(part) for part in first.get("loc", ())]
    if place[:1] == ["path"]:  # no such id can exist, so nothing is there
        return ProblemError(Code.NOT_FOUND, f"{place[-1]} is not an id.")
    return ProblemError(Code.BAD_REQUEST, f"{'.'.join(place)}: {first.get('msg', 'invalid')}.")


def document(problem: ProblemError, request_id: str) -> Response:
    """Return the problem document."""
    body = {
        "type": f"urn:placet:problem:{problem.code}",
        "title": problem.kind.title,
        "status": problem.kind.status,
        "code": problem.code.value,
        "detail": problem.detail,
        "next": problem.kind.next_step,
        "request_id": request_id,
        **problem.extra,
    }
    headers = {"Cache-Control": "no-store"}
    if problem.retry_after is not None:
        headers["Retry-After"] = str(problem.retry_after)
    return Response(
        orjson.dumps(body),
        status_code=problem.kind.status,
        media_type="application/problem+json",
        headers=headers,
    )


def report(request: Request, error: Exception, problem: ProblemError) -> str:
    """Log what is worth it, and return the request's id."""
    request_id: str = request.scope.get("placet_request_id", "")
    if problem.code is Code.INTERNAL:
        log.error(
            "request_failed",
            request_id=request_id,
            method=request.method,
            route=getattr(request.scope.get("route"), "path", ""),
            exc_info=error,
        )
    return request_id
