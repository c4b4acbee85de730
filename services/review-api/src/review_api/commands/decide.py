"""Decide: one person, one item, one transaction.

Two round trips. The first reads all that the decision rests on (who, what, what was seen, an answer
already given under this key). Then everything is checked on values (`judgement`), and the statement
is signed. The second is one statement that does all or nothing. Between the two the item may move:
the statement then leaves it alone, and the whole is done again from the first round trip, which
finds out what happened. A lost answer is found out the same way. People who decide at the same time
share both round trips (`together`).
"""

from base64 import b64encode
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from typing import Any, Final
from uuid import UUID

import psycopg
from msgspec import UNSET

from contract.events import Action
from contract.identity import Digester
from contract.statement import Statement, from_text, timestamp_text
from conveyor.keys import Signer
from review_api import review
from review_api.citation import citations
from review_api.commands.approvals import first_approval, first_of
from review_api.commands.claims import claim_of
from review_api.commands.control_items import answer_of
from review_api.commands.judgement import Context, Judge, Order, Verdict, body_of
from review_api.commands.reentry import proof_of
from review_api.commands.statements import Signed, approver_of, deciding_role, sign
from review_api.hint import Hint
from review_api.outcome_event import Outcome
from review_api.policies import Policies
from review_api.policy import Lane, Policy
from review_api.problems import Code, ProblemError
from review_api.review import State
from review_api.store import Actor, Row, Store, actor_of, baseline_of
from review_api.together import Together

_TRIES: Final = 4
_MOST: Final = 64
_AT_ONCE: Final = 4
_PATIENCE: Final = 0.05
_SHORT: Final = timedelta(seconds=1)

Asked = Mapping[str, Any]
Admit = Callable[[Actor | None], Actor]
"""The choke point: returns the actor, or raises ProblemError where they may not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The JSON body of a 2xx answer, as it is stored. `replayed`: it was given before."""

    status: int
    body: bytes
    replayed: bool = False


