"""Laws of the review state machine, whatever happens in whatever order."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from contract.events import WriteBackState
from review_api import review
from review_api.review import Happening, IllegalTransitionError, State

states = st.sampled_from(State)
happenings = st.sampled_from(Happening)
WRITES = {
    Happening.WRITE_GOES_ON,
    Happening.WRITTEN,
    Happening.WRITE_CONFLICT,
    Happening.WRITE_FAILED,
    Happening.WRITE_STUCK,
}


@given(states, happenings)
def test_a_transition_is_in_the_table_or_refused(state: State, happening: Happening) -> None:
    if (state, happening) in review.TABLE:
        assert review.after(state, happening) is review.TABLE[state, happening]
    else:
        with pytest.raises(IllegalTransitionError):
            review.after(state, happening)


@given(st.lists(happenings, max_size=40))
def test_nothing_is_written_that_nobody_approved(story: list[Happening]) -> None:
    state, approved = State.PENDING, False
    for happening in story:
        try:
            state = review.after(state, happening)
        except IllegalTransitionError:
            continue
        keeps = WRITES | {Happening.FIRST_UNDO, Happening.KEEP}  # what is written stays so
        approved = happening is Happening.APPROVE or (approved and happening in keeps)
        if state in {State.APPROVED, State.WRITING, State.COMPLETED}:
            assert approved


@given(st.lists(happenings, max_size=40))
def test_a_write_that_may_have_landed_is_never_pending_again(story: list[Happening]) -> None:
    state, sent = State.PENDING, False
    for happening in story:
        try:
            state = review.after(state, happening)
        except IllegalTransitionError:
            continue
        if happening is Happening.WRITE_CONFLICT:
            sent = False  # known not to have landed: deciding again begins anew
        elif happening in WRITES:
            sent = True
        assert not (sent and state is State.PENDING)


@pytest.mark.parametrize("state", State)
def test_every_state_can_be_reached(state: State) -> None:
    reached, new = {State.PENDING}, {State.PENDING}
    while new:
        new = {after for (before, _), after in review.TABLE.items() if before in new} - reached
        reached |= new
    assert state in reached


@given(st.lists(st.sampled_from(WriteBackState), min_size=1, max_size=5), st.randoms())
def test_what_writes_mean_together_does_not_depend_on_their_order(
    found: list[WriteBackState], chance: st.DataObject
) -> None:
    shuffled = list(found)
    chance.shuffle(shuffled)
    assert review.of_writes(found) is review.of_writes(shuffled)
    if review.of_writes(found) is Happening.WRITTEN:
        assert set(found) == {WriteBackState.APPLIED}


class Desk(RuleBasedStateMachine):
    """Eight people and a pipeline at one item: at most one decision counts at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.state = State.PENDING
        self.open_decisions = 0

    @rule(happening=happenings)
    def happen(self, happening: Happening) -> None:
        before = self.state
        try:
            self.state = review.after(before, happening)
        except IllegalTransitionError:
            return
        if happening in {Happening.APPROVE, Happening.REJECT, Happening.NEED_INFO}:
            self.open_decisions += 1
        if happening in {Happening.TAKE_BACK, Happening.REVISED, Happening.WRITE_CONFLICT}:
            self.open_decisions = 0

    @invariant()
    def one_decision_counts(self) -> None:
        assert self.open_decisions <= 1


TestDesk = Desk.TestCase
