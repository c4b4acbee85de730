"""What the broker says about topics and consumer groups. Reads only.

Owns which group reads which topic. A partition a group never committed counts from its start,
because every consumer of ours begins at the earliest record.
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from confluent_kafka import (
    ConsumerGroupTopicPartitions,
    KafkaError,
    KafkaException,
    TopicPartition,
)
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # re-exported without saying so
    AdminClient,
    OffsetSpec,
)

from contract.topics import DECISIONS, MODEL_OUTPUTS, REVIEW_ITEMS, TOPICS, WRITE_BACKS

_TIMEOUT: Final = 10.0
_BETWEEN_QUESTIONS: Final = 0.1
# For a moment after the broker's start, and after the first group ever.
_COORDINATOR_AWAY: Final = frozenset(
    {
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.NOT_COORDINATOR,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lag:
    """How far one group is behind on one topic, in records over all partitions."""

    group: str
    topic: str
    committed: int
    end: int
    lag: int


def groups(targets: Iterable[str]) -> Mapping[str, Sequence[str]]:
    """Topics by consumer group, for these target instances."""
    return {
        "intake": [MODEL_OUTPUTS],
        "review-items": [REVIEW_ITEMS],
        "review-write-backs": [WRITE_BACKS],
        **{f"dispatcher-{target}": [DECISIONS] for target in targets},
        "audit-sink": [topic.name for topic in TOPICS.values() if "audit-sink" in topic.read_by],
    }


def client(bootstrap: str) -> AdminClient:
    settings: dict[str, Any] = {
        "bootstrap.servers": bootstrap,
        "client.id": "placet-cli",
        "log_level": 0,
        "error_cb": lambda _error: None,
    }
    return AdminClient(settings)


Ends = Mapping[tuple[str, int], int]
FIRST: Final = OffsetSpec.earliest()  # type: ignore[no-untyped-call]
NEXT: Final = OffsetSpec.latest()  # type: ignore[no-untyped-call]


def ends(admin: AdminClient, topics: Iterable[str], spec: OffsetSpec) -> Ends:
    """First or next offset of every partition of the topics that exist. Raises KafkaException."""
    there = admin.list_topics(timeout=_TIMEOUT).topics
    asked = {
        TopicPartition(topic, partition): spec
        for topic in topics
        if topic in there
        for partition in there[topic].partitions
    }
    if not asked:
        return {}
    answers = admin.list_offsets(asked, request_timeout=_TIMEOUT)
    return {(at.topic, at.partition): answer.result().offset for at, answer in answers.items()}


def lags(bootstrap: str, wanted: Mapping[str, Sequence[str]]) -> list[Lag]:
    """The lag of every group on every topic it reads. Raises KafkaException."""
    admin = client(bootstrap)
    topics = sorted({topic for read in wanted.values() for topic in read})
    last = ends(admin, topics, NEXT)
    first = ends(admin, topics, FIRST)
    found = []
    for group, read in wanted.items():
        committed = _committed(admin, group)
        found += [_lag(group, topic, first, last, committed) for topic in read]
    return found


def _committed(admin: AdminClient, group: str) -> Ends:
    deadline = time.monotonic() + _TIMEOUT
    while True:
        asked = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)])
        try:
            answer = asked[group].result(_TIMEOUT)
            break
        except KafkaException as error:
            if error.args[0].code() not in _COORDINATOR_AWAY or time.monotonic() > deadline:
                raise
            time.sleep(_BETWEEN_QUESTIONS)
    return {(at.topic, at.partition): at.offset for at in answer.topic_partitions if at.offset >= 0}


def _lag(group: str, topic: str, first: Ends, last: Ends, committed: Ends) -> Lag:
    partitions = [at for at in last if at[0] == topic]
    # Never below the first record there is: retention may have passed a group by.
    reached = {at: max(committed.get(at, 0), first.get(at, 0)) for at in partitions}
    end = sum(last[at] for at in partitions)
    return Lag(
        group=group,
        topic=topic,
        committed=sum(reached.values()),
        end=end,
        lag=sum(max(0, last[at] - reached[at]) for at in partitions),
    )


def counts(bootstrap: str, topics: Iterable[str]) -> dict[str, int | None]:
    """How many records each topic holds now; None for one that does not exist."""
    admin = client(bootstrap)
    named = list(topics)
    last = ends(admin, named, NEXT)
    first = ends(admin, named, FIRST)
    held: dict[str, int | None] = dict.fromkeys(named)
    for at, offset in last.items():
        held[at[0]] = (held[at[0]] or 0) + offset - first[at]
    return held
