"""How a decision becomes a signed statement and the event that carries it.

Owns what is signed and by which key. Writes nothing.
"""

from dataclasses import dataclass
from datetime import datetime

from msgspec import UNSET

from contract.events import Action, ReviewDecision, Signature
from contract.identity import Digester, record_key
from contract.statement import Approver, Statement, timestamp_text, to_text
from contract.topics import DECISIONS
from conveyor.keys import Signer
from conveyor.outbox import row_of
from review_api.proof import Proof
from review_api.roles import Permission, Role, acting_role
from review_api.store import Actor

SOURCE = "review-api"


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """A statement with its signature, and the bytes of its event."""

    text: str
    key_id: str
    signature: bytes
    record_key: bytes
    payload: bytes
    headers: bytes


def approver_of(actor: Actor, at: datetime, proof: Proof | None = None) -> Approver:
    """Return `actor` as a statement names people, with the `proof` that the lane asked for."""
    proved = None if proof is None or proof.at is None else timestamp_text(proof.at)
    return Approver(
        person_id=str(actor.person_id),
        actor_id=str(actor.account_id),
        name=actor.name,
        role=deciding_role(actor).value,
        at=timestamp_text(at),
        proved_at=proved or UNSET,
        proved_by=UNSET if proved is None or proof is None else proof.by,
    )


def deciding_role(actor: Actor) -> Role:
    """Return the role somebody decides in."""
    return acting_role(actor.roles, Permission.DECIDE)


def sign(
    statement: Statement,
    *,
    at: datetime,
    not_before: datetime,
    causes: list[str],
    signer: Signer,
    digester: Digester,
    target_ordinal: int = 0,
) -> Signed:
    """Sign `statement` and return it with its event, Avro and headers.

    The target's ordinal is the last field on the wire: with the default 0 the payload's last byte
    is its place, for the transaction that draws it.
    """
    text = to_text(statement)
    data = text.encode()
    signature = signer.sign(data)
    event = ReviewDecision(
        event_id=statement.decision_id,
        correlation_id=statement.correlation_id,
        causation_ids=causes,
        timestamp=at,
        item_id=statement.item_id,
        revision=statement.revision,
        decision_id=statement.decision_id,
        action=Action(statement.action),
        target=statement.target,
        statement=text,
        signatures=[Signature(key_id=signer.key_id, signature=signature)],
        content_digest=digester.of_bytes(data),
        not_before=not_before,
        target_ordinal=target_ordinal,
    )
    target = statement.target
    key = record_key(target.system, target.instance, target.identifier)
    row = row_of(event, topic=DECISIONS, key=key, source=SOURCE)
    return Signed(
        text=text,
        key_id=signer.key_id,
        signature=signature,
        record_key=key,
        payload=row.payload,
        headers=row.headers,
    )
