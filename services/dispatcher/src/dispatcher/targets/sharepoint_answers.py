"""What SharePoint's answers mean. Pure: status, error code and body in, outcome out; in tables.

SharePoint refuses many things with a 500, so its error's code decides where it is known, and the
status where it is not. Details name the code, never the server's message: messages repeat values.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

import orjson

from dispatcher.writeback import Code, Refused, Unavailable

_LONGEST_PAUSE: Final = 86_400.0
"""Seconds of Retry-After that are believed."""

_OK: Final = 200
_WRITTEN: Final = 204
_NOT_FOUND: Final = 404


class LostError(Exception):
    """There is no usable answer; `outcome` says why. Nothing was written by this request."""

    def __init__(self, outcome: Unavailable) -> None:
        super().__init__(outcome.detail)
        self.outcome = outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back, whole. Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def document(self) -> Any:
        """Return the JSON it holds, None where it holds none."""
        if "json" not in self.headers.get("content-type", ""):
            return None
        try:
            return orjson.loads(self.body)
        except orjson.JSONDecodeError:
            return None

    @property
    def error(self) -> str | None:
        """Return the code of the error it holds: a number and a .NET type, nothing else."""
        document = self.document
        if not isinstance(document, dict):
            return None
        error = document.get("odata.error", document.get("error"))
        code = error.get("code") if isinstance(error, dict) else None
        match = _CODE.match(code) if isinstance(code, str) else None
        if match is None:
            return None if error is None else "unknown"
        return match[0]

    @property
    def retry_after(self) -> float | None:
        """Return the seconds it asks to wait, in either form of RFC 9110, section 10.2.3."""
        text = self.headers.get("retry-after", "").strip()
        if text.isascii() and text.isdecimal():
            return min(float(text[:9]), _LONGEST_PAUSE)
        try:
            until = parsedate_to_datetime(text)
        except ValueError:
            return None
        seconds = (until.astimezone(UTC) - datetime.now(UTC)).total_seconds()
        return min(max(seconds, 0.0), _LONGEST_PAUSE)

    @property
    def detail(self) -> str:
        """Return it in words without values."""
        error = self.error
        return f"HTTP {self.status}" + (f", error {error}" if error else "")


_CODE: Final = re.compile(r"-?\d{1,12}(?:, [A-Za-z0-9_.]{1,100})?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """The write was done; `etag` is the item's afterwards, where the answer says it."""

    etag: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stale:
    """The item is no longer the one that was read: nothing was written by this request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unsure:
    """The answer does not say whether it was done."""

    code: Code
    detail: str


Sent = Written | Stale | Unsure | Refused | Unavailable

_LATER: Final = {
    401: (Code.LOGIN_REFUSED, True),
    403: (Code.PERMISSION_DENIED, False),
    404: (Code.TARGET_CHANGED, True),
    423: (Code.RECORD_LOCKED, False),
    429: (Code.TARGET_BUSY, True),
    503: (Code.TARGET_BUSY, True),
}
"""Statuses after which the same may work later, and whether no other request would do better."""

_STALE_STATUS: Final = frozenset({404, 409, 412})  # 404: a new look says what is missing
_STALE_ERROR: Final = "-2130575305"  # "Save Conflict": another write won the race
_REFUSED: Final = {
    "-2130575169": Code.CONSTRAINT,  # a duplicate in a column of unique values
    "-2130575162": Code.CONSTRAINT,  # the list's validation formula
    "-2130575163": Code.CONSTRAINT,  # the column's
    "-2130575155": Code.BAD_VALUE,  # "a text field contains invalid data"
    "-2147024860": Code.TARGET_REFUSED,  # list view threshold
}
_BUSY: Final = 503
_SERVER_ERROR: Final = 500
_CLIENT_ERROR: Final = 400


def later(answer: Answer) -> Unavailable:
    """Return what an answer without the expected content means where nothing was to be written."""
    status = answer.status
    if status in _LATER:
        return _unavailable(answer)
    if status >= _SERVER_ERROR:  # a 500 may be about one item, others come from gateways
        whole = status != _SERVER_ERROR
        return Unavailable(code=Code.TARGET_BUSY, detail=answer.detail, whole_target=whole)
    if status >= _CLIENT_ERROR:
        return Unavailable(code=Code.TARGET_CHANGED, detail=answer.detail)
    detail = f"what answered (HTTP {status}) is not SharePoint, or not all of its answer arrived"
    if answer.error is not None:
        detail = answer.detail
    elif status != _OK:
        detail = f"HTTP {status}; redirects are not followed"
    return Unavailable(code=Code.TARGET_AWAY, detail=detail, whole_target=True)


def _unavailable(answer: Answer) -> Unavailable:
    code, whole = _LATER[answer.status]
    return Unavailable(
        code=code,
        detail=answer.detail,
        retry_after=answer.retry_after,
        whole_target=whole,
    )


def sent(answer: Answer) -> Sent:
    """Return what the answer to a write means. Only a 204 is a success.

    A throttled request (429; 503 with Retry-After) was not carried out: Microsoft, "Avoid getting
    throttled". Any other answer that neither succeeds nor refuses leaves open what happened.
    """
    number = (answer.error or "").partition(",")[0]
    if answer.status == _WRITTEN:
        return Written(etag=answer.headers.get("etag"))
    if answer.status in _STALE_STATUS or number == _STALE_ERROR:
        return Stale()
    if number in _REFUSED and answer.status >= _CLIENT_ERROR:
        return Refused(code=_REFUSED[number], detail=answer.detail)
    if answer.status in _LATER and (answer.status != _BUSY or answer.retry_after is not None):
        return _unavailable(answer)
    if _CLIENT_ERROR <= answer.status < _SERVER_ERROR and answer.status not in _UNSURE_STATUS:
        return Refused(code=Code.TARGET_REFUSED, detail=answer.detail)
    return Unsure(code=Code.COMMIT_ANSWER_LOST, detail=answer.detail)


_UNSURE_STATUS: Final = frozenset({408, 499})  # somebody on the way gave up waiting


def missing(answer: Answer) -> bool:
    """Tell whether it says that something is not there: an item, or the list, or the site."""
    return answer.status == _NOT_FOUND
