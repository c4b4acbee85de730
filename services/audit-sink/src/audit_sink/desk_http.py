"""`/internal/…`: the log as the desk's `/audit` pages read it. Read-only, for review-api alone.

Owns the door (a bearer token), what may be asked, and the status of every answer. The shapes are
documented in this service's README, once. Every answer but 200 is `application/problem+json`.
"""

import hmac
import threading
from collections.abc import Iterator, Mapping
from typing import IO, Any, Final
from uuid import UUID

import structlog
import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse

from audit_sink.checkpoint import CheckpointError
from audit_sink.desk_answers import (
    MOST_CHAPTERS,
    MOST_FOUND,
    Answers,
    BusyError,
    NotSealedYetError,
    TooBroadError,
)
from audit_sink.folder import FileProblemError
from audit_sink.lookup import Question
from audit_sink.source import NoSuchRecordError
from audit_sink.store import LogDamagedError
from audit_sink.tlog_proof import ProofError
from audit_sink.window import WindowError, parse_moment
from conveyor.errors import UnavailableError

log = structlog.get_logger()

_LONGEST: Final = 1_000
_DIGITS: Final = 18
_BLOCK: Final = 65_536
_GRACE: Final = 5.0
_SEARCH: Final = frozenset(
    {"item", "decision", "correlation", "actor", "type", "words", "since", "until", "before"}
    | {"limit"}
)


class _BadValueError(ValueError):
    """A parameter cannot be used; the message names it, and holds nothing of what was sent."""


_PROBLEMS: Final[Mapping[type[Exception], tuple[int, str]]] = {
    _BadValueError: (422, "BAD_VALUE"),
    WindowError: (422, "BAD_VALUE"),
    NoSuchRecordError: (404, "NOT_FOUND"),
    NotSealedYetError: (409, "NOT_SEALED_YET"),
    TooBroadError: (422, "SEARCH_TOO_BROAD"),
    BusyError: (503, "BUSY"),
    UnavailableError: (503, "UNAVAILABLE"),
    ProofError: (500, "NOT_VERIFIED"),
    FileProblemError: (500, "NOT_VERIFIED"),
    LogDamagedError: (500, "NOT_VERIFIED"),
    CheckpointError: (500, "NOT_VERIFIED"),
}


def problem(status: int, code: str, detail: str) -> JSONResponse:
    """Return a problem document (RFC 9457)."""
    return JSONResponse(
        {"type": "about:blank", "title": code, "status": status, "code": code, "detail": detail},
        status,
        media_type="application/problem+json",
        headers={"Retry-After": "2"} if status == 503 else None,  # noqa: PLR2004
    )


def application(answers: Answers, token: str) -> FastAPI:
    """Return the HTTP application."""
    app = FastAPI(title="Placet audit sink", openapi_url=None, docs_url=None, redoc_url=None)
    expected = f"Bearer {token}".encode()

    @app.middleware("http")
    async def door(request: Request, call_next: Any) -> Response:
        presented = request.headers.get("authorization", "").encode("utf-8", "surrogateescape")
        if not hmac.compare_digest(presented, expected):
            return problem(401, "NOT_SIGNED_IN", "a service token is needed")
        answer: Response = await call_next(request)
        return answer

    for kind in _PROBLEMS:
        app.add_exception_handler(kind, _refused)
    _routes(app, answers)
    return app


def _routes(app: FastAPI, answers: Answers) -> None:
    @app.get("/internal/status")
    def status(request: Request) -> JSONResponse:
        _only(request, frozenset())
        return JSONResponse(answers.status())

    @app.get("/internal/search")
    def search(request: Request) -> JSONResponse:
        return JSONResponse(answers.search(_question(_only(request, _SEARCH))))

    @app.get("/internal/story")
    def story(request: Request) -> JSONResponse:
        asked = _only(request, frozenset({"item", "decision", "name", "after", "limit"}))
        after = _number(asked, "after", -1)
        limit = _number(asked, "limit", MOST_CHAPTERS, most=MOST_CHAPTERS)
        return JSONResponse(answers.story(_name(asked), after, limit))

    @app.get("/internal/bundle")
    def bundle(request: Request) -> StreamingResponse:
        file = answers.bundle(_name(_only(request, frozenset({"item", "decision", "name"}))))
        size = file.seek(0, 2)
        file.seek(0)
        headers = {"Content-Length": str(size)}
        return StreamingResponse(_blocks(file), media_type="application/zip", headers=headers)

    @app.get("/internal/part")
    def part(request: Request) -> Response:
        asked = _only(request, frozenset({"sequence", "part"}))
        found = answers.part(_number(asked, "sequence"), _text(asked, "part") or "")
        return Response(found, media_type="application/octet-stream")

    @app.get("/internal/proof")
    def proof(request: Request) -> Response:
        asked = _only(request, frozenset({"sequence"}))
        return Response(answers.proof(_number(asked, "sequence")), media_type="text/plain")


