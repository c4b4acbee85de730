"""Sessions with one Jira site: the `jira` library's client, with everything clever switched off.

Owns how an answer is taken: one try, no redirect, exact statuses, JSON parsed here (the library
logs a whole body that it cannot parse). Every failure is an outcome (`jira_errors`); which of them
may have happened after the request left is decided here. Refuses to know what is asked.

The library's own retries, redirects, error parsing (it raises TypeError on some bodies) and
Resource objects are not used: its client signs in and addresses, `requests.Session.request` sends.
"""

import json
import ssl
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

import requests
from jira import JIRA
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError

from dispatcher.targets.http_transport import Transport
from dispatcher.targets.jira_errors import Answer, after_write, is_unavailable, outcome_of
from dispatcher.targets.jira_secret import Secret
from dispatcher.targets.target import Repair
from dispatcher.targets.watchdog import Watchdog
from dispatcher.writeback import Code, Refused, Unavailable, Unknown

_CONNECT: Final = 10.0


class ReadFailedError(Exception):
    """A request that changes nothing was not answered as expected. Nothing was written."""

    def __init__(self, outcome: Refused | Unavailable, status: int | None = None) -> None:
        super().__init__(outcome.detail)
        self.outcome = outcome
        self.status = status

    @property
    def unavailable(self) -> Unavailable:
        """Return the outcome where a refusal cannot be the record's: the site is not as it was."""
        if isinstance(self.outcome, Unavailable):
            return self.outcome
        return Unavailable(code=Code.TARGET_CHANGED, detail=self.outcome.detail, whole_target=True)


class WriteFailedError(Exception):
    """A write was not answered by the one status that says done.

    `maybe_unavailable`: Jira said 503; true exactly if the effect is not there.
    """

    def __init__(
        self, outcome: Refused | Unavailable | Unknown, maybe_unavailable: Unavailable | None = None
    ) -> None:
        super().__init__(outcome.detail)
        self.outcome = outcome
        self.maybe_unavailable = maybe_unavailable


Outcome = Refused | Unavailable | Unknown
Heard = Callable[[Outcome | None], None]
_Failure = TypeVar("_Failure", bound=Outcome)


class Client:
    """One session, used by one thread at a time."""

    def __init__(
        self,
        url: str,
        secret: Secret,
        version: str,
        *,
        limit: float,
        watchdog: Watchdog,
        heard: Heard,
        repaired: Callable[[Repair], None],
    ) -> None:
        """`heard` is told how each request ended: None, or the outcome."""
        self._heard = heard
        self.repaired = repaired
        self._library = JIRA(
            server=url,
            basic_auth=None if secret.email is None else (secret.email, secret.token),
            token_auth=secret.token if secret.email is None else None,
            options={"rest_api_version": version, "check_update": False},
            max_retries=0,
            get_server_info=False,
            logging=False,
        )
        self._session = self._library._session  # noqa: SLF001 -- it has no public door
        self._limit = limit
        transport = Transport(url, limit, watchdog)
        for scheme in ("https://", "http://"):
            self._session.mount(scheme, transport)

    def close(self) -> None:
        self._library.close()  # type: ignore[no-untyped-call]

    def get(self, path: str, parameters: Mapping[str, str] | None = None) -> Any:
        """Return the JSON that answers a GET.

        Raises:
            ReadFailedError: there is none.
        """
        try:
            answer = self._request("GET", path, parameters=parameters)
        except requests.RequestException as error:
            raise ReadFailedError(self._failed(_away(error))) from None
        if answer.status != requests.codes.ok or not answer.is_json:
            raise ReadFailedError(self._failed(outcome_of(answer)), answer.status)
        self._heard(None)
        return answer.body

    def write(self, method: str, path: str, body: bytes, *, done: int,
              fields: Mapping[str, Any] | None = None) -> Answer:  # fmt: skip
        """Send a write, once. `done`: the status that says that it was done; no other does.

        Raises:
            WriteFailedError: with Unknown wherever it may have been done all the same.
        """
        try:
            answer = self._request(method, path, body=body)
        except requests.RequestException as error:
            raise WriteFailedError(_away(error) if _not_sent(error) else _lost(error)) from None
        if answer.status != done:
            plain, failed = outcome_of(answer, fields), after_write(answer, fields)
            maybe = isinstance(plain, Unavailable) and is_unavailable(answer)
            raise WriteFailedError(
                self._failed(failed), plain if maybe and isinstance(plain, Unavailable) else None
            )
        self._heard(None)
        return answer

    def _failed(self, outcome: _Failure) -> _Failure:
        self._heard(outcome)
        return outcome

    def _request(
        self,
        method: str,
        path: str,
        *,
        parameters: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> Answer:
        # Not the library's own `request`: that is where it retries and parses errors.
        response = requests.Session.request(
            self._session,
            method,
            self._library._get_url(path),  # noqa: SLF001
            params=parameters,
            data=body,
            timeout=(min(_CONNECT, self._limit), self._limit),
            allow_redirects=False,
        )
        value, is_json = _parsed(response)
        return Answer(
            status=response.status_code, headers=response.headers, body=value, is_json=is_json
        )


def _parsed(response: requests.Response) -> tuple[Any, bool]:
    if "json" not in response.headers.get("Content-Type", ""):
        return None, False
    try:
        return json.loads(response.content), True
    except (ValueError, RecursionError):
        return None, False


def _cause(error: requests.RequestException) -> Any:
    return getattr(error.args[0] if error.args else None, "reason", None)


def _not_sent(error: requests.RequestException) -> bool:
    """Tell whether it is certain that no byte of the request reached Jira."""
    cause = _cause(error)
    certificate = any(isinstance(one, ssl.SSLCertVerificationError)
                      for one in getattr(cause, "args", ()))  # fmt: skip
    return (
        certificate
        or isinstance(error, requests.ConnectTimeout | requests.exceptions.InvalidURL)
        or isinstance(cause, NewConnectionError | ConnectTimeoutError)
    )


def _lost(error: requests.RequestException) -> Unknown:
    slow = isinstance(error, requests.Timeout)
    code = Code.TIMEOUT if slow else Code.COMMIT_ANSWER_LOST
    return Unknown(code=code, detail=f"no answer to a write: {type(error).__name__}")


def _away(error: requests.RequestException) -> Unavailable:
    """Return why there is no answer. The words are ours: Jira's could hold anything."""
    name = type(_cause(error) or error).__name__
    if isinstance(error, requests.exceptions.SSLError):
        return Unavailable(
            code=Code.TARGET_AWAY, detail=f"TLS failed, the certificate does not do: {name}",
            whole_target=True,
        )  # fmt: skip
    slow = isinstance(error, requests.Timeout)
    code = Code.TIMEOUT if slow else Code.TARGET_AWAY
    return Unavailable(code=code, detail=f"no answer: {name}", whole_target=True)
