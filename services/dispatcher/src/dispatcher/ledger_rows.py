"""What comes in and what moves, as rows of the ledger, and what the ledger's answer means. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Final

from dispatcher.plan import Plan
from dispatcher.writeback import Code, Next, State, move


class Verdict(Enum):
    """What the ledger says about a decision that comes in."""

    NEW = auto()
    DUPLICATE = auto()  # the same decision under the same ordinal, seen before
    REUSED = auto()  # its key or its ordinal belongs to something else


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """One change of state to be recorded."""

    write_back_id: str
    identifier: str
    transition: int
    attempts: int
    next: Next


def rows_of(plans: Sequence[Plan]) -> dict[str, dict[str, Any]]:
    """Return a row for each step, by key. Of two with one key the first stands for both."""
    rows: dict[str, dict[str, Any]] = {}
    for plan in plans:
        for step in plan.steps:
            refusal = step.refusal
            rows.setdefault(
                step.write_back_id,
                {
                    "write_back_id": step.write_back_id,
                    "identifier": plan.target.identifier,
                    "ordinal": plan.ordinal,
                    "step": step.step,
                    "position": step.position,
                    "decision_id": plan.decision_id,
                    "item_id": plan.item_id,
                    "revision": plan.revision,
                    "correlation_id": plan.correlation_id,
                    "digest": plan.digest.hex(),
                    "not_before": plan.not_before,
                    "reason_code": None if refusal is None else refusal.code,
                    "reason": None if refusal is None else refusal.detail,
                    "statement": plan.statement,
                },
            )
    return rows


def verdicts(
    plans: Sequence[Plan], inserted: set[str], known: Mapping[str, tuple[Any, ...]]
) -> list[Verdict]:
    fresh = set(inserted)
    return [_verdict(plan, fresh, known) for plan in plans]


def _verdict(plan: Plan, fresh: set[str], known: Mapping[str, tuple[Any, ...]]) -> Verdict:
    keys = {step.write_back_id for step in plan.steps}
    same = (plan.digest, plan.ordinal, plan.decision_id)
    if any(known.get(key) != same for key in keys):
        return Verdict.REUSED
    if keys <= fresh:
        fresh -= keys
        return Verdict.NEW
    return Verdict.DUPLICATE


def cancellations(
    steps: Sequence[tuple[Any, ...]], identifier: str
) -> tuple[list[Move], list[str]]:
    """Return the moves that take steps back, and the steps for which it is too late."""
    moves, late = [], []
    for write_back_id, _, state, transition, attempts, reason_code in steps:
        unsent = state in {State.WAITING, State.RETRYING} or (
            state == State.STUCK and reason_code == Code.ORDER_GAP
        )
        if not unsent:
            late.append(write_back_id)
            continue
        cancelled = Next(state=move(State(state), State.CANCELLED), code=Code.TAKEN_BACK)
        moves.append(
            Move(
                write_back_id=write_back_id,
                identifier=identifier,
                transition=transition + 1,
                attempts=attempts,
                next=cancelled,
            )
        )
    return moves, late


FAILED: Final = frozenset({State.CONFLICT, State.REFUSED, State.ABANDONED})
"""States of a step after which the later steps of its decision make no sense."""


def never_begun(steps: Sequence[tuple[Any, ...]]) -> list[Move]:
    """Return the moves that cancel steps whose earlier step failed."""
    return [
        Move(
            write_back_id=write_back_id,
            identifier=identifier,
            transition=transition + 1,
            attempts=attempts,
            next=Next(
                state=move(State.WAITING, State.CANCELLED),
                code=Code.EARLIER_STEP,
                detail="the step before it was not done",
            ),
        )
        for write_back_id, identifier, transition, attempts in steps
    ]


def state_of(one: Move) -> dict[str, Any]:
    return {
        "write_back_id": one.write_back_id,
        "state": one.next.state,
        "transition": one.transition,
        "attempts": one.attempts,
        "delay": one.next.delay,
        "held": one.next.held,
        "reason_code": one.next.code,
        "reason": one.next.detail,
        "target_version": one.next.version,
        "closes": one.next.closes,
    }
