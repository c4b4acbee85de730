"""Finding records in the hot store: by their ids, by time, by words; and their payloads.

Owns those queries. Refuses to judge what it finds: `evidence` does.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any, Final, Protocol
from uuid import UUID

import psycopg

from audit_sink.locking import Absent, Payload, Stored, Vault, open_stored
from audit_sink.queries import QUERIES
from audit_sink.store import Reader
from conveyor.database import unavailable_database

LONGEST_KEY: Final = 200
_CHUNK: Final = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What somebody looks for; None does not restrict."""

    item_id: str | None = None
    decision_id: str | None = None
    correlation_id: str | None = None
    actor: str | None = None
    type: str | None = None
    words: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    before: int | None = None
    """Only records before this place: where the page above ended."""
    limit: int = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class PackPlace:
    """Where in the cold store a payload is that has left the hot one."""

    sequence: int
    pack: str
    version: str


class ColdPayloads(Protocol):
    """Payloads that have left: `cold.payloads.PackReader`."""

    def stored(self, places: Sequence[PackPlace]) -> Mapping[int, Stored | Absent]:
        """Return what is there. Raises UnavailableError."""


def bounded_key(value: str) -> str:
    """Return a key as the index holds it: no NUL, and a digest of what is too long to index."""
    clean = value.replace("\0", "\N{REPLACEMENT CHARACTER}")
    if len(clean) <= LONGEST_KEY:
        return clean
    return f"sha256:{sha256(clean.encode('utf-8', 'replace')).hexdigest()}"


class HotStore(Reader):
    """The hot store as commands ask it. Every method raises UnavailableError."""

    def __init__(
        self,
        dsn: str,
        name: str,
        vault: Vault | None = None,
        cold: ColdPayloads | None = None,
    ) -> None:
        """Take a DSN that may SELECT in schema `audit`; without the vault, payloads stay locked.

        `cold` is asked for payloads that have left this store.
        """
        super().__init__(dsn, name)
        self._vault = vault
        self._cold = cold

    def find(self, name: str) -> list[int]:
        """Return the places of the records that go by `name` (an event's own first)."""
        if _is_uuid(name) and (event := self._ask("find_event", UUID(name))):
            # A decision's event has the decision's id: the one record that is the decision.
            return [event[0][0]]
        return self.about(name)

    def has_event(self, event_id: str) -> bool:
        """Tell whether an event with this id was ever sealed."""
        return _is_uuid(event_id) and bool(self._ask("find_event", UUID(event_id)))

    def about(self, name: str) -> list[int]:
        """Return the places of all records of an item, a decision or a correlation id."""
        found = self._ask("find_named", {"key": bounded_key(name), "name": name})
        return [sequence for (sequence,) in found]

    def first_recorded(self, since: datetime) -> int:
        """Return the place of the first record that was sealed at `since` or later."""
        (place,) = self._ask("first_recorded", {"since": since})[0]
        return int(place)

    def recorded_at(self, sequence: int) -> datetime | None:
        """Return when a record was sealed; None where there is none."""
        found = self._ask("recorded_at", sequence)
        return found[0][0] if found else None

    def search(self, question: Question) -> list[tuple[int, bytes]]:
        """Return the newest records that match, newest first."""
        keys = ("item_id", "decision_id", "correlation_id", "actor")
        values = {name: getattr(question, name) for name in Question.__dataclass_fields__}
        values |= {name: bounded_key(values[name]) for name in keys if values[name] is not None}
        return self._ask("search", values)

    def not_indexed(self) -> int:
        """Return how many of the newest records `search` does not know yet."""
        (end,) = self._ask("search_end")[0]
        return max(0, self.size() - int(end))

    def uncovered(self) -> list[tuple[str, int, int, int]]:
        """Return topic, partition, first offset and end of each stretch that nothing came of.

        Between the lowest and the highest offset that an item or a dead letter names.
        """
        return self._ask("find_uncovered")

    def payloads(self, sequences: Sequence[int]) -> dict[int, Payload | Absent]:
        """Return the payload of each of those records, or why there is none."""
        rows = self._ask("read_payloads", list(sequences))
        stored = [
            Stored(sequence=sequence, subject=subject, salt=salt, parts=parts)
            for sequence, subject, salt, parts in rows
        ]
        missing = set(sequences) - {row.sequence for row in stored}
        elsewhere = self._from_cold(sorted(missing)) if missing else {}
        stored += [row for row in elsewhere.values() if isinstance(row, Stored)]
        absent = {one: why for one, why in elsewhere.items() if isinstance(why, Absent)}
        destroyed = dict.fromkeys(sequences, Absent.DESTROYED)
        return destroyed | absent | open_stored(stored, self._vault)

    def _from_cold(self, sequences: Sequence[int]) -> Mapping[int, Stored | Absent]:
        """Return those payloads of `sequences` that have left for the cold store."""
        places = [
            PackPlace(sequence=sequence, pack=pack, version=version)
            for sequence, pack, version in self._ask("find_dropped", list(sequences))
        ]
        if self._cold is None or not places:
            return {place.sequence: Absent.COLD for place in places}
        return self._cold.stored(places)

    def records_at(self, sequences: Sequence[int]) -> Iterator[tuple[int, bytes]]:
        """Yield those records, in order."""
        for at in range(0, len(sequences), _CHUNK):
            yield from self._ask("read_records_at", list(sequences[at : at + _CHUNK]))

    def to_index(
        self, count: int
    ) -> list[tuple[int, datetime, bytes, str | None, Payload | Absent]]:
        """Return the next records, at most `count`, that `search` does not know yet.

        Each with its time of sealing, the subject its payload is locked under, and the payload.
        """
        (end,) = self._ask("search_end")[0]
        rows = self._ask("read_to_index", end, end + count)
        opened = open_stored(
            (
                Stored(sequence=sequence, subject=subject, salt=salt, parts=parts)
                for sequence, _, _, subject, salt, parts in rows
                if parts is not None
            ),
            self._vault,
        )
        return [
            (sequence, at, record, subject, opened.get(sequence, Absent.DESTROYED))
            for sequence, at, record, subject, _, _ in rows
        ]

    def delete_payloads(self, sequences: Sequence[int]) -> None:
        """Delete what is left of payloads that nobody can open any more."""
        self._do("delete_payloads", (list(sequences),))

    def forgotten(self) -> int:
        """Return how many of the vault's destructions have been carried out here."""
        (position,) = self._ask("find_forgotten")[0]
        return int(position)

    def items_of(self, subjects: Sequence[str]) -> list[str]:
        """Return the items that records of these subjects are about."""
        return [item_id for (item_id,) in self._ask("find_items_of", list(subjects))]

    def forget(self, subjects: Sequence[str], position: int) -> None:
        """Take words and payloads of these subjects out, and note how far that has got."""
        self._do("forget", {"subjects": list(subjects), "position": position})

    def index(self, columns: Sequence[Sequence[Any]]) -> None:
        """Insert rows of the index, column by column.

        Raises:
            psycopg.errors.ProgramLimitExceeded: a text is too long to index. Nothing was inserted.
        """
        self._do("insert_search", columns)

    def _do(self, query: str, parameters: Any) -> None:
        with unavailable_database():
            self.connection().execute(QUERIES[query], parameters)


def _is_uuid(name: str) -> bool:
    try:
        return str(UUID(name)) == name
    except ValueError:
        return False


TooLong = psycopg.errors.ProgramLimitExceeded
