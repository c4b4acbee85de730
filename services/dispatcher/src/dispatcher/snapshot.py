"""`GET /internal/snapshot`: what a record holds now, for the desk. Read-only, for review-api alone.
`GET /internal/status` beside it says how the dispatcher is doing.

Owns the cache: 30 s, bounded, with the age said. When the target is away the last known value is
given and said to be stale; where none was ever read, 503. Nothing here can write.
"""

import hmac
import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Final

import structlog
import uvicorn
from fastapi import FastAPI, Header, Query
from fastapi.responses import JSONResponse

from contract.statement import timestamp_text
from dispatcher.targets.target import Snapshot, Target
from dispatcher.writeback import Code, Refused, Unavailable

log = structlog.get_logger()

FRESH: Final = 30.0
MOST: Final = 10_000
_SILENCE: Final = 2.0
"""After a failed read the target is left alone this long, so that a dead one is not queued for."""
_GRACE: Final = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """A snapshot, how old it is in seconds, and whether it may be out of date."""

    snapshot: Snapshot
    age: float
    stale: bool


class Snapshots:
    """The last known values of a target's records. Thread safe."""

    def __init__(self, target: Target, clock: Callable[[], float] = time.monotonic) -> None:
        self._target = target
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, tuple[Snapshot, float]] = OrderedDict()
        self._reading: Counter[str] = Counter()
        self._outdated: set[str] = set()
        self._silent_until = 0.0

    def forget(self, identifier: str) -> None:
        """Read this record anew next time: it was written. Its last value stays as last known."""
        with self._lock:
            # A read that is on its way may have seen the record before the write.
            if identifier in self._kept or self._reading[identifier] > 0:
                self._outdated.add(identifier)

    def get(self, identifier: str) -> Known | Refused | Unavailable:
        """Return the record, from the cache where that is fresh. May block for seconds."""
        with self._lock:
            kept = self._kept.get(identifier)
            now = self._clock()
            if kept is not None and identifier not in self._outdated and now - kept[1] <= FRESH:
                self._kept.move_to_end(identifier)
                return Known(snapshot=kept[0], age=now - kept[1], stale=False)
            if now < self._silent_until:
                return self._last_known(kept, "the target did not answer a moment ago")
            outdated = identifier in self._outdated
            self._outdated.discard(identifier)
            self._reading[identifier] += 1
        read = self._target.read(identifier)
        with self._lock:
            self._reading[identifier] -= 1
            if not self._reading[identifier]:
                del self._reading[identifier]
            if isinstance(read, Unavailable):
                self._silent_until = self._clock() + _SILENCE
                if outdated:
                    self._outdated.add(identifier)
                return self._last_known(kept, read.detail)
            return self._keep(identifier, read)

    def _keep(self, identifier: str, read: Snapshot | Refused) -> Known | Refused:
        if isinstance(read, Refused):
            self._kept.pop(identifier, None)
            return read
        self._kept[identifier] = (read, self._clock())
        self._kept.move_to_end(identifier)
        if len(self._kept) > MOST:
            oldest, _ = self._kept.popitem(last=False)
            self._outdated.discard(oldest)
        return Known(snapshot=read, age=0.0, stale=False)

    def _last_known(self, kept: tuple[Snapshot, float] | None, why: str) -> Known | Unavailable:
        if kept is None:
            return Unavailable(code=Code.TARGET_AWAY, detail=why, whole_target=True)
        return Known(snapshot=kept[0], age=self._clock() - kept[1], stale=True)


def _problem(status: int, code: str, detail: str) -> JSONResponse:
    return JSONResponse(
        {"type": "about:blank", "title": code, "status": status, "code": code, "detail": detail},
        status,
        media_type="application/problem+json",
    )


def _stranger() -> JSONResponse:
    return _problem(401, "NOT_SIGNED_IN", "a service token is needed")


def _body(instance: str, known: Known) -> dict[str, Any]:
    return {
        "instance": instance,
        "identifier": known.snapshot.identifier,
        "fields": dict(known.snapshot.fields),
        "version": known.snapshot.version,
        "read_at": timestamp_text(known.snapshot.read_at),
        "age_seconds": round(known.age, 3),
        "stale": known.stale,
    }


def application(
    instance: str, snapshots: Snapshots, token: str, status: Callable[[], dict[str, Any]]
) -> FastAPI:
    """Return the HTTP application. Every answer but 200 is `application/problem+json`.

    `status` is what `GET /internal/status` says.
    """
    app = FastAPI(title="Placet dispatcher", openapi_url=None, docs_url=None, redoc_url=None)
    expected = f"Bearer {token}".encode()

    def known(authorization: str) -> bool:
        presented = authorization.encode("utf-8", errors="surrogateescape")
        return hmac.compare_digest(presented, expected)

    @app.get("/internal/status")
    def how_it_goes(authorization: Annotated[str, Header()] = "") -> JSONResponse:
        return JSONResponse(status()) if known(authorization) else _stranger()

    @app.get("/internal/snapshot")
    def snapshot(
        named: Annotated[str, Query(alias="instance")] = "",
        identifier: str = "",
        authorization: Annotated[str, Header()] = "",
    ) -> JSONResponse:
        if not known(authorization):
            return _stranger()
        if named != instance:
            return _problem(404, "UNKNOWN_TARGET", f"this is the dispatcher of {instance!r}")
        found = snapshots.get(identifier)
        match found:
            case Known():
                return JSONResponse(_body(instance, found))
            case Refused(code=code, detail=detail):
                missing = code in {Code.RECORD_NOT_FOUND, Code.BAD_IDENTIFIER}
                return _problem(404 if missing else 503, _public(code), detail)
            case Unavailable(detail=detail):
                return _problem(503, "TARGET_UNAVAILABLE", detail)

    return app


def _public(code: Code) -> str:
    if code in {Code.RECORD_NOT_FOUND, Code.BAD_IDENTIFIER}:
        return Code.RECORD_NOT_FOUND.value
    return "TARGET_UNAVAILABLE"


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
