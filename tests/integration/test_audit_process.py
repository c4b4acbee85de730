"""The audit sink as a process, on real Kafka and PostgreSQL, killed and started again."""

import hashlib
import random
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from msgspec.structs import replace
from tests.support import servers
from tests.support.audit_log import KEY, control, dead_letter
from tests.support.audit_process import Place, audit_place, audit_sink
from tests.support.dispatcher_process import Started
from tests.support.examples import EXAMPLES

from audit_sink.cold.files import FolderCold
from audit_sink.cold.whole import verify_cold
from contract.codec import encode
from contract.events import WriteBack
from contract.identity import derive
from contract.topics import CONTROLS, DEAD_LETTERS, WRITE_BACKS
from conveyor.producer import Producer
from conveyor.record import Message


@pytest.fixture
def place(postgres: str, tmp_path: Path) -> Iterator[Place]:
    with audit_place(postgres, tmp_path / "log") as made:
        yield made


@pytest.fixture
def producer(kafka: str) -> Iterator[Producer]:
    servers.empty_topics(kafka)
    made = Producer(kafka, "test")
    yield made
    made.close()


def _messages(numbers: range) -> list[Message]:
    write_back = next(event for event in EXAMPLES if isinstance(event, WriteBack))
    messages = []
    for number in numbers:
        key = str(number).encode()
        if number % 3:
            messages.append(Message(topic=CONTROLS, key=key, value=encode(control(number))))
        else:
            event = replace(
                write_back,
                event_id=derive("test-write-back", number),
                content_digest=hashlib.sha256(key).digest(),
            )
            messages.append(Message(topic=WRITE_BACKS, key=key, value=encode(event)))
    return messages


def _sealed(place: Place, process: Started, size: int) -> None:
    process.until(lambda: process.metric("placet_audit_head_size ") == size)
    assert place.verify().size == size


def test_a_fact_is_under_a_published_head_within_a_second_or_so(
    place: Place, kafka: str, producer: Producer, tmp_path: Path
) -> None:
    with audit_sink(place, kafka, tmp_path / "files") as process:
        process.until(lambda: process.get("/readyz")[0] == 200)
        process.until(lambda: "partitions_assigned" in process.events())
        waits = []
        for number in range(5):
            began = time.monotonic()
            producer.send_all(_messages(range(number, number + 1)))
            while _published_size(place) <= number:
                assert time.monotonic() < began + 20
                time.sleep(0.01)
            waits.append(time.monotonic() - began)
        assert min(waits) < 1.5
        assert place.verify().size == 5
        assert process.stop() == 0


def _published_size(place: Place) -> int:
    path = place.folder / "checkpoint"
    return int(path.read_bytes().split(b"\n")[1]) if path.exists() else 0


def test_killed_again_and_again_it_leaves_no_gap_no_duplicate_and_one_history(
    place: Place, kafka: str, producer: Producer, tmp_path: Path
) -> None:
    rng = random.Random(7)
    count = 0
    for _ in range(3):
        with audit_sink(place, kafka, tmp_path / "files") as process:
            for _ in range(4):
                producer.send_all(_messages(range(count, count + 200)))
                count += 200
            producer.send_all(_messages(range(max(0, count - 300), count)))  # a relay's repeat
            size = _published_size(place)
            process.until(lambda before=size: _published_size(place) > before)  # type: ignore[misc]
            time.sleep(rng.random() / 4)  # not for readiness: to kill it anywhere in the four steps
            process.kill()
    with audit_sink(place, kafka, tmp_path / "files") as process:
        _sealed(place, process, count)
    assert place.column("SELECT sequence FROM audit.record ORDER BY 1") == list(range(count))
    assert place.column("SELECT count(DISTINCT event_id) FROM audit.record") == [count]


def test_poison_among_good_ones_is_parked_sealed_as_a_dead_letter_and_never_loops(
    place: Place, kafka: str, producer: Producer, tmp_path: Path
) -> None:
    poison = [
        Message(topic=CONTROLS, key=b"p", value=b"garbage"),
        Message(topic=DEAD_LETTERS, key=b"p", value=b"garbage"),
        Message(topic=DEAD_LETTERS, key=b"p", value=encode(dead_letter(1))),
        Message(topic=DEAD_LETTERS, key=b"p", value=encode(dead_letter(1, b"other"))),
    ]
    producer.send_all([*_messages(range(50)), *poison, *_messages(range(50, 100))])
    with audit_sink(place, kafka, tmp_path / "files") as process:
        _sealed(place, process, 100 + 4)
        assert process.metric("placet_dead_letters_total{") == 3
        producer.send_all(_messages(range(100, 101)))
        _sealed(place, process, 100 + 4 + 1)


def test_a_newer_writers_record_stops_the_process_with_a_clear_word(
    place: Place, kafka: str, producer: Producer, tmp_path: Path
) -> None:
    producer.send_all([Message(topic=CONTROLS, key=b"n", value=b"\xc3\x01" + b"\x07" * 40)])
    with audit_sink(place, kafka, tmp_path / "files") as process:
        assert process.process.wait(40) == 1
        assert "NewerWriterError" in process.log.read_text()
        assert "upgrade" in process.log.read_text()


def test_a_second_audit_sink_stops_and_the_first_goes_on(
    place: Place, kafka: str, producer: Producer, tmp_path: Path
) -> None:
    producer.send_all(_messages(range(20)))
    with audit_sink(place, kafka, tmp_path / "files") as first:
        _sealed(place, first, 20)
        with audit_sink(place, kafka, tmp_path / "files") as second:
            assert second.process.wait(40) == 1
            assert "SecondPublisherError" in second.log.read_text()
        producer.send_all(_messages(range(20, 40)))
        _sealed(place, first, 40)


def test_the_process_archives_by_itself_and_says_how_far(
    place: Place, kafka: str, producer: Producer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLACET_COLD", str(tmp_path / "cold"))
    monkeypatch.setenv("PLACET_ARCHIVE_AFTER", "0s")
    producer.send_all(_messages(range(300)))
    with audit_sink(place, kafka, tmp_path / "files") as process:
        _sealed(place, process, 300)
        assert process.stop() == 0
    with audit_sink(place, kafka, tmp_path / "files") as process:  # its first round is at once
        process.until(lambda: process.metric("placet_audit_archive_size ") == 256)
        assert process.metric("placet_audit_archive_stopped ") == 0
        assert process.stop() == 0
    with closing(FolderCold(tmp_path / "cold")) as cold:
        assert verify_cold(cold, KEY.public).size == 256