def _refused(_: Request, error: Exception) -> JSONResponse:
    status, code = next(said for kind, said in _PROBLEMS.items() if isinstance(error, kind))
    if code == "NOT_VERIFIED":
        log.error("desk_not_verified", error=str(error))
    detail = "The database is away" if isinstance(error, UnavailableError) else str(error)
    return problem(status, code, detail)


def _blocks(file: IO[bytes]) -> Iterator[bytes]:
    with file:
        while block := file.read(_BLOCK):
            yield block


def _only(request: Request, known: frozenset[str]) -> Mapping[str, str]:
    """Return the parameters, each once and known: a typo must not widen a search."""
    pairs = request.query_params.multi_items()
    asked = dict(pairs)
    if len(asked) != len(pairs):
        raise _BadValueError("a parameter is there twice")
    if not asked.keys() <= known:
        raise _BadValueError(f"parameters are {', '.join(sorted(known)) or 'none'}")
    return asked


def _question(asked: Mapping[str, str]) -> Question:
    moments = {
        name: parse_moment(asked[name]) for name in ("since", "until") if asked.get(name, "")
    }
    return Question(
        item_id=_id(asked, "item"),
        decision_id=_id(asked, "decision"),
        correlation_id=_text(asked, "correlation"),
        actor=_text(asked, "actor"),
        type=_text(asked, "type"),
        words=_text(asked, "words"),
        since=moments.get("since"),
        until=moments.get("until"),
        before=_number(asked, "before") if "before" in asked else None,
        limit=_number(asked, "limit", 50, least=1, most=MOST_FOUND),
    )


def _name(asked: Mapping[str, str]) -> str:
    """Return the one thing that a story is asked of."""
    given = [name for name in ("item", "decision", "name") if asked.get(name)]
    if len(given) != 1:
        raise _BadValueError("say one of item, decision, name")
    return _id(asked, given[0]) or ""


def _id(asked: Mapping[str, str], name: str) -> str | None:
    """Return an id in the one form that records have it in."""
    text = _text(asked, name)
    try:
        return None if text is None else str(UUID(text)) if len(text) == 36 else text  # noqa: PLR2004
    except ValueError:
        return text


def _text(asked: Mapping[str, str], name: str) -> str | None:
    text = asked.get(name, "")
    if len(text) > _LONGEST or "\0" in text:
        raise _BadValueError(f"{name} is at most {_LONGEST} characters, and no NUL")
    return text.encode("utf-8", "replace").decode() or None


def _number(
    asked: Mapping[str, str],
    name: str,
    default: int | None = None,
    *,
    least: int = 0,
    most: int = 10**_DIGITS,
) -> int:
    text = asked.get(name, "")
    if not text and default is not None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= _DIGITS):
        raise _BadValueError(f"{name} is a whole number")
    if not least <= int(text) <= most:
        raise _BadValueError(f"{name} is from {least} to {most}")
    return int(text)


def serve(app: FastAPI, host: str, port: int, stop: threading.Event) -> None:
    """Serve until `stop`.

    Raises:
        RuntimeError: the server ended by itself (the port is taken, say; its log says why).
    """
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            host=host,
            port=port,
            log_config=None,
            access_log=False,
            lifespan="off",
            timeout_graceful_shutdown=2,
        )
    )
    thread = threading.Thread(target=server.run, name="http", daemon=True)
    thread.start()
    while not stop.wait(1.0):
        if not thread.is_alive():
            raise RuntimeError(f"the HTTP server on {host}:{port} ended")
    server.should_exit = True
    thread.join(_GRACE)
