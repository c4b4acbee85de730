"""`placet publish`, `lag` and `dead-letters` against a real broker."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer

from contract import codec
from contract.events import DeadLetter, Origin
from contract.topics import DEAD_LETTERS, MODEL_OUTPUTS
from placet import broker, dead_letters
from placet.publishing import NotAcknowledgedError, publish, read_lines


def test_published_lines_are_counted_and_lag_returns_to_nothing(kafka: str, tmp_path: Path) -> None:
    file = tmp_path / "outputs.jsonl"
    lines = [json.dumps({"source": "s", "external_id": str(n)}) for n in range(120)]
    file.write_text("\n".join(lines) + "\n")
    progress: list[tuple[int, int]] = []
    assert publish(kafka, read_lines(file), lambda *at: progress.append(at)) == 120
    assert progress[-1] == (120, 120)
    assert broker.counts(kafka, [MODEL_OUTPUTS]) == {MODEL_OUTPUTS: 120}

    wanted = {"test-lag": [MODEL_OUTPUTS]}
    (before,) = broker.lags(kafka, wanted)
    assert before.lag == 120
    consumer = Consumer(
        {"bootstrap.servers": kafka, "group.id": "test-lag", "auto.offset.reset": "earliest"}
    )
    consumer.subscribe([MODEL_OUTPUTS])
    read = 0
    while read < 120:
        read += len(consumer.consume(120, 1))
    consumer.commit(asynchronous=False)
    consumer.close()
    (after,) = broker.lags(kafka, wanted)
    assert after.lag == 0
    assert after.committed == after.end


def test_a_broker_that_is_away_is_said_with_what_was_acknowledged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("placet.publishing._WAIT", 0.2)
    with pytest.raises(NotAcknowledgedError) as refused:
        publish("127.0.0.1:1", [b"{}"])
    assert refused.value.acknowledged == 0


def test_the_newest_dead_letters_come_first(kafka: str) -> None:
    producer = Producer({"bootstrap.servers": kafka})
    for number in range(3):
        origin = Origin(topic=MODEL_OUTPUTS, partition=1, offset=number)
        letter = DeadLetter(
            event_id=f"00000000-0000-5000-8000-00000000000{number}",
            correlation_id="c",
            timestamp=datetime.now(UTC),
            consumer="intake",
            origin=origin,
            root=origin,
            reason_code="NOT_JSON",
            reason="no",
            value=b"\xff{" + str(number).encode(),
            content_digest=b"d" * 32,
        )
        producer.produce(DEAD_LETTERS, codec.encode(letter), partition=number)
        producer.flush(10)
    found = dead_letters.last(kafka, 2)
    assert [one["record"] for one in found] == [f"{MODEL_OUTPUTS}/1/2", f"{MODEL_OUTPUTS}/1/1"]
    assert found[0]["value"] == "\\xff{2"
    assert found[0]["reason_code"] == "NOT_JSON"
