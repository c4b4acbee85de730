"""What operators did, in the ledger: a paused target, and what a person decided of a stuck step.

Owns the statements of controls. Each is taken in once, whatever is delivered again.
"""

import orjson

from contract.controls import Resolution
from contract.events import Control
from contract.statement import from_text
from conveyor import inbox
from dispatcher.controls import Operated, Pause, Resume, Unstick
from dispatcher.ledger import Ledger, Transaction
from dispatcher.ledger_rows import Move
from dispatcher.plan import write_back
from dispatcher.writeback import Code, Next, State, move

INBOX = "dispatch.control"
_WRITTEN = frozenset({Code.READ_BACK_DIFFERS, Code.OVERWROTE_EDIT})
_MAY_HAVE_HAPPENED = _WRITTEN | {Code.OUTCOME_UNKNOWN}


def is_paused(ledger: Ledger) -> bool:
    """Tell whether an operator paused the instance."""
    with ledger.transaction() as transaction:
        return ledger.run(transaction, "paused").fetchone() is not None


def counts(ledger: Ledger) -> dict[str, int]:
    """Return how many write-backs are in each state that is not closed."""
    with ledger.transaction() as transaction:
        return {row[0]: row[1] for row in ledger.run(transaction, "counts").fetchall()}


def operate(
    ledger: Ledger, transaction: Transaction, control: Control, what: Operated
) -> tuple[inbox.Verdict, bool]:
    """Carry out a control, once. Returns what it was, and whether anything changed."""
    with transaction.cursor() as cursor:
        [verdict] = inbox.accept(cursor, INBOX, [(control.event_id, control.content_digest)])
    if verdict is not inbox.Verdict.NEW:
        return verdict, False
    match what:
        case Pause():
            ledger.run(
                transaction,
                "pause",
                actor_id=control.actor_id,
                reason=control.reason,
                at=control.timestamp,
            )
            return verdict, True
        case Resume():
            ledger.run(transaction, "resume")
            return verdict, True
        case Unstick():
            return verdict, _unstick(ledger, transaction, what)


def _unstick(ledger: Ledger, transaction: Transaction, what: Unstick) -> bool:
    """Return False where the step is not stuck (any more): then nothing changes."""
    row = ledger.run(transaction, "stuck_step", id=what.write_back_id).fetchone()
    if row is None:
        return False
    write_back_id, identifier, ordinal, step, transition, code, statement = row
    if code == Code.ORDER_GAP:
        place = {"identifier": identifier, "ordinal": ordinal}
        ledger.run(transaction, "lock_records", rows=orjson.dumps([place]).decode())
        if ledger.run(transaction, "skip_gap", **place).fetchone() is None:
            return False  # an earlier one has come, and is not closed yet: it will go on by itself
        if what.resolution is Resolution.RESEND:
            ledger.settle(transaction, [identifier])  # which makes it WAITING
            return True
    following = _following(what, code)
    if following.state is State.APPLIED and code not in _WRITTEN:
        after = write_back(from_text(statement), step).fields
        following = Next(
            state=following.state, code=following.code, detail=following.detail, after=after
        )
    moved = Move(
        write_back_id=write_back_id,
        identifier=identifier,
        transition=transition + 1,
        attempts=0,
        next=following,
    )
    ledger.record(transaction, [moved])
    return True


def _following(what: Unstick, code: str | None) -> Next:
    match what.resolution:
        case Resolution.ADOPT:
            adopted = move(State.STUCK, State.APPLIED)
            return Next(state=adopted, code=Code.ADOPTED, detail=what.reason)
        case Resolution.GIVE_UP:
            given_up = move(State.STUCK, State.ABANDONED)
            return Next(state=given_up, code=Code.GIVEN_UP, detail=what.reason)
        case Resolution.RESEND:
            # Where it may have happened, the target is asked before anything is sent.
            doubt = code in _MAY_HAVE_HAPPENED
            return Next(
                state=move(State.STUCK, State.UNKNOWN if doubt else State.WAITING), delay=0.0
            )
