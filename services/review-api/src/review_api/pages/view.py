"""An item page's words around the change: how it stands, what is in the way, who may what. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from contract.events import Action
from contract.targets import LIMITS
from review_api.claim import Claim
from review_api.commands.look import Decision, Past, Sight
from review_api.pages import waiting
from review_api.policy import Lane
from review_api.proof import Proof, needed
from review_api.review import OPEN, UNDER_WAY, State
from review_api.roles import Role
from review_api.store import Actor

WORDS: Final[Mapping[str, str]] = {
    "PROPOSED": "Proposed",
    "APPROVE": "Approved",
    "FIRST_APPROVAL": "First approval",
    "FIRST_UNDO": "First of two to undo it",
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
    "CONTROL_ITEM": "Control item answered",
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
    State.SECOND_UNDO: ("undo needs second", "warn"),
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
class Prove:
    """Somebody has to prove who they are: how (`by`), and whether for any decision or approvals."""

    by: str
    for_all: bool


def prove(sight: Sight, known: Proof, now: datetime, window: timedelta) -> Prove | None:
    """Return what a decision on this item takes that the session has not shown."""
    undoes = sight.state in {State.COMPLETED, State.SECOND_UNDO}
    approves = Action.UNDO if undoes else Action.APPROVE
    if not needed(sight.lane, approves, known, now, window):
        return None
    return Prove(by=known.by, for_all=needed(sight.lane, Action.REJECT, known, now, window))


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
    if decision.wait is not None and state in UNDER_WAY:
        return waiting.words(decision.wait)
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


def undo_verb(sight: Sight, actor: Actor) -> str | None:
    """Return what the button that undoes is called; None: it is not `actor`'s to press."""
    if Role.APPROVER not in actor.roles:
        return None
    if sight.state is State.COMPLETED:
        if sight.lane is Lane.CRITICAL:
            return "Undo first: another approver has to agree"
        return "Undo: write the old value back"
    if sight.state is not State.SECOND_UNDO or sight.first is None:
        return None
    own = sight.first.person_id == actor.person_id
    return None if own else "Undo second: write the old value back"


def past_words(one: Past) -> str:
    """Return one line of the history."""
    text = WORDS.get(one.what, one.what)
    if one.step == "comment":
        text = f"{text} (the comment)"
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


def obstacles(sight: Sight, actor: Actor, *, may_decide: bool, unopened: bool = False) -> list[str]:
    """Return why approving is not possible just now, in words; empty: it is."""
    found = []
    if not may_decide:
        found.append("Your role reads; it does not decide.")
    if sight.state is State.SECOND_UNDO and sight.first is not None:
        own = sight.first.person_id == actor.person_id
        who = "You have" if own else f"{sight.first.name} has"
        found.append(f"{who} asked to undo it. It takes another approver.")
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
    if unopened and not found:
        found.append("Approving takes a look at the evidence: open it first.")
    return found
