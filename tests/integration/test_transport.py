"""One suite for real Kafka and its double in memory: what a consumer promises, both keep."""

import os
import threading
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest

from contract import codec
from contract.events import DeadLetter
from contract.identity import Digester
from contract.reasons import Reason
from contract.topics import CONTROLS, DEAD_LETTERS, TOPICS
from conveyor.consumer import Consumer
from conveyor.errors import UnavailableError
from conveyor.memory import MemoryBroker, MemoryConsumer
from conveyor.parking import Parking
from conveyor.producer import Producer, Sender
from conveyor.record import Message, Parked, Record

DIGESTER = Digester(b"k" * 32)
_PATIENCE = 60.0


@dataclass
class Transport:
    sender: Sender
    make: Callable[..., Any]

    def parking(self, group: str) -> Parking:
        return Parking(consumer=group, digester=DIGESTER, producer=self.sender)

    def consume(self, group, handle, *, topics=(CONTROLS,), until=None, batch=500) -> None:
        """Run a consumer until `until()` is true; raises what it raised."""
        stop, late = threading.Event(), threading.Event()

        def handled(records: Sequence[Record]) -> Sequence[Parked]:
            parked = handle(records)
            if until is None or until():
                stop.set()
            return parked

        patience = threading.Timer(_PATIENCE, lambda: (late.set(), stop.set()))
        patience.start()
        try:
            self.make(group, list(topics), handled, self.parking(group), batch).run(stop)
        finally:
            patience.cancel()
        assert not late.is_set(), f"not within {_PATIENCE} s"


@pytest.fixture(params=["memory", "kafka"])
def transport(request) -> Transport:
    if request.param == "memory":
        broker = MemoryBroker()
        return Transport(
            broker,
            lambda group, topics, handle, parking, batch: MemoryConsumer(
                broker=broker,
                group=group,
                topics=topics,
                handle=handle,
                parking=parking,
                batch=batch,
            ),
        )
    return on_kafka(request.getfixturevalue("kafka"))


def on_kafka(bootstrap: str) -> Transport:
    return Transport(
        Producer(bootstrap, "test"),
        lambda group, topics, handle, parking, batch: Consumer(
            bootstrap=bootstrap,
            group=group,
            topics=topics,
            handle=handle,
            parking=parking,
            batch=batch,
        ),
    )


@pytest.fixture
def mark() -> bytes:
    """Tell this test's records from others in the same topic."""
    return uuid.uuid4().hex.encode()


def numbers(mark: bytes, count: int) -> list[Message]:
    return [
        Message(topic=CONTROLS, key=b"k%d" % (n % 3), value=b"%b %d" % (mark, n))
        for n in range(count)
    ]


def own(records: Sequence[Record], mark: bytes) -> list[int]:
    return [int(r.value.split()[1]) for r in records if r.value and r.value.startswith(mark)]


def group() -> str:
    return f"test-{uuid.uuid4().hex[:8]}"


def test_everything_sent_is_read_in_order_per_key(transport, mark):
    transport.sender.send_all(numbers(mark, 100))
    seen: list[int] = []
    transport.consume(
        group(), lambda rs: seen.extend(own(rs, mark)) or [], until=lambda: len(seen) == 100
    )
    for key in range(3):
        of_key = [n for n in seen if n % 3 == key]
        assert of_key == sorted(of_key)
    assert sorted(seen) == list(range(100))


def test_what_was_committed_is_not_read_again(transport, mark):
    name = group()
    transport.sender.send_all(numbers(mark, 10))
    seen: list[int] = []
    transport.consume(
        name, lambda rs: seen.extend(own(rs, mark)) or [], until=lambda: len(seen) == 10
    )
    transport.sender.send_all([Message(topic=CONTROLS, key=b"k", value=mark + b" 10")])
    transport.consume(name, lambda rs: seen.extend(own(rs, mark)) or [], until=lambda: 10 in seen)
    assert sorted(seen) == list(range(11))


def test_an_unavailable_effect_is_tried_again_with_every_record(transport, mark):
    transport.sender.send_all(numbers(mark, 6))
    seen: list[int] = []
    failures = iter([6, 9])

    def handle(records):
        if own(records, mark) and (sent := next(failures, 0)):
            # Three more, one a key: whoever passes what has failed gets to these all the same.
            transport.sender.send_all(numbers(mark, sent + 3)[sent:])
            raise UnavailableError("away", 0.01)
        seen.extend(own(records, mark))
        return []

    transport.consume(group(), handle, until=lambda: {9, 10, 11} <= set(seen))
    assert sorted(set(seen)) == list(range(12))


def test_an_unforeseen_error_ends_the_consumer_before_the_commit(transport, mark):
    name = group()
    transport.sender.send_all(numbers(mark, 4))

    def explode(records):
        if own(records, mark):
            raise ZeroDivisionError
        return []

    with pytest.raises(ZeroDivisionError):
        transport.consume(name, explode, until=lambda: False)
    transport.sender.send_all(numbers(mark, 7)[4:])  # one a key, behind what was not committed
    seen: list[int] = []
    transport.consume(
        name, lambda rs: seen.extend(own(rs, mark)) or [], until=lambda: {4, 5, 6} <= set(seen)
    )
    assert sorted(seen) == list(range(7))


