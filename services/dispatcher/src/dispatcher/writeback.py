"""What a write-back is, how it can end, and what follows from that. Pure: everything about state
is in this file, and nothing here knows a target, a database or a clock.

Theory of operation. A write-back is one step of one decision. It is WAITING from the moment the
decision was accepted, and moves only along `TRANSITIONS`, each move counted (`transition`) and told
by exactly one `WriteBack` event in the transaction that commits it. A straight success is one move
and one event: WAITING -> APPLIED. Being accepted is none: the decision said so already.

- An attempt ends in an `Outcome`; `after_attempt` turns it into the next state.
- RETRYING: nothing of it is in the target, the same thing is tried again at `next_attempt_at`.
- An attempt that met an outage of the whole target spends no retries (`Next.held`): it waits for
  the target, which lets it go at once when it is back, and not for the schedule. Where others were
  written since and it alone meets "an outage" again, it is suspect, and counts like any failure.
- UNKNOWN: the target may or may not have done it (a lost answer to COMMIT, a timeout). Only a
  probe, never a guess, leads out of it: an attempt that does not even reach the target leaves it
  UNKNOWN.
- STUCK: a person looks. ORDER_GAP alone resolves by itself, when the missing ordinal arrives.
- Closing states (`contract.events.CLOSING`) let the next ordinal of the record start.

SENDING belongs to targets that need a committed intent before the request leaves (Jira,
SharePoint): the request may be on its way. Whoever finds a step SENDING that nobody here sends
makes it UNKNOWN. A SQL target answers every probe by its key row, so nothing is committed before
the send and SENDING is never entered for it; each failed attempt shows as a RETRYING or UNKNOWN
event with its `attempts`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, assert_never

from contract.events import CLOSING, Target, WriteBackState

State = WriteBackState


class Code(StrEnum):
    """Reason codes of write-backs, closed. For ever: people and scripts compare them."""

    # refused: sending the same again changes nothing
    NO_FIELDS = "NO_FIELDS"  # a change that changes nothing
    TOO_MANY_FIELDS = "TOO_MANY_FIELDS"
    DUPLICATE_FIELD = "DUPLICATE_FIELD"  # one field named twice
    BAD_PLAN = "BAD_PLAN"  # the signed steps are not those this target kind has
    BAD_IDENTIFIER = "BAD_IDENTIFIER"  # not the canonical form of a record's name here
    NOT_SUPPORTED = "NOT_SUPPORTED"
    UNKNOWN_FIELD = "UNKNOWN_FIELD"  # not among the configured columns
    RECORD_NOT_FOUND = "RECORD_NOT_FOUND"
    BAD_TYPE = "BAD_TYPE"  # the value is of another type than the field
    BAD_VALUE = "BAD_VALUE"  # right type, but the target cannot hold it exactly
    TOO_LONG = "TOO_LONG"
    NOT_NULL = "NOT_NULL"
    CONSTRAINT = "CONSTRAINT"  # a check, foreign key, unique or exclusion constraint
    VERSION_IS_NULL = "VERSION_IS_NULL"  # the record has no version to compare with
    WRITE_SUPPRESSED = "WRITE_SUPPRESSED"  # a trigger or policy dropped the update silently
    TARGET_REFUSED = "TARGET_REFUSED"  # a trigger, or an error we have no better name for
    KEY_REUSED = "KEY_REUSED"  # the key is in the target, for another record
    # conflict
    CHANGED_SINCE_SEEN = "CHANGED_SINCE_SEEN"
    # unavailable: the same again later
    TARGET_AWAY = "TARGET_AWAY"
    LOGIN_REFUSED = "LOGIN_REFUSED"
    PERMISSION_DENIED = "PERMISSION_DENIED"
    TARGET_CHANGED = "TARGET_CHANGED"  # table or columns are not what they were
    RECORD_LOCKED = "RECORD_LOCKED"  # somebody holds the record in a transaction
    TARGET_BUSY = "TARGET_BUSY"  # deadlock, serialisation failure, out of resources
    TIMEOUT = "TIMEOUT"
    # unknown
    COMMIT_ANSWER_LOST = "COMMIT_ANSWER_LOST"
    READ_BACK_LOST = "READ_BACK_LOST"  # committed, but the target went away before the read-back
    # stuck
    RETRIES_SPENT = "RETRIES_SPENT"
    OUTCOME_UNKNOWN = "OUTCOME_UNKNOWN"
    READ_BACK_DIFFERS = "READ_BACK_DIFFERS"  # written once, but the target holds something else
    OVERWROTE_EDIT = "OVERWROTE_EDIT"  # written once, over somebody's edit that nobody had seen
    ORDER_GAP = "ORDER_GAP"  # an earlier write to the record never arrived
    INTERRUPTED = "INTERRUPTED"  # the dispatcher ended between the request and its answer
    # applied, and more to say
    DUPLICATE_REMOVED = "DUPLICATE_REMOVED"  # a late request had made a second copy of it
    # cancelled
    TAKEN_BACK = "TAKEN_BACK"
    EARLIER_STEP = "EARLIER_STEP"  # a step before it was not done
    # by a person, out of STUCK
    ADOPTED = "ADOPTED"
    GIVEN_UP = "GIVEN_UP"


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """Who and what a write-back goes back to, for targets that can keep it beside the change."""

    decision_id: str
    correlation_id: str
    reviewers: tuple[str, ...]
    timestamp: str
    citations: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteBack:
    """One step, as every adapter takes it. Field values are JSON text.

    `seen` has, for each field of `fields`, what the reviewer saw (None: nothing could be read).
    `comment` is the reviewer's; `note` is what the pipeline asked to say beside the change.
    """

    write_back_id: str
    target: Target
    step: str
    fields: Mapping[str, str]
    seen: Mapping[str, str | None]
    comment: str | None
    audit: Audit
    note: str | None = None


Images = Mapping[str, str]
"""Field values as JSON text, by field name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """The target holds the change and the key, durably. `differs`: fields that read back other.

    `overwrote`: what the change found, in fields that somebody had edited after they were read.
    """

    before: Images
    after: Images
    version: str
    differs: tuple[str, ...] = ()
    overwrote: Images = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class AlreadyApplied:
    """The key was there: an earlier attempt did it. `before` is what that attempt found.

    `after` is what it left, where that is not the fields that were to be written.
    """

    version: str | None
    before: Images | None = None
    after: Images | None = None
    differs: tuple[str, ...] = ()
    overwrote: Images = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflict:
    """Nothing was written: `fields` differ from what the reviewer saw; `current` says how."""

    current: Images
    version: str
    fields: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """Nothing was written, and nothing will be. `detail` holds no value of the record."""

    code: Code
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Unavailable:
    """Nothing was written; the same may work later. `whole_target`: no other write would do."""

    code: Code
    detail: str
    retry_after: float | None = None
    whole_target: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknown:
    """The target may have done it. Nothing may be sent again before a probe."""

    code: Code
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Absent:
    """Answer to a probe only: the key is not there and cannot arrive any more. Send it."""


