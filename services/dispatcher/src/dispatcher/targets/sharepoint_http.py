"""One HTTP request and its whole answer, or the reason why there is none.

Owns the limits of every request: no redirect is followed, nothing is sent twice or elsewhere, and
the whole answer has to arrive in time (`http_transport`). Refuses to know what is asked.
"""

from collections.abc import Callable
from typing import Any, Final

import requests
from requests.auth import AuthBase
from urllib3.exceptions import MaxRetryError, NewConnectionError

from dispatcher.targets.http_transport import Transport
from dispatcher.targets.sharepoint_answers import Answer
from dispatcher.targets.watchdog import Watchdog
from dispatcher.writeback import Code, Unavailable

CONNECT: Final = 5.0
"""Seconds a connection may take."""


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
    """A `requests.Session` for one thread, with the limits above. `limit`: seconds.

    It speaks with the origin of `url` alone, whatever it is asked for.
    """

    def __init__(self, url: str, limit: float, watchdog: Watchdog) -> None:
        super().__init__()
        self.limit = limit
        transport = Transport(url, limit, watchdog)  # which has no retries
        for scheme in ("https://", "http://"):
            self.mount(scheme, transport)
        self.auth = Unsigned()

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        """Send it once; the transport reads all of the answer before `limit`."""
        kwargs |= {"allow_redirects": False, "timeout": (min(CONNECT, self.limit), self.limit)}
        return super().send(request, **kwargs)


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
    if isinstance(error, requests.exceptions.InvalidURL):
        return True
    cause = error.args[0] if error.args else None
    return isinstance(cause, MaxRetryError) and isinstance(cause.reason, NewConnectionError)
