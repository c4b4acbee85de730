"""What operating the desk leaves on `placet.controls`: sign-ins, and changes of people."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import uuid4

import msgspec

from contract.events import Control
from contract.identity import Digester
from contract.topics import CONTROLS
from conveyor.outbox import row_of
from review_api.commands.statements import SOURCE

Step = tuple[str, Mapping[str, Any]]


def control(
    kind: str,
    *,
    scope: str,
    actor_id: str,
    role: str,
    at: datetime,
    digester: Digester,
    reason: str | None = None,
    detail: Mapping[str, str] | None = None,
) -> Step:
    """Return the statement that puts the control in the outbox. Its id is drawn here."""
    fields: dict[str, Any] = {
        "event_id": str(uuid4()),
        "correlation_id": "",
        "scope": scope,
        "control": kind,
        "actor_id": actor_id,
        "role": role,
        "reason": reason,
        "detail": dict(detail or {}),
    }
    digest = digester.of_value(msgspec.to_builtins(fields))
    event = Control(**fields, timestamp=at, content_digest=digest)
    row = row_of(event, topic=CONTROLS, key=scope.encode(), source=SOURCE)
    return "add_to_outbox", {
        "id": row.id,
        "topic": row.topic,
        "key": row.key,
        "type": row.type,
        "payload": row.payload,
        "headers": row.headers,
    }
