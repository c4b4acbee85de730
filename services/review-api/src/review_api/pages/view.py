"""An item as its page shows it. Owns the words; looks nothing up."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

from contract.targets import LIMITS
from review_api import marks
from review_api.claim import Claim
from review_api.commands.look import Decision, Past, Sight
from review_api.policy import Lane
from review_api.review import OPEN, UNDER_WAY, State
from review_api.roles import Role
from review_api.store import Actor

WORDS: Final[Mapping[str, str]] = {
    "PROPOSED": "Proposed",
    "APPROVE": "Approved",
    "FIRST_APPROVAL": "First approval",
    "COMMENTED": "Comment",
    "REJECT": "Rejected",
    "NEED_INFO": "Asked for information",
    "TAKE_BACK": "Taken back",
    "UNDO": "Undone",
    "WAITING": "Waiting for its turn at the target",
    "SENDING": "Being written",
    "RETRYING": "The target did not answer; it is tried again",
    "UNKNOWN": "The target's answer was lost; Placet is finding out",
    "APPLIED": "Written and read back",
    "CONFLICT": "Not written: the target holds something else than was seen",
    "REFUSED": "The target refused it",
    "STUCK": "Stuck: a person must look",
    "ABANDONED": "Given up by a person",
    "CANCELLED": "Cancelled",
}
"""What happenings and states of write-backs are called in front of people."""

STATES: Final[Mapping[State, tuple[str, str]]] = {
    State.PENDING: ("to decide", "plain"),
    State.SECOND_APPROVAL: ("needs second", "warn"),
    State.NEEDS_INFO: ("information asked", "warn"),
    State.REJECTED: ("rejected", "plain"),
    State.APPROVED: ("approved", "plain"),
    State.WRITING: ("being written", "plain"),
    State.COMPLETED: ("written", "good"),
    State.CONFLICT: ("conflict", "bad"),
    State.STUCK: ("stuck", "bad"),
    State.FAILED: ("failed", "bad"),
    State.UNDOING: ("being undone", "warn"),
    State.UNDONE: ("undone", "plain"),
}
"""What states are called, and how they look."""


SKIP_WORDS: Final[Mapping[str, str]] = {
    "NOT_MY_FIELD": "Not my field",
    "CONFLICT_OF_INTEREST": "Conflict of interest",
    "LATER": "Later",
    "OTHER": "Other",
}
"""Why somebody passes an item over."""


def taken(row: Mapping[str, Any], person_id: UUID) -> bool:
    """Tell whether somebody else holds the item of a list's row."""
    return row["claimed_by"] is not None and row["claim_person"] != person_id


def claim(sight: Sight, person_id: UUID) -> Claim | None:
    """Return somebody else's live claim; None where the item is free or one's own."""
    return sight.claim if sight.claim.held_by_another(person_id, sight.now) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One field: what the target holds, what is proposed, what the reviewer has made of it.

    `edited_before`: whoever approved first has changed what the model proposed.
    """

    name: str
    current: str | None
    proposed: str
    draft: str
    is_text: bool
    edited_before: bool
    pieces: list[marks.Piece]

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
                edited_before=asked != text,
                pieces=marks.diff(current or "", value),
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How a decision's write stands: one line for people, and whether to look again."""

    decision_id: str
    tone: str
    text: str
    detail: str | None
    seconds_left: int
    live: bool
    may_take_back: bool


def progress(state: State, decision: Decision | None, person_id: Any) -> Progress | None:
    """Return where the open decision stands; None where there is none."""
    if decision is None:
        return None
    row = decision.row
    left = (row["not_before"] - row["now"]).total_seconds()
    held = left > 0 and row["taken_back_by"] is None and row["open_decision"] == row["decision_id"]
    tone, text, detail = _progress_text(row["action"], state, decision)
    if held:
        verb = _HELD.get(row["action"], f"{WORDS[row['action']]}; told")
        tone, text = "held", f"{verb} in {max(1, round(left + 0.5))} s"
    return Progress(
        decision_id=str(row["decision_id"]),
        tone=tone,
        text=text,
        detail=detail,
        seconds_left=max(0, round(left + 0.5)) if held else 0,
        live=held or state in UNDER_WAY,
        may_take_back=held and row["person_id"] == person_id and row["action"] != "UNDO",
    )


