"""Reading from Kafka: a batch, its effect, its dead letters, then the commit.

Owns the order of those four, which is law 1: an offset is committed after the effect of its record
is durable, so a crash anywhere repeats and never loses. Refuses to know what an effect is.
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, cast

import structlog
from confluent_kafka import OFFSET_INVALID, KafkaException, Message, TopicPartition
from confluent_kafka import Consumer as KafkaConsumer

from conveyor import metrics
from conveyor.errors import UnavailableError
from conveyor.parking import Parking
from conveyor.record import Headers, Parked, Record

log = structlog.get_logger()

Handle = Callable[[Sequence[Record]], Sequence[Parked]]
"""Make the effect of every record durable, and return those that cannot be used.

May block. Is called with the same records again after any failure. May raise UnavailableError;
anything else it raises is a bug and ends the process before the commit.
"""
Place = tuple[str, int]
FindOffsets = Callable[[Sequence[Place]], Mapping[Place, int]]
"""Say where to go on for partitions whose offsets live elsewhere than in Kafka."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetch:
    """The broker answers once it has `at_least` bytes, or after `wait_ms` with what there is."""

    at_least: int
    wait_ms: int


AT_ONCE: Final = Fetch(at_least=1, wait_ms=500)
"""As soon as there is anything. `wait_ms` is also how often it asks while nothing comes."""

_SESSION_TIMEOUT_MS: Final = 6_000
_COMMIT_EVERY: Final = 0.2  # seconds: a commit per batch costs the broker as much as the batch
_POLL: Final = 0.5
_FIRST_PAUSE: Final = 0.2
_LONGEST_PAUSE: Final = 10.0


