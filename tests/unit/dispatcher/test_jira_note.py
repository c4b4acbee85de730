"""The comment a decision leaves: the same for the same decision, and never markup."""

from dataclasses import replace

import pytest
from tests.support.issues import note

from dispatcher.targets.columns import BadValueError
from dispatcher.targets.jira_note import body_of, comment_of, note_of, superseded
from dispatcher.targets.jira_text import document_of, plain
from dispatcher.writeback import Audit, Code

ONE = note("SUP-1", "Because.")


def test_it_says_why_who_when_and_on_what_grounds() -> None:
    assert note_of(ONE) == (
        "Because.\n\n"
        "Approved by Rita Reviewer at 2026-11-24T10:00:00.000000Z (Placet decision "
        "8f0e7b6a-0000-4000-8000-000000000001).\n\n"
        "Sources:\n• Handbook, page 4\n• https://example.test/a_b"
    )


def test_without_notes_and_sources_it_says_who_and_when() -> None:
    audit = Audit(decision_id="d", correlation_id="c", reviewers=("A", "B"), timestamp="t")
    bare = replace(ONE, comment=None, audit=audit)
    assert note_of(bare) == "Approved by A, B at t (Placet decision d)."


def test_the_pipelines_words_come_first_and_the_reviewers_are_told_apart() -> None:
    both = note_of(replace(ONE, note="Refund of 20 EUR proposed."))
    assert both.startswith("Refund of 20 EUR proposed.\n\nReview note: Because.\n\nApproved by ")


@pytest.mark.parametrize("cloud", [True, False])
def test_what_does_not_fit_is_left_out_and_said_to_be(*, cloud: bool) -> None:
    long = replace(ONE, note="_" * 33_000)
    shape = str(comment_of(long, cloud=cloud))
    assert len(shape) < 2_000
    assert "Because." in shape
    assert "kept in Placet" in shape
    assert "____" not in shape


def test_a_review_note_that_does_not_fit_is_refused() -> None:
    with pytest.raises(BadValueError) as refused:
        comment_of(replace(ONE, comment="x" * 33_000), cloud=True)
    assert refused.value.code is Code.TOO_LONG


def test_cloud_takes_a_document_and_data_center_escaped_text() -> None:
    assert body_of("[~a]\nb", cloud=True) == document_of("[~a]\nb")
    assert body_of("[~a]\nb", cloud=False) == "\\[\\~a\\]\nb"


@pytest.mark.parametrize(
    ("text", "code"),
    [("x" * 33_000, Code.TOO_LONG), ("a\0", Code.BAD_VALUE), ("\ud800", Code.BAD_VALUE)],
)
def test_what_jira_cannot_hold_is_refused(text: str, code: Code) -> None:
    for cloud in (True, False):
        with pytest.raises(BadValueError) as refused:
            body_of(text, cloud=cloud)
        assert refused.value.code is code


def test_a_superseded_comment_says_so_first_and_keeps_its_text() -> None:
    after = superseded(document_of("Kept.\n\nAll."), ONE)
    assert plain(after).startswith("Superseded: the change was undone by Rita Reviewer")
    assert plain(after).endswith("\n\nKept.\n\nAll.")
    wiki = superseded("h1. Kept \\[x\\]", ONE)
    assert wiki.startswith("Superseded: ")
    assert wiki.endswith("\n\nh1. Kept \\[x\\]")


def test_where_both_do_not_fit_the_warning_stays() -> None:
    for body in (document_of("x" * 32_600), "x" * 32_700):
        assert "x" * 100 not in str(superseded(body, ONE))
