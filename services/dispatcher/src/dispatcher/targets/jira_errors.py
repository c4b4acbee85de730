"""What Jira's answers mean, Cloud's and Data Center's. Pure: answer in, outcome out, one table.

Details name the status and fields, never Jira's message: messages repeat values, and values may be
personal data. The operator's log has no more either.

A 404 can be an expired token (Cloud makes the caller anonymous) and a 403 a lock-out (Data Center
wants a CAPTCHA solved): headers say so, and they are looked at first.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

from dispatcher.writeback import Code, Refused, Unavailable, Unknown


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One answer, read to its end. `body`: its JSON value, where it is JSON."""

    status: int
    headers: Mapping[str, str]
    """Any case will do to look one up."""
    body: Any = None
    is_json: bool = False


_LOGIN: Final = "X-Seraph-LoginReason"
_DENIED: Final = "X-Authentication-Denied-Reason"
_FAILED: Final = ("AUTHENTICATED_FAILED", "AUTHENTICATION_DENIED")
_PER_ISSUE: Final = "jira-per-issue-on-write"
_REASON: Final = re.compile(r"[a-z-]{1,40}")
_TOO_LONG: Final = re.compile(r"too long|exceeds?\b|characters", re.IGNORECASE)
_NOT_THERE: Final = re.compile(r"cannot be set|unknown", re.IGNORECASE)
_MOST_RETRY_AFTER: Final = 86_400.0

_REFUSED: Final = {
    400: Code.TARGET_REFUSED,
    404: Code.RECORD_NOT_FOUND,
    412: Code.TARGET_REFUSED,
    413: Code.CONSTRAINT,  # the issue has as many comments as it can have
    422: Code.TARGET_REFUSED,
}
_LATER: Final = {
    401: Code.LOGIN_REFUSED,
    403: Code.PERMISSION_DENIED,
    405: Code.TARGET_CHANGED,
    407: Code.TARGET_AWAY,
    408: Code.TIMEOUT,
    409: Code.TARGET_BUSY,  # "conflicting update": somebody else's edit was running
    410: Code.TARGET_CHANGED,
    415: Code.TARGET_CHANGED,
    425: Code.TARGET_BUSY,
    429: Code.TARGET_BUSY,
    500: Code.TARGET_BUSY,
    501: Code.TARGET_CHANGED,
    502: Code.TARGET_AWAY,
    503: Code.TARGET_AWAY,
    504: Code.TARGET_AWAY,
}
_WHOLE_TARGET: Final = frozenset({Code.TARGET_AWAY, Code.LOGIN_REFUSED, Code.TARGET_CHANGED})
"""No other write to this target would do better, so none is tried."""
_SEE_OTHER: Final = 303
_PROCESSED: Final = frozenset({408, _SEE_OTHER})
"""Besides 2xx and 5xx: after these the work may have been done."""
_REDIRECT: Final = range(300, 400)
_SUCCESS: Final = range(200, 300)
_SERVER_ERROR: Final = range(500, 600)
_TOO_MANY: Final = 429


def outcome_of(answer: Answer, fields: Mapping[str, Any] | None = None) -> Refused | Unavailable:
    """Return what an answer other than the expected one means, where nothing was done by it.

    `fields`: those that were sent, for naming the one that was refused.
    """
    status = answer.status
    login = _login(answer)
    if login is not None:
        return login
    if status in _SUCCESS:
        page = "something else than the JSON expected (a sign-in page, half a body)"
        return Unavailable(code=Code.TARGET_CHANGED, detail=f"HTTP {status} with {page}",
                           whole_target=True)  # fmt: skip
    if status in _REDIRECT:
        return Unavailable(
            code=Code.TARGET_CHANGED,
            detail=f"HTTP {status}: Jira sends us elsewhere; not followed (is the url right?)",
            whole_target=True,
        )
    refused = _REFUSED.get(status)
    if refused is not None:
        return _refused(answer, refused, fields or {})
    if status in _LATER or status in _SERVER_ERROR:
        return _later(answer, _LATER.get(status, Code.TARGET_BUSY))
    return Refused(code=Code.TARGET_REFUSED, detail=f"HTTP {status}")


def after_write(
    answer: Answer, fields: Mapping[str, Any] | None = None
) -> Refused | Unavailable | Unknown:
    """Return what an answer means that a write got instead of the one status that says done."""
    status = answer.status
    doubtful = status in _SUCCESS or status in _PROCESSED or status in _SERVER_ERROR
    if doubtful and _login(answer) is None:
        return Unknown(code=Code.COMMIT_ANSWER_LOST, detail=f"HTTP {status} after a write")
    return outcome_of(answer, fields)


def is_unavailable(answer: Answer) -> bool:
    """Tell whether Jira said that it does not do it now (503): true, if the effect is not there."""
    return answer.status == 503  # noqa: PLR2004 -- the status is the word for it


def retry_after(headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    """Return the seconds that `Retry-After` asks for (a number or a date), at most a day."""
    text = headers.get("Retry-After")
    if text is None:
        return None
    if re.fullmatch(r"\d{1,9}(\.\d{1,6})?", text):
        return min(float(text), _MOST_RETRY_AFTER)
    try:
        then = parsedate_to_datetime(text)
    except ValueError:
        return None
    aware = then if then.tzinfo is not None else then.replace(tzinfo=UTC)
    seconds = (aware - (now or datetime.now(UTC))).total_seconds()
    return min(max(0.0, seconds), _MOST_RETRY_AFTER)


def _login(answer: Answer) -> Unavailable | None:
    denied = answer.headers.get(_DENIED)
    reason = answer.headers.get(_LOGIN, "")
    if denied is not None:
        detail = "the account is locked out: sign in once in a browser and solve the CAPTCHA"
    elif any(word in reason for word in _FAILED):
        detail = "the credentials are wrong or have expired: put new ones into the secret file"
    else:
        return None
    return Unavailable(
        code=Code.LOGIN_REFUSED, detail=f"HTTP {answer.status}: {detail}", whole_target=True
    )


def _refused(answer: Answer, code: Code, fields: Mapping[str, Any]) -> Refused:
    found = answer.body.get("errors") if isinstance(answer.body, dict) else None
    errors = found if isinstance(found, dict) else {}
    named = sorted(set(errors) & set(fields))
    if not named:
        return Refused(code=code, detail=f"HTTP {answer.status}")
    words = " ".join(str(errors[name]) for name in named)
    if _NOT_THERE.search(words):
        code = Code.UNKNOWN_FIELD
    elif _TOO_LONG.search(words):
        code = Code.TOO_LONG
    else:
        code = Code.BAD_VALUE
    return Refused(code=code, detail=f"HTTP {answer.status}: Jira refused {', '.join(named)}")


def _later(answer: Answer, code: Code) -> Unavailable:
    reason = answer.headers.get("RateLimit-Reason", "")
    named = f" ({reason})" if _REASON.fullmatch(reason) else ""
    limited = answer.status == _TOO_MANY and reason != _PER_ISSUE
    return Unavailable(
        code=code,
        detail=f"HTTP {answer.status}{named}",
        retry_after=retry_after(answer.headers),
        whole_target=limited or code in _WHOLE_TARGET,
    )
