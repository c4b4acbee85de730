"""The change of an item, field by field, as its page shows it: proposed, decided, in conflict.

Owns which values stand side by side and what the sides are called; looks nothing up.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from contract.statement import from_text
from review_api import marks
from review_api.commands.look import Past, Sight
from review_api.review import State


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One field: what the target holds, what is proposed, what the reviewer has made of it.

    Of a decided change: what was seen, what was approved. `edited_before`: somebody has changed
    what the model proposed. `now`: the target, where it holds neither.
    """

    name: str
    current: str | None
    proposed: str
    draft: str
    is_text: bool
    edited_before: bool
    pieces: list[marks.Piece]
    now: str | None = None

    @property
    def edited(self) -> bool:
        """Tell whether the draft differs."""
        return self.draft != self.proposed


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What somebody typed and sent, kept when it could not be used."""

    key: str
    fields: Mapping[str, str] = field(default_factory=dict)
    comment: str = ""
    reason_code: str = ""


def fields(sight: Sight, draft: Draft) -> list[Field]:
    """Return the changed fields, sorted by name."""
    known = {} if sight.baseline is None else sight.baseline.fields
    out = []
    for name, text in sorted(sight.fields.items()):
        current, proposed = marks.shown(known.get(name)), marks.shown(text) or ""
        asked = sight.item.change.fields.get(name)
        value = draft.fields.get(name, proposed)
        out.append(
            Field(
                name=name,
                current=current,
                proposed=proposed,
                draft=value,
                is_text=text.startswith('"'),
                edited_before=asked != text and sight.state is not State.SECOND_UNDO,
                pieces=marks.diff(current or "", value),
            )
        )
    return out


@dataclass(frozen=True, slots=True, kw_only=True)
class Captions:
    """What the change is called, and its two sides."""

    title: str = "What would change"
    before: str = "In the target now"
    after: str = "Proposed"


_DECIDED: Final[Mapping[tuple[str, State], Captions]] = {
    ("APPROVE", State.APPROVED): Captions(
        title="What is to be written", before="Seen before", after="To be written"
    ),
    ("APPROVE", State.COMPLETED): Captions(
        title="What was written", before="Before", after="Written"
    ),
    ("APPROVE", State.FAILED): Captions(
        title="What was to be written", before="Seen before", after="Approved"
    ),
    ("UNDO", State.UNDOING): Captions(
        title="What is to be put back", before="Written by us", after="To be put back"
    ),
    ("UNDO", State.UNDONE): Captions(
        title="What was put back", before="Written by us", after="Put back"
    ),
    ("UNDO", State.FAILED): Captions(
        title="What was to be put back", before="Written by us", after="To be put back"
    ),
}
_AS_APPROVED: Final = frozenset({State.WRITING, State.STUCK})


def captions(sight: Sight) -> Captions:
    """Return how to speak of the change: as a proposal, or as what has been decided."""
    if sight.state is State.SECOND_UNDO:
        return Captions(title="What would be put back", after="To be put back")
    if sight.decision is None:
        return Captions()
    state = State.APPROVED if sight.state in _AS_APPROVED else sight.state
    return _DECIDED.get((sight.decision.row["action"], state), Captions())


def decided(sight: Sight) -> list[Field] | None:
    """Return the fields of the decision that writes them; None while there is only a proposal."""
    if sight.decision is None or sight.state is State.SECOND_UNDO or captions(sight) == Captions():
        return None
    known = {} if sight.baseline is None else sight.baseline.fields
    out = []
    for one in from_text(sight.decision.row["statement"]).fields:
        before, after = marks.shown(one.seen), marks.shown(one.value) or ""
        now = marks.shown(known.get(one.name))
        out.append(
            Field(
                name=one.name,
                current=before,
                proposed=after,
                draft=after,
                is_text=one.value.startswith('"'),
                edited_before=sight.decision.row["action"] == "APPROVE"
                and sight.item.change.fields.get(one.name) != one.value,
                pieces=marks.diff(before or "", after),
                now=None if now in (before, after) else now,
            )
        )
    return out


@dataclass(frozen=True, slots=True, kw_only=True)
class Revised:
    """What is different since the revision before: the question, and each text that changed."""

    revision: int
    question: Past | None
    texts: list[tuple[str, list[marks.Piece]]]
    passages: int


def revised(sight: Sight) -> Revised | None:
    """Return what changed since the revision before; None where this is the first one."""
    before, now = sight.before, sight.item
    if before is None:
        return None
    names = sorted({*before.change.fields, *now.change.fields})
    pairs = [
        (
            name,
            marks.shown(before.change.fields.get(name)),
            marks.shown(now.change.fields.get(name)),
        )
        for name in names
    ]
    pairs.append(("What the model says", before.output, now.output))
    asked = [one for one in sight.history if one.what == "NEED_INFO" and not one.taken_back]
    return Revised(
        revision=before.revision,
        question=asked[-1] if asked else None,
        texts=[(name, marks.diff(old or "", new or "")) for name, old, new in pairs if old != new],
        passages=len([one for one in now.retrieval if one not in before.retrieval]),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """One field that somebody changed: as it was seen, as it is (what changed), as it was to be."""

    name: str
    seen: str | None
    now: list[marks.Piece] | None
    wanted: str


def moved(sight: Sight) -> list[Moved]:
    """Return the fields that stood in the way of what was decided last."""
    if sight.conflict is None:
        return []
    out = []
    for one in sight.conflict.fields:
        if one.moved:
            seen, now = marks.shown(one.seen), marks.shown(one.now)
            pieces = None if now is None else marks.diff(seen or "", now)
            wanted = marks.shown(one.wanted) or ""
            out.append(Moved(name=one.name, seen=seen, now=pieces, wanted=wanted))
    return out