Outcome = Applied | AlreadyApplied | Conflict | Refused | Unavailable | Unknown
Probe = AlreadyApplied | Absent | Unavailable | Unknown


_ENDS: Final = frozenset(
    {
        State.APPLIED,
        State.CONFLICT,
        State.REFUSED,
        State.RETRYING,
        State.UNKNOWN,
        State.STUCK,
    }
)
TRANSITIONS: Final[Mapping[State, frozenset[State]]] = {
    State.WAITING: _ENDS | {State.SENDING, State.CANCELLED},
    State.SENDING: _ENDS,
    State.RETRYING: _ENDS | {State.SENDING, State.CANCELLED},
    State.UNKNOWN: _ENDS | {State.SENDING},  # never CANCELLED: it may have happened
    # By a person: send again (with a probe first, where it may have happened), adopt, give up.
    # By itself: only out of ORDER_GAP.
    State.STUCK: frozenset(
        {State.WAITING, State.UNKNOWN, State.APPLIED, State.ABANDONED, State.CANCELLED}
    ),
    State.APPLIED: frozenset(),
    State.CONFLICT: frozenset(),
    State.REFUSED: frozenset(),
    State.ABANDONED: frozenset(),
    State.CANCELLED: frozenset(),
}
"""Where each state may go. RETRYING and UNKNOWN may follow themselves: another attempt failed."""

DUE: Final = frozenset({State.WAITING, State.RETRYING, State.UNKNOWN})
"""States that an attempt starts from."""


class IllegalTransitionError(Exception):
    """A bug: this state does not lead there. Nothing was changed."""


def move(current: State, following: State) -> State:
    """Return `following`, if `current` leads there.

    Raises:
        IllegalTransitionError: it does not.
    """
    if following not in TRANSITIONS[current]:
        raise IllegalTransitionError(f"{current} does not lead to {following}")
    return following


@dataclass(frozen=True, slots=True, kw_only=True)
class Next:
    """What follows from an attempt. `delay` in seconds is None where no attempt follows.

    `held`: the attempt met an outage, and did not count. It waits for the target; but for these
    seconds at least, because the target asked for them.
    """

    state: State
    delay: float | None = None
    code: Code | None = None
    detail: str | None = None
    version: str | None = None
    conflicting: tuple[str, ...] = ()
    before: Images | None = None
    after: Images | None = None
    overwrote: Images = field(default_factory=dict)
    held: float | None = None

    @property
    def closes(self) -> bool:
        """Tell whether the record's next ordinal may start."""
        return self.state in CLOSING


