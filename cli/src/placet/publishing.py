"""Lines of JSON onto `placet.model-outputs`, as a pipeline would put them there.

Owns counting what the broker acknowledged. Refuses to judge the records: that is intake's.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from confluent_kafka import KafkaError, Message, Producer

from contract.topics import MODEL_OUTPUTS

_MAX_BYTES: Final = 4_194_304
_WAIT: Final = 30.0


class LineError(ValueError):
    """A line of the file is no JSON; nothing was published. The message names the line."""


class NotAcknowledgedError(Exception):
    """The broker did not acknowledge every record; publishing again does no harm."""

    def __init__(self, acknowledged: int, total: int, reason: str) -> None:
        """Say how many are certainly there."""
        self.acknowledged = acknowledged
        super().__init__(f"{acknowledged} of {total} records acknowledged: {reason}")


def read_lines(file: Path) -> list[bytes]:
    """The records of a JSON Lines file; empty lines are left out. Raises LineError, OSError."""
    records = []
    for number, line in enumerate(file.read_bytes().splitlines(), start=1):
        if not line.strip():
            continue
        try:
            json.loads(line)
        except ValueError as error:
            raise LineError(f"{file}, line {number}: {error}") from error
        records.append(line)
    return records


def key_of(record: bytes) -> bytes | None:
    """The pipeline's own id, so that revisions of one item stay in order; else none."""
    try:
        value: Any = json.loads(record)
        return json.dumps([value["source"], value["external_id"]]).encode()
    except (ValueError, KeyError, TypeError):
        return None


def publish(
    bootstrap: str,
    records: Sequence[bytes],
    progress: Callable[[int, int], None] | None = None,
    *,
    topic: str = MODEL_OUTPUTS,
) -> int:
    """Publish every record and return how many the broker acknowledged. Durable on return.

    Raises:
        NotAcknowledgedError: some were not, within 30 s after the last one.
    """
    failures: list[str] = []
    acknowledged = 0

    def delivered(error: KafkaError | None, _message: Message) -> None:
        nonlocal acknowledged
        if error is not None:
            failures.append(error.str())
            return
        acknowledged += 1
        if progress and (acknowledged % 50 == 0 or acknowledged == len(records)):
            progress(acknowledged, len(records))

    producer = Producer(_settings(bootstrap))
    for record in _paced(records, producer):
        producer.produce(topic, value=record, key=key_of(record), on_delivery=delivered)
    producer.flush(_WAIT)
    if acknowledged < len(records):
        reason = failures[0] if failures else "no answer; is Kafka up? (placet status)"
        raise NotAcknowledgedError(acknowledged, len(records), reason)
    return acknowledged


def _paced(records: Iterable[bytes], producer: Producer) -> Iterator[bytes]:
    for record in records:
        producer.poll(0)
        while len(producer) > 50_000:  # noqa: PLR2004 - half of librdkafka's queue
            producer.poll(0.1)
        yield record


def _settings(bootstrap: str) -> dict[str, Any]:
    return {
        "bootstrap.servers": bootstrap,
        "client.id": "placet-cli",
        "acks": "all",
        "enable.idempotence": True,
        # Every client must agree where a key lives.
        "partitioner": "murmur2_random",
        "message.max.bytes": _MAX_BYTES,
        "linger.ms": 5,
        "delivery.timeout.ms": 30_000,
        "log_level": 2,
    }
