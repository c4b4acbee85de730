"""What a list can be asked for, and what a cursor may be."""

import base64

import orjson
import pytest

from review_api.listing import parse_filter
from review_api.problems import KINDS, Code, ProblemError
from review_api.queries import words

BAD = [
    ({"state": "OPEN"}, Code.BAD_VALUE),
    ({"lane": "fast"}, Code.BAD_VALUE),
    ({"sort": "risk"}, Code.BAD_SORT),
    ({"limit": "0"}, Code.BAD_VALUE),
    ({"limit": "201"}, Code.BAD_VALUE),
    ({"limit": "-1"}, Code.BAD_VALUE),
    ({"limit": "²"}, Code.BAD_VALUE),
    ({"q": "a\0b"}, Code.BAD_TEXT),
    ({"q": "!!!"}, Code.BAD_VALUE),
    ({"cursor": "x"}, Code.BAD_CURSOR),
    ({"cursor": "WzFd"}, Code.BAD_CURSOR),
]


def _cursor(*place: object) -> str:
    return base64.urlsafe_b64encode(orjson.dumps(place)).decode()


FORGED = [
    ["due,-risk", "infinity", "nan", "00000000-0000-0000-0000-000000000000"],
    ["due,-risk", "yesterday", "-0.5", "00000000-0000-0000-0000-000000000000"],
    ["due,-risk", "infinity", "-0.5", "nobody"],
    ["due,-risk", "infinity", "-0.5"],
    ["-divergence", "-0.5", "00000000-0000-0000-0000-000000000000"],
    ["due,-risk", 1, 2, 3],
    [],
    {},
]


@pytest.mark.parametrize(("asked", "code"), BAD)
def test_what_no_list_has_is_refused(asked: dict[str, str], code: Code) -> None:
    with pytest.raises(ProblemError) as raised:
        parse_filter(asked)
    assert raised.value.code is code


@pytest.mark.parametrize("place", FORGED)
def test_forged_cursor_is_refused(place: list[object]) -> None:
    forged = base64.urlsafe_b64encode(orjson.dumps(place)).decode()
    with pytest.raises(ProblemError) as raised:
        parse_filter({"cursor": forged})
    assert raised.value.code is Code.BAD_CURSOR


def test_words_are_letters_and_digits() -> None:
    assert words("Which  city?! halueval-qa_0000 \u202eé") == (
        "which",
        "city",
        "halueval",
        "qa",
        "0000",
        "é",
    )


def test_every_code_has_a_status_a_title_and_a_next_step() -> None:
    assert set(KINDS) == set(Code)
    for kind in KINDS.values():
        assert 400 <= kind.status < 600
        assert kind.title
        assert kind.next_step.endswith(".")
