"""The life of a review item. Everything that may change an item's state is in this file.

Theory of operation. An item waits (PENDING) until a person decides. Approving starts a write:
APPROVED until the dispatcher says anything, WRITING while it works, then one of COMPLETED,
CONFLICT (the target moved on: decide again), STUCK (a person must look) and FAILED. Until the hold
is over its author may take a decision back; the item is then PENDING as if nothing had happened.
What was written is undone by an approver; in a critical lane by two (SECOND_UNDO between them).
A higher revision re-opens an item that nobody has decided, or that waits for it (NEEDS_INFO).

`TABLE` is the whole of it: (state, happening) -> state. What is not in it is illegal: refused with
`IllegalTransitionError`, and nothing changes. STUCK is never left for PENDING, because the first
write may still land. Knows no clock, no store, no person: who may do what is `roles` and `policy`.
"""

from collections.abc import Iterable
from enum import StrEnum
from typing import Final

from contract.events import CLOSING, Action, WriteBackState


class State(StrEnum):
    """Where an item is."""

    PENDING = "PENDING"
    SECOND_APPROVAL = "SECOND_APPROVAL"
    NEEDS_INFO = "NEEDS_INFO"
    REJECTED = "REJECTED"
    APPROVED = "APPROVED"
    WRITING = "WRITING"
    COMPLETED = "COMPLETED"
    CONFLICT = "CONFLICT"
    STUCK = "STUCK"
    FAILED = "FAILED"
    SECOND_UNDO = "SECOND_UNDO"
    UNDOING = "UNDOING"
    UNDONE = "UNDONE"


class Happening(StrEnum):
    """What can happen to an item."""

    APPROVE = "APPROVE"  # an approval that counts
    FIRST_APPROVE = "FIRST_APPROVE"  # the first of two in a critical lane
    REJECT = "REJECT"
    NEED_INFO = "NEED_INFO"
    TAKE_BACK = "TAKE_BACK"  # by its author, within the hold
    UNDO = "UNDO"
    KEEP = "KEEP"  # the second of them does not agree
    FIRST_UNDO = "FIRST_UNDO"  # the first of two who agree to it in a critical lane
    REVISED = "REVISED"  # a higher revision arrives
    WRITE_GOES_ON = "WRITE_GOES_ON"  # the dispatcher is at it
    WRITTEN = "WRITTEN"  # every step was written and read back
    WRITE_CONFLICT = "WRITE_CONFLICT"
    WRITE_FAILED = "WRITE_FAILED"  # refused by the target, or given up by a person
    WRITE_STUCK = "WRITE_STUCK"


S, H = State, Happening

_WRITES: Final[dict[tuple[State, Happening], State]] = {
    (state, happening): after
    for state in (S.APPROVED, S.WRITING, S.STUCK)
    for happening, after in {
        H.WRITE_GOES_ON: S.WRITING,
        H.WRITTEN: S.COMPLETED,
        H.WRITE_CONFLICT: S.CONFLICT,
        H.WRITE_FAILED: S.FAILED,
        H.WRITE_STUCK: S.STUCK,
    }.items()
}

