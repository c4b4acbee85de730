"""What becomes of a batch of records: messages, all of them durable. Knows no faust.

Owns law 1 for intake: each record becomes exactly one review item or one dead letter. Everything is
derived from the record, so a batch that is done again produces the same messages again, and who
reads them recognises them by their ids.
"""

import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Final, Protocol

import structlog

from contract.events import ReviewItem
from contract.topics import REVIEW_ITEMS
from conveyor import metrics
from conveyor.errors import UnavailableError
from conveyor.headers import message_of
from conveyor.parking import dead_letter
from conveyor.record import Message, Parked, Record
from intake.normalise import Rules, normalise

log = structlog.get_logger()

GROUP: Final = "intake"
_TRACE: Final = "traceparent"
_CHUNK_BYTES: Final = 33_554_432  # big records are sent in parts, so that memory stays bounded
_FIRST_PAUSE: Final = 0.2
_LONGEST_PAUSE: Final = 10.0


class Sender(Protocol):
    """Where messages go: `conveyor.producer.Producer`, or the double in `conveyor.memory`."""

    def send_all(self, messages: Sequence[Message]) -> None:
        """May block. Durable on return. Raises UnavailableError: send the same again."""


class Effects:
    """Makes the effects of batches durable, one batch at a time."""

    def __init__(self, *, rules: Rules, sender: Sender, stop: threading.Event) -> None:
        """`stop` ends the waiting for something that is away."""
        self._rules = rules
        self._sender = sender
        self._stop = stop
        self.available = True
        """False while something outside is away."""

    def settle(self, records: Sequence[Record]) -> None:
        """Make the effects of `records` durable, however long what is away stays away.

        Raises:
            UnavailableError: told to stop before that. Nothing may be committed.
        """
        pause = _FIRST_PAUSE
        while True:
            try:
                self._make(records)
            except UnavailableError as error:
                self.available = False
                metrics.UNAVAILABLE.labels(group=GROUP).inc()
                log.warning("unavailable", group=GROUP, error=str(error), again_in_seconds=pause)
                if self._stop.wait(min(error.retry_after or pause, _LONGEST_PAUSE)):
                    raise
                pause = min(pause * 2, _LONGEST_PAUSE)
            else:
                self.available = True
                metrics.RECORDS.labels(group=GROUP).inc(len(records))
                return

    def _make(self, records: Sequence[Record]) -> None:
        messages: list[Message] = []
        reasons: Counter[str] = Counter()
        size = 0
        for record in records:
            message, reason = self._effect(record)
            messages.append(message)
            size += len(message.value)
            if reason is not None:
                reasons[reason] += 1
            if size >= _CHUNK_BYTES:
                self._sender.send_all(messages)
                messages, size = [], 0
        self._sender.send_all(messages)
        # A crash here repeats the batch: the same items, the same dead letters, the same ids.
        for name, count in reasons.items():
            metrics.PARKED.labels(group=GROUP, reason=name).inc(count)
        if reasons:
            log.warning("parked", group=GROUP, count=reasons.total(), reasons=dict(reasons))

    def _effect(self, record: Record) -> tuple[Message, str | None]:
        """Return the one message that `record` becomes, and the reason if it is a dead letter."""
        result = normalise(
            key=record.key,
            value=record.value,
            origin=record.origin,
            at=record.timestamp,
            rules=self._rules,
        )
        if isinstance(result, ReviewItem):
            key = result.item_id.encode()
            message = message_of(result, topic=REVIEW_ITEMS, key=key, source=GROUP)
            trace = record.header(_TRACE)
            if trace is not None:
                message = replace(message, headers=(*message.headers, (_TRACE, trace)))
            return message, None
        parked = Parked(record=record, reason=result.reason, message=result.message)
        return dead_letter(parked, GROUP, self._rules.digester), result.reason.value
