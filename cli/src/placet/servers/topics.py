"""Placet's topics on a broker, as `contract.topics` lists them.

Owns their creation, once or a hundred times. Refuses to change or delete a topic that is
there: partitions are fixed for life.
"""

import time
from collections.abc import Iterable, Mapping
from typing import Final

from confluent_kafka import KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # re-exported without saying so
    AdminClient,
    NewTopic,
    OffsetSpec,
)

from contract.topics import TOPICS, Topic

_TIMEOUT: Final = 30.0
_NEXT: Final = OffsetSpec.latest()  # type: ignore[no-untyped-call]


def settings_of(topic: Topic, replication: int) -> Mapping[str, str]:
    """The broker's settings of one topic; min in-sync never above the copies there are."""
    return {
        "min.insync.replicas": str(min(topic.min_insync_replicas, replication)),
        "retention.ms": str(topic.retention_ms),
        "max.message.bytes": str(topic.max_message_bytes),
        "message.timestamp.type": topic.timestamp_type,
    }


def create_topics(
    bootstrap: str, *, replication: int = 1, topics: Iterable[Topic] = tuple(TOPICS.values())
) -> list[str]:
    """Create the topics that are missing and return their names, once each partition has a leader.

    Raises KafkaException when the broker refuses or is away.
    """
    topics = tuple(topics)
    client = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
    wanted = [
        NewTopic(
            topic.name,
            num_partitions=topic.partitions,
            replication_factor=replication,
            config=dict(settings_of(topic, replication)),
        )
        for topic in topics
    ]
    made = []
    for name, done in client.create_topics(wanted, operation_timeout=_TIMEOUT).items():
        try:
            done.result(_TIMEOUT)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise
        else:
            made.append(name)
    _await_leaders(client, topics)
    return made


def _await_leaders(client: AdminClient, topics: Iterable[Topic]) -> None:
    """A topic exists a moment before its partitions can be written: ask each until it answers."""
    places = {
        TopicPartition(topic.name, partition): _NEXT
        for topic in topics
        for partition in range(topic.partitions)
    }
    deadline = time.monotonic() + _TIMEOUT
    while places:
        answers = client.list_offsets(places)
        failed = {place: future.exception(_TIMEOUT) for place, future in answers.items()}
        places = {place: _NEXT for place, error in failed.items() if error}
        if places and time.monotonic() > deadline:
            raise next(error for error in failed.values() if error)
