"""What SharePoint's answers mean, as tables."""

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from dispatcher.targets.sharepoint_answers import Answer, Stale, Unsure, Written, later, sent
from dispatcher.writeback import Code, Refused, Unavailable

JSON = "application/json;odata=nometadata;charset=utf-8"


def answer(status: int, code: str | None = None, body: Any = None, **headers: str) -> Answer:
    if code is not None:
        body = {"odata.error": {"code": code, "message": {"value": "the secret value of a field"}}}
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Answer(status=status, headers={"content-type": JSON} | headers, body=content)


@pytest.mark.parametrize(
    ("status", "error", "meaning", "code"),
    [
        (204, None, Written, None),
        (200, None, Unsure, Code.COMMIT_ANSWER_LOST),
        (202, None, Unsure, Code.COMMIT_ANSWER_LOST),
        (200, "-2130575169, Microsoft.SharePoint.SPDuplicateValuesFoundException", Unsure,
         Code.COMMIT_ANSWER_LOST),
        (307, None, Unsure, Code.COMMIT_ANSWER_LOST),
        (400, "-1, Microsoft.SharePoint.Client.InvalidClientQueryException", Refused,
         Code.TARGET_REFUSED),
        (401, None, Unavailable, Code.LOGIN_REFUSED),
        (403, "-2147024891, System.UnauthorizedAccessException", Unavailable,
         Code.PERMISSION_DENIED),
        (404, "-2147024809, System.ArgumentException", Stale, None),
        (408, None, Unsure, Code.COMMIT_ANSWER_LOST),
        (409, None, Stale, None),
        (412, None, Stale, None),
        (413, None, Refused, Code.TARGET_REFUSED),
        (423, None, Unavailable, Code.RECORD_LOCKED),
        (429, None, Unavailable, Code.TARGET_BUSY),
        (500, None, Unsure, Code.COMMIT_ANSWER_LOST),
        (500, "-2130575169, Microsoft.SharePoint.SPDuplicateValuesFoundException", Refused,
         Code.CONSTRAINT),
        (500, "-2130575162, Microsoft.SharePoint.SPListDataValidationException", Refused,
         Code.CONSTRAINT),
        (500, "-2130575305, Microsoft.SharePoint.SPException", Stale, None),
        (400, "-2130575155, Microsoft.SharePoint.SPException", Refused, Code.BAD_VALUE),
        (502, None, Unsure, Code.COMMIT_ANSWER_LOST),
        (503, None, Unsure, Code.COMMIT_ANSWER_LOST),
        (504, None, Unsure, Code.COMMIT_ANSWER_LOST),
    ],
)  # fmt: skip
def test_what_the_answer_to_a_write_means(
    status: int, error: str | None, meaning: type, code: Code | None
) -> None:
    result = sent(answer(status, error))
    assert isinstance(result, meaning)
    assert getattr(result, "code", None) is code
    assert "secret" not in repr(result)


def test_a_throttled_write_was_not_carried_out_and_says_when_to_come_back() -> None:
    result = sent(answer(503, **{"retry-after": "120"}))
    assert isinstance(result, Unavailable)
    assert result.retry_after == 120
    assert result.whole_target


@pytest.mark.parametrize(
    ("text", "least", "most"),
    [
        ("0", 0, 0),
        ("120", 120, 120),
        (" 7 ", 7, 7),
        ("99999999999999999999", 86_400, 86_400),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0, 0),
    ],
)
def test_retry_after_in_either_form(text: str, least: float, most: float) -> None:
    seconds = answer(429, **{"retry-after": text}).retry_after
    assert seconds is not None
    assert least <= seconds <= most


def test_retry_after_may_be_a_moment_to_come() -> None:
    in_an_hour = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
    seconds = answer(429, **{"retry-after": in_an_hour}).retry_after
    assert seconds is not None
    assert 3000 <= seconds <= 3600


@pytest.mark.parametrize("text", ["", "soon", "-5", "1.5", "\u0661", "Wed, 99 Nov 2026 99:99:99"])
def test_a_retry_after_that_says_nothing_is_none(text: str) -> None:
    assert answer(429, **{"retry-after": text}).retry_after is None


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"", None),
        (b'{"odata.error": {"code": "-1, X', None),
        (b"[]", None),
        (b'{"odata.error": "x"}', "unknown"),
        (b'{"error": {"code": 5}}', "unknown"),
        (b'{"error": {"code": "AccessDenied for Rita"}}', "unknown"),
        (b'{"error": {"code": "-5, A.B; DROP"}}', "-5, A.B"),
    ],
)
def test_an_error_is_a_number_and_a_type_and_nothing_else(body: bytes, error: str | None) -> None:
    assert answer(500, body=body).error == error


def test_a_page_is_no_document_whatever_it_holds() -> None:
    page = Answer(status=200, headers={"content-type": "text/html"}, body=b'{"Id": 1}')
    assert page.document is None
    outcome = later(page)
    assert outcome.code is Code.TARGET_AWAY
    assert outcome.whole_target


def test_an_error_inside_a_200_is_named() -> None:
    outcome = later(answer(200, "-2147024891, System.UnauthorizedAccessException"))
    assert outcome.code is Code.TARGET_AWAY
    assert "-2147024891" in outcome.detail