_HELD: Final = {"APPROVE": "Written", "UNDO": "Old values written back"}
"""Actions that write, and how that is announced."""


def _progress_text(action: str, state: State, decision: Decision) -> tuple[str, str, str | None]:
    if action not in _HELD:
        told = "the pipeline is told" if action == "REJECT" else "the pipeline is asked"
        return "plain", f"{WORDS[action]}; {told}", None
    states = {row["state"] for row in decision.write_backs}
    worst = next(
        (
            row
            for wanted in ("STUCK", "REFUSED", "ABANDONED", "CONFLICT", "RETRYING", "UNKNOWN")
            for row in decision.write_backs
            if row["state"] == wanted
        ),
        None,
    )
    if worst is not None:
        tone = "warn" if worst["state"] in {"RETRYING", "UNKNOWN"} else "bad"
        return tone, WORDS[worst["state"]], worst["reason"] or _fields_text(worst)
    if state in {State.COMPLETED, State.UNDONE} or states == {"APPLIED"}:
        done = "The old values are back" if action == "UNDO" else WORDS["APPLIED"]
        return "good", done, None
    return "plain", WORDS["SENDING"] if "SENDING" in states else "Waiting", None


def _fields_text(write_back: Mapping[str, Any]) -> str | None:
    names = write_back["conflicting"]
    return f"Changed meanwhile: {', '.join(names)}" if names else None


def may_undo(sight: Sight, actor: Actor) -> bool:
    """Tell whether `actor` is offered to write the old values back."""
    ordinary = sight.lane is not Lane.CRITICAL
    return sight.state is State.COMPLETED and ordinary and Role.APPROVER in actor.roles


def past_words(one: Past) -> str:
    """Return one line of the history."""
    text = WORDS.get(one.what, one.what)
    if one.what == "PROPOSED" and (one.revision or 1) > 1:
        text = f"Revision {one.revision} proposed"
    return f"{text} (void)" if one.void else text


def verb(sight: Sight) -> str:
    """Return what the button that approves is called."""
    if sight.lane is not Lane.CRITICAL:
        return "Approve"
    return "Approve first" if sight.first is None else "Approve second"


def notes(sight: Sight) -> list[str]:
    """Return what somebody should know before they approve."""
    if sight.lane is not Lane.CRITICAL or sight.state not in OPEN:
        return []
    if sight.first is None:
        return ["Critical lane: two people approve. Nothing is written before the second has."]
    return [f"{sight.first.name} has approved. What they wrote is shown when you have decided."]


def limits(sight: Sight) -> Sequence[str]:
    """Return what the target cannot promise, where it still matters: before somebody approves."""
    return LIMITS.get(sight.item.change.target.system, ()) if sight.state in OPEN else ()


def obstacles(sight: Sight, actor: Actor, *, may_decide: bool) -> list[str]:
    """Return why approving is not possible just now, in words; empty: it is."""
    found = []
    if not may_decide:
        found.append("Your role reads; it does not decide.")
    if sight.state not in OPEN:
        return found
    if sight.first is not None and sight.first.person_id == actor.person_id:
        found.append("You gave the first approval. The second one is somebody else's to give.")
    elif sight.first is not None and may_decide and Role.APPROVER not in actor.roles:
        found.append("The second approval takes an approver. You may reject or ask.")
    if sight.baseline is None:
        found.append("What the target holds has never been read, so approving is not possible yet.")
    elif sight.baseline.missing:
        found.append("The target has no such record.")
    return found