def test_what_cannot_be_used_becomes_a_dead_letter_with_its_bytes(transport, mark):
    name = group()
    headers = (("ce_correlationid", b"req-7"),)
    transport.sender.send_all([Message(topic=CONTROLS, key=b"poison", value=mark, headers=headers)])
    done: list[Record] = []

    def park(records):
        mine = [r for r in records if r.value == mark]
        done.extend(mine)
        return [Parked(record=r, reason=Reason.UNREADABLE, message="of no use") for r in mine]

    transport.consume(name, park, until=lambda: bool(done))
    letters: list[DeadLetter] = []

    def collect(records):
        letters.extend(e for e in (codec.decode(r.value) for r in records) if e.consumer == name)
        return []

    transport.consume(group(), collect, topics=(DEAD_LETTERS,), until=lambda: bool(letters))
    (letter,) = letters
    assert (letter.value, letter.key, letter.reason_code) == (mark, b"poison", "UNREADABLE")
    assert letter.correlation_id == "req-7"
    assert letter.origin.offset == done[0].offset
    assert letter.content_digest == DIGESTER.of_bytes(mark)


class FailsOnce:
    """A sender that is away the first time."""

    def __init__(self, sender: Sender) -> None:
        self._sender = sender
        self._away = True

    def send_all(self, messages: Sequence[Message]) -> None:
        if self._away:
            self._away = False
            raise UnavailableError("away")
        self._sender.send_all(messages)


def test_a_dead_letter_that_cannot_be_written_is_tried_again(transport, mark):
    name, later = group(), mark + b" later"
    flaky = replace(transport, sender=FailsOnce(transport.sender))
    seen: list[bytes] = []

    def park(records):
        mine = [r for r in records if r.value in {mark, later}]
        seen.extend(r.value for r in mine)
        poison = [r for r in mine if r.value == mark]
        return [Parked(record=r, reason=Reason.UNREADABLE, message="of no use") for r in poison]

    transport.sender.send_all([Message(topic=CONTROLS, key=b"p", value=mark)])
    flaky.consume(name, park, until=lambda: bool(seen))
    transport.sender.send_all([Message(topic=CONTROLS, key=b"p", value=later)])
    flaky.consume(name, park, until=lambda: later in seen)
    assert seen.count(mark) >= 2
    letters: list[str] = []

    def collect(records):
        letters.extend(e.event_id for e in map(_decoded, records) if e.consumer == name)
        return []

    transport.consume(group(), collect, topics=(DEAD_LETTERS,), until=lambda: bool(letters))
    assert len(set(letters)) == 1


def _decoded(record: Record) -> DeadLetter:
    event = codec.decode(record.value or b"")
    assert isinstance(event, DeadLetter)
    return event


def test_a_replayed_record_names_its_root():
    headers = (("placet-replay-of", b"placet.controls/2/17"),)
    record = Record(
        topic="placet.controls",
        partition=5,
        offset=99,
        timestamp=None,
        key=None,
        value=b"",
        headers=headers,
    )
    assert (record.root.partition, record.root.offset) == (2, 17)


@pytest.mark.parametrize(
    "nonsense", [b"", b"a", b"a/b/c", b"t/1/2/3", b"t/-1/2", b"\xff/1/2", None]
)
def test_a_replay_header_that_says_nothing_is_ignored(nonsense):
    record = Record(
        topic="t",
        partition=5,
        offset=99,
        timestamp=None,
        key=None,
        value=b"",
        headers=(("placet-replay-of", nonsense),),
    )
    assert record.root == record.origin


def test_a_broker_that_is_away_makes_the_outcome_unknown():
    broker = MemoryBroker()
    broker.away = True
    with pytest.raises(UnavailableError):
        broker.send_all([Message(topic=CONTROLS, key=None, value=b"x")])


def test_what_the_broker_refuses_is_not_called_durable(kafka, mark):
    sender = Producer(kafka, "test")
    large = Message(topic=CONTROLS, key=b"k", value=os.urandom(5_000_000))  # the topic takes 4 MiB
    with pytest.raises(UnavailableError, match="did not acknowledge"):
        sender.send_all([Message(topic=CONTROLS, key=b"k", value=mark), large])
    sender.send_all([Message(topic=CONTROLS, key=b"k", value=mark)])
    sender.close()


# What Kafka's own tests say of its hash (UtilsTest.testMurmur2), which the Java client places by.
MURMUR2 = {
    b"21": -973932308,
    b"foobar": -790332482,
    b"a-little-bit-long-string": -985981536,
    b"a-little-bit-longer-string": -1486304829,
    b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    b"abc": 479470107,
}


def test_a_key_lives_where_every_client_says(kafka, mark):
    transport = on_kafka(kafka)
    transport.sender.send_all([Message(topic=CONTROLS, key=key, value=mark) for key in MURMUR2])
    places: dict[bytes, int] = {}

    def look(records):
        places.update({r.key: r.partition for r in records if r.value == mark})
        return []

    transport.consume(group(), look, until=lambda: len(places) == len(MURMUR2))
    count = TOPICS[CONTROLS].partitions
    assert places == {key: (number & 0x7FFFFFFF) % count for key, number in MURMUR2.items()}
