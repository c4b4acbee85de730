"""What became of decisions: write-backs from Kafka into states, and final states out to pipelines.

A batch is one transaction. A transition of a write-back is known by its number for ever, so a
replay in any order changes nothing: only transitions never seen before move a write-back, only
forward, and only the item's open decision speaks for its item. What all write-backs of a decision
mean together is `review.of_writes`; whether the item may go there is `review.TABLE`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import orjson
import structlog
from psycopg import Connection, Cursor

from contract.codec import CodecError, UnknownSchemaError, decode
from contract.events import WriteBack, WriteBackState
from contract.reasons import Reason
from conveyor import metrics, outbox
from conveyor.database import connect, unavailable_database
from conveyor.record import Parked, Record
from conveyor.relay import wake
from review_api import review
from review_api.outcome_event import Outcome
from review_api.queries import QUERIES
from review_api.review import State

log = structlog.get_logger()

OUTBOX = "review.outbox"
CHANNEL = "review_outbox"
_Key = tuple[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """A record that is a write-back."""

    record: Record
    event: WriteBack

    @property
    def key(self) -> _Key:
        """Return what may only ever have one content."""
        return self.event.write_back_id, self.event.transition


def read(records: Sequence[Record]) -> tuple[list[Arrival], list[Parked]]:
    """Decode `records`. A schema nobody here knows ends the process: a newer release wrote it.

    Raises:
        UnknownSchemaError: deploy the release that knows it.
    """
    arrivals, parked = [], []
    for record in records:
        try:
            event = decode(record.value or b"")
        except UnknownSchemaError:
            raise
        except CodecError as error:
            parked.append(Parked(record=record, reason=error.reason, message=str(error)))
            continue
        if isinstance(event, WriteBack) and _sound(event):
            arrivals.append(Arrival(record=record, event=event))
        else:
            message = f"a {type(event).__name__}, or a WriteBack without ids"
            parked.append(Parked(record=record, reason=Reason.BAD_VALUE, message=message))
    return arrivals, parked


def _sound(event: WriteBack) -> bool:
    try:
        for text in (event.item_id, event.decision_id, event.write_back_id):
            UUID(text)
    except ValueError:
        return False
    texts = (event.reason or "", event.reason_code or "", event.target_version or "")
    found = (*event.overwrote, *event.overwrote.values())
    return "\0" not in "".join((*texts, *event.conflicting, *found))


class Outcomes:
    """Handles batches of `placet.write-backs`."""

    def __init__(self, dsn: str) -> None:
        """Connect at the first batch."""
        self._dsn = dsn
        self._connection: Connection[Any] | None = None

    def handle(self, records: Sequence[Record]) -> Sequence[Parked]:
        """Make the batch durable and return what nobody can use.

        Raises:
            UnavailableError: the database is away.
        """
        arrivals, parked = read(records)
        if not arrivals:
            return parked
        with unavailable_database():
            if self._connection is None or self._connection.closed:
                self._connection = connect(self._dsn, "review-outcomes")
            with self._connection.transaction(), self._connection.cursor() as cursor:
                refused, told = _write(cursor, arrivals)
            # A crash here costs the hint; the relay polls.
            if told:
                wake(self._connection, CHANNEL)
        return [*parked, *refused]

    def close(self) -> None:
        """Close the connection, if there is one."""
        if self._connection is not None:
            self._connection.close()


def _write(cursor: Cursor[Any], arrivals: Sequence[Arrival]) -> tuple[list[Parked], int]:
    # First the items, in the order of their ids: whoever else changes one waits here, not later.
    ids = sorted({arrival.event.item_id for arrival in arrivals})
    cursor.execute(QUERIES["lock_items"], {"items": ids})
    states = {row[0]: (State(row[2]), row[5]) for row in cursor}
    known, refused = _known(cursor, arrivals)
    fresh = _take_in(cursor, known)
    refused += _reused(cursor, known, fresh)
    newest = _newest(fresh)
    if not newest:
        return refused, 0
    _move_write_backs(cursor, newest)
    told = _move_items(cursor, newest, states)
    outbox.insert(cursor, OUTBOX, [outcome.row() for outcome in told])
    return refused, len(told)


def _known(cursor: Cursor[Any], arrivals: Sequence[Arrival]) -> tuple[list[Arrival], list[Parked]]:
    """Return arrivals of write-backs that a decision here has; the others are nobody's."""
    ids = list({arrival.event.write_back_id for arrival in arrivals})
    cursor.execute(QUERIES["known_write_backs"], {"ids": ids})
    here = {row[0] for row in cursor}
    known = [arrival for arrival in arrivals if arrival.event.write_back_id in here]
    refused = [
        Parked(
            record=arrival.record,
            reason=Reason.BAD_VALUE,
            message="no decision of this desk has such a write-back",
        )
        for arrival in arrivals
        if arrival.event.write_back_id not in here
    ]
    return known, refused


