"""What a reviewer reads: diffs, marked sentences, passages, text that tries to look otherwise."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.review import OUTPUT, SNIPPET, review_item

from contract.events import Divergence, Passage, Sentence
from review_api import marks
from review_api.pages.render import link, seen
from review_api.pages.sign_in import local

texts = st.text(max_size=60)


@given(texts, texts)
def test_a_diff_holds_both_sides_whole(before: str, after: str) -> None:
    pieces = marks.diff(before, after)
    assert "".join(p.text for p in pieces if p.kind != "new") == before
    assert "".join(p.text for p in pieces if p.kind != "gone") == after


def test_a_small_change_is_shown_as_one() -> None:
    pieces = marks.diff("open from 9 to 17 on weekdays", "open from 9 to 18 on weekdays")
    assert [(p.kind, p.text) for p in pieces if p.kind != "same"] == [("gone", "17"), ("new", "18")]


def test_a_new_text_is_shown_whole() -> None:
    pieces = marks.diff("Mumbai is a port.", "Delhi, the capital, has gates")
    assert [p.kind for p in pieces] == ["gone", "new"]


def test_a_huge_text_is_not_compared_word_by_word() -> None:
    assert len(marks.diff("a " * 50_000, "b " * 50_000)) == 2


def test_sentences_are_marked_in_place() -> None:
    said = marks.said(review_item())
    assert "".join(part.text for part in said) == OUTPUT
    levels = [(part.level, part.located) for part in said if part.level]
    assert levels == [("supported", True), ("absent", False)]
    given_text = marks.given(review_item(), 0)
    assert "".join(one.text for one in given_text) == SNIPPET
    assert [one.numbers for one in given_text] == [(1,), ()]


sentences = st.builds(
    Sentence,
    start=st.integers(-5, 60),
    end=st.integers(-5, 60),
    support=st.floats(0, 1),
    best=st.none()
    | st.builds(
        Passage, retrieval=st.integers(-1, 2), start=st.integers(-5, 60), end=st.integers(-5, 60)
    ),
)


@given(st.lists(sentences, max_size=6))
def test_offsets_that_do_not_fit_lose_no_text(found: list[Sentence]) -> None:
    item = review_item(divergence=Divergence(score=0, unsupported_ratio=0, sentences=found))
    assert "".join(part.text for part in marks.said(item)) == OUTPUT
    assert "".join(part.text for part in marks.given(item, 0)) == SNIPPET


@given(st.text())
def test_shown_text_is_escaped_and_holds_nothing_unseen(text: str) -> None:
    shown = str(seen(text))
    for bad in "\u202e\u2066\u200b\x07\u2028":
        assert bad not in shown
    assert "<script" not in str(seen(f"<script>{text}"))


@pytest.mark.parametrize(
    "uri",
    [
        "javascript:alert(1)",
        "JAVASCRIPT:alert(1)",
        " javascript:alert(1)",
        "data:text/html,x",
        "file:///etc/passwd",
        "//evil.example",
        "http://[bad",
        "",
    ],
)
def test_only_the_web_is_linked(uri: str) -> None:
    assert link(uri) is None
    assert link("https://example.org/a") == "https://example.org/a"


@pytest.mark.parametrize(
    "address", ["https://evil.example", "//evil.example", "/\\evil", "/review\\evil", "/reviewx\n"]
)
def test_signing_in_leads_nowhere_else(address: str) -> None:
    assert local(address) == "/review"
    assert local("/review/items/1?tab=done") == "/review/items/1?tab=done"
