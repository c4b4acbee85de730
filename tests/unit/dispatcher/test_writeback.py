"""The table of states, and what follows from each outcome."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.events import CLOSING
from dispatcher.writeback import (
    DUE,
    TRANSITIONS,
    AlreadyApplied,
    Applied,
    Code,
    Conflict,
    IllegalTransitionError,
    Next,
    Outcome,
    Refused,
    Retries,
    State,
    Unavailable,
    Unknown,
    after_attempt,
    move,
)

RETRIES = Retries(schedule=(60.0, 300.0, 900.0), settle=5.0)
APPLIED = Applied(before={"a": "1"}, after={"a": "2"}, version="2")
AWAY = Unavailable(code=Code.TARGET_AWAY, detail="away")
OUTAGE = Unavailable(code=Code.TARGET_AWAY, detail="away", whole_target=True)
LOST = Unknown(code=Code.COMMIT_ANSWER_LOST, detail="lost")
OUTCOMES: tuple[Outcome, ...] = (
    APPLIED,
    AlreadyApplied(version="2"),
    Conflict(current={}, version="3", fields=("a",)),
    Refused(code=Code.BAD_TYPE, detail="no"),
    AWAY,
    LOST,
)


def after(
    outcome: Outcome,
    state: State = State.WAITING,
    attempts: int = 1,
    *,
    excused: int = 0,
    suspect: bool = False,
) -> Next:
    return after_attempt(
        state,
        outcome,
        attempts=attempts,
        retries=RETRIES,
        jitter=0.0,
        fields={"a": "2"},
        excused=excused,
        suspect=suspect,
    )


def test_every_state_has_a_row_and_closed_states_lead_nowhere() -> None:
    assert set(TRANSITIONS) == set(State)
    for state in CLOSING:
        assert TRANSITIONS[state] == frozenset()
    assert {state for state in State if not TRANSITIONS[state]} == CLOSING


def test_an_illegal_move_is_refused() -> None:
    with pytest.raises(IllegalTransitionError):
        move(State.APPLIED, State.WAITING)
    with pytest.raises(IllegalTransitionError):
        move(State.UNKNOWN, State.CANCELLED)  # it may have happened


@pytest.mark.parametrize(
    ("outcome", "expected"),
    list(
        zip(
            OUTCOMES,
            ["APPLIED", "APPLIED", "CONFLICT", "REFUSED", "RETRYING", "UNKNOWN"],
            strict=True,
        )
    ),
)
def test_each_outcome_has_its_state(outcome: Outcome, expected: str) -> None:
    following = after(outcome)
    assert following.state == expected
    assert following.closes == (following.state in CLOSING)
    assert (following.delay is None) == (following.state not in DUE)


def test_what_a_probe_found_keeps_the_approved_values_as_its_after_image() -> None:
    assert after(AlreadyApplied(version="2", before={"a": "1"})).after == {"a": "2"}


def test_a_differing_read_back_is_stuck_and_never_applied() -> None:
    differing = Applied(before={}, after={"a": "3"}, version="2", differs=("a",))
    following = after(differing)
    assert (following.state, following.code) == (State.STUCK, Code.READ_BACK_DIFFERS)
    assert following.conflicting == ("a",)


@pytest.mark.parametrize(
    "outcome",
    [
        Applied(before={}, after={"a": "2"}, version="2", overwrote={"a": '"theirs"'}),
        AlreadyApplied(version="2", overwrote={"a": '"theirs"'}),
    ],
)
def test_an_overwritten_edit_is_for_a_person_and_not_lost(outcome: Outcome) -> None:
    following = after(outcome)
    assert (following.state, following.code) == (State.STUCK, Code.OVERWROTE_EDIT)
    assert following.conflicting == ("a",)
    assert following.overwrote == {"a": '"theirs"'}
    assert following.delay is None


@pytest.mark.parametrize(("attempts", "delay"), [(1, 60.0), (2, 300.0), (3, 900.0)])
def test_retries_follow_the_schedule(attempts: int, delay: float) -> None:
    assert after(AWAY, attempts=attempts).delay == delay


def test_spent_retries_are_stuck() -> None:
    following = after(AWAY, attempts=4)
    assert (following.state, following.code) == (State.STUCK, Code.RETRIES_SPENT)


@pytest.mark.parametrize("state", [State.WAITING, State.RETRYING, State.SENDING, State.UNKNOWN])
def test_an_outage_spends_no_retries_however_often_it_is_met(state: State) -> None:
    for attempts in (1, 4, 40):
        following = after(OUTAGE, state, attempts, excused=attempts - 1)
        doubt = state is State.UNKNOWN
        assert following.state is (State.UNKNOWN if doubt else State.RETRYING)
        assert (following.held, following.delay) == (0.0, 60.0)


def test_what_failed_for_itself_keeps_its_place_in_the_schedule_over_an_outage() -> None:
    assert after(AWAY, attempts=12, excused=10).delay == 300.0
    assert after(AWAY, attempts=12, excused=10).held is None
    assert after(OUTAGE, attempts=13, excused=10).held == 0.0  # three failures were its own
    assert after(AWAY, attempts=14, excused=10).state is State.STUCK
    assert after(LOST, State.UNKNOWN, attempts=12, excused=10).delay == 300.0


def test_an_outage_that_one_write_alone_meets_counts() -> None:
    following = after(OUTAGE, attempts=2, excused=1, suspect=True)
    assert (following.state, following.delay, following.held) == (State.RETRYING, 60.0, None)
    spent = after(OUTAGE, attempts=5, excused=1, suspect=True)
    assert (spent.state, spent.code) == (State.STUCK, Code.RETRIES_SPENT)


def test_a_pause_that_the_target_asks_for_holds_in_an_outage() -> None:
    busy = Unavailable(code=Code.TARGET_BUSY, detail="", retry_after=120.0, whole_target=True)
    assert (after(busy).held, after(busy).delay) == (120.0, 120.0)


def test_retry_after_is_honoured_and_never_shortens_the_schedule() -> None:
    def delay(retry_after: float) -> float | None:
        return after(Unavailable(code=Code.TARGET_BUSY, detail="", retry_after=retry_after)).delay

    assert delay(120.0) == 120.0
    assert delay(1.0) == 60.0


def test_unknown_stays_unknown_until_a_probe_answers() -> None:
    assert after(AWAY, State.UNKNOWN).state is State.UNKNOWN
    assert after(LOST, State.UNKNOWN).state is State.UNKNOWN
    spent = after(AWAY, State.UNKNOWN, attempts=4)
    assert (spent.state, spent.code) == (State.STUCK, Code.OUTCOME_UNKNOWN)
    assert after(LOST, State.UNKNOWN, attempts=4).code is Code.OUTCOME_UNKNOWN


def test_the_first_probe_follows_as_soon_as_nothing_can_land_any_more() -> None:
    assert after(LOST).delay == RETRIES.settle
    assert after(LOST, State.UNKNOWN, attempts=2).delay == 300.0


@given(st.floats(-1, 1), st.integers(1, 3))
def test_jitter_spreads_by_a_tenth(jitter: float, attempts: int) -> None:
    base = RETRIES.schedule[attempts - 1]
    delay = RETRIES.delay(attempts, jitter)
    assert delay is not None
    assert base * 0.9 - 1e-9 <= delay <= base * 1.1 + 1e-9


@given(
    st.lists(st.sampled_from(range(len(OUTCOMES))), max_size=12),
    st.floats(-1, 1),
)
def test_any_sequence_of_outcomes_ends_or_stays_due_and_never_goes_on_for_ever(
    sequence: list[int], jitter: float
) -> None:
    state, attempts = State.WAITING, 0
    for index in sequence:
        if state not in DUE:
            break
        attempts += 1
        following = after_attempt(
            state,
            OUTCOMES[index],
            attempts=attempts,
            retries=RETRIES,
            jitter=jitter,
            fields={},
        )
        assert following.state in TRANSITIONS[state]
        state = following.state
    assert attempts <= len(RETRIES.schedule) + 1
