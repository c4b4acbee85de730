"""Take a decision back, within its hold, by its author.

The held event is replaced by a TAKE_BACK that closes the same ordinal of the target record, so the
decisions behind it are not kept waiting. Taking back twice answers the same, and does it once.
"""

from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

import psycopg

from contract.events import Action
from contract.identity import DecisionId, Digester, ItemId, decision_id
from contract.statement import Statement, from_text, timestamp_text
from conveyor.keys import Signer
from review_api import review
from review_api.commands.decide import Admit
from review_api.commands.statements import Signed, approver_of, deciding_role, sign
from review_api.hint import Hint
from review_api.outcome_event import Outcome
from review_api.problems import Code, ProblemError
from review_api.review import Happening, State
from review_api.store import Actor, Store, actor_of

_TRIES: Final = 3
_HOLD_OVER: Final = "PL001"


class TakeBack:
    """The use case, with what it needs."""

    def __init__(self, *, store: Store, hint: Hint, signer: Signer, digester: Digester) -> None:
        self._store = store
        self._hint = hint
        self._signer = signer
        self._digester = digester

    async def __call__(self, session: bytes, admit: Admit, taken: UUID) -> DecisionId:
        """Take `taken` back and return the id of the decision that does so.

        Raises:
            ProblemError: refused; the decision stands.
        """
        for _ in range(_TRIES):
            row = await self._store.one("take_back_context", {"token": session, "decision": taken})
            actor = admit(None if row is None else actor_of(row))
            assert row is not None  # admit refuses nobody
            _check(row, actor, taken)
            if row["taken_back_by"] is not None:
                return DecisionId(str(row["taken_back_by"]))
            decision = await self._commit(row, actor)
            if decision is not None:
                self._hint()
                return decision
        raise ProblemError(Code.UNAVAILABLE, "The item kept changing.", retry_after=1)

    async def _commit(self, row: Mapping[str, Any], actor: Actor) -> DecisionId | None:
        before = from_text(row["statement"])
        decision = decision_id(ItemId(str(row["item_id"])), row["decisions"] + 1)
        signed = self._sign(row, actor, before, decision)
        state = review.after(State(row["state"]), Happening.TAKE_BACK)
        values = _values(row, actor, before, decision, signed) | {"state": state.value}
        try:
            done = await self._store.one("take_back", values)
        except psycopg.errors.UniqueViolation:
            return None  # another decision has this ordinal: look again
        except psycopg.DatabaseError as error:
            if error.sqlstate == _HOLD_OVER:
                raise _too_late() from error
            raise
        return decision if done is not None and done["take_back"] else None

    def _sign(
        self, row: Mapping[str, Any], actor: Actor, before: Statement, decision: DecisionId
    ) -> Signed:
        statement = Statement(
            decision_id=decision,
            item_id=before.item_id,
            revision=before.revision,
            correlation_id=before.correlation_id,
            action=Action.TAKE_BACK,
            target=before.target,
            fields=[],
            comment=None,
            reason_code=None,
            seen_digest=before.seen_digest,
            approvers=[approver_of(actor, row["now"])],
            policy_version=before.policy_version,
            steps=[],
            at=timestamp_text(row["now"]),
            undoes=before.decision_id,
        )
        return sign(
            statement,
            at=row["now"],
            not_before=row["now"],
            causes=[before.decision_id],
            signer=self._signer,
            digester=self._digester,
            target_ordinal=row["target_ordinal"],
        )


def _check(row: Mapping[str, Any], actor: Actor, taken: UUID) -> None:
    if row["decision_id"] is None:
        raise ProblemError(Code.NOT_FOUND, f"There is no decision {taken}.")
    if row["author"] != actor.person_id:
        raise ProblemError(Code.NOT_YOURS, "Somebody else took this decision. It stands.")
    if row["taken_back_by"] is not None:
        return
    legal = (State(row["state"]), Happening.TAKE_BACK) in review.TABLE
    if not legal or row["open_decision"] != row["decision_id"] or row["not_before"] <= row["now"]:
        raise _too_late()


def _too_late() -> ProblemError:
    return ProblemError(Code.HOLD_OVER, "The hold is over. The decision stands.")


def _values(
    row: Mapping[str, Any],
    actor: Actor,
    before: Statement,
    decision: DecisionId,
    signed: Signed,
) -> dict[str, Any]:
    return {
        "item": row["item_id"],
        "version": row["version"],
        "taken": row["decision_id"],
        "outcome_id": _outcome_id(row, before),
        "decision": UUID(decision),
        "ordinal": row["decisions"] + 1,
        "revision": row["revision"],
        "person": actor.person_id,
        "actor": actor.account_id,
        "name": actor.name,
        "role": deciding_role(actor).value,
        "at": row["now"],
        "target_ordinal": row["target_ordinal"],
        "statement": signed.text,
        "key_id": signed.key_id,
        "signature": signed.signature,
        "record_key": signed.record_key,
        "payload": signed.payload,
        "headers": signed.headers,
    }


def _outcome_id(row: Mapping[str, Any], before: Statement) -> str:
    """Return the id of what the pipeline would have been told; deleting nothing is harmless."""
    return Outcome(
        item_id=before.item_id,
        source="",
        external_id="",
        revision=before.revision,
        correlation_id="",
        state=State(row["state"]),
        decision_id=before.decision_id,
        reason_code=None,
        at=row["now"],
        cause=before.decision_id,
    ).event_id
