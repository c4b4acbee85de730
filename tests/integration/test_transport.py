"""One suite for real Kafka and its double in memory: what a consumer promises, both keep."""

import threading
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from contract import codec
from contract.events import DeadLetter
from contract.identity import Digester
from contract.reasons import Reason
from contract.topics import CONTROLS, DEAD_LETTERS
from conveyor.consumer import Consumer
from conveyor.errors import UnavailableError
from conveyor.memory import MemoryBroker, MemoryConsumer
from conveyor.parking import Parking
from conveyor.producer import Producer, Sender
from conveyor.record import Message, Parked, Record

DIGESTER = Digester(b"k" * 32)


@dataclass
class Transport:
    sender: Sender
    make: Callable[..., Any]

    def parking(self, group: str) -> Parking:
        return Parking(consumer=group, digester=DIGESTER, producer=self.sender)

    def consume(self, group, handle, *, topics=(CONTROLS,), until=None, batch=500) -> None:
        """Run a consumer until `until()` is true; raises what it raised."""
        stop = threading.Event()

        def handled(records: Sequence[Record]) -> Sequence[Parked]:
            parked = handle(records)
            if until is None or until():
                stop.set()
            return parked

        self.make(group, list(topics), handled, self.parking(group), batch).run(stop)


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
    bootstrap = request.getfixturevalue("kafka")
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
    failures = iter([True, True])

    def handle(records):
        if own(records, mark) and next(failures, False):
            raise UnavailableError("away", 0.01)
        seen.extend(own(records, mark))
        return []

    transport.consume(group(), handle, until=lambda: len(set(seen)) == 6)
    assert sorted(set(seen)) == list(range(6))
    assert next(failures, "spent") == "spent"


def test_an_unforeseen_error_ends_the_consumer_before_the_commit(transport, mark):
    name = group()
    transport.sender.send_all(numbers(mark, 4))

    def explode(records):
        if own(records, mark):
            raise ZeroDivisionError
        return []

    with pytest.raises(ZeroDivisionError):
        transport.consume(name, explode, until=lambda: False)
    seen: list[int] = []
    transport.consume(
        name, lambda rs: seen.extend(own(rs, mark)) or [], until=lambda: len(seen) >= 4
    )
    assert sorted(seen) == [0, 1, 2, 3]


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
