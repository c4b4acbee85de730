"""One HTTP request and its whole answer, or the reason why there is none.

Owns the limits of every request: no redirect is followed, nothing is sent twice, the answer has to
arrive in time and may not be larger than any real one. Refuses to know what is asked.
"""

import time
from collections.abc import Callable
from typing import Any, Final

import requests
from requests.auth import AuthBase
from urllib3.exceptions import MaxRetryError, NewConnectionError

from dispatcher.targets.sharepoint_answers import Answer
from dispatcher.writeback import Code, Unavailable

CONNECT: Final = 5.0
"""Seconds a connection may take."""
_LARGEST: Final = 32 * 1024 * 1024
_CHUNK: Final = 64 * 1024


class NoAnswerError(Exception):
    """No whole answer arrived. `sent`: the request may have been carried out."""

    def __init__(self, code: Code, detail: str, *, sent: bool) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.sent = sent

    @property
    def unavailable(self) -> Unavailable:
        """Return what it means where nothing was to be written."""
        whole = self.code is not Code.TIMEOUT or not self.sent
        return Unavailable(code=self.code, detail=self.detail, whole_target=whole)


class Unsigned(AuthBase):
    """Sends no credentials but those in the request: none from a .netrc file."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        return request


class Session(requests.Session):
    """A `requests.Session` for one thread, with the limits above. `limit`: seconds."""

    def __init__(self, limit: float) -> None:
        super().__init__()
        self.limit = limit
        self.auth = Unsigned()
        # Its adapters have no retries: `requests` mounts them with max_retries=0.

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        """Send it once and read all of the answer before `limit`."""
        kwargs |= {"allow_redirects": False, "stream": True, "timeout": (CONNECT, self.limit)}
        deadline = time.monotonic() + self.limit
        response = super().send(request, **kwargs)
        chunks, size = [], 0
        for chunk in response.iter_content(_CHUNK):
            chunks.append(chunk)
            size += len(chunk)
            if size > _LARGEST or time.monotonic() > deadline:
                response.close()
                raise requests.ReadTimeout("the answer is too large or too slow", request=request)
        response._content = b"".join(chunks)  # noqa: SLF001 - what `stream=False` does
        return response


def answer_of(send: Callable[[], requests.Response]) -> Answer:
    """Return what `send` got.

    Raises:
        NoAnswerError: nothing usable came back.
    """
    try:
        response = send()
    except requests.Timeout as error:
        connecting = isinstance(error, requests.ConnectTimeout)
        detail = "no connection in time" if connecting else "no answer in time"
        code = Code.TARGET_AWAY if connecting else Code.TIMEOUT
        raise NoAnswerError(code, detail, sent=not connecting) from error
    except requests.exceptions.SSLError as error:
        raise NoAnswerError(Code.TARGET_AWAY, "TLS failed", sent=True) from error
    except requests.RequestException as error:
        sent = not _refused_connection(error)
        detail = "the connection ended before the answer" if sent else "no connection"
        raise NoAnswerError(Code.TARGET_AWAY, detail, sent=sent) from error
    return Answer(
        status=response.status_code,
        headers={name.lower(): value for name, value in response.headers.items()},
        body=response.content,
    )


def _refused_connection(error: requests.RequestException) -> bool:
    """Tell whether no byte of the request can have left."""
    cause = error.args[0] if error.args else None
    return isinstance(cause, MaxRetryError) and isinstance(cause.reason, NewConnectionError)
