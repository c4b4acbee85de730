"""An audit log without servers: doubles of rows, transactions, ledger and letters, and sealed logs.

The doubles police what the real ones promise: numbers without gaps, ids once, heads that only grow.
Each write can be told to fail, or to fail after it has happened.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

from audit_sink.checkpoint import new_key
from audit_sink.ledger import Head
from audit_sink.publish import Publisher
from audit_sink.record import draft, seal
from audit_sink.store import LogDamagedError, Place, Row, SecondSequencerError
from audit_sink.tiles import FileStore
from audit_sink.tree import TileName, leaf_hash
from contract.codec import encode
from contract.events import Control, DeadLetter, Event, Origin
from contract.identity import derive
from contract.topics import CONTROLS
from conveyor.errors import UnavailableError
from conveyor.record import Parked, Record

KEY = new_key("placet.test/log", bytes(range(32)))
OTHER_KEY = new_key("placet.test/log", bytes(32))
NOW = datetime(2026, 11, 24, 10, 0, 0, 5, tzinfo=UTC)


def control(number: int, *, reason: str = "because", digest: bytes | None = None) -> Control:
    return Control(
        event_id=derive("test-control", number),
        correlation_id=f"req-{number}",
        timestamp=NOW,
        scope="support-faq",
        control="PAUSED",
        actor_id="sre",
        role="sre",
        reason=reason,
        content_digest=digest or hashlib.sha256(reason.encode()).digest(),
    )


def read(event: Event | bytes, *, topic: str = CONTROLS, offset: int = 0, **more: object) -> Record:
    """The record on Kafka that carries `event`."""
    value = event if isinstance(event, bytes) else encode(event)
    values: dict[str, object] = {"partition": 0, "timestamp": NOW, "key": b"k", **more}
    return Record(topic=topic, offset=offset, value=value, **values)  # type: ignore[arg-type]


class Trouble:
    """Makes the named writes fail: `fail` before they happen, `lose` after."""

    def __init__(self) -> None:
        self.fail: set[str] = set()
        self.lose: set[str] = set()
        self.error: Callable[[str], Exception] = UnavailableError

    @contextmanager
    def around(self, name: str) -> Iterator[None]:
        if name in self.fail:
            raise self.error(f"{name} failed")
        yield
        if name in self.lose:
            raise self.error(f"{name}: the answer was lost")


class MemoryLog:
    """`append.Log` and `publish.Rows` in memory."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.keys: dict[str, bytes] = {}
        self.offsets: dict[Place, int] = {}
        self.covered: dict[Place, set[int]] = {}
        self.trouble = Trouble()

    @contextmanager
    def transaction(self) -> Iterator["_MemoryTransaction"]:
        transaction = _MemoryTransaction(self)
        yield transaction
        with self.trouble.around("commit"):
            transaction.commit()

    def size(self) -> int:
        return len(self.rows)

    def records(self, start: int, end: int) -> list[tuple[bytes, bytes]]:
        rows = self.rows[start:end]
        if [row.sequence for row in rows] != list(range(start, end)):
            raise LogDamagedError("a hole")
        return [(row.record, row.audit_hash) for row in rows]


class _MemoryTransaction:
    def __init__(self, log: MemoryLog) -> None:
        self._log = log
        self._rows: list[Row] = []
        self._offsets: dict[Place, int] = {}
        self._covered: dict[Place, set[int]] = {}

    def known(self, event_ids: Sequence[str]) -> dict[str, bytes]:
        return {one: self._log.keys[one] for one in event_ids if one in self._log.keys}

    def next_place(self) -> tuple[int, datetime]:
        return len(self._log.rows), NOW

    def insert(self, rows: Iterable[Row]) -> None:
        self._rows += rows

    def cover(self, offsets: Mapping[Place, Iterable[int]]) -> None:
        self._covered = {place: set(some) for place, some in offsets.items()}

    def move_offsets(self, offsets: Mapping[Place, int]) -> None:
        self._offsets |= offsets

    def commit(self) -> None:
        for row in self._rows:
            if row.sequence != len(self._log.rows):
                raise SecondSequencerError("this number is taken")
            assert str(row.event_id) not in self._log.keys
            self._log.rows.append(row)
            self._log.keys[str(row.event_id)] = row.digest
        self._log.offsets |= self._offsets
        for place, some in self._covered.items():
            self._log.covered.setdefault(place, set()).update(some)


class MemoryLetters:
    """`append.Letters`: keeps what was refused."""

    def __init__(self) -> None:
        self.sent: list[Parked] = []
        self.trouble = Trouble()

    def send(self, parked: Sequence[Parked]) -> None:
        with self.trouble.around("letters"):
            self.sent += parked


class MemoryLedger:
    """`ledger.Ledger` in memory."""

    def __init__(self) -> None:
        self.heads: list[Head] = []
        self.trouble = Trouble()

    def head(self) -> Head | None:
        with self.trouble.around("ask"):
            return self.heads[-1] if self.heads else None

    def advance(self, old: Head | None, new: Head) -> bool:
        with self.trouble.around("advance"):
            if (self.heads[-1] if self.heads else None) != old:
                return False
            assert old is None or new.size > old.size
            self.heads.append(new)
            return True

    def history(self) -> list[tuple[int, bytes]]:
        return [(head.size, head.root) for head in self.heads]


class TroubledFiles(FileStore):
    """A real `FileStore` whose writes can fail before or after they happen."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.trouble = Trouble()

    def write(self, tiles: Iterable[tuple[TileName, bytes]]) -> None:
        with self.trouble.around("write"):
            super().write(tiles)

    def publish(self, note: bytes) -> None:
        with self.trouble.around("publish"):
            super().publish(note)


def row(number: int, *, word: str = "because") -> Row:
    """Row `number` of a log of controls."""
    event = control(number, reason=word)
    made = draft(
        event,
        received=encode(event),
        origin=Origin(topic=CONTROLS, partition=0, offset=number),
        salt=hashlib.sha256(f"salt {number}".encode()).digest(),
    )
    record = seal(made, sequence=number, recorded_at="2026-11-24T10:00:00.000005Z")
    return Row(
        sequence=number,
        event_id=UUID(made.event_id),
        digest=made.digest,
        type="Control",
        timestamp=NOW,
        recorded_at=NOW,
        correlation_id=event.correlation_id,
        item_id=None,
        decision_id=None,
        record=record,
        audit_hash=leaf_hash(record),
        salt=made.salt,
        parts=b"",
    )


def sealed(folder: Path, *sizes: int, word: str = "because") -> MemoryLedger:
    """Publish a log in `folder`, with a head at each of `sizes`; return its ledger."""
    log, ledger = MemoryLog(), MemoryLedger()
    files = FileStore(folder)
    publisher = Publisher(rows=log, files=files, ledger=ledger, key=KEY)
    for size in sizes:
        log.rows += [row(number, word=word) for number in range(len(log.rows), size)]
        publisher.publish()
    files.close()
    return ledger


def dead_letter(number: int, value: bytes = b"?") -> DeadLetter:
    origin = Origin(topic=CONTROLS, partition=0, offset=number)
    return DeadLetter(
        event_id=derive("test-letter", number),
        correlation_id="",
        timestamp=NOW,
        consumer="intake",
        origin=origin,
        root=origin,
        reason_code="UNREADABLE",
        reason="not Avro",
        value=value,
        content_digest=hashlib.sha256(value).digest(),
    )
