"""What people do short of a decision, as events for `placet.review-activity`.

Owns their form: an id drawn here, once, for the transaction that keeps the row.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import uuid4

import msgspec

from contract.events import ReviewActivity, Signature
from contract.identity import Digester
from contract.topics import REVIEW_ACTIVITY
from conveyor.outbox import row_of
from review_api.commands.statements import SOURCE, deciding_role
from review_api.store import Actor


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """The item that something is done to, and the event that put it there."""

    item_id: str
    revision: int
    correlation_id: str
    event_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """A statement that the activity carries, with its signature."""

    text: str
    signature: Signature


def activity(
    kind: str,
    about: About,
    actor: Actor,
    *,
    at: datetime,
    digester: Digester,
    detail: Mapping[str, str] | None = None,
    signed: Sequence[Signed] = (),
) -> dict[str, Any]:
    """Return the columns of the event's outbox row, by name.

    Where the activity is signed its digest is the statement's, as a decision's is.
    """
    fields: dict[str, Any] = {
        "event_id": str(uuid4()),
        "correlation_id": about.correlation_id,
        "causation_ids": [about.event_id],
        "item_id": about.item_id,
        "revision": about.revision,
        "activity": kind,
        "actor_id": str(actor.account_id),
        "person_id": str(actor.person_id),
        "role": deciding_role(actor).value,
        "detail": dict(detail or {}),
        "statement": signed[0].text if signed else None,
    }
    digest = (
        digester.of_bytes(signed[0].text.encode())
        if signed
        else digester.of_value(msgspec.to_builtins(fields))
    )
    event = ReviewActivity(
        **fields,
        signatures=[one.signature for one in signed],
        timestamp=at,
        content_digest=digest,
    )
    row = row_of(event, topic=REVIEW_ACTIVITY, key=about.item_id.encode(), source=SOURCE)
    return {
        "id": row.id,
        "topic": row.topic,
        "key": row.key,
        "type": row.type,
        "payload": row.payload,
        "headers": row.headers,
    }