class Consumer:
    """One consumer group member: `run` until told to stop."""

    def __init__(
        self,
        *,
        bootstrap: str,
        group: str,
        topics: Sequence[str],
        handle: Handle,
        parking: Parking,
        batch: int = 500,
        linger: float = 0.0,
        fetch: Fetch = AT_ONCE,
        on_assign: FindOffsets | None = None,
    ) -> None:
        """Take the wiring. Nothing is read before `run`.

        `linger`: seconds to wait for more after a first record, where throughput is worth latency.
        `fetch`: the same for the broker, to whom each answer costs more than what is in it.
        """
        self._group = group
        self._topics = list(topics)
        self._handle = handle
        self._parking = parking
        self._batch = batch
        self._linger = linger
        self._done: dict[Place, int] = {}  # handled, and not committed yet
        self._committed_at = 0.0
        self._find_offsets = on_assign
        self._pause = _FIRST_PAUSE
        self.assigned = threading.Event()
        """Set once the group has given this member its partitions."""
        self._client = KafkaConsumer(
            {
                "bootstrap.servers": bootstrap,
                "group.id": group,
                "client.id": group,
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "session.timeout.ms": _SESSION_TIMEOUT_MS,
                "heartbeat.interval.ms": 1_500,
                "max.poll.interval.ms": 300_000,
                "fetch.min.bytes": fetch.at_least,
                "fetch.wait.max.ms": fetch.wait_ms,
                "fetch.message.max.bytes": 9_000_000,
                "log_level": 3,
            }
        )

    def run(self, stop: threading.Event) -> None:
        """Consume until `stop` is set, then leave the group (so that a successor starts at once).

        Raises whatever `handle` raises, but UnavailableError: then the batch is handled again.
        """
        self._client.subscribe(self._topics, on_assign=self._assign, on_revoke=self._revoke)
        try:
            while not stop.is_set():
                batch = self._read()
                if batch:
                    self._take(batch, stop)
                self._commit_when_due()
        finally:
            self._commit()
            with suppress(KafkaException):  # a broker that is away cannot be told good-bye
                self._client.close()

    def _assign(self, client: KafkaConsumer, partitions: list[TopicPartition]) -> None:
        if self._find_offsets is not None:
            known = self._find_offsets([(p.topic, p.partition) for p in partitions])
            for partition in partitions:
                partition.offset = known.get((partition.topic, partition.partition), OFFSET_INVALID)
            # They are handled, whatever Kafka was told before a crash: lag displays go by that.
            self._done |= known
        client.assign(partitions)
        self.assigned.set()
        log.info("partitions_assigned", group=self._group, count=len(partitions))

    def _revoke(self, _: KafkaConsumer, partitions: list[TopicPartition]) -> None:
        self._commit()  # the next owner then begins where this one ended
        log.info("partitions_revoked", group=self._group, count=len(partitions))

    def _read(self) -> list[Message]:
        """Wait for one message, then take what has already arrived: no latency for throughput."""
        first = self._client.poll(_COMMIT_EVERY if self._done else _POLL)
        if first is None:
            return []
        messages = [first]
        if self._batch > 1:
            messages += self._client.consume(self._batch - 1, self._linger)
        good = []
        for message in messages:
            error = message.error()
            if error is None:
                good.append(message)
            else:  # the client library retries by itself; what it reports is for people
                log.warning("kafka_read_failed", group=self._group, error=error.str())
        return good

    def _take(self, batch: Sequence[Message], stop: threading.Event) -> None:
        records = [_record(message) for message in batch]
        try:
            parked = self._handle(records)
            self._parking.send(parked)
        except UnavailableError as error:
            self._try_again(batch, error, stop)
            return
        # A crash here repeats the batch; its effects are there already and are recognised.
        for place, offset in _edges(batch, max).items():
            self._done[place] = offset + 1
        self._pause = _FIRST_PAUSE
        metrics.RECORDS.labels(group=self._group).inc(len(records))

    def _try_again(
        self, batch: Sequence[Message], error: UnavailableError, stop: threading.Event
    ) -> None:
        pause = error.retry_after or self._pause
        log.warning("unavailable", group=self._group, error=str(error), again_in_seconds=pause)
        metrics.UNAVAILABLE.labels(group=self._group).inc()
        stop.wait(min(pause, _LONGEST_PAUSE))
        self._pause = min(self._pause * 2, _LONGEST_PAUSE)
        for (topic, partition), offset in _edges(batch, min).items():
            self._seek(TopicPartition(topic, partition, offset))

    def _seek(self, place: TopicPartition) -> None:
        try:
            self._client.seek(place)
        except KafkaException:
            ours = {(one.topic, one.partition) for one in self._client.assignment()}
            if (place.topic, place.partition) in ours:
                raise  # going on would pass records whose effect is not there
            # No longer ours: its new owner begins at the committed offset.

    def _commit_when_due(self) -> None:
        if self._done and time.monotonic() >= self._committed_at + _COMMIT_EVERY:
            self._commit()

    def _commit(self) -> None:
        if not self._done:
            return
        offsets = [
            TopicPartition(topic, partition, offset)
            for (topic, partition), offset in self._done.items()
        ]
        self._done = {}
        self._committed_at = time.monotonic()
        try:
            self._client.commit(offsets=offsets, asynchronous=False)
        except KafkaException as error:
            # Rebalanced or away: whoever reads these again finds their effects done.
            log.warning("commit_failed", group=self._group, error=str(error))


def _record(message: Message) -> Record:
    _, milliseconds = message.timestamp()
    return Record(
        topic=message.topic() or "",
        partition=message.partition() or 0,
        offset=message.offset() or 0,
        timestamp=datetime.fromtimestamp(max(milliseconds, 0) / 1000, UTC),
        key=_bytes(message.key()),
        value=_bytes(message.value()),
        headers=_headers(message),
    )


def _headers(message: Message) -> Headers:
    pairs = cast("list[tuple[str, str | bytes | None]]", message.headers() or [])
    return tuple((name, _bytes(value)) for name, value in pairs)


def _bytes(value: str | bytes | None) -> bytes | None:
    return value.encode() if isinstance(value, str) else value


def _edges(batch: Sequence[Message], pick: Callable[[int, int], int]) -> dict[Place, int]:
    edges: dict[Place, int] = {}
    for message in batch:
        place = (message.topic() or "", message.partition() or 0)
        offset = message.offset() or 0
        edges[place] = pick(edges.get(place, offset), offset)
    return edges
