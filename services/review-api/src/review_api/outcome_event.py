"""What a pipeline is told when its item reaches a final state: plain JSON, no text. Pure."""

from dataclasses import dataclass
from datetime import datetime

import orjson

from contract.identity import ItemId, outcome_event_id
from contract.statement import timestamp_text
from contract.topics import OUTCOMES
from conveyor.outbox import OutboxRow, headers_bytes
from review_api.review import State


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One state of one revision, reached by `decision_id`. `cause` is the event that led to it."""

    item_id: str
    source: str
    external_id: str
    revision: int
    correlation_id: str
    state: State
    decision_id: str
    reason_code: str | None
    at: datetime
    cause: str

    @property
    def event_id(self) -> str:
        """Return the id: the same cause tells the same thing once."""
        return outcome_event_id(ItemId(self.item_id), self.revision, self.state, self.cause)

    def row(self, not_before: datetime | None = None) -> OutboxRow:
        """Return the outbox row that tells it."""
        at = timestamp_text(self.at)
        payload = {
            "event_id": self.event_id,
            "correlation_id": self.correlation_id,
            "source": self.source,
            "external_id": self.external_id,
            "item_id": self.item_id,
            "revision": self.revision,
            "state": self.state.value,
            "decision_id": self.decision_id,
            "reason_code": self.reason_code,
            "timestamp": at,
        }
        headers = (
            ("ce_specversion", b"1.0"),
            ("ce_id", self.event_id.encode()),
            ("ce_type", b"placet.Outcome.v1"),
            ("ce_source", b"/placet/review-api"),
            ("ce_time", at.encode()),
            ("ce_correlationid", self.correlation_id.encode()),
            ("ce_causationid", self.cause.encode()),
            ("content-type", b"application/json"),
        )
        return OutboxRow(
            id=self.event_id,
            topic=OUTCOMES,
            key=self.item_id.encode(),
            type="Outcome",
            payload=orjson.dumps(payload),
            headers=headers_bytes(headers),
            not_before=not_before,
        )