def _take_in(cursor: Cursor[Any], arrivals: Sequence[Arrival]) -> list[Arrival]:
    """Insert every transition once and return those that are new."""
    first = {arrival.key: arrival for arrival in reversed(arrivals)}
    events = [arrival.event for arrival in first.values()]
    if not events:
        return []
    cursor.execute(
        QUERIES["add_write_back_events"],
        {
            "ids": [event.write_back_id for event in events],
            "transitions": [event.transition for event in events],
            "digests": [event.content_digest for event in events],
            "states": [event.state.value for event in events],
            "ats": [event.timestamp for event in events],
            "attempts": [event.attempts for event in events],
            "reason_codes": [event.reason_code for event in events],
            "reasons": [_words(event) for event in events],
        },
    )
    return [first[row[0], row[1]] for row in cursor]


def _reused(
    cursor: Cursor[Any], arrivals: Sequence[Arrival], fresh: Sequence[Arrival]
) -> list[Parked]:
    """Return arrivals whose transition is known with another content; count the duplicates."""
    new = {id(arrival) for arrival in fresh}
    again = [arrival for arrival in arrivals if id(arrival) not in new]
    if not again:
        return []
    asked = {
        "ids": [arrival.event.write_back_id for arrival in again],
        "transitions": [arrival.event.transition for arrival in again],
    }
    cursor.execute(QUERIES["known_write_back_events"], asked)
    digests = {(row[0], row[1]): bytes(row[2]) for row in cursor}
    parked = [
        Parked(
            record=arrival.record,
            reason=Reason.KEY_REUSED,
            message=f"transition {arrival.event.transition} had another content",
        )
        for arrival in again
        if digests[arrival.key] != arrival.event.content_digest
    ]
    metrics.DUPLICATES.labels(consumer="review-write-backs").inc(len(again) - len(parked))
    return parked


def _words(event: WriteBack) -> str | None:
    """Return why, for people; what was overwritten is there for them to bring back."""
    if not event.overwrote:
        return event.reason
    found = "; ".join(f"{name} was {text}" for name, text in sorted(event.overwrote.items()))
    return f"{event.reason or ''} ({found})".lstrip()


def _newest(arrivals: Iterable[Arrival]) -> list[WriteBack]:
    newest: dict[str, WriteBack] = {}
    for arrival in arrivals:
        event = arrival.event
        known = newest.get(event.write_back_id)
        if known is None or known.transition < event.transition:
            newest[event.write_back_id] = event
    return list(newest.values())


def _move_write_backs(cursor: Cursor[Any], newest: Sequence[WriteBack]) -> None:
    cursor.execute(
        QUERIES["move_write_backs"],
        {
            "ids": [event.write_back_id for event in newest],
            "transitions": [event.transition for event in newest],
            "states": [event.state.value for event in newest],
            "attempts": [event.attempts for event in newest],
            "next_attempts": [event.next_attempt_at for event in newest],
            "reason_codes": [event.reason_code for event in newest],
            "reasons": [_words(event) for event in newest],
            "target_versions": [event.target_version for event in newest],
            "conflicting": [orjson.dumps(event.conflicting).decode() for event in newest],
            "ats": [event.timestamp for event in newest],
        },
    )


def _move_items(
    cursor: Cursor[Any],
    newest: Sequence[WriteBack],
    states: dict[str, tuple[State, str | None]],
) -> list[Outcome]:
    """Move the items whose open decision has news, and return what pipelines are told."""
    causes = {event.decision_id: event for event in newest}
    cursor.execute(QUERIES["states_of_decisions"], {"decisions": list(causes)})
    moved: list[tuple[str, State]] = []
    touched: list[tuple[str, str]] = []
    told: list[Outcome] = []
    for row in cursor.fetchall():
        decision, item_id, revision, source, external_id, correlation_id, *place, writes = row
        if review.CLOSED.intersection(writes):
            touched.append((place[0], place[1]))
        state, open_decision = states[item_id]
        happening = review.of_writes(WriteBackState(one) for one in writes)
        after = review.TABLE.get((state, happening))
        if open_decision != decision or after is None or after is state:
            continue  # an earlier decision's news, or nothing that changes the item
        moved.append((item_id, after))
        if after in review.TOLD:
            told.append(
                Outcome(
                    item_id=item_id,
                    source=source,
                    external_id=external_id,
                    revision=revision,
                    correlation_id=correlation_id,
                    state=after,
                    decision_id=decision,
                    reason_code=causes[decision].reason_code,
                    at=causes[decision].timestamp,
                    cause=causes[decision].event_id,
                )
            )
    _save(cursor, moved, touched)
    return told


def _save(
    cursor: Cursor[Any], moved: Sequence[tuple[str, State]], touched: Sequence[tuple[str, str]]
) -> None:
    if moved:
        asked = {
            "items": [item_id for item_id, _ in moved],
            "states": [state.value for _, state in moved],
        }
        cursor.execute(QUERIES["move_items"], asked)
    if touched:
        places = sorted(set(touched))
        asked = {
            "instances": [instance for instance, _ in places],
            "identifiers": [identifier for _, identifier in places],
        }
        cursor.execute(QUERIES["expire_baselines"], asked)