class Decide:
    """The use case, with what it needs."""

    def __init__(
        self,
        *,
        store: Store,
        hint: Hint,
        signer: Signer,
        digester: Digester,
        judge: Judge,
        policies: Policies,
    ) -> None:
        self._store = store
        self._hint = hint
        self._signer = signer
        self._digester = digester
        self._judge = judge
        self._policies = policies
        self._running: set[tuple[UUID, str]] = set()
        self._read = _together(store, "decision_contexts", "asked")
        self._write = _together(store, "decide", "orders")

    async def __call__(self, session: bytes, admit: Admit, key: str, order: Order) -> Answer:
        """Carry `order` out. On return it is durable, or was already.

        Raises:
            ProblemError: refused; nothing changed.
        """
        digest = order.digest(self._digester)
        asked = {"token": session.hex(), "item": str(order.item_id), "key": key}
        for _ in range(_TRIES):
            row = await self._read(asked)
            actor = admit(None if row is None else actor_of(row))
            assert row is not None  # admit refuses nobody
            if row["body"] is not None:
                return _stored(row, digest)
            verdict = await self._judged(order, row, actor)
            body = body_of(verdict)
            known = await self._control_item(order, actor, verdict, row)
            if known is None and verdict.waits:
                first = self._first(order, actor, verdict, row["version"])
                first |= {"request_key": key, "request_digest": digest, "body": body}
                first["policy"] = row["policy"]
                writing = self._store.one("first_approve", first)
            elif known is not None:  # no decision: nothing below hears of it
                body = known["body"]
                known |= {"request_key": key, "request_digest": digest}
                writing = self._store.one("answer_control_item", known)
            else:
                values = self._values(order, actor, verdict, row["version"])
                values |= {"key": key, "request_digest": _base64(digest), "body": body.decode()}
                values["policy"] = row["policy"]
                writing = self._write(values)
            if await self._written((actor.person_id, key), writing):
                if verdict.not_before - verdict.at < _SHORT:
                    self._hint()
                return Answer(status=201, body=body)
        raise ProblemError(
            Code.UNAVAILABLE, "The item kept changing, or the database went away.", retry_after=1
        )

    async def _judged(self, order: Order, row: Row, actor: Actor) -> Verdict:
        if row["state"] is None:
            raise ProblemError(Code.NOT_FOUND, f"There is no item {order.item_id}.")
        context = _context(row, await self._policies.at(row["policy"]))
        if order.action == Action.UNDO:
            undone = await self._store.one("undoable", {"item": order.item_id})
            if undone is not None:
                context = replace(context, undoable=from_text(undone["statement"]))
        try:
            return await self._looked(order, context, actor)
        except review.IllegalTransitionError as error:
            raise await self._lost(order.item_id, error) from error

    async def _looked(self, order: Order, context: Context, actor: Actor) -> Verdict:
        """Judge; whether the evidence was opened is read for the few who need to have done it."""
        try:
            return self._judge.judge(order, context, actor)
        except ProblemError as problem:
            asked = {"item": order.item_id, "revision": order.revision, "person": actor.person_id}
            if problem.code is not Code.EVIDENCE_NOT_OPENED:
                raise
            if await self._store.one("evidence_opened", asked) is None:
                raise
        return self._judge.judge(order, replace(context, evidence_opened=True), actor)

    async def _control_item(
        self, order: Order, actor: Actor, verdict: Verdict, row: Row
    ) -> dict[str, Any] | None:
        """Return the columns of an answer whose right one is known; None: it is not."""
        if not row["control_item"]:
            return None
        known = await self._store.one("control_item_answer", {"item": order.item_id})
        assert known is not None  # it was let in from there
        return answer_of(
            order,
            actor,
            verdict,
            row=row,
            expected=known["expected"],
            digester=self._digester,
        )

    async def _lost(self, item_id: UUID, error: review.IllegalTransitionError) -> ProblemError:
        """Return what to tell somebody who came second: who won, with what, when."""
        won = await self._store.one("latest_decision", {"item": item_id})
        if won is None:
            return ProblemError(Code.NOT_POSSIBLE, f"{error}.", state=error.state.value)
        return ProblemError(
            Code.ALREADY_DECIDED,
            f"{won['name']} has decided: {won['action']}. Yours was not counted.",
            by=won["name"],
            action=won["action"],
            at=timestamp_text(won["decided_at"]),
            decision_id=str(won["decision_id"]),
            state=error.state.value,
        )

    async def _written(
        self, running: tuple[UUID, str], writing: Coroutine[Any, Any, Row | None]
    ) -> bool:
        """Commit. False: something moved in between, or the answer was lost; look again."""
        if running in self._running:
            writing.close()
            raise ProblemError(Code.KEY_IN_USE, "Nothing is decided twice.", retry_after=1)
        self._running.add(running)
        try:
            return await writing is not None
        except psycopg.errors.UniqueViolation:
            return False  # the same key or ordinal, a moment earlier
        except ProblemError as error:
            if error.code is Code.UNAVAILABLE:
                return False  # committed or not: the first round trip finds out
            raise
        finally:
            self._running.discard(running)

    def _first(self, order: Order, actor: Actor, verdict: Verdict, version: int) -> dict[str, Any]:
        return first_approval(
            self._statement(order, actor, verdict),
            order,
            actor,
            verdict,
            version=version,
            signer=self._signer,
            digester=self._digester,
        )

    def _statement(self, order: Order, actor: Actor, verdict: Verdict) -> Statement:
        item, first = verdict.item, verdict.completes
        before = [] if first is None else from_text(first.text).approvers
        approves = verdict.action is Action.APPROVE
        return Statement(
            decision_id=verdict.decision,
            item_id=item.item_id,
            revision=item.revision,
            correlation_id=item.correlation_id,
            action=verdict.action,
            target=item.change.target,
            fields=verdict.changes,
            comment=order.comment,
            reason_code=order.reason_code,
            seen_digest=order.seen_digest,
            approvers=[*before, approver_of(actor, verdict.at, verdict.proof)],
            policy_version=verdict.policy_version,
            steps=verdict.steps,
            at=timestamp_text(verdict.at),
            undoes=verdict.undoes,
            note=(approves and item.change.comment) or UNSET,
            citations=(citations(item) if approves else []) or UNSET,
        )

    def _signed(self, order: Order, actor: Actor, verdict: Verdict) -> Signed:
        first = verdict.completes
        causes = [verdict.item.event_id]
        return sign(
            self._statement(order, actor, verdict),
            at=verdict.at,
            not_before=verdict.not_before,
            causes=causes if first is None else [*causes, str(first.approval_id)],
            signer=self._signer,
            digester=self._digester,
        )

    def _values(self, order: Order, actor: Actor, verdict: Verdict, version: int) -> dict[str, Any]:
        """Return the columns of query `decide`, as JSON takes them: bytes in base64."""
        signed = self._signed(order, actor, verdict)
        return {
            "item": verdict.item.item_id,
            "version": version,
            "state": verdict.state,
            "lane": verdict.lane,
            "policy_version": verdict.policy_version,
            "decision": verdict.decision,
            "ordinal": verdict.ordinal,
            "revision": order.revision,
            "action": verdict.action,
            "person": actor.person_id,
            "actor": actor.account_id,
            "name": actor.name,
            "role": deciding_role(actor),
            "reason_code": order.reason_code,
            "at": verdict.at,
            "not_before": verdict.not_before,
            "statement": signed.text,
            "key_id": signed.key_id,
            "signature": _base64(signed.signature),
            "record_key": _base64(signed.record_key),
            "draws": bool(verdict.steps),
            # The ordinal, one byte while it is 0, is appended where it is drawn.
            "payload": _base64(signed.payload[:-1]),
            "headers": signed.headers.decode(),
            "steps": [
                {"write_back_id": step.write_back_id, "step": step.step} for step in verdict.steps
            ],
            "outcome": _outcome(order, verdict),
            "claim": order.claim_token,
            "edited": verdict.edited,
            "first": None if verdict.completes is None else verdict.completes.approval_id,
        }


