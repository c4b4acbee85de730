"""The chain of one decision as a picture: which record caused which, where each box stands.

Pure. Owns order and geometry. Boxes stand below each other in order of causation, so that the
picture is as wide as a telephone and every edge leads down; what caused only the next box is joined
to it, and what caused several has a line of its own beside them. How it looks is the template's.

The output of the model and the outcome are boxes too, though not records: the log holds where the
output was read (in the item's event) and what became of it (in the last write-back).
"""

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

WIDTH: Final = 288
BOX_X: Final = 40
BOX_WIDTH: Final = WIDTH - BOX_X - 1
BOX_HEIGHT: Final = 50
GAP: Final = 16
_TOP: Final = 1
_LANES: Final = (30, 22, 14, 6)
_STEM: Final = BOX_X + 20
_ROUND: Final = 6
_LONGEST: Final = 27

Chapter = Mapping[str, Any]

ITEM: Final = "ReviewItem"
DECISION: Final = "ReviewDecision"
ACTIVITY: Final = "ReviewActivity"
WRITE_BACK: Final = "WriteBack"
_SHAPES: Final = {ITEM: "square", DECISION: "diamond", ACTIVITY: "dot", WRITE_BACK: "triangle"}
_GOOD: Final = frozenset({"APPLIED"})
_BAD: Final = frozenset({"CONFLICT", "REFUSED", "STUCK", "ABANDONED"})
_ENDED: Final = _GOOD | _BAD | {"CANCELLED"}
_UNWRITTEN: Final = frozenset({"REJECT", "NEED_INFO", "TAKE_BACK"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One box. `sequence` None: no record of its own, but what another record says."""

    sequence: int | None
    shape: str
    title: str
    at: str | None
    who: str
    tone: str
    proof: str
    y: int
    causes: tuple[int, ...] = ()
    """Sequences of the records that caused it."""
    same_item: bool = False
    """It names no cause that is here: it is joined to its item, and said to be."""

    @property
    def short(self) -> str:
        """Return the title as far as it fits its box."""
        return self.title if len(self.title) <= _LONGEST else self.title[: _LONGEST - 1] + "…"

    @property
    def middle(self) -> int:
        """Return where edges reach it."""
        return self.y + BOX_HEIGHT // 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """One line: `path` is SVG's. `loose`: not by cause, only of the same item."""

    start: int | None
    end: int | None
    path: str
    loose: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """The picture."""

    nodes: Sequence[Node]
    edges: Sequence[Edge]
    height: int


def chain(chapters: Sequence[Chapter], words: Mapping[str, str], *, whole: bool = True) -> Chain:
    """Return the picture of `chapters`; `words` says what codes are called.

    Where not `whole`, records come after these: the outcome is not known.
    """
    known = {chapter["sequence"]: chapter for chapter in chapters}
    causes = {sequence: _causes(chapter, chapters) for sequence, chapter in known.items()}
    order = ordered(causes)
    rank = {sequence: at for at, sequence in enumerate(order)}
    first_item = next((one for one in order if _type(known[one]) == ITEM), None)
    nodes: list[Node] = []
    if order and first_item == order[0]:
        nodes.append(_source())
    for sequence in order:
        # A cycle, which only a forged event makes, loses the edge that would lead up.
        kept = tuple(one for one in causes[sequence] if rank[one] < rank[sequence])
        loose = not kept and first_item is not None and rank[first_item] < rank[sequence]
        shown = (first_item,) if loose and first_item is not None else kept
        nodes.append(_node(known[sequence], words, _y(len(nodes)), shown, loose=loose))
    end = _outcome([known[one] for one in order], words, _y(len(nodes))) if whole else None
    if end is not None:
        nodes.append(end)
    height = _y(len(nodes)) - GAP + _TOP if nodes else 0
    return Chain(nodes=nodes, edges=_edges(nodes), height=max(height, 0))


def ordered(causes: Mapping[int, Sequence[int]]) -> list[int]:
    """Return records so that causes come before effects, and else as they were sealed.

    Where causes go round in a circle the record that was sealed first comes first.
    """
    waits = {one: len(set(some) & causes.keys()) for one, some in causes.items()}
    leads: dict[int, list[int]] = {one: [] for one in causes}
    for one, some in causes.items():
        for cause in set(some) & causes.keys():
            leads[cause].append(one)
    ready = [one for one, count in waits.items() if count == 0]
    heapq.heapify(ready)
    left = sorted(causes)
    placed: set[int] = set()
    order: list[int] = []
    at = 0
    while len(order) < len(causes):
        while at < len(left) and left[at] in placed:
            at += 1
        one = heapq.heappop(ready) if ready else left[at]
        if one in placed:
            continue
        placed.add(one)
        order.append(one)
        for effect in leads[one]:
            waits[effect] -= 1
            if waits[effect] == 0 and effect not in placed:
                heapq.heappush(ready, effect)
    return order


def _causes(chapter: Chapter, chapters: Sequence[Chapter]) -> list[int]:
    named = chapter["record"].get("causation_ids")
    wanted = {one for one in named if isinstance(one, str)} if isinstance(named, list) else set()
    return sorted(
        other["sequence"]
        for other in chapters
        if other is not chapter and other["record"].get("event_id") in wanted
    )


def _type(chapter: Chapter) -> str:
    return str(chapter["record"].get("type"))


def _code(chapter: Chapter) -> str:
    record = chapter["record"]
    return str(record.get("action_type") or record.get("write_status") or "")


def _y(count: int) -> int:
    return _TOP + count * (BOX_HEIGHT + GAP)


def _node(
    chapter: Chapter, words: Mapping[str, str], y: int, causes: tuple[int, ...], *, loose: bool
) -> Node:
    record, kind, code = chapter["record"], _type(chapter), _code(chapter)
    title = words.get(code, code) or kind
    if kind == ITEM:
        title = f"Item, revision {record.get('revision')}"
    tone = "good" if code in _GOOD else "bad" if code in _BAD else "plain"
    return Node(
        sequence=chapter["sequence"],
        shape=_SHAPES.get(kind, "dot"),
        title=title,
        at=record.get("timestamp"),
        who=str(record.get("role") or "service"),
        tone="bad" if chapter["problems"] else tone,
        proof=proof_state(chapter),
        y=y,
        causes=causes,
        same_item=loose,
    )


def proof_state(chapter: Chapter) -> str:
    """Return `proved`, `waits` (no head reaches it yet) or `wrong`."""
    if chapter["problems"]:
        return "wrong"
    return "waits" if chapter["proved_in"] is None else "proved"


def _source() -> Node:
    return Node(
        sequence=None,
        shape="open",
        title="Model output",
        at=None,
        who="read from the pipeline",
        tone="plain",
        proof="",
        y=_y(0),
    )


def _outcome(chapters: Sequence[Chapter], words: Mapping[str, str], y: int) -> Node | None:
    """Return what became of it, as the last of `chapters` say; None while that is open."""
    decided = [one for one in chapters if _type(one) == DECISION]
    if not decided:
        return None
    last, code = decided[-1], _code(decided[-1])
    said = [
        one
        for one in chapters
        if _type(one) == WRITE_BACK
        and one["record"].get("decision_id") == last["record"].get("decision_id")
    ]
    ending = said[-1] if said else last
    if code not in _UNWRITTEN:
        code = _code(ending)
        if code not in _ENDED:
            return None
    return Node(
        sequence=None,
        shape="open",
        title="Outcome",
        at=None,
        who=words.get(code, code).lower(),
        tone="good" if code in _GOOD else "bad" if code in _BAD else "plain",
        proof="",
        y=y,
        causes=(ending["sequence"],),
    )


def _edges(nodes: Sequence[Node]) -> list[Edge]:
    at = {node.sequence: number for number, node in enumerate(nodes) if node.sequence is not None}
    far: dict[int, list[tuple[int, bool]]] = {}
    edges: list[Edge] = []
    for number, node in enumerate(nodes):
        starts = [at[cause] for cause in node.causes]
        if number == 1 and nodes[0].sequence is None and not starts:
            starts = [0]
        for start in starts:
            if start == number - 1:
                edges.append(_edge(nodes, start, number, _straight(nodes[start], node)))
            else:
                far.setdefault(start, []).append((number, node.same_item))
    free = [-1] * len(_LANES)
    for start, ends in sorted(far.items()):
        lane = next((n for n, until in enumerate(free) if until < start), len(_LANES) - 1)
        free[lane] = max(free[lane], ends[-1][0])
        edges += [
            _edge(nodes, start, end, _beside(nodes[start], nodes[end], _LANES[lane]))
            for end, _ in ends
        ]
    return edges


def _edge(nodes: Sequence[Node], start: int, end: int, path: str) -> Edge:
    return Edge(
        start=nodes[start].sequence,
        end=nodes[end].sequence,
        path=path,
        loose=nodes[end].same_item or nodes[start].sequence is None or nodes[end].sequence is None,
    )


def _straight(start: Node, end: Node) -> str:
    return f"M{_STEM} {start.y + BOX_HEIGHT}V{end.y}m-4 -6l4 6l4 -6"


def _beside(start: Node, end: Node, lane: int) -> str:
    down = end.middle - _ROUND
    return (
        f"M{BOX_X} {start.middle}H{lane + _ROUND}q-{_ROUND} 0 -{_ROUND} {_ROUND}"
        f"V{down}q0 {_ROUND} {_ROUND} {_ROUND}H{BOX_X}m-6 -4l6 4l-6 4"
    )
