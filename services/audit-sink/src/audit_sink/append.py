"""Step 1 of sealing: a batch of facts becomes rows, in one transaction with its Kafka offsets.

Owns what is new, what is a duplicate, what is refused, and the order of the transaction. Steps 2 to
4, tiles, ledger and checkpoint, are `publish`'s; they work from what this has committed, and from
nothing else.

Offsets live in PostgreSQL, beside the rows: a record is in the log exactly when its offset is.
What Kafka is told afterwards is only for people who look at lag.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import datetime
from typing import Final, Protocol
from uuid import UUID

import msgspec
import structlog

from audit_sink.covered import outputs
from audit_sink.locking import Payload, Vault, lock, subject_of
from audit_sink.payload import SALT_SIZE, Packer
from audit_sink.record import Draft, Fact, draft, has_sound_id, seal
from audit_sink.store import Place, Row, Transaction
from audit_sink.tree import leaf_hash
from contract.codec import CodecError, UnknownSchemaError, decode
from contract.events import (
    Control,
    DeadLetter,
    ReviewActivity,
    ReviewDecision,
    ReviewItem,
    WriteBack,
)
from contract.identity import Digester
from contract.reasons import Reason
from contract.statement import timestamp_text
from contract.topics import (
    CONTROLS,
    DEAD_LETTERS,
    DECISIONS,
    REVIEW_ACTIVITY,
    REVIEW_ITEMS,
    WRITE_BACKS,
)
from conveyor import metrics
from conveyor.record import REPLAY_OF, Parked, Record
from vault.keyring import DataKey

log = structlog.get_logger()

GROUP: Final = "audit-sink"
FACTS: Final[Mapping[str, type[Fact]]] = {
    REVIEW_ITEMS: ReviewItem,
    DECISIONS: ReviewDecision,
    REVIEW_ACTIVITY: ReviewActivity,
    WRITE_BACKS: WriteBack,
    CONTROLS: Control,
    DEAD_LETTERS: DeadLetter,
}
"""The topics that are sealed, and the one event each carries."""

_LONGEST_REPARKED: Final = 65_536


class NewerWriterError(Exception):
    """A newer release has written a record that this one cannot read. Nothing was committed.

    Operators: upgrade audit-sink; it goes on exactly here.
    """


class Log(Protocol):
    """Where rows go: `store.Writer`, or a double that fails where a test says."""

    def transaction(self) -> AbstractContextManager[Transaction]:
        """Run one transaction (see `store.Writer.transaction`)."""


class Letters(Protocol):
    """Where refused records go: `conveyor.parking.Parking`."""

    def send(self, parked: Sequence[Parked]) -> None:
        """Make dead letters durable, or raise UnavailableError."""


class _Read(msgspec.Struct, frozen=True, kw_only=True):
    """A record of Kafka with the draft of what it becomes in the log."""

    record: Record
    draft: Draft


class Appender:
    """Handles batches of records (`conveyor.consumer.Handle`). Used by one thread."""

    def __init__(
        self,
        *,
        log: Log,
        letters: Letters,
        digester: Digester,
        vault: Vault,
        appended: Callable[[int], None],
    ) -> None:
        """`appended` is told the new size of the log after each commit that made it grow."""
        self._log = log
        self._letters = letters
        self._digester = digester
        self._vault = vault
        self._appended = appended
        self._packer = Packer()

    def handle(self, records: Sequence[Record]) -> Sequence[Parked]:
        """Append the facts in `records`; durable on return, with the offsets.

        Returns nothing to park: the dead letters are out before the commit, because the offsets
        move with it.

        Raises:
            UnavailableError: PostgreSQL, vault or Kafka is away; the same batch again is harmless.
            NewerWriterError, SecondSequencerError: the process must end.
        """
        read, parked = self._read(records)
        with self._log.transaction() as transaction:
            known = transaction.known([one.draft.event_id for one in read])
            new, reused = sort_out(read, known)
            size = self._insert(transaction, new)
            if covered := outputs(one.draft.output for one in read):
                transaction.cover(covered)
            transaction.move_offsets(_ends(records))
            # Sent before the commit: after it, a crash would lose them. A crash between the two
            # sends them again under the same ids, and they are recognised as duplicates.
            self._letters.send([_unnested(one) for one in (*parked, *reused)])
        # A crash here: all is durable; Kafka's own offsets lag behind, ours count.
        self._note(new, duplicates=len(read) - len(new) - len(reused), size=size)
        return ()

    def _read(self, records: Sequence[Record]) -> tuple[list[_Read], list[Parked]]:
        read: list[_Read] = []
        parked: list[Parked] = []
        salts = os.urandom(SALT_SIZE * len(records))
        for number, record in enumerate(records):
            salt = salts[number * SALT_SIZE : (number + 1) * SALT_SIZE]
            try:
                read.append(_Read(record=record, draft=self._draft(record, salt)))
            except UnknownSchemaError as error:
                raise NewerWriterError(f"{_where(record)}: {error}") from error
            except CodecError as error:
                parked.append(Parked(record=record, reason=error.reason, message=str(error)))
        return read, parked

    def _draft(self, record: Record, salt: bytes) -> Draft:
        received = record.value or b""
        event = decode(received)
        if not isinstance(event, FACTS[record.topic]):
            message = f"a {type(event).__name__} does not belong on {record.topic}"
            raise CodecError(Reason.UNREADABLE, message)
        if not has_sound_id(event):
            raise CodecError(Reason.BAD_VALUE, "event_id is no UUID in lower-case text form")
        made = draft(event, received=received, origin=record.origin, salt=salt)
        if isinstance(event, ReviewDecision):
            # Not the digest it claims: an altered statement under a copied digest is no duplicate.
            return msgspec.structs.replace(
                made, digest=self._digester.of_bytes(made.parts["statement"])
            )
        return made

    def _insert(self, transaction: Transaction, new: Sequence[_Read]) -> int:
        """Insert the rows of `new` and return the log's size after it."""
        if not new:
            return 0
        start, now = transaction.next_place()
        recorded_at = timestamp_text(now)
        owners = [subject_of(one.draft.fields) for one in new]
        # Keys are durable before anything is locked with them. A crash leaves keys without use.
        keys = self._vault.keys_for(owners)
        transaction.insert(
            self._row(one.draft, sequence, now, recorded_at, (owner, keys[owner]))
            for sequence, (one, owner) in enumerate(zip(new, owners, strict=True), start)
        )
        return start + len(new)

    def _row(
        self,
        made: Draft,
        sequence: int,
        now: datetime,
        recorded_at: str,
        owner: tuple[str, DataKey | None],
    ) -> Row:
        record = seal(made, sequence=sequence, recorded_at=recorded_at)
        subject, key = owner
        # Of a subject that was destroyed the log has the fact, and nobody has what it commits to.
        parts = None
        if key is not None:
            payload = Payload(salt=made.salt, packed=self._packer.pack(made.parts))
            parts = lock(key, sequence, payload)
        return Row(
            sequence=sequence,
            event_id=UUID(made.event_id),
            digest=made.digest,
            type=made.fields["type"],
            timestamp=made.timestamp,
            recorded_at=now,
            correlation_id=made.fields["correlation_id"],
            item_id=made.fields["item_id"],
            decision_id=made.fields["decision_id"],
            record=record,
            audit_hash=leaf_hash(record),
            subject=subject,
            salt=b"",
            parts=parts,
        )

    def _note(self, new: Sequence[_Read], *, duplicates: int, size: int) -> None:
        if duplicates:
            metrics.DUPLICATES.labels(consumer=GROUP).inc(duplicates)
        if new:
            metrics.AUDIT_APPENDED.inc(len(new))
            metrics.AUDIT_LOG_SIZE.set(size)
            self._appended(size)