TABLE: Final[dict[tuple[State, Happening], State]] = {
    (S.PENDING, H.APPROVE): S.APPROVED,
    (S.PENDING, H.FIRST_APPROVE): S.SECOND_APPROVAL,
    (S.PENDING, H.REJECT): S.REJECTED,
    (S.PENDING, H.NEED_INFO): S.NEEDS_INFO,
    (S.PENDING, H.REVISED): S.PENDING,
    (S.SECOND_APPROVAL, H.APPROVE): S.APPROVED,
    (S.SECOND_APPROVAL, H.FIRST_APPROVE): S.SECOND_APPROVAL,  # of other fields: it starts over
    (S.SECOND_APPROVAL, H.REJECT): S.REJECTED,
    (S.SECOND_APPROVAL, H.NEED_INFO): S.NEEDS_INFO,
    (S.SECOND_APPROVAL, H.REVISED): S.PENDING,
    (S.NEEDS_INFO, H.REVISED): S.PENDING,
    (S.NEEDS_INFO, H.TAKE_BACK): S.PENDING,
    (S.REJECTED, H.TAKE_BACK): S.PENDING,
    (S.APPROVED, H.TAKE_BACK): S.PENDING,
    (S.CONFLICT, H.APPROVE): S.APPROVED,
    (S.CONFLICT, H.FIRST_APPROVE): S.SECOND_APPROVAL,
    (S.CONFLICT, H.REJECT): S.REJECTED,
    (S.COMPLETED, H.UNDO): S.UNDOING,
    (S.COMPLETED, H.FIRST_UNDO): S.SECOND_UNDO,
    (S.SECOND_UNDO, H.UNDO): S.UNDOING,
    (S.SECOND_UNDO, H.FIRST_UNDO): S.SECOND_UNDO,  # of other values: it starts over
    (S.SECOND_UNDO, H.KEEP): S.COMPLETED,
    (S.UNDOING, H.WRITTEN): S.UNDONE,
    (S.UNDOING, H.WRITE_GOES_ON): S.UNDOING,
    (S.UNDOING, H.WRITE_CONFLICT): S.CONFLICT,
    (S.UNDOING, H.WRITE_FAILED): S.FAILED,
    (S.UNDOING, H.WRITE_STUCK): S.UNDOING,  # or its end would be taken for that of an approval
    **_WRITES,
}

HALF: Final = frozenset({S.SECOND_APPROVAL, S.SECOND_UNDO})
"""One of two people has agreed."""
UNDECIDED: Final = frozenset({S.PENDING, S.SECOND_APPROVAL})
"""Nobody has decided yet."""
OPEN: Final = frozenset({S.PENDING, S.SECOND_APPROVAL, S.CONFLICT})
"""A decision is possible."""
REVISABLE: Final = frozenset(state for state, happening in TABLE if happening is H.REVISED)
"""A higher revision replaces the proposal."""
TOLD: Final = frozenset({S.REJECTED, S.NEEDS_INFO, S.COMPLETED, S.FAILED, S.UNDONE})
"""States that pipelines are told of, on `placet.outcomes`."""
UNDER_WAY: Final = frozenset({S.APPROVED, S.WRITING, S.UNDOING})
"""A page that shows one of these is worth refreshing."""


class IllegalTransitionError(ValueError):
    """This cannot happen to an item in that state. Nothing was changed."""

    def __init__(self, state: State, happening: Happening) -> None:
        """Keep both, for the answer."""
        super().__init__(f"{happening} is not possible while an item is {state}")
        self.state = state
        self.happening = happening


def after(state: State, happening: Happening) -> State:
    """Return the state that follows.

    Raises:
        IllegalTransitionError: the table has no such transition.
    """
    try:
        return TABLE[state, happening]
    except KeyError:
        raise IllegalTransitionError(state, happening) from None


DECISIONS: Final[dict[Action, Happening]] = {
    Action.APPROVE: H.APPROVE,
    Action.REJECT: H.REJECT,
    Action.NEED_INFO: H.NEED_INFO,
}
"""The actions that a person takes on an open item."""

CLOSED: Final = frozenset(state.value for state in CLOSING)
"""States of a write-back after which the target may hold something else than before."""

_W = WriteBackState
_RANKED: Final = (
    (frozenset({_W.REFUSED, _W.ABANDONED}), H.WRITE_FAILED),
    (frozenset({_W.CONFLICT}), H.WRITE_CONFLICT),
    (frozenset({_W.STUCK}), H.WRITE_STUCK),
)


def of_writes(states: Iterable[WriteBackState]) -> Happening:
    """Return what the write-backs of one decision, taken together, mean for its item.

    The worst step speaks for all; the item is written when every step is.
    """
    found = set(states)
    for worst, happening in _RANKED:
        if found & worst:
            return happening
    return H.WRITTEN if found == {_W.APPLIED} else H.WRITE_GOES_ON
