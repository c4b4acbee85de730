"""Real intake processes on a real broker, and what they left on its topics."""

import base64
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from confluent_kafka import Consumer, KafkaException, Message, Producer, TopicPartition
from tests.support.model_outputs import TARGETS_TOML

from contract.topics import MODEL_OUTPUTS, TOPICS

START = "from intake.main import main; main()"
Place = tuple[int, int]


def publish(
    bootstrap: str, values: Sequence[bytes | None], compression: str = "lz4"
) -> dict[Place, bytes | None]:
    """Write `values` spread over all partitions; return them by partition and offset."""
    producer = Producer(
        {
            "bootstrap.servers": bootstrap,
            "compression.type": compression,
            "message.max.bytes": 4_300_000,
            "linger.ms": 5,
        }
    )
    places: dict[Place, bytes | None] = {}

    def delivered(error: object, message: Message) -> None:
        assert error is None, error
        places[message.partition() or 0, message.offset() or 0] = message.value()

    for number, value in enumerate(values):
        while True:
            try:
                producer.produce(MODEL_OUTPUTS, value, partition=number % 12, on_delivery=delivered)
                break
            except BufferError:
                producer.poll(0.1)
    assert producer.flush(60) == 0
    return places


class IntakeProcess:
    """One intake, started like an operator's would be."""

    def __init__(self, bootstrap: str, folder: Path, code: str = START) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "targets.toml").write_text(TARGETS_TOML)
        (folder / "installation.key").write_text(base64.b64encode(b"k" * 32).decode())
        self.port = _free_port()
        self.log = folder / f"intake-{self.port}.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", code],
                env=self._environment(bootstrap, folder),
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def _environment(self, bootstrap: str, folder: Path) -> Mapping[str, str]:
        return {
            **os.environ,
            "PLACET_KAFKA": bootstrap,
            "PLACET_INSTALLATION_KEY_FILE": str(folder / "installation.key"),
            "PLACET_TARGETS": str(folder / "targets.toml"),
            "PLACET_OPS_PORT": str(self.port),
        }

    def terminate(self) -> tuple[int, float]:
        """SIGTERM; return the exit code and how many seconds it took."""
        start = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(20), time.monotonic() - start

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(20)

    def text(self) -> str:
        return self.log.read_text("utf-8", errors="replace")


@contextmanager
def running(bootstrap: str, folder: Path, code: str = START) -> Iterator[IntakeProcess]:
    intake = IntakeProcess(bootstrap, folder, code)
    try:
        yield intake
    finally:
        if intake.process.poll() is None:
            intake.kill()


def assigned(intake: IntakeProcess) -> bool:
    return '"count":12,"event":"partitions_assigned"' in intake.text()


def until(done: Callable[[], bool], what: str, seconds: float = 90.0) -> None:
    """Ask until `done`; fail saying `what` after `seconds`. A broker without an answer: not yet."""
    end = time.monotonic() + seconds
    while True:
        with suppress(KafkaException):
            if done():
                return
        assert time.monotonic() < end, f"not within {seconds} s: {what}"
        time.sleep(0.05)


def ends(bootstrap: str, topic: str) -> dict[int, int]:
    with closing(_consumer(bootstrap, "tests-ends")) as consumer:
        return {
            number: consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=10)[1]
            for number in range(TOPICS[topic].partitions)
        }


def committed(bootstrap: str, group: str = "intake") -> dict[int, int]:
    """Where the group goes on, by partition; partitions without a commit are absent."""
    places = [TopicPartition(MODEL_OUTPUTS, n) for n in range(12)]
    with closing(_consumer(bootstrap, group)) as consumer:
        return {p.partition: p.offset for p in consumer.committed(places, 10) if p.offset >= 0}


def _consumer(bootstrap: str, group: str) -> Consumer:
    return Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": group,
            "enable.auto.commit": False,
            "fetch.message.max.bytes": 9_000_000,
            "log_level": 2,
        }
    )


def lag(bootstrap: str) -> int:
    done = committed(bootstrap)
    return sum(end - done.get(number, 0) for number, end in ends(bootstrap, MODEL_OUTPUTS).items())


def read_all(bootstrap: str, topic: str) -> list[Message]:
    """Return every record that is in `topic` now."""
    consumer = _consumer(bootstrap, f"tests-{time.time_ns()}")
    records: list[Message] = []
    places = [TopicPartition(topic, n, 0) for n in range(TOPICS[topic].partitions)]
    left = 0
    for place in places:
        low, high = consumer.get_watermark_offsets(place, timeout=10)
        place.offset = low
        left += high - low
    consumer.assign(places)
    until_time = time.monotonic() + 60
    while len(records) < left:
        assert time.monotonic() < until_time, f"{topic}: {len(records)} of {left} records"
        records.extend(m for m in consumer.consume(1_000, 0.5) if m.error() is None)
    consumer.close()
    return records


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
