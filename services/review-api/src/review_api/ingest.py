"""Review items from Kafka into the queue. Owns law 1's outcomes on this side, and the first lane.

A batch is one transaction: lock the items it touches, sort out in order what each record becomes
(`sort_out`, pure), write all of it. A crash before the commit leaves nothing; after it, the batch
is read again and everything in it is a duplicate. Texts are kept as the Avro that arrived.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

import psycopg
import structlog
from psycopg import Connection, Cursor

from contract.codec import CodecError, UnknownSchemaError, decode
from contract.events import ReviewItem
from contract.reasons import Reason
from contract.topics import REVIEW_ITEMS
from conveyor import metrics
from conveyor.database import connect, unavailable_database
from conveyor.errors import UnavailableError
from conveyor.record import Parked, Record
from review_api import control_items, review
from review_api.policies import PolicyInForce
from review_api.policy import Lane, Policy
from review_api.queries import QUERIES, words
from review_api.review import Happening, State

log = structlog.get_logger()

_TITLE: Final = 160
_SEARCHED: Final = 400
_NEVER: Final = "infinity"
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """A record that is a review item."""

    record: Record
    item: ReviewItem
    data: bytes

    @property
    def place(self) -> tuple[str, int]:
        """Return what may only ever have one content."""
        return self.item.item_id, self.item.revision


@dataclass(slots=True, kw_only=True)
class Sorted:
    """What a batch becomes. `items` holds the newest arrival per item that changes it."""

    new: dict[str, Arrival] = field(default_factory=dict)
    revised: dict[str, Arrival] = field(default_factory=dict)
    revisions: list[Arrival] = field(default_factory=list)
    parked: list[Parked] = field(default_factory=list)
    became: Counter[str] = field(default_factory=Counter)


def sort_out(
    arrivals: Iterable[Arrival],
    known: Mapping[str, tuple[int, State]],
    digests: Mapping[tuple[str, int], bytes],
) -> Sorted:
    """Say what each arrival becomes, in order. Pure.

    `known` is revision and state of the items that exist, `digests` the content of the revisions
    that do. What one arrival changes is known to the next: an item may occur many times.
    """
    now, seen = dict(known), dict(digests)
    out = Sorted()
    for arrival in arrivals:
        item = arrival.item
        content = seen.get(arrival.place)
        revision, state = now.get(item.item_id, (0, State.PENDING))
        if content is not None and content == item.content_digest:
            out.became["duplicate"] += 1
            continue
        if content is not None:
            _park(out, arrival, Reason.REVISION_REUSED, f"revision {item.revision} was different")
            continue
        if item.item_id in now and item.revision < revision:
            out.became["superseded"] += 1  # history only
        elif item.item_id not in now:
            out.new[item.item_id] = arrival
            now[item.item_id] = (item.revision, State.PENDING)
            out.became["new"] += 1
        elif state in review.REVISABLE:
            newest = out.new if item.item_id in out.new else out.revised
            newest[item.item_id] = arrival
            now[item.item_id] = (item.revision, review.after(state, Happening.REVISED))
            out.became["revised"] += 1
        else:
            _park(out, arrival, Reason.ITEM_DECIDED, f"the item is {state}")
            continue
        seen[arrival.place] = item.content_digest
        out.revisions.append(arrival)
    return out


def _park(out: Sorted, arrival: Arrival, reason: Reason, message: str) -> None:
    out.parked.append(Parked(record=arrival.record, reason=reason, message=message))
    out.became["parked"] += 1


def read(records: Sequence[Record]) -> tuple[list[Arrival], list[Parked]]:
    """Decode `records`. A schema nobody here knows ends the process: a newer release wrote it.

    Raises:
        UnknownSchemaError: deploy the release that knows it.
    """
    arrivals, parked = [], []
    for record in records:
        data = record.value or b""
        try:
            event = decode(data)
        except UnknownSchemaError:
            raise
        except CodecError as error:
            parked.append(Parked(record=record, reason=error.reason, message=str(error)))
            continue
        if isinstance(event, ReviewItem) and _sound(event):
            arrivals.append(Arrival(record=record, item=event, data=data))
        else:
            message = f"a {type(event).__name__}, or a ReviewItem that no table can hold"
            parked.append(Parked(record=record, reason=Reason.BAD_VALUE, message=message))
    return arrivals, parked


def _sound(item: ReviewItem) -> bool:
    """Tell whether the ids are ids and the key texts can be stored; intake saw to it."""
    try:
        UUID(item.item_id)
        UUID(item.event_id)
    except ValueError:
        return False
    target = item.change.target
    texts = (item.source, item.external_id, item.correlation_id, target.instance, target.identifier)
    return "\0" not in "".join((*texts, target.system))


def title_of(prompt: str) -> str:
    """Return the first line of a prompt that says anything, cut, without control characters."""
    lines = (_CONTROL.sub(" ", line).strip() for line in prompt[:4_000].splitlines())
    first = next((line for line in lines if line), "")
    return first if len(first) <= _TITLE else f"{first[: _TITLE - 1].rstrip()}…"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """An item that exists, locked."""

    revision: int
    state: State
    lane: Lane


class Ingest:
    """Handles batches of `placet.review-items`."""

    def __init__(self, dsn: str, policy: Policy) -> None:
        """Connect at the first batch. `policy` counts while none was ever stored."""
        self._dsn = dsn
        self._in_force, self._policy = PolicyInForce(policy), policy
        self._connection: Connection[Any] | None = None

    def handle(self, records: Sequence[Record]) -> Sequence[Parked]:
        """Make the batch durable and return what nobody can use.

        Raises:
            UnavailableError: the database is away, or another worker met the same new items.
        """
        arrivals, unreadable = read(records)
        try:
            with unavailable_database():
                if self._connection is None or self._connection.closed:
                    self._connection = connect(self._dsn, "review-ingest")
                with self._connection.transaction(), self._connection.cursor() as cursor:
                    out = self._write(cursor, arrivals)
        except psycopg.errors.UniqueViolation as error:
            raise UnavailableError(f"another worker was faster: {error}", 0.05) from error
        for became, count in out.became.items():
            metrics.REVIEW_ITEMS.labels(became=became).inc(count)
        metrics.DUPLICATES.labels(consumer="review-items").inc(out.became["duplicate"])
        return [*unreadable, *out.parked]

    def close(self) -> None:
        """Close the connection, if there is one."""
        if self._connection is not None:
            self._connection.close()

    def _write(self, cursor: Cursor[Any], arrivals: Sequence[Arrival]) -> Sorted:
        if not arrivals:
            return Sorted()
        self._policy = self._in_force.read(cursor)  # this lock before those of items, as deciding
        ids = sorted({arrival.item.item_id for arrival in arrivals})
        cursor.execute(QUERIES["lock_items"], {"items": ids})
        found = {
            row[0]: _Known(revision=row[1], state=State(row[2]), lane=Lane(row[4]))
            for row in cursor
        }
        known = {item_id: (one.revision, one.state) for item_id, one in found.items()}
        digests = _digests(cursor, [one for one in arrivals if one.item.item_id in known])
        out = sort_out(arrivals, known, digests)
        control_items.hold(cursor, out, _park)
        rate = self._policy.oversight.control_rate
        let_in = control_items.let_in(cursor, out, rate, _kept)
        self._copy_items(cursor, out.new.values())
        _copy_revisions(cursor, out.revisions)
        if out.revised:
            changes = [
                self._revision(arrival.item, found[item_id])
                for item_id, arrival in out.revised.items()
            ]
            cursor.executemany(QUERIES["revise_item"], changes)
        if let_in:
            cursor.execute(QUERIES["mark_control_items"], {"items": let_in})
        return out

    def _copy_items(self, cursor: Cursor[Any], arrivals: Iterable[Arrival]) -> None:
        with cursor.copy(QUERIES["copy_items"]) as copy:
            for arrival in arrivals:
                item, target = arrival.item, arrival.item.change.target
                copy.write_row(
                    (
                        item.item_id,
                        item.source,
                        item.external_id,
                        item.revision,
                        State.PENDING.value,
                        self._lane(item).value,
                        self._policy.version,
                        target.system,
                        target.instance,
                        target.identifier,
                        item.risk.score,
                        item.divergence.score,
                        item.due_at or _NEVER,
                        item.correlation_id,
                    )
                )

    def _lane(self, item: ReviewItem) -> Lane:
        change = item.change
        return self._policy.lane(change.target.instance, item.risk.score, change.fields)

    def _revision(self, item: ReviewItem, known: _Known) -> dict[str, Any]:
        target = item.change.target
        # The lane can only rise: a pipeline must not talk its way out of the critical one.
        lane = self._policy.lane_again(
            known.lane, target.instance, item.risk.score, item.change.fields
        )
        return {
            "item": item.item_id,
            "revision": item.revision,
            "state": review.after(known.state, Happening.REVISED).value,
            "lane": lane.value,
            "policy_version": self._policy.version,
            "system": target.system,
            "instance": target.instance,
            "identifier": target.identifier,
            "risk": item.risk.score,
            "divergence": item.divergence.score,
            "due_at": item.due_at or _NEVER,
            "correlation_id": item.correlation_id,
        }


def _kept(data: bytes) -> Arrival:
    """Return an item that was held, as if it came now."""
    item = decode(data)
    assert isinstance(item, ReviewItem)
    record = Record(
        topic=REVIEW_ITEMS,
        partition=0,
        offset=-1,
        timestamp=item.ingested_at,
        key=b"",
        value=data,
    )
    return Arrival(record=record, item=item, data=data)


def _digests(cursor: Cursor[Any], arrivals: Sequence[Arrival]) -> dict[tuple[str, int], bytes]:
    if not arrivals:
        return {}
    items, revisions = zip(*{arrival.place for arrival in arrivals}, strict=True)
    asked = {"items": list(items), "revisions": list(revisions)}
    cursor.execute(QUERIES["known_revisions"], asked)
    return {(row[0], row[1]): bytes(row[2]) for row in cursor}


def _copy_revisions(cursor: Cursor[Any], arrivals: Sequence[Arrival]) -> None:
    with cursor.copy(QUERIES["copy_revisions"]) as copy:
        copy.set_types(["uuid", "int4", "uuid", "bytea", "text", "text", "bytea"])
        for arrival in arrivals:
            item = arrival.item
            title = title_of(item.prompt)
            copy.write_row(
                (
                    UUID(item.item_id),
                    item.revision,
                    UUID(item.event_id),
                    item.content_digest,
                    title,
                    _searched(item, title),
                    arrival.data,
                )
            )


def _searched(item: ReviewItem, title: str) -> str:
    """Return what the list's search looks in: the title's words and the names things have."""
    names = (title, item.external_id, item.change.target.identifier, item.source)
    return " ".join(words(" ".join(names)))[:_SEARCHED]
