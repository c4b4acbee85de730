"""The audit log as the desk reads it: HTTP to audit-sink's `/internal/…`.

Owns how long it may take. Refuses to judge what comes back: whether a record is proved is
audit-sink's to say, and an auditor's to check without either. The shapes are documented in
audit-sink's README.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final
from urllib.parse import quote

import aiohttp
import orjson
import structlog

from review_api.problems import Code, ProblemError

log = structlog.get_logger()

_TIMEOUT: Final = aiohttp.ClientTimeout(total=15.0, connect=2.0)
_STREAMED: Final = aiohttp.ClientTimeout(total=120.0, connect=2.0, sock_read=15.0)
_MOST: Final = 32 * 1024 * 1024
_BLOCK: Final = 65_536
_OK: Final = 200
_NOT_SEALED_YET: Final = "NOT_SEALED_YET"
_TRIES: Final = 4
_PAUSE: Final = 0.5

_CODES: Final[Mapping[str, tuple[Code, str]]] = {
    "BAD_VALUE": (Code.BAD_VALUE, "The log cannot be asked that."),
    "NOT_FOUND": (Code.NOT_FOUND, "No sealed record goes by that name."),
    "SEARCH_TOO_BROAD": (
        Code.SEARCH_TOO_BROAD,
        "Finding it would take the log longer than anybody may take.",
    ),
    _NOT_SEALED_YET: (Code.NOT_SEALED_YET, "The newest record is under no signed head yet."),
    "NOT_VERIFIED": (Code.NOT_VERIFIED, "A record or payload is not what was sealed."),
}


class AuditLog:
    """The log behind `url`; without one there is nothing to ask."""

    def __init__(self, url: str, token: str) -> None:
        """`token` is what audit-sink knows the desk by."""
        self._url = url.rstrip("/")
        self._token = token
        self._client: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            await self._client.close()

    async def status(self) -> dict[str, Any]:
        """Return how far the log is sealed. Raises ProblemError."""
        return await self._json("status", {})

    async def search(self, asked: Mapping[str, str]) -> dict[str, Any]:
        """Return a page of records. Raises ProblemError."""
        return await self._json("search", asked)

    async def story(self, name: str, after: int = -1) -> dict[str, Any]:
        """Return the chapters of an item, a decision or an event. Raises ProblemError."""
        asked = {"name": name}
        return await self._json("story", asked | ({"after": str(after)} if after >= 0 else {}))

    async def part(self, sequence: int, part: str) -> bytes:
        """Return a payload part as it was sealed. Raises ProblemError."""
        return await self._read("part", {"sequence": str(sequence), "part": part})

    async def proof(self, sequence: int) -> bytes:
        """Return a record's proof file. Raises ProblemError."""
        return await self._read("proof", {"sequence": str(sequence)})

    async def bundle(self, name: str) -> AsyncIterator[bytes]:
        """Return a bundle, block by block; what is not sealed yet is waited for, two seconds.

        Raises ProblemError: here, while nothing has been sent; or where it breaks off.
        """
        for _ in range(_TRIES):
            answer = await self._get("bundle", {"name": name}, _STREAMED)
            if answer.status == _OK:
                return _blocks(answer)
            problem = _problem(answer.status, await _whole(answer))
            if problem.code is not Code.NOT_SEALED_YET:
                break
            await asyncio.sleep(_PAUSE)
        raise problem

    async def _json(self, path: str, asked: Mapping[str, str]) -> dict[str, Any]:
        try:
            told = orjson.loads(await self._read(path, asked))
        except orjson.JSONDecodeError as error:
            raise _away("it answered something else") from error
        if not isinstance(told, dict):
            raise _away("it answered something else")
        return told

    async def _read(self, path: str, asked: Mapping[str, str]) -> bytes:
        answer = await self._get(path, asked, _TIMEOUT)
        body = await _whole(answer)
        if answer.status != _OK:
            raise _problem(answer.status, body)
        return body

    async def _get(
        self, path: str, asked: Mapping[str, str], within: aiohttp.ClientTimeout
    ) -> aiohttp.ClientResponse:
        if not self._url:
            raise ProblemError(
                Code.NOT_FOUND, "This desk is told of no audit log (PLACET_AUDIT_URL)."
            )
        try:
            return await self._session().get(
                f"{self._url}/internal/{quote(path)}",
                params=dict(asked),
                timeout=within,
                allow_redirects=False,
            )
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise _away(type(error).__name__) from error

    def _session(self) -> aiohttp.ClientSession:
        """Return the connections; made at first use, because they belong to the running loop."""
        if self._client is None:
            self._client = aiohttp.ClientSession(
                headers={"Authorization": f"Bearer {self._token}"},
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._client


async def _whole(answer: aiohttp.ClientResponse) -> bytes:
    """Return the body, and no more than anything honest has."""
    found = bytearray()
    try:
        async for block in answer.content.iter_chunked(_BLOCK):
            found += block
            if len(found) > _MOST:
                raise _away("its answer has no end")
    except (aiohttp.ClientError, TimeoutError) as error:
        raise _away("its answer broke off") from error
    finally:
        answer.release()
    return bytes(found)


async def _blocks(answer: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    try:
        async for block in answer.content.iter_chunked(_BLOCK):
            yield block
    except (aiohttp.ClientError, TimeoutError) as error:
        raise _away("the bundle broke off") from error
    finally:
        answer.release()


def _away(why: str) -> ProblemError:
    log.warning("audit_log_away", why=why)
    return ProblemError(
        Code.AUDIT_AWAY,
        "The audit log does not answer. Sealing goes on without these pages, or catches up.",
        retry_after=5,
    )


def _problem(status: int, body: bytes) -> ProblemError:
    try:
        told = orjson.loads(body)
    except orjson.JSONDecodeError:
        told = None
    code = str(told.get("code")) if isinstance(told, dict) else ""
    if code in _CODES:
        known, detail = _CODES[code]
        return ProblemError(known, detail)
    return _away(f"HTTP {status}")
