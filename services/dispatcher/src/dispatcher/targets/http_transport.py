"""The transport under every session with an HTTP target: one origin, one try, an answer or none.

Owns three limits that `requests` does not have: it connects to the configured origin only, whatever
asks for something else; an answer ends within `limit`, even where every byte of it comes in time;
and no answer is larger than any real one.
"""

import time
from collections.abc import Callable
from http.client import HTTPException
from typing import Any, Final, cast
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests.exceptions import ChunkedEncodingError, ContentDecodingError, InvalidURL, ReadTimeout
from urllib3 import HTTPConnectionPool, HTTPResponse, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import DecodeError, HTTPError, ReadTimeoutError

from dispatcher.targets.watchdog import Watchdog

_MOST_BYTES: Final = 32 * 1024 * 1024
_CHUNK: Final = 65_536


class Transport(HTTPAdapter):
    """Mounted on every scheme of a session. `watchdog` cuts what only seems to answer."""

    def __init__(self, url: str, limit: float, watchdog: Watchdog) -> None:
        self._origin = _origin(url)
        self._limit = limit
        self._watchdog = watchdog
        super().__init__(max_retries=0)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _pools(self._watchdog)

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> Any:
        if _origin(request.url or "") != self._origin:
            raise InvalidURL("not the configured target", request=request)
        deadline = time.monotonic() + self._limit
        response = super().send(request, *args, **{**kwargs, "stream": True})
        try:
            content = _whole(response.raw, deadline)
        except ReadTimeoutError as error:
            raise ReadTimeout(error, request=request) from error
        except DecodeError as error:
            raise ContentDecodingError(error, request=request) from error
        except HTTPError as error:
            raise ChunkedEncodingError(error, request=request) from error
        finally:
            response.raw.release_conn()
        response._content = content  # noqa: SLF001 -- as Response.content does
        return response


def _whole(raw: HTTPResponse, deadline: float) -> bytes:
    """Read to the end. `read1` returns what is there, so that time is looked at in between."""
    content = bytearray()
    while chunk := raw.read1(_CHUNK, decode_content=True):
        content += chunk
        if len(content) > _MOST_BYTES or time.monotonic() > deadline:
            raw.close()
            raise ReadTimeout("the answer does not end")
    return bytes(content)


def _pools(watchdog: Watchdog) -> dict[str, type[HTTPConnectionPool]]:
    """Return connection pools whose connections are watched while an answer's head is read."""

    def watched(connection: HTTPConnection, read: Callable[[], HTTPResponse]) -> HTTPResponse:
        with watchdog.over(cast("Any", connection.sock)) as was_cut:
            try:
                response = read()
            except (OSError, HTTPException) as error:
                if was_cut():  # which looks as if the other side had gone
                    raise TimeoutError("no answer in time") from error
                raise
            if was_cut():  # a head that was cut short looks like a short one
                response.close()
                raise TimeoutError("the head of the answer does not end")
            return response

    class Plain(HTTPConnection):
        def getresponse(self) -> HTTPResponse:  # type: ignore[override]
            return watched(self, super().getresponse)

    class Encrypted(HTTPSConnection):
        def getresponse(self) -> HTTPResponse:  # type: ignore[override]
            return watched(self, super().getresponse)

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class EncryptedPool(HTTPSConnectionPool):
        ConnectionCls = Encrypted

    return {"http": PlainPool, "https": EncryptedPool}


def _origin(url: str) -> tuple[str, str, int | None]:
    parts = urlsplit(url)
    default = {"https": 443, "http": 80}.get(parts.scheme)
    return parts.scheme, parts.hostname or "", parts.port or default
