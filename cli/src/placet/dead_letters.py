"""Reading the last dead letters from the broker. Changes nothing: no group, no commit."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final

from confluent_kafka import Consumer, KafkaException, TopicPartition

from contract.codec import decode
from contract.events import DeadLetter, Origin
from contract.topics import DEAD_LETTERS
from placet import broker

_TIMEOUT: Final = 10.0
_SHOWN_BYTES: Final = 4_096


def last(bootstrap: str, limit: int) -> list[dict[str, Any]]:
    """The newest dead letters, newest first, as plain values. Raises KafkaException."""
    letters = sorted(_read(bootstrap, limit), key=_when, reverse=True)
    return [_plain(at, letter) for at, letter in letters[:limit]]


def _when(found: tuple[int, DeadLetter]) -> tuple[int, datetime]:
    """Return when it was parked: the broker counts milliseconds, whoever parked it microseconds."""
    at, letter = found
    return at, letter.timestamp


def _read(bootstrap: str, limit: int) -> Iterator[tuple[int, DeadLetter]]:
    ends = broker.ends(broker.client(bootstrap), [DEAD_LETTERS], broker.NEXT)
    starts = broker.ends(broker.client(bootstrap), [DEAD_LETTERS], broker.FIRST)
    # Any partition may hold all of the newest ones.
    wanted = {at: max(starts[at], end - limit) for at, end in ends.items() if end > starts[at]}
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "placet-cli-reads-only",
            "enable.auto.commit": False,
            "fetch.message.max.bytes": 8_388_608,
            "log_level": 0,
        }
    )
    try:
        consumer.assign([TopicPartition(*at, offset) for at, offset in wanted.items()])
        left = {at: ends[at] for at in wanted}
        while left:
            message = consumer.poll(_TIMEOUT)
            if message is None:
                return  # nobody answers, or retention passed us by
            if error := message.error():
                raise KafkaException(error)
            at = (str(message.topic()), int(message.partition() or 0))
            event = decode(message.value() or b"")
            if isinstance(event, DeadLetter):
                yield message.timestamp()[1], event
            if int(message.offset() or 0) + 1 >= ends[at]:
                left.pop(at, None)
    finally:
        consumer.close()


def _plain(at: int, letter: DeadLetter) -> dict[str, Any]:
    value = letter.value or b""
    return {
        "event_id": letter.event_id,
        "parked_at": datetime.fromtimestamp(at / 1000).astimezone().isoformat(timespec="seconds"),
        "reason_code": letter.reason_code,
        "consumer": letter.consumer,
        "record": _place(letter.origin),
        "root": _place(letter.root),
        "reason": letter.reason,
        "correlation_id": letter.correlation_id,
        "bytes": len(value),
        "value": value[:_SHOWN_BYTES].decode("utf-8", "backslashreplace"),
    }


def _place(origin: Origin) -> str:
    return f"{origin.topic}/{origin.partition}/{origin.offset}"
