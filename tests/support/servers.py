"""Where tests get their real servers from: packages (the default), or containers."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from contract.topics import TOPICS
from placet.servers import create_topics, kafka_broker, postgres_server

_KAFKA_IMAGE = "confluentinc/cp-kafka:8.1.0"
_POSTGRES_IMAGE = "postgres:18"


@contextmanager
def kafka(folder: Path, containers: bool) -> Iterator[str]:  # noqa: FBT001 - a switch of the caller's
    if containers:
        from testcontainers.community.kafka import KafkaContainer

        with KafkaContainer(_KAFKA_IMAGE).with_kraft() as container:
            bootstrap = container.get_bootstrap_server()
            create_topics(bootstrap)
            yield bootstrap
    else:
        with kafka_broker(folder) as bootstrap:
            create_topics(bootstrap)
            yield bootstrap


@contextmanager
def postgres(folder: Path, containers: bool) -> Iterator[str]:  # noqa: FBT001 - as above
    if containers:
        from testcontainers.community.postgres import PostgresContainer

        with PostgresContainer(_POSTGRES_IMAGE, driver=None) as container:
            yield container.get_connection_url()
    else:
        with postgres_server(folder) as dsn:
            yield dsn


def empty_topics(bootstrap: str) -> None:
    """Delete every record that is in a topic of Placet's."""
    admin = AdminClient({"bootstrap.servers": bootstrap})
    places = [
        TopicPartition(topic.name, partition)
        for topic in TOPICS.values()
        for partition in range(topic.partitions)
    ]
    ends = admin.list_offsets({place: OffsetSpec.latest() for place in places})
    full = [
        TopicPartition(place.topic, place.partition, future.result().offset)
        for place, future in ends.items()
        if future.result().offset > 0
    ]
    if full:
        for future in admin.delete_records(full).values():
            future.result()
