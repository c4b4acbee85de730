"""The table of answers: every status that Jira documents has a meaning somebody chose."""

from datetime import UTC, datetime
from typing import Any

import pytest
from requests.structures import CaseInsensitiveDict

from dispatcher.targets.jira_errors import Answer, after_write, outcome_of, retry_after
from dispatcher.writeback import Refused, Unavailable, Unknown

TABLE = [
    (200, "TARGET_CHANGED", True),
    (302, "TARGET_CHANGED", True),
    (307, "TARGET_CHANGED", True),
    (400, "TARGET_REFUSED", None),
    (401, "LOGIN_REFUSED", True),
    (403, "PERMISSION_DENIED", False),
    (404, "RECORD_NOT_FOUND", None),
    (405, "TARGET_CHANGED", True),
    (409, "TARGET_BUSY", False),
    (410, "TARGET_CHANGED", True),
    (413, "CONSTRAINT", None),
    (418, "TARGET_REFUSED", None),
    (422, "TARGET_REFUSED", None),
    (429, "TARGET_BUSY", True),
    (500, "TARGET_BUSY", False),
    (502, "TARGET_AWAY", True),
    (503, "TARGET_AWAY", True),
    (504, "TARGET_AWAY", True),
    (599, "TARGET_BUSY", False),
]


def answer(status: int, body: Any = None, **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status=status, headers=CaseInsensitiveDict(named), body=body)


@pytest.mark.parametrize(("status", "code", "whole"), TABLE)
def test_a_status_has_a_meaning(status: int, code: str, whole: bool | None) -> None:  # noqa: FBT001
    outcome = outcome_of(answer(status))
    assert outcome.code == code
    assert isinstance(outcome, Refused) is (whole is None)
    if isinstance(outcome, Unavailable):
        assert outcome.whole_target is whole


def test_after_a_write_only_what_proves_that_nothing_was_done_is_not_unknown() -> None:
    doubtful = {*range(200, 300), 303, 408, *range(500, 600)}
    for status in range(200, 600):
        assert isinstance(after_write(answer(status)), Unknown) is (status in doubtful)


@pytest.mark.parametrize("status", [200, 401, 403, 404, 500])
def test_an_expired_token_is_no_missing_issue(status: int) -> None:
    expired = answer(status, X_Seraph_LoginReason="AUTHENTICATED_FAILED")
    for outcome in (outcome_of(expired), after_write(expired)):
        assert isinstance(outcome, Unavailable)
        assert outcome.code == "LOGIN_REFUSED"


def test_a_lock_out_is_named() -> None:
    outcome = outcome_of(answer(403, x_authentication_denied_reason="CAPTCHA_CHALLENGE; url=x"))
    assert outcome.code == "LOGIN_REFUSED"
    assert "CAPTCHA" in outcome.detail
    assert "url=x" not in outcome.detail


def test_a_limit_of_one_issue_is_not_the_whole_targets() -> None:
    burst = outcome_of(answer(429, RateLimit_Reason="jira-burst-based", Retry_After="7"))
    assert isinstance(burst, Unavailable)
    assert burst.retry_after == 7
    assert "jira-burst-based" in burst.detail
    one = outcome_of(answer(429, RateLimit_Reason="jira-per-issue-on-write"))
    assert isinstance(one, Unavailable)
    assert not one.whole_target
    odd = outcome_of(answer(429, RateLimit_Reason="<script>"))
    assert odd.detail == "HTTP 429"


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("Field 'x' cannot be set. It is not on the appropriate screen.", "UNKNOWN_FIELD"),
        ("Summary can't exceed 255 characters.", "TOO_LONG"),
        ("Option value 'Confidential' is not valid", "BAD_VALUE"),
    ],
)  # fmt: skip
def test_a_refused_field_is_named_and_its_value_is_not(message: str, code: str) -> None:
    body = {"errorMessages": [], "errors": {"x": message, "other": "Confidential"}}
    outcome = outcome_of(answer(400, body), {"x": 1, "y": 2})
    assert isinstance(outcome, Refused)
    assert outcome.code == code
    assert outcome.detail == "HTTP 400: Jira refused x"


@pytest.mark.parametrize(
    "body", [None, [], 5, "x", {"errors": None}, {"errors": [1]}, {"errors": 5}]
)
def test_a_body_of_any_shape_is_survived(body: Any) -> None:
    for status in range(200, 600):
        assert outcome_of(answer(status, body), {"x": 1}).detail


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("7", 7.0),
        ("0", 0.0),
        ("1.5", 1.5),
        ("999999999", 86_400.0),
        ("Tue, 24 Nov 2026 10:00:30 GMT", 30.0),
        ("Tue, 24 Nov 2026 09:00:00 GMT", 0.0),
        ("soon", None),
        ("-1", None),
        ("", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(text: str, seconds: float | None) -> None:
    now = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
    assert retry_after({"Retry-After": text}, now) == seconds
