"""Decisions as review-api makes them: a signed statement, and the event around it."""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from contract.codec import encode
from contract.events import Action, ReviewDecision, Signature, Target
from contract.identity import DecisionId, Digester, record_key, write_back_id
from contract.statement import (
    Approver,
    FieldChange,
    Statement,
    Step,
    timestamp_text,
    to_text,
)
from conveyor.keys import Signer, Verifier
from conveyor.record import Record

INSTANCE = "support-faq"
DIGESTER = Digester(b"k" * 32)
AT = datetime(2026, 11, 24, 10, 0, 0, 123456, tzinfo=UTC)


class Desk:
    """Signs decisions with one key."""

    def __init__(self, instance: str = INSTANCE, system: str = "sql") -> None:
        self.signer = Signer(Ed25519PrivateKey.generate())
        self.instance = instance
        self.system = system
        self._offset = 0

    @property
    def verifier(self) -> Verifier:
        return Verifier({self.signer.key_id: self.signer.public_bytes})

    def statement(
        self,
        identifier: str,
        changes: dict[str, tuple[str, str | None]],
        *,
        action: Action = Action.APPROVE,
        decision_id: str | None = None,
        undoes: str | None = None,
        steps: list[Step] | None = None,
        at: datetime = AT,
    ) -> Statement:
        """`changes`: name -> (JSON text to write, JSON text seen)."""
        decision = decision_id or str(uuid.uuid4())
        key = write_back_id(DecisionId(decision), self.system, self.instance, identifier, "fields")
        writes = action in {Action.APPROVE, Action.UNDO}
        return Statement(
            decision_id=decision,
            item_id=str(uuid.uuid5(uuid.NAMESPACE_URL, identifier)),
            revision=1,
            correlation_id="request-1",
            action=action,
            target=Target(system=self.system, instance=self.instance, identifier=identifier),
            fields=[
                FieldChange(name=name, value=value, seen=seen)
                for name, (value, seen) in sorted(changes.items())
            ],
            comment=None,
            reason_code=None,
            seen_digest="00" * 32,
            approvers=[
                Approver(
                    person_id="p1",
                    actor_id="a1",
                    name="Rita",
                    role="reviewer",
                    at=timestamp_text(at),
                )
            ],
            policy_version="1",
            steps=steps if steps is not None else [Step(step="fields", write_back_id=key)] * writes,
            at=timestamp_text(at),
            undoes=undoes,
        )

    def decision(
        self, statement: Statement, ordinal: int, *, hold: float = 0.0, **changes: Any
    ) -> ReviewDecision:
        """The event of a statement, signed; `changes` are made after signing."""
        text = to_text(statement)
        at = datetime.fromisoformat(statement.at)
        event = ReviewDecision(
            event_id=statement.decision_id,
            correlation_id=statement.correlation_id,
            causation_ids=[],
            timestamp=at,
            item_id=statement.item_id,
            revision=statement.revision,
            decision_id=statement.decision_id,
            action=statement.action,
            target=statement.target,
            statement=text,
            signatures=[
                Signature(key_id=self.signer.key_id, signature=self.signer.sign(text.encode()))
            ],
            content_digest=DIGESTER.of_bytes(text.encode()),
            not_before=datetime.now(UTC) + timedelta(seconds=hold) if hold else at,
            target_ordinal=ordinal,
        )
        return msgspec.structs.replace(event, **changes)

    def approve(
        self, identifier: str, value: str, seen: str, ordinal: int = 1, **more: Any
    ) -> ReviewDecision:
        """Approve changing `answer` from JSON text `seen` to JSON text `value`."""
        return self.decision(self.statement(identifier, {"answer": (value, seen)}), ordinal, **more)

    def record(self, event: ReviewDecision | bytes, key: bytes | None = None) -> Record:
        """The event as read from Kafka."""
        self._offset += 1
        if isinstance(event, ReviewDecision):
            target = event.target
            key = key or record_key(target.system, target.instance, target.identifier)
        return Record(
            topic="placet.decisions",
            partition=0,
            offset=self._offset,
            timestamp=AT,
            key=key,
            value=event if isinstance(event, bytes) else encode(event),
        )
