"""Dead letters: what cannot be used is kept, with its reason, its coordinates and its bytes."""

from collections.abc import Sequence
from typing import Final

import structlog

from contract.events import DeadLetter, Header
from contract.identity import Digester, dead_letter_event_id
from contract.topics import DEAD_LETTERS
from conveyor import metrics
from conveyor.headers import message_of
from conveyor.producer import Sender
from conveyor.record import Message, Parked

log = structlog.get_logger()

_LONGEST_REASON: Final = 1_000


def dead_letter(parked: Parked, consumer: str, digester: Digester) -> Message:
    """Return the dead letter of `parked`, keyed as the original was.

    Its id derives from the root coordinates, so poison that is replayed is the same dead letter.
    """
    record, root = parked.record, parked.record.root
    event = DeadLetter(
        event_id=dead_letter_event_id(consumer, root.topic, root.partition, root.offset),
        correlation_id=_text(record.header("ce_correlationid")),
        timestamp=record.timestamp,
        consumer=consumer,
        origin=record.origin,
        root=root,
        reason_code=parked.reason.value,
        reason=parked.message.encode(errors="replace").decode()[:_LONGEST_REASON],
        key=record.key,
        value=record.value,
        headers=[Header(key=key, value=value) for key, value in record.headers],
        content_digest=digester.of_bytes(record.value or b""),
    )
    return message_of(event, topic=DEAD_LETTERS, key=record.key or b"", source=consumer)


def _text(header: bytes | None) -> str:
    return (header or b"").decode(errors="replace").replace("\0", "\N{REPLACEMENT CHARACTER}")


class Parking:
    """Where one consumer group puts what it cannot use."""

    def __init__(self, *, consumer: str, digester: Digester, producer: Sender) -> None:
        """`consumer` is the group's name: it is part of every dead letter's id."""
        self._consumer = consumer
        self._digester = digester
        self._producer = producer

    def send(self, parked: Sequence[Parked]) -> None:
        """Write a dead letter for each; durable on return.

        Raises:
            UnavailableError: not acknowledged; nothing may be committed.
        """
        if not parked:
            return
        self._producer.send_all([dead_letter(p, self._consumer, self._digester) for p in parked])
        for one in parked:
            metrics.PARKED.labels(group=self._consumer, reason=one.reason.value).inc()
        log.warning(
            "parked",
            group=self._consumer,
            count=len(parked),
            reasons=sorted({one.reason.value for one in parked}),
        )