def _together(store: Store, query: str, column: str) -> Together[Asked, Row | None]:
    ask = partial(store.many, query, column)
    return Together(
        ask,
        at_once=_AT_ONCE,
        patience=_PATIENCE,
        most=_MOST,
        alone_after=psycopg.DatabaseError,
    )


def _base64(data: bytes) -> str:
    return b64encode(data).decode()


def _stored(row: Row, digest: bytes) -> Answer:
    if bytes(row["request_digest"]) != digest:
        raise ProblemError(
            Code.KEY_REUSED, "This key belongs to another request of yours. Nothing was decided."
        )
    return Answer(status=row["status"], body=bytes(row["body"]), replayed=True)


def _context(row: Row, policy: Policy) -> Context:
    return Context(
        now=row["now"],
        revision=row["revision"],
        state=State(row["state"]),
        lane=Lane(row["lane"]),
        decisions=row["decisions"],
        version=row["version"],
        event=row["event"],
        baseline=baseline_of(row),
        claim=claim_of(row),
        first=first_of(row),
        policy=policy,
        proof=proof_of(row),
    )


def _outcome(order: Order, verdict: Verdict) -> dict[str, str] | None:
    if verdict.state not in review.TOLD:
        return None
    item = verdict.item
    row = Outcome(
        item_id=item.item_id,
        source=item.source,
        external_id=item.external_id,
        revision=item.revision,
        correlation_id=item.correlation_id,
        state=verdict.state,
        decision_id=verdict.decision,
        reason_code=order.reason_code,
        at=verdict.at,
        cause=verdict.decision,
    ).row()
    return {
        "id": row.id,
        "key": row.key.decode(),
        "payload": row.payload.decode(),
        "headers": row.headers.decode(),
    }
