"""review-api over HTTP, signed in as a person, as any script would call it.

Owns sessions and the shape of refusals. Refuses to know what may be decided.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, Self

import httpx

_PAGE: Final = 200
_TIMEOUT: Final = 30.0
_SILENCE: Final = 300.0
"""How long a stream may have nothing to say."""


class ApiError(Exception):
    """review-api refused; `code` and `status` as it said (RFC 9457), the message what to do."""

    def __init__(self, status: int, problem: Mapping[str, Any]) -> None:
        """Take the problem document, or what could be made of the answer."""
        self.status = status
        self.problem = dict(problem)
        self.code = str(problem.get("code", "ERROR"))
        title = problem.get("title") or "refused"
        super().__init__(f"{title} ({self.code}, HTTP {status})")


class Api:
    """One signed-in session. Use as a context manager; signs in on entering."""

    def __init__(self, url: str, username: str, password: str) -> None:
        """Nothing is sent yet."""
        self._client = httpx.Client(base_url=url, timeout=_TIMEOUT)
        self.username = username
        self.password = password

    def __enter__(self) -> Self:
        """Sign in. Raises ApiError, httpx.TransportError."""
        answer = self.call(
            "POST", "/api/session", {"username": self.username, "password": self.password}
        )
        self._client.headers["X-CSRF-Token"] = str(answer["csrf_token"])
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def call(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        parameters: Mapping[str, str | int] | None = None,
    ) -> Any:
        """One call; returns the decoded answer. Raises ApiError, httpx.TransportError."""
        answer = self._client.request(
            method, path, json=body, headers=dict(headers or {}), params=dict(parameters or {})
        )
        if answer.is_error:
            raise ApiError(answer.status_code, _problem(answer))
        return answer.json() if answer.content else None

    @contextmanager
    def stream(self, path: str, parameters: Mapping[str, str]) -> Iterator[Iterator[bytes]]:
        """The bytes of an answer as they come. Raises ApiError, httpx.TransportError, then as well.

        An answer that ends before it is whole is a TransportError.
        """
        asked, patience = dict(parameters), httpx.Timeout(_TIMEOUT, read=_SILENCE)
        with self._client.stream("GET", path, params=asked, timeout=patience) as answer:
            if answer.is_error:
                answer.read()
                raise ApiError(answer.status_code, _problem(answer))
            yield answer.iter_bytes()

    def items(self, *, limit: int, **filters: str | None) -> Iterator[Mapping[str, Any]]:
        """The items of the queue, page after page, at most `limit`."""
        chosen = {name: value for name, value in filters.items() if value}
        cursor: str | None = None
        left = limit
        while left > 0:
            parameters: dict[str, str | int] = {**chosen, "limit": min(left, _PAGE)}
            if cursor:
                parameters["cursor"] = cursor
            page = self.call("GET", "/api/items", parameters=parameters)
            yield from page["items"]
            left -= len(page["items"])
            cursor = page.get("next")
            if not cursor:
                return


def _problem(answer: httpx.Response) -> Mapping[str, Any]:
    try:
        problem = answer.json()
    except ValueError:
        return {"title": answer.reason_phrase, "detail": answer.text[:500]}
    return problem if isinstance(problem, dict) else {"detail": str(problem)}
