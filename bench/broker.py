"""Topics and groups as anybody sees them: publish, how far a group is, what is in a topic."""

import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, TypeAlias, cast

from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, Producer, TopicPartition
from confluent_kafka import Message as KafkaMessage
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]

from bench.errors import BenchError
from contract.topics import TOPICS

_SECONDS: Final = 30.0
Place: TypeAlias = tuple[str, int]
Headers: TypeAlias = Sequence[tuple[str, str | bytes | None]]
Outgoing: TypeAlias = tuple[bytes | None, bytes, Headers]


class Broker:
    """One broker; only reads what is there and publishes what it is given."""

    def __init__(self, bootstrap: str) -> None:
        """Connect lazily."""
        self._bootstrap = bootstrap
        self._admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})

    def publish(self, topic: str, records: Iterable[Outgoing]) -> None:
        """Publish (key, value, headers) as fast as it goes, as any pipeline would.

        Raises BenchError when one was not acknowledged by all in-sync replicas.
        """
        failures: list[str] = []
        producer = Producer(
            {
                "bootstrap.servers": self._bootstrap,
                "acks": "all",
                "enable.idempotence": True,
                "partitioner": "murmur2_random",
                "linger.ms": 5,
                "log_level": 0,
            }
        )
        for key, value, headers in records:
            producer.produce(
                topic,
                key=key,
                value=value,
                headers=list(headers),
                on_delivery=lambda error, _: failures.append(str(error)) if error else None,
            )
            producer.poll(0)
        if (left := producer.flush(_SECONDS)) or failures:
            raise BenchError(f"{topic}: {left} records not acknowledged; {failures[:1]}")

    def ends(self, *topics: str) -> Mapping[Place, int]:
        """Return the offset after the last record of each partition."""
        found = self._offsets(topics, OffsetSpec.latest())  # type: ignore[no-untyped-call]
        return {place: info.offset for place, info in found.items()}

    def last_append(self, topic: str) -> float:
        """Return when the broker appended the newest record, in seconds since the epoch."""
        found = self._offsets([topic], OffsetSpec.max_timestamp())  # type: ignore[no-untyped-call]
        return float(max(info.timestamp for info in found.values())) / 1000

    def _offsets(self, topics: Iterable[str], spec: OffsetSpec) -> dict[Place, Any]:
        wanted = {
            TopicPartition(topic, partition): spec
            for topic in topics
            for partition in range(TOPICS[topic].partitions)
        }
        answers = self._admin.list_offsets(wanted)
        return {
            (place.topic, place.partition): answer.result(_SECONDS)
            for place, answer in answers.items()
        }

    def lag(self, group: str, topic: str) -> int:
        """Return how many records of `topic` the group has not committed yet."""
        asked = [ConsumerGroupTopicPartitions(group)]
        answer = self._admin.list_consumer_group_offsets(asked)[group].result(_SECONDS)
        committed = {(p.topic, p.partition): max(p.offset, 0) for p in answer.topic_partitions}
        return sum(end - committed.get(place, 0) for place, end in self.ends(topic).items())

    def members(self, group: str) -> int:
        """Return how many members a stable group has; 0 while it is being rebalanced."""
        answer = self._admin.describe_consumer_groups([group])[group].result(_SECONDS)
        owning = [one for one in answer.members if one.assignment.topic_partitions]
        return len(owning) if answer.state.name == "STABLE" else 0

    def window(self, topic: str) -> Sequence[Outgoing]:
        """Return everything that is in `topic` now, ready to be published again."""
        return [
            (message.key(), message.value() or b"", cast("Headers", message.headers() or []))
            for message in self._records(topic)
        ]

    def _records(self, topic: str) -> Sequence[KafkaMessage]:
        consumer = Consumer(
            {
                "bootstrap.servers": self._bootstrap,
                "group.id": f"bench-{uuid.uuid4().hex}",
                "enable.auto.commit": False,
                "log_level": 0,
            }
        )
        left = sum(self.ends(topic).values())
        places = range(TOPICS[topic].partitions)
        consumer.assign([TopicPartition(topic, place, 0) for place in places])
        found: list[KafkaMessage] = []
        try:
            while len(found) < left:
                # Never more than there are: it waits for the last one.
                batch = consumer.consume(min(5_000, left - len(found)), _SECONDS)
                if not batch or any(message.error() for message in batch):
                    raise BenchError(f"{topic}: {len(found)} of {left} records could be read")
                found += batch
        finally:
            consumer.close()
        return found