def sort_out(read: Sequence[_Read], known: Mapping[str, bytes]) -> tuple[list[_Read], list[Parked]]:
    """Return what is new, and what reuses an id for other content; the rest are duplicates."""
    seen = dict(known)
    new: list[_Read] = []
    reused: list[Parked] = []
    for one in read:
        digest = seen.get(one.draft.event_id)
        if digest is None:
            seen[one.draft.event_id] = one.draft.digest
            new.append(one)
        elif digest != one.draft.digest:
            message = f"event {one.draft.event_id} is in the log with other content"
            reused.append(Parked(record=one.record, reason=Reason.KEY_REUSED, message=message))
    return new, reused


def _unnested(parked: Parked) -> Parked:
    """Return `parked` so that refusing a dead letter comes to an end.

    A dead letter about a record of the dead-letter topic goes to that topic, and comes back here.
    It is readable, so it is sealed, unless its id is taken: therefore its id comes from its own
    coordinates, which no other record has, and never from a replay header. And it must fit.
    """
    record = parked.record
    if record.topic != DEAD_LETTERS:
        return parked
    headers = tuple((name, value) for name, value in record.headers if name != REPLAY_OF)
    value, message = record.value, parked.message
    if value is not None and len(value) > _LONGEST_REPARKED:
        message = f"{message} (the first {_LONGEST_REPARKED} of {len(value)} bytes are kept)"
        value = value[:_LONGEST_REPARKED]
    return replace(parked, record=replace(record, headers=headers, value=value), message=message)


def _ends(records: Sequence[Record]) -> dict[Place, int]:
    ends: dict[Place, int] = {}
    for record in records:
        place = (record.topic, record.partition)
        ends[place] = max(ends.get(place, 0), record.offset + 1)
    return ends


def _where(record: Record) -> str:
    return f"{record.topic}/{record.partition}/{record.offset}"
