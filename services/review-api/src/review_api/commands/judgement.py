"""May this be decided, and what does it become? All of it on values: no database, no clock.

Owns the checks of a decision in their order, and the answer's body. What was read in one round trip
comes in (`Context`), a `Verdict` comes out, or `ProblemError` and nothing has happened.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import orjson

from contract.codec import decode
from contract.events import Action, ReviewItem
from contract.identity import DecisionId, Digester, ItemId, decision_id, write_back_id
from contract.statement import FieldChange, Statement, Step, timestamp_text
from contract.targets import STEPS, TargetConfig
from review_api import claim, proof, review
from review_api.approval import First, which_of_two
from review_api.claim import Claim
from review_api.oversight import wants_evidence
from review_api.policy import Lane, Policy
from review_api.problems import Code, ProblemError
from review_api.proof import Proof
from review_api.proposal import Baseline, ValueRefusedError, changes, edited, seen_digest
from review_api.review import Happening, State
from review_api.store import Actor
from review_api.undoing import check_undo, turned_round


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What somebody asks for. `fields` are edits: raw JSON by field name.

    `from_list`: they decide from a list, where nobody sees what the target holds.
    """

    item_id: UUID
    action: str
    revision: int
    seen_digest: str
    fields: Mapping[str, bytes] = field(default_factory=dict)
    comment: str | None = None
    reason_code: str | None = None
    claim_token: int | None = None
    from_list: bool = False

    def digest(self, digester: Digester) -> bytes:
        """Return what tells this request from another one under the same key.

        The claim is not part of it: sent again after a new claim, it is the same request. What a
        list shows follows from the revision.
        """
        return digester.of_value(
            [
                str(self.item_id),
                self.action,
                self.revision,
                None if self.from_list else self.seen_digest,
                {name: raw.decode(errors="replace") for name, raw in self.fields.items()},
                self.comment,
                self.reason_code,
            ]
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """The item as it was read, at `now` (the database's clock)."""

    now: datetime
    revision: int
    state: State
    lane: Lane
    decisions: int
    version: int
    event: bytes
    baseline: Baseline | None
    claim: Claim
    first: First | None
    policy: Policy
    proof: Proof
    evidence_opened: bool = False
    undoable: Statement | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A decision that has passed every check, not yet signed.

    `waits`: it is the first approval of two. `completes`: it is the second, of that first one.
    `proof`: what its author had to show before, where the lane asks for it.
    """

    item: ReviewItem
    action: Action
    state: State
    lane: Lane
    changes: list[FieldChange]
    decision: DecisionId
    ordinal: int
    at: datetime
    not_before: datetime
    steps: list[Step]
    policy_version: str
    completes: First | None = None
    undoes: str | None = None
    proof: Proof | None = None

    @property
    def edited(self) -> bool:
        """Tell whether what is approved is not what the model proposed."""
        model = self.item.change.fields
        return self.action is Action.APPROVE and any(
            one.value != model.get(one.name) for one in self.changes
        )

    @property
    def waits(self) -> bool:
        """Tell whether another person has to approve before anything is written."""
        return self.state in review.HALF


class Judge:
    """Checks orders against policy, targets, and what was seen."""

    def __init__(
        self,
        *,
        digester: Digester,
        targets: Mapping[str, TargetConfig],
        proof_window: timedelta = proof.WINDOW,
    ) -> None:
        self._digester = digester
        self._proof_window = proof_window
        self._targets = targets

    def judge(self, order: Order, context: Context, actor: Actor) -> Verdict:
        """Return what `order` becomes.

        Raises:
            review.IllegalTransitionError: not in this state; who decided is the caller's to find.
            ProblemError: anything else that is wrong with it.
        """
        action = _action(order.action)
        if order.from_list:
            context = replace(context, baseline=None)
        if action is Action.UNDO:
            return self._undo(order, context, actor)
        review.after(context.state, review.DECISIONS[action])
        if order.revision != context.revision:
            raise ProblemError(
                Code.REVISION_SUPERSEDED,
                f"You decided on revision {order.revision}; the item is at {context.revision}.",
                revision=context.revision,
            )
        claim.check_decision(context.claim, actor.person_id, order.claim_token, context.now)
        _check_reason(action, order, context.policy)
        item = decode(context.event)
        assert isinstance(item, ReviewItem)
        proposed = item.change.fields if context.first is None else context.first.fields
        self._check_sight(order, item, context.baseline, proposed)
        final = _final_fields(action, order, proposed)
        target, risk = item.change.target.instance, item.risk.score
        lane = context.policy.lane_again(context.lane, target, risk, final)
        happening, completes = review.DECISIONS[action], None
        written = changes(final, context.baseline)
        if action is Action.APPROVE:
            self._check_approval(item, context.baseline)
            if lane is Lane.CRITICAL:
                happening, completes = which_of_two(
                    context.first, written, actor.person_id, actor.roles
                )
            _check_evidence(item, lane, context)
        self._check_proof(lane, action, context)
        decision = decision_id(ItemId(item.item_id), context.decisions + 1)
        return Verdict(
            item=item,
            action=action,
            state=review.after(context.state, happening),
            lane=lane,
            changes=written,
            decision=decision,
            ordinal=context.decisions + 1,
            at=context.now,
            not_before=context.now + self._hold(item),
            policy_version=context.policy.version,
            steps=_steps(action, item, decision),
            completes=completes,
            proof=context.proof if lane is Lane.CRITICAL else None,
        )

    def _undo(self, order: Order, context: Context, actor: Actor) -> Verdict:
        """Return the verdict on undoing what was written; checks as of any other decision."""
        review.after(context.state, Happening.UNDO)
        undone = check_undo(actor.roles, context.undoable)
        if order.revision != context.revision:
            raise ProblemError(
                Code.REVISION_SUPERSEDED,
                f"You decided on revision {order.revision}; the item is at {context.revision}.",
                revision=context.revision,
            )
        if order.fields:
            raise ProblemError(Code.FIELDS_NOT_ALLOWED, "UNDO writes the old values alone.")
        item = decode(context.event)
        assert isinstance(item, ReviewItem)
        proposed = item.change.fields if context.first is None else context.first.fields
        self._check_sight(order, item, context.baseline, proposed)
        written, happening, completes = turned_round(undone), Happening.UNDO, None
        if context.lane is Lane.CRITICAL:
            both = Happening.FIRST_UNDO, Happening.UNDO
            happening, completes = which_of_two(
                context.first, written, actor.person_id, actor.roles, both
            )
        self._check_proof(context.lane, Action.UNDO, context)
        decision = decision_id(ItemId(item.item_id), context.decisions + 1)
        return Verdict(
            item=item,
            action=Action.UNDO,
            state=review.after(context.state, happening),
            lane=context.lane,
            changes=written,
            decision=decision,
            ordinal=context.decisions + 1,
            at=context.now,
            not_before=context.now + self._hold(item),
            policy_version=context.policy.version,
            steps=_steps(Action.UNDO, item, decision),
            completes=completes,
            undoes=undone.decision_id,
            proof=context.proof if context.lane is Lane.CRITICAL else None,
        )

    def _check_sight(
        self,
        order: Order,
        item: ReviewItem,
        baseline: Baseline | None,
        proposed: Mapping[str, str],
    ) -> None:
        if seen_digest(item, baseline, self._digester, proposed) != order.seen_digest:
            raise ProblemError(
                Code.SEEN_STALE,
                "The target or the proposal is not what it was when you looked. Nothing was "
                "decided.",
            )

    def _check_approval(self, item: ReviewItem, baseline: Baseline | None) -> None:
        target = item.change.target
        if target.instance not in self._targets:
            raise ProblemError(Code.UNKNOWN_TARGET, f"{target.instance!r} is not configured.")
        if baseline is None:
            raise ProblemError(
                Code.BASELINE_UNKNOWN,
                f"{target.instance} has never been read for this record, so nobody can have seen "
                "what the change replaces. Rejecting and asking are possible.",
                retry_after=5,
            )
        if baseline.missing:
            raise ProblemError(
                Code.RECORD_NOT_FOUND, f"{target.instance} has no record {target.identifier!r}."
            )

    def _check_proof(self, lane: Lane, action: Action, context: Context) -> None:
        """Ask for a proof last: nobody types a password for what is refused anyway."""
        proof.check(lane, action, context.proof, context.now, self._proof_window)

    def _hold(self, item: ReviewItem) -> timedelta:
        known = self._targets.get(item.change.target.instance)
        return timedelta(seconds=known.hold if known is not None else 0)


def _check_evidence(item: ReviewItem, lane: Lane, context: Context) -> None:
    """Refuse to approve what is risky by somebody who has not looked at what it rests on."""
    rules = context.policy.oversight
    if context.evidence_opened or not wants_evidence(rules, item, critical=lane is Lane.CRITICAL):
        return
    passages, links = len(item.retrieval), len(item.evidence)
    raise ProblemError(
        Code.EVIDENCE_NOT_OPENED,
        f"You have not opened its evidence ({passages} passages, {links} links) at this revision.",
        open=f"/api/items/{item.item_id}/evidence",
    )


def _check_reason(action: Action, order: Order, policy: Policy) -> None:
    reasons = list(policy.reasons)
    if action is not Action.APPROVE and not order.reason_code:
        raise ProblemError(Code.REASON_REQUIRED, f"{action} needs a reason_code.", reasons=reasons)
    if order.reason_code and order.reason_code not in reasons:
        raise ProblemError(
            Code.BAD_REASON, f"reason_code is one of {', '.join(reasons)}.", reasons=reasons
        )


def _action(name: str) -> Action:
    try:
        action = Action(name)
    except ValueError:
        raise ProblemError(
            Code.BAD_VALUE, f"action is one of {', '.join(review.DECISIONS)}."
        ) from None
    if action is Action.TAKE_BACK:
        raise ProblemError(
            Code.NOT_SUPPORTED, "Take a decision back at /api/decisions/{decision_id}/take-back."
        )
    return action


def _final_fields(action: Action, order: Order, proposed: Mapping[str, str]) -> Mapping[str, str]:
    if action is not Action.APPROVE:
        if order.fields:
            raise ProblemError(Code.FIELDS_NOT_ALLOWED, f"{action} writes nothing.")
        return proposed
    try:
        return edited(proposed, order.fields)
    except ValueRefusedError as error:
        raise ProblemError(Code(error.code), f"{error}.") from error


def _steps(action: Action, item: ReviewItem, decision: DecisionId) -> list[Step]:
    if action not in {Action.APPROVE, Action.UNDO}:
        return []
    target = item.change.target
    return [
        Step(
            step=step,
            write_back_id=write_back_id(
                decision, target.system, target.instance, target.identifier, step
            ),
        )
        for step in STEPS.get(target.system, ())
    ]


def body_of(verdict: Verdict) -> bytes:
    """Return the answer, as it is stored under its key."""
    target = verdict.item.change.target
    not_before = timestamp_text(verdict.not_before)
    plain: dict[str, Any] = {
        "decision_id": None if verdict.waits else verdict.decision,
        "item_id": verdict.item.item_id,
        "revision": verdict.item.revision,
        "action": verdict.action.value,
        "state": verdict.state.value,
        "decided_at": timestamp_text(verdict.at),
        "not_before": not_before,
    }
    place = {
        "system": target.system,
        "instance": target.instance,
        "identifier": target.identifier,
    }
    plain["write_backs"] = [
        {
            "write_back_id": step.write_back_id,
            "target": place,
            "step": step.step,
            "state": "WAITING",
            "attempts": 0,
            "next_attempt_at": not_before,
        }
        for step in ([] if verdict.waits else verdict.steps)
    ]
    return orjson.dumps(plain)
