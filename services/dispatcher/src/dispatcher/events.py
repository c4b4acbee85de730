"""What the dispatcher tells: one `WriteBack` event per move of a write-back. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import msgspec

from contract.events import Target, WriteBack, WriteBackState
from contract.identity import Digester, WriteBackId, write_back_event_id

_NOT_DIGESTED: Final = ("timestamp", "next_attempt_at", "content_digest")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A write-back as the ledger holds it after the move, at the ledger's time `at`."""

    write_back_id: str
    identifier: str
    ordinal: int
    step: str
    decision_id: str
    item_id: str
    revision: int
    correlation_id: str
    state: str
    transition: int
    attempts: int
    next_attempt_at: datetime | None
    reason_code: str | None
    reason: str | None
    target_version: str | None
    at: datetime


def event_of(
    row: Row,
    *,
    system: str,
    instance: str,
    conflicting: Sequence[str],
    digester: Digester,
    overwrote: Mapping[str, str] | None = None,
) -> WriteBack:
    """Return the event of the move that brought the write-back to where `row` is.

    Its digest leaves the times out: the same move told twice is the same event.
    """
    event = WriteBack(
        event_id=write_back_event_id(WriteBackId(row.write_back_id), row.transition),
        correlation_id=row.correlation_id,
        causation_ids=[row.decision_id],
        timestamp=row.at,
        item_id=row.item_id,
        revision=row.revision,
        decision_id=row.decision_id,
        write_back_id=row.write_back_id,
        target=Target(system=system, instance=instance, identifier=row.identifier),
        step=row.step,
        state=WriteBackState(row.state),
        transition=row.transition,
        attempts=row.attempts,
        next_attempt_at=row.next_attempt_at,
        reason_code=row.reason_code,
        reason=row.reason,
        target_version=row.target_version,
        conflicting=list(conflicting),
        overwrote=dict(overwrote or {}),
        target_ordinal=row.ordinal,
        content_digest=b"",
    )
    plain = msgspec.to_builtins(event, builtin_types=(datetime, bytes))
    for name in _NOT_DIGESTED:
        del plain[name]
    if not event.overwrote:  # a field of a later schema: without it the digest is as it always was
        del plain["overwrote"]
    return msgspec.structs.replace(event, content_digest=digester.of_value(plain))
