"""Which passages a decision names as its grounds."""

from datetime import UTC, datetime

from contract.events import (
    Change,
    Divergence,
    Evidence,
    Model,
    Origin,
    Passage,
    Retrieval,
    ReviewItem,
    Risk,
    Sentence,
    Target,
)
from review_api.citation import MOST, citations

AT = datetime(2026, 11, 24, 10, tzinfo=UTC)


def item(
    retrieval: list[Retrieval], sentences: list[Sentence], evidence: list[Evidence] | None = None
) -> ReviewItem:
    return ReviewItem(
        event_id="e",
        correlation_id="c",
        timestamp=AT,
        ingested_at=AT,
        item_id="i",
        source="rag",
        external_id="x",
        revision=1,
        content_digest=b"",
        origin=Origin(topic="t", partition=0, offset=0),
        prompt="p",
        model=Model(name="m", version="1"),
        retrieval=retrieval,
        output="o",
        risk=Risk(score=0.1),
        evidence=evidence or [],
        change=Change(target=Target(system="sql", instance="faq", identifier="1"), fields={}),
        divergence=Divergence(score=0.1, unsupported_ratio=0.0, sentences=sentences),
    )


def passage(doc_id: str | None, **more: object) -> Retrieval:
    return Retrieval(snippet="Personal words.", doc_id=doc_id, **more)  # type: ignore[arg-type]


def rests(on: int, support: float = 0.9) -> Sentence:
    return Sentence(start=0, end=1, support=support, best=Passage(retrieval=on, start=0, end=1))


def test_only_passages_that_a_sentence_rests_on_are_named():
    given = [passage("kb-1"), passage("kb-2"), passage("kb-3")]
    assert citations(item(given, [rests(2), rests(0), rests(1, support=0.49)])) == ["kb-1", "kb-3"]


def test_a_passage_says_where_it_is_and_never_what_it_says():
    one = passage("kb-1", source="handbook", snapshot="2026-11", start=10, end=80)
    assert citations(item([one], [rests(0)])) == ["kb-1 (handbook, 2026-11, characters 10-80)"]


def test_where_nothing_was_measured_everything_given_is_named():
    assert citations(item([passage("kb-1"), passage(None)], [])) == ["kb-1"]


def test_evidence_links_follow_and_nothing_is_named_twice():
    links = [Evidence(title="A customer's name", uri="https://example.test/1")] * 2
    assert citations(item([passage("kb-1"), passage("kb-1")], [], links)) == [
        "kb-1",
        "https://example.test/1",
    ]


def test_of_many_the_first_are_named_and_the_rest_counted():
    found = citations(item([passage(f"kb-{n}") for n in range(MOST + 5)], []))
    assert found[MOST:] == ["and 5 more"]
