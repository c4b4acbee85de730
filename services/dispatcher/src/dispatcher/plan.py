"""From a decision on the topic to what this dispatcher has to do. Pure.

Owns the checks that stand between Kafka and a business system: who signed, whether the copies
beside the statement say what was signed, whether the plan is one this target kind has. Refuses to
know how keys are kept (a `Verify` is passed in) and what a target can hold (the adapter's).

Three kinds of answer: a `Plan` (write, or close an ordinal), a `Problem` (park it: no genuine
decision looks like this), or nothing to do. A genuine decision that cannot be carried out is a Plan
with a refusal, because its ordinal must be closed for the record's next write to start.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from contract.events import Action, ReviewDecision, Target
from contract.identity import DecisionId, record_key, write_back_id
from contract.reasons import Reason
from contract.statement import Statement, StatementError, from_text, timestamp_text
from contract.targets import STEPS
from dispatcher.writeback import Audit, Code, Refused, WriteBack

Verify = Callable[[str, bytes, bytes], bool]
"""(key id, signature, data) -> a pinned key of that id made the signature."""
Digest = Callable[[bytes], bytes]

ALGORITHM: Final = "Ed25519"
_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_MOST_FIELDS: Final = 50
_MOST_ORDINAL: Final = 2**63 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """The record is parked under this reason."""

    reason: Reason
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """One step of one decision, ready for the ledger."""

    write_back_id: str
    step: str
    position: int
    refusal: Refused | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """An APPROVE or UNDO: steps, in order, under the record's `ordinal`."""

    decision_id: str
    item_id: str
    revision: int
    correlation_id: str
    target: Target
    ordinal: int
    not_before: datetime
    digest: bytes
    statement: str
    steps: tuple[Planned, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TakeBack:
    """A TAKE_BACK: `ordinal` of the record closes, and decision `taken` writes nothing."""

    decision_id: str
    taken: str
    target: Target
    ordinal: int
    digest: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Nothing:
    """A REJECT or NEED_INFO, or its TAKE_BACK: true, and without effect on any target."""


def check(
    decision: ReviewDecision, key: bytes | None, *, verify: Verify, digest: Digest
) -> Statement | Problem:
    """Return the statement of `decision`, if a pinned key signed it and every copy agrees with it.

    Signatures come first: nothing in an unsigned record is worth looking at.
    """
    signed = decision.statement.encode("utf-8", errors="surrogatepass")
    if not decision.signatures:
        return _forged("the decision is not signed")
    for one in decision.signatures:
        if one.algorithm != ALGORITHM or not verify(one.key_id, one.signature, signed):
            return _forged(f"no pinned key {one.key_id[:16]!r} signed this statement")
    try:
        statement = from_text(decision.statement)
    except StatementError as error:
        return Problem(reason=Reason.BAD_VALUE, message=f"signed, but unusable: {error}")
    if not all(map(_UUID.fullmatch, _ids(statement))):
        return Problem(reason=Reason.BAD_VALUE, message="an id is no lower-case UUID")
    if "\0" in statement.target.identifier + statement.correlation_id:
        return Problem(reason=Reason.BAD_TEXT, message="U+0000 in an identifier")
    different = _different_copies(decision, statement, key)
    if different:
        return _forged("not as in the statement: " + ", ".join(different))
    if digest(signed) != decision.content_digest:
        return _forged("content_digest is not the statement's")
    return statement


def _forged(message: str) -> Problem:
    return Problem(reason=Reason.BAD_SIGNATURE, message=message)


def _ids(statement: Statement) -> list[str]:
    return [
        statement.decision_id,
        statement.item_id,
        *(step.write_back_id for step in statement.steps),
        *([] if statement.undoes is None else [statement.undoes]),
    ]


def _different_copies(
    decision: ReviewDecision, statement: Statement, key: bytes | None
) -> list[str]:
    target = statement.target
    same = {
        "event_id": decision.event_id == statement.decision_id,
        "decision_id": decision.decision_id == statement.decision_id,
        "item_id": decision.item_id == statement.item_id,
        "revision": decision.revision == statement.revision,
        "correlation_id": decision.correlation_id == statement.correlation_id,
        "action": decision.action == statement.action,
        "target": decision.target == target,
        "timestamp": timestamp_text(decision.timestamp) == statement.at,
        "key": key == record_key(target.system, target.instance, target.identifier),
    }
    return [name for name, agrees in same.items() if not agrees]


def plan(
    decision: ReviewDecision,
    statement: Statement,
    *,
    system: str,
    names: Callable[[str], bool],
) -> Plan | TakeBack | Nothing | Problem:
    """Return what a checked decision asks of this target.

    `names` tells whether an identifier is in canonical form here. The ordinal is not signed: it is
    drawn in the round trip that commits. What a wrong one could do is bounded by the ledger: one
    decision has one ordinal and one ordinal one decision, for ever.
    """
    taken_back = statement.action is Action.TAKE_BACK
    if statement.action in {Action.REJECT, Action.NEED_INFO} or (
        taken_back and decision.target_ordinal == 0  # of a decision without a write
    ):
        return Nothing()
    if not 1 <= decision.target_ordinal <= _MOST_ORDINAL:
        return Problem(
            reason=Reason.BAD_VALUE, message=f"{statement.action} without a target ordinal"
        )
    if taken_back:
        return _take_back(decision, statement)
    refusal = _refusal(statement, system, names)
    return Plan(
        decision_id=statement.decision_id,
        item_id=statement.item_id,
        revision=statement.revision,
        correlation_id=statement.correlation_id,
        target=statement.target,
        ordinal=decision.target_ordinal,
        not_before=decision.not_before,
        digest=decision.content_digest,
        statement=decision.statement,
        steps=_steps(statement, system, refusal),
    )


def _take_back(decision: ReviewDecision, statement: Statement) -> TakeBack | Problem:
    if statement.undoes is None:
        return Problem(
            reason=Reason.BAD_VALUE, message="TAKE_BACK does not say (`undoes`) which decision"
        )
    return TakeBack(
        decision_id=statement.decision_id,
        taken=statement.undoes,
        target=statement.target,
        ordinal=decision.target_ordinal,
        digest=decision.content_digest,
    )


def _key(statement: Statement, step: str) -> str:
    target = statement.target
    return write_back_id(
        DecisionId(statement.decision_id), target.system, target.instance, target.identifier, step
    )


def _steps(statement: Statement, system: str, refusal: Refused | None) -> tuple[Planned, ...]:
    if refusal is not None:
        first, *later = STEPS[system]
        signed = {step.step: step.write_back_id for step in statement.steps}
        names = [first, *(step for step in later if signed.get(step) == _key(statement, step))]
        return tuple(
            Planned(
                write_back_id=_key(statement, step), step=step, position=position, refusal=refusal
            )
            for position, step in enumerate(names)
        )
    return tuple(
        Planned(write_back_id=step.write_back_id, step=step.step, position=position)
        for position, step in enumerate(statement.steps)
    )


def _refusal(statement: Statement, system: str, names: Callable[[str], bool]) -> Refused | None:
    """Say why a genuine decision cannot be carried out here, or None."""
    if statement.target.system != system:
        return Refused(code=Code.NOT_SUPPORTED, detail=f"this target is of system {system!r}")
    if not names(statement.target.identifier):
        return Refused(code=Code.BAD_IDENTIFIER, detail="not the identifier's canonical form")
    changed = [field.name for field in statement.fields]
    if not changed:
        return Refused(code=Code.NO_FIELDS, detail="the decision changes no field")
    if len(changed) > _MOST_FIELDS:
        return Refused(code=Code.TOO_MANY_FIELDS, detail=f"{len(changed)} fields")
    if len(set(changed)) < len(changed):
        return Refused(code=Code.DUPLICATE_FIELD, detail="a field is named twice")
    steps = tuple(step.step for step in statement.steps)
    if not steps or steps != STEPS[system][: len(steps)]:
        return Refused(code=Code.BAD_PLAN, detail=f"steps {steps!r} are not those of {system!r}")
    if any(step.write_back_id != _key(statement, step.step) for step in statement.steps):
        return Refused(code=Code.BAD_PLAN, detail="an idempotency key is not the step's own")
    return None


def write_back(statement: Statement, step: str) -> WriteBack:
    """Return the write-back of one `step` of a checked statement."""
    return WriteBack(
        write_back_id=next(one.write_back_id for one in statement.steps if one.step == step),
        target=statement.target,
        step=step,
        fields={field.name: field.value for field in statement.fields},
        seen={field.name: field.seen for field in statement.fields},
        comment=statement.comment,
        note=statement.note or None,
        audit=Audit(
            decision_id=statement.decision_id,
            correlation_id=statement.correlation_id,
            reviewers=tuple(approver.name for approver in statement.approvers),
            timestamp=statement.at,
            citations=tuple(statement.citations or ()),
        ),
    )
