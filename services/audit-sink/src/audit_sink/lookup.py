"""Finding records in the hot store: by their ids, by time, by words; and their payloads.

Owns those queries. Refuses to judge what it finds: `evidence` does.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any, Final
from uuid import UUID

import psycopg

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
    limit: int = 50


def bounded_key(value: str) -> str:
    """Return a key as the index holds it: no NUL, and a digest of what is too long to index."""
    clean = value.replace("\0", "\N{REPLACEMENT CHARACTER}")
    if len(clean) <= LONGEST_KEY:
        return clean
    return f"sha256:{sha256(clean.encode('utf-8', 'replace')).hexdigest()}"


class HotStore(Reader):
    """The hot store as commands ask it. Every method raises UnavailableError."""

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

    def payloads(self, sequences: Sequence[int]) -> dict[int, tuple[bytes, bytes]]:
        """Return salt and packed parts of those records that still have them."""
        return {
            sequence: (salt, parts)
            for sequence, salt, parts in self._ask("read_payloads", list(sequences))
        }

    def records_at(self, sequences: Sequence[int]) -> Iterator[tuple[int, bytes]]:
        """Yield those records, in order."""
        for at in range(0, len(sequences), _CHUNK):
            yield from self._ask("read_records_at", list(sequences[at : at + _CHUNK]))

    def to_index(self, count: int) -> list[tuple[int, datetime, bytes, bytes | None]]:
        """Return the next records, at most `count`, that `search` does not know yet."""
        (end,) = self._ask("search_end")[0]
        return self._ask("read_to_index", end, end + count)

    def index(self, columns: Sequence[Sequence[Any]]) -> None:
        """Insert rows of the index, column by column.

        Raises:
            psycopg.errors.ProgramLimitExceeded: a text is too long to index. Nothing was inserted.
        """
        with unavailable_database():
            self.connection().execute(QUERIES["insert_search"], columns)


def _is_uuid(name: str) -> bool:
    try:
        return str(UUID(name)) == name
    except ValueError:
        return False


TooLong = psycopg.errors.ProgramLimitExceeded
