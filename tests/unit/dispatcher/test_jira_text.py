"""A text and its document are one and the same; formatted text stays a document."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.targets.jira_text import canonical, document_of, escaped, is_document, plain

TEXTS = st.text(alphabet=st.sampled_from("ab \n\t*{[✓"), max_size=30)


def paragraph(*nodes: dict[str, Any]) -> dict[str, Any]:
    return {"type": "paragraph", "content": list(nodes)}


def text(words: str, **more: Any) -> dict[str, Any]:
    return {"type": "text", "text": words, **more}


def document(*blocks: dict[str, Any]) -> dict[str, Any]:
    return {"version": 1, "type": "doc", "content": list(blocks)}


@given(TEXTS)
def test_every_text_is_one_document_and_comes_back(words: str) -> None:
    made = document_of(words)
    assert is_document(made)
    assert plain(made) == words
    assert canonical(made) == canonical(words)


@given(TEXTS, TEXTS)
def test_two_texts_are_never_one_document(left: str, right: str) -> None:
    assert (document_of(left) == document_of(right)) is (left == right)
    assert (canonical(left) == canonical(right)) is (left == right)


def test_no_text_node_is_empty() -> None:
    for words in ("", "\n", "\n\n", "a\n\n\nb\n"):
        for block in document_of(words)["content"]:
            assert all(node.get("text") != "" for node in block["content"])


@pytest.mark.parametrize(
    "block",
    [
        paragraph(text("bold", marks=[{"type": "strong"}])),
        {"type": "heading", "attrs": {"level": 1}, "content": [text("x")]},
        paragraph({"type": "mention", "attrs": {"id": "5f1c", "text": "@Dana"}}),
        {"type": "rule"},
    ],
)
def test_formatted_text_stays_a_document(block: dict[str, Any]) -> None:
    whole = document(paragraph(text("x")), block)
    assert plain(whole) == whole
    assert canonical(whole) != canonical("x")


def test_what_editors_number_and_leave_empty_means_nothing() -> None:
    edited = document(
        {**paragraph(text("x"), {"type": "hardBreak", "attrs": {"text": "\n"}}, text("y")),
         "attrs": {"localId": "1"}},
        {"type": "paragraph"},
    )  # fmt: skip
    assert plain(edited) == "x\ny\n\n"
    rule = document({"type": "rule", "attrs": {"localId": "1"}})
    assert canonical(rule) == canonical(document({"type": "rule"}))


def test_empty_texts_are_no_value_and_line_ends_are_one() -> None:
    assert canonical("") == canonical(document_of("")) == "null"
    assert canonical("a\r\nb") == canonical("a\nb")


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        ("[~admin] {code}", r"\[\~admin\] \{code\}"),
        ("!x.png! *b* _i_", r"\!x.png\! \*b\* \_i\_"),
        ("h1. no\n# no\n- no\nh1 yes", "\\h1. no\n\\# no\n\\- no\nh1 yes"),
        ("plain, a-b: c#d.", "plain, a-b: c#d."),
    ],
)
def test_wiki_markup_shows_what_people_wrote(words: str, shown: str) -> None:
    assert escaped(words) == shown
