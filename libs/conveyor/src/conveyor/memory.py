"""Kafka in memory, for unit tests: same promises as `Producer` and `Consumer`, no broker.

One conformance suite runs on this and on real Kafka (tests/integration/test_transport.py), so the
double cannot drift. Owns no threads and no time: `Consumer.run` returns when nothing is left.
"""

import threading
import zlib
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from conveyor.consumer import Handle
from conveyor.errors import UnavailableError
from conveyor.parking import Parking
from conveyor.record import Message, Record

_PARTITIONS: Final = 3


class MemoryBroker:
    """Topics as lists. `away` makes every send fail, as a broker that is down does."""

    def __init__(self) -> None:
        self.away = False
        self._logs: dict[tuple[str, int], list[Message]] = defaultdict(list)
        self._committed: dict[tuple[str, str, int], int] = defaultdict(int)

    def send_all(self, messages: Sequence[Message]) -> None:
        """Append `messages`; durable on return. Raises UnavailableError while `away`."""
        if self.away:
            raise UnavailableError("the broker is away")
        for message in messages:
            partition = zlib.crc32(message.key or b"") % _PARTITIONS
            self._logs[message.topic, partition].append(message)

    def close(self) -> None:
        """Do nothing: there is nothing under way."""

    def unread(self, group: str, topics: Sequence[str], most: int) -> list[Record]:
        """Return up to `most` records that `group` has not committed, in order per partition."""
        return [
            _record(topic, partition, offset, message)
            for (topic, partition), log in sorted(self._logs.items())
            if topic in topics
            for offset, message in enumerate(log)
            if offset >= self._committed[group, topic, partition]
        ][:most]

    def commit(self, group: str, records: Sequence[Record]) -> None:
        """Move `group` past `records`."""
        for record in records:
            place = (group, record.topic, record.partition)
            self._committed[place] = max(self._committed[place], record.offset + 1)


class MemoryConsumer:
    """`Consumer` over a `MemoryBroker`."""

    def __init__(
        self,
        *,
        broker: MemoryBroker,
        group: str,
        topics: Sequence[str],
        handle: Handle,
        parking: Parking,
        batch: int = 500,
    ) -> None:
        self._broker = broker
        self._group = group
        self._topics = topics
        self._handle = handle
        self._parking = parking
        self._batch = batch

    def run(self, stop: threading.Event) -> None:
        """Handle what is there, batch by batch, until nothing is left or `stop` is set."""
        while not stop.is_set():
            records = self._broker.unread(self._group, self._topics, self._batch)
            if not records:
                return
            try:
                self._parking.send(self._handle(records))
            except UnavailableError:
                continue
            self._broker.commit(self._group, records)


def _record(topic: str, partition: int, offset: int, message: Message) -> Record:
    return Record(
        topic=topic,
        partition=partition,
        offset=offset,
        timestamp=datetime.fromtimestamp(0, UTC),
        key=message.key,
        value=message.value,
        headers=message.headers,
    )
