"""Writing to Kafka. Owns delivery guarantees; refuses to know what is written."""

import threading
from collections.abc import Sequence
from typing import Final, Protocol

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka import Producer as KafkaProducer

from conveyor.errors import UnavailableError
from conveyor.record import Message

_MAX_BYTES: Final = 9_000_000  # dead letters carry the original record and its coordinates
_DELIVERY_TIMEOUT_MS: Final = 30_000


class Sender(Protocol):
    """What writes messages: `Producer`, or `memory.MemoryBroker` in tests."""

    def send_all(self, messages: Sequence[Message]) -> None:
        """Make all durable before returning, or raise UnavailableError. May block 35 s."""


class Producer:
    """An idempotent producer that answers only when everything is durable. Thread safe."""

    def __init__(self, bootstrap: str, client_id: str) -> None:
        """Connect lazily: nothing blocks here, and a broker that is away is not an error yet."""
        self._lock = threading.Lock()
        self._client = KafkaProducer(
            {
                "bootstrap.servers": bootstrap,
                "client.id": client_id,
                "acks": "all",
                "enable.idempotence": True,
                "partitioner": "murmur2_random",  # every client agrees where a key lives
                "linger.ms": 1,
                "compression.type": "lz4",
                "message.max.bytes": _MAX_BYTES,
                "queue.buffering.max.kbytes": 262_144,
                "delivery.timeout.ms": _DELIVERY_TIMEOUT_MS,
                "log_level": 3,
            }
        )

    def send_all(self, messages: Sequence[Message]) -> None:
        """Write `messages` and return when every one is on all in-sync replicas.

        Blocks up to 30 s. On return all are durable.

        Raises:
            UnavailableError: at least one was not acknowledged. It may be there nevertheless:
                send the same ones again, under the same ids.
        """
        if not messages:
            return
        failures: list[KafkaError] = []
        with self._lock:  # one caller at a time: flush() then waits for its messages alone
            for message in messages:
                self._enqueue(message, failures)
            left = self._client.flush(_DELIVERY_TIMEOUT_MS / 1000 + 5)
        if failures or left:
            detail = failures[0].str() if failures else f"{left} messages without an answer"
            raise UnavailableError(f"Kafka did not acknowledge: {detail}")

    def _enqueue(self, message: Message, failures: list[KafkaError]) -> None:
        def delivered(error: KafkaError | None, _: object) -> None:
            if error is not None:
                failures.append(error)

        while True:
            try:
                self._client.produce(
                    message.topic,
                    value=message.value,
                    key=message.key,
                    headers=list(message.headers),
                    on_delivery=delivered,
                )
            except BufferError:
                self._client.poll(0.05)  # the queue is full: let deliveries through, then go on
            except KafkaException as error:
                raise UnavailableError(f"Kafka refused a message: {error}") from error
            else:
                return

    def close(self) -> None:
        """Wait for what is under way, up to 5 s."""
        self._client.flush(5)
