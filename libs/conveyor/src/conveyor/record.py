"""A Kafka record as a value: read, to be written, or refused. Refuses to know any client."""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from contract.events import Origin
from contract.reasons import Reason

REPLAY_OF: Final = "placet-replay-of"
"""Header of a replayed record: `topic/partition/offset` where it was first read."""
REPLAY_RUN: Final = "placet-replay-run"

_COORDINATES: Final = re.compile(rb"([A-Za-z0-9._-]{1,249})/([0-9]{1,9})/([0-9]{1,18})")

Headers = tuple[tuple[str, bytes | None], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One record as read. `timestamp` is the broker's, aware, UTC."""

    topic: str
    partition: int
    offset: int
    timestamp: datetime
    key: bytes | None
    value: bytes | None
    headers: Headers = ()

    @property
    def origin(self) -> Origin:
        """Return where it was read."""
        return Origin(topic=self.topic, partition=self.partition, offset=self.offset)

    @property
    def root(self) -> Origin:
        """Return where it was first read: a replay names its original."""
        match = _COORDINATES.fullmatch(self.header(REPLAY_OF) or b"")
        if match is None:
            return self.origin
        topic, partition, offset = match.groups()
        return Origin(topic=topic.decode(), partition=int(partition), offset=int(offset))

    def header(self, name: str) -> bytes | None:
        """Return the last value of header `name`, or None."""
        found = None
        for key, value in self.headers:
            if key == name:
                found = value
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One record to be written. The key decides its partition (murmur2)."""

    topic: str
    key: bytes | None
    value: bytes
    headers: tuple[tuple[str, bytes], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Parked:
    """A record that nobody here can use, with the reason. It becomes a dead letter."""

    record: Record
    reason: Reason
    message: str
