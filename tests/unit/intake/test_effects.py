"""Law 1 without Kafka: one message for each record, again and again until they are through."""

import threading
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest
from tests.support.model_outputs import BAD, good, targets

from contract.codec import decode
from contract.events import DeadLetter, Origin, ReviewItem
from contract.identity import Digester
from contract.topics import DEAD_LETTERS, REVIEW_ITEMS
from conveyor.errors import UnavailableError
from conveyor.record import REPLAY_OF, Headers, Message, Record
from intake.effects import Effects
from intake.normalise import Rules

AT = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
DIGESTER = Digester(b"k" * 32)


class Sender:
    """Fails as often as told, after having sent all the same: an answer that was lost."""

    def __init__(self, failures: int = 0) -> None:
        self.failures = failures
        self.sent: list[Message] = []

    def send_all(self, messages: Sequence[Message]) -> None:
        self.sent.extend(messages)
        if self.failures:
            self.failures -= 1
            raise UnavailableError("no answer", retry_after=0.001)


def effects(sender: Sender, stop: threading.Event | None = None) -> Effects:
    rules = Rules(targets=targets(), digester=DIGESTER)
    return Effects(rules=rules, sender=sender, stop=stop or threading.Event())


def record(value: bytes | None, offset: int = 0, headers: Headers = ()) -> Record:
    return Record(
        topic="placet.model-outputs",
        partition=1,
        offset=offset,
        timestamp=AT,
        key=b"k",
        value=value,
        headers=headers,
    )


def test_every_record_becomes_one_message_in_order() -> None:
    sender = Sender()
    values = [good(1), *(bad[1]() for bad in BAD), good(2)]
    effects(sender).settle([record(value, n) for n, value in enumerate(values)])
    events = [decode(message.value) for message in sender.sent]
    assert [type(event) for event in events] == [ReviewItem, *[DeadLetter] * len(BAD), ReviewItem]
    letters = [event for event in events if isinstance(event, DeadLetter)]
    assert [letter.reason_code for letter in letters] == [bad[2] for bad in BAD]
    assert [letter.value for letter in letters] == [bad[1]() for bad in BAD]
    assert [letter.origin.offset for letter in letters] == list(range(1, len(BAD) + 1))
    assert {message.topic for message in sender.sent} == {REVIEW_ITEMS, DEAD_LETTERS}


def test_a_lost_answer_sends_the_same_messages_again() -> None:
    sender = Sender(failures=2)
    effects(sender).settle([record(good(), 0), record(b"garbage", 1)])
    once, twice, thrice = sender.sent[:2], sender.sent[2:4], sender.sent[4:]
    assert once == twice == thrice


def test_told_to_stop_while_kafka_is_away_nothing_may_be_committed() -> None:
    stop = threading.Event()
    stop.set()
    sender = Sender(failures=1_000)
    service = effects(sender, stop)
    with pytest.raises(UnavailableError):
        service.settle([record(good())])
    assert not service.available


def test_it_is_available_again_once_messages_get_through() -> None:
    service = effects(Sender(failures=1))
    service.settle([record(good())])
    assert service.available


def test_an_item_is_keyed_by_its_id_and_keeps_the_trace() -> None:
    sender = Sender()
    trace = ("traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
    effects(sender).settle([record(good(42), headers=(trace,))])
    (message,) = sender.sent
    headers = dict(message.headers)
    assert message.key == b"b6e87070-6681-5338-b243-fdb88f23e92e"
    assert headers["traceparent"] == trace[1]
    assert headers["ce_type"] == b"placet.ReviewItem.v1"


def test_replayed_poison_is_the_same_dead_letter() -> None:
    sender = Sender()
    again = ((REPLAY_OF, b"placet.model-outputs/1/3"),)
    effects(sender).settle([record(b"garbage", 3), record(b"garbage", 70, again)])
    first, second = (decode(message.value) for message in sender.sent)
    assert isinstance(first, DeadLetter)
    assert isinstance(second, DeadLetter)
    assert first.event_id == second.event_id
    assert second.origin.offset == 70
    assert second.root == Origin(topic="placet.model-outputs", partition=1, offset=3)


def test_big_records_are_sent_in_parts() -> None:
    class Counting(Sender):
        calls = 0

        def send_all(self, messages: Sequence[Message]) -> None:
            self.calls += bool(messages)
            super().send_all(messages)

    sender = Counting()
    big = b"x" * 4_000_000
    effects(sender).settle([record(big, n) for n in range(20)])
    assert len(sender.sent) == 20
    assert sender.calls == 3
