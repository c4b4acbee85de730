"""The picture of a chain: every record once, edges only down, whatever events claim."""

import re
from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from review_api.chain import BOX_HEIGHT, WIDTH, Chain, chain, ordered

WORDS = {"APPLIED": "Written and read back", "APPROVE": "Approved"}


def chapter(sequence: int, kind: str, event: str, *causes: str, **fields: Any) -> dict[str, Any]:
    record = {
        "type": kind,
        "event_id": event,
        "causation_ids": list(causes),
        "timestamp": f"2026-11-24T10:00:{sequence % 60:02d}.000000Z",
        "revision": 1,
        "decision_id": None,
        **fields,
    }
    return {"sequence": sequence, "record": record, "problems": [], "proved_in": 99}


STORY = [
    chapter(3, "ReviewItem", "item", "somewhere-else"),
    chapter(5, "ReviewActivity", "claim", "item", action_type="CLAIMED", role="reviewer"),
    # Sealed before the decision that caused it: the topics were read in another order.
    chapter(6, "WriteBack", "w1", "d", write_status="SENDING", decision_id="d"),
    chapter(7, "ReviewDecision", "d", "item", action_type="APPROVE", decision_id="d"),
    chapter(8, "WriteBack", "w2", "d", write_status="APPLIED", decision_id="d"),
    chapter(9, "Control", "stranger", action_type="EXPORTED"),
]
EVENT = st.integers(0, 30)
STORIES = st.dictionaries(EVENT, st.lists(EVENT, max_size=4), min_size=1, max_size=20).map(
    lambda causes: [
        chapter(
            one,
            "ReviewItem" if one % 5 == 0 else "ReviewDecision" if one % 5 == 1 else "WriteBack",
            f"e{one}",
            *(f"e{cause}" for cause in some),
            write_status="APPLIED",
            action_type=None,
        )
        for one, some in causes.items()
    ]
)


def places(drawn: Chain) -> dict[int | None, int]:
    return {node.sequence: at for at, node in enumerate(drawn.nodes)}


def test_a_story_in_order_of_causation_with_what_it_came_from_and_what_became_of_it() -> None:
    drawn = chain(STORY, WORDS)
    assert [node.sequence for node in drawn.nodes] == [None, 3, 5, 7, 6, 8, 9, None]
    assert [node.title for node in drawn.nodes][:2] == ["Model output", "Item, revision 1"]
    assert (drawn.nodes[-1].title, drawn.nodes[-1].who) == ("Outcome", "written and read back")
    assert drawn.nodes[-1].tone == "good"
    joined = {(edge.start, edge.end): edge.loose for edge in drawn.edges}
    assert joined == {
        (None, 3): True,
        (3, 5): False,
        (3, 7): False,
        (7, 6): False,
        (7, 8): False,
        (3, 9): True,  # names no cause: joined to its item, and drawn as that
        (8, None): True,
    }


def test_no_outcome_while_it_is_open_or_records_are_missing() -> None:
    assert chain(STORY[:4], WORDS).nodes[-1].sequence is not None
    assert chain(STORY, WORDS, whole=False).nodes[-1].sequence is not None


def test_what_is_not_as_sealed_or_not_sealed_is_said() -> None:
    wrong = chapter(1, "ReviewItem", "item") | {"problems": ["its payload is another"]}
    waits = chapter(2, "ReviewDecision", "d", "item") | {"proved_in": None}
    nodes = {node.sequence: node for node in chain([wrong, waits], WORDS).nodes}
    assert (nodes[1].proof, nodes[1].tone) == ("wrong", "bad")
    assert nodes[2].proof == "waits"


@given(STORIES)
def test_every_record_is_there_once_and_every_edge_leads_down(story: list[dict[str, Any]]) -> None:
    drawn = chain(story, WORDS)
    shown = [node.sequence for node in drawn.nodes if node.sequence is not None]
    assert sorted(shown) == sorted(one["sequence"] for one in story)
    at = places(drawn)
    for node in drawn.nodes:
        assert all(at[cause] < drawn.nodes.index(node) for cause in node.causes)
    for edge in drawn.edges:
        if edge.start is not None and edge.end is not None:
            assert at[edge.start] < at[edge.end]


@given(STORIES)
def test_every_cause_that_goes_round_in_no_circle_is_drawn(story: list[dict[str, Any]]) -> None:
    drawn = chain(story, WORDS)
    at = places(drawn)
    joined = {(edge.start, edge.end) for edge in drawn.edges}
    by_event = {one["record"]["event_id"]: one["sequence"] for one in story}
    for one in story:
        for cause in one["record"]["causation_ids"]:
            start, end = by_event.get(cause), one["sequence"]
            if start is not None and start != end and at[start] < at[end]:
                assert (start, end) in joined


@given(STORIES)
def test_boxes_do_not_overlap_and_stay_in_the_picture(story: list[dict[str, Any]]) -> None:
    drawn = chain(story, WORDS)
    ys = [node.y for node in drawn.nodes]
    assert all(after - before >= BOX_HEIGHT for before, after in pairwise(ys))
    assert ys[-1] + BOX_HEIGHT < drawn.height
    for edge in drawn.edges:
        for x in re.findall(r"[MH](-?\d+)", edge.path):
            assert 0 <= int(x) <= WIDTH


@given(st.dictionaries(EVENT, st.lists(EVENT, max_size=4)))
def test_causes_come_first_where_there_is_no_circle(causes: dict[int, list[int]]) -> None:
    order = ordered(causes)
    assert sorted(order) == sorted(causes)
    forward = {one: [c for c in some if c < one] for one, some in causes.items()}
    assert ordered(forward) == sorted(causes)


def test_a_title_is_cut_to_its_box_and_odd_records_are_drawn() -> None:
    odd = chapter(1, "SomethingNew", "e") | {}
    odd["record"] |= {"action_type": "W" * 300, "causation_ids": None, "role": None}
    (node,) = chain([odd], WORDS).nodes
    assert len(node.short) < 30
    assert node.title == "W" * 300
    assert chain([], WORDS).height == 0