@dataclass(frozen=True, slots=True, kw_only=True)
class Retries:
    """When to try again: seconds after the 1st, 2nd, … failed attempt; then a person looks.

    `settle` is how long a request of unknown outcome may still land (SQL: 0, because locking the
    record waits for the earlier transaction).
    """

    schedule: Sequence[float]
    settle: float = 0.0

    def delay(self, attempts: int, jitter: float) -> float | None:
        """Return seconds to wait after the `attempts`-th failure, None when they are spent.

        `jitter` in [-1, 1] spreads it by up to 10 % either way, so that what failed together does
        not come back together.
        """
        if attempts > len(self.schedule):
            return None
        return self.schedule[attempts - 1] * (1 + SPREAD * jitter)

    def outage(self, attempts: int, jitter: float) -> float:
        """Return seconds after which it is tried again should nobody say that the target is back.

        `attempts`: the failures that count, and this one. An outage spends none, so there is one.
        """
        return self.schedule[min(attempts, len(self.schedule)) - 1] * (1 + SPREAD * jitter)


SPREAD: Final = 0.1


def after_attempt(
    state: State,
    outcome: Outcome,
    *,
    attempts: int,
    retries: Retries,
    jitter: float,
    fields: Images,
    excused: int = 0,
    suspect: bool = False,
) -> Next:
    """Decide what follows when attempt number `attempts` (from 1) ended in `outcome`.

    `fields` is what was to be written: the after-image, where a probe found it done. `excused`: how
    many of the attempts before met an outage. `suspect`: it alone met one again, after others had
    been written; then it may be about this record, whatever the target says.
    """
    match outcome:
        case Applied():
            return _written(state, outcome, outcome.after)
        case AlreadyApplied():
            return _written(state, outcome, fields if outcome.after is None else outcome.after)
        case Conflict():
            return Next(
                state=move(state, State.CONFLICT),
                code=Code.CHANGED_SINCE_SEEN,
                detail="the record was changed after the reviewer saw it; nothing was written",
                version=outcome.version,
                conflicting=outcome.fields,
            )
        case Refused():
            return Next(state=move(state, State.REFUSED), code=outcome.code, detail=outcome.detail)
        case Unavailable():
            if outcome.whole_target and not suspect:
                return _held(state, outcome, retries.outage(attempts - excused, jitter))
            delay = retries.delay(attempts - excused, jitter)
            return _later(state, outcome, delay=delay, attempts=attempts)
        case Unknown():
            attempts -= excused
            return _probe_later(state, outcome, attempts=attempts, retries=retries, jitter=jitter)
        case _:
            assert_never(outcome)


def _written(state: State, outcome: Applied | AlreadyApplied, after: Images) -> Next:
    if outcome.differs:
        # The effect is there, once, and its key says so; but it is not what was approved (a
        # trigger, say). "Written" would be a lie and trying again cannot help: a person looks.
        code, detail = Code.READ_BACK_DIFFERS, "written once, but the target holds other values"
    elif outcome.overwrote:
        # As approved, but over an edit that nobody had seen. To write that back by ourselves would
        # overwrite once more: a person looks at both.
        code, detail = Code.OVERWROTE_EDIT, _OVERWROTE
    else:
        code, detail = None, None
    return Next(
        state=move(state, State.APPLIED if code is None else State.STUCK),
        code=code,
        detail=detail,
        version=outcome.version,
        conflicting=tuple(dict.fromkeys((*outcome.differs, *outcome.overwrote))),
        before=outcome.before,
        after=after,
        overwrote=outcome.overwrote,
    )


_OVERWROTE: Final = (
    "written once and as approved, but over an edit that somebody made after the record was read; "
    "what they had written is kept, for a person to bring back"
)


def _held(state: State, outcome: Unavailable, delay: float) -> Next:
    """Wait for the target. Its own Retry-After holds all the same."""
    asked = outcome.retry_after or 0.0
    return Next(
        state=move(state, State.UNKNOWN if state is State.UNKNOWN else State.RETRYING),
        delay=max(delay, asked),
        code=outcome.code,
        detail=outcome.detail,
        held=asked,
    )


def _later(state: State, outcome: Unavailable, *, delay: float | None, attempts: int) -> Next:
    unknown = state is State.UNKNOWN  # this attempt did not find out either
    if delay is None:
        return Next(
            state=move(state, State.STUCK),
            code=Code.OUTCOME_UNKNOWN if unknown else Code.RETRIES_SPENT,
            detail=f"{attempts} attempts; the last: {outcome.code}: {outcome.detail}",
        )
    return Next(
        state=move(state, State.UNKNOWN if unknown else State.RETRYING),
        delay=max(delay, outcome.retry_after or 0.0),
        code=outcome.code,
        detail=outcome.detail,
    )


def _probe_later(
    state: State, outcome: Unknown, *, attempts: int, retries: Retries, jitter: float
) -> Next:
    scheduled = retries.delay(attempts, jitter)
    if scheduled is None:
        return Next(
            state=move(state, State.STUCK), code=Code.OUTCOME_UNKNOWN, detail=outcome.detail
        )
    # The first probe follows as soon as nothing can land any more; later ones by the schedule.
    delay = max(scheduled, retries.settle) if state is State.UNKNOWN else retries.settle
    return Next(
        state=move(state, State.UNKNOWN), delay=delay, code=outcome.code, detail=outcome.detail
    )
