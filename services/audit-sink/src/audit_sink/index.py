"""The search index, made from records after they are sealed, by a loop of its own.

Owns what can be searched: keys, and the words in the first 64 KiB of each text part. Nothing waits
for it: it gives way while records arrive, and what it has not reached is found in the records. The
same loop forgets (see `forget`), within FORGET_SECONDS of a key's destruction.
"""

import threading
import time
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final

import orjson
import structlog

from audit_sink.forget import Destructions, Forgetter
from audit_sink.locking import Absent, Payload, subject_of
from audit_sink.lookup import HotStore, TooLong, bounded_key
from audit_sink.payload import PayloadError, unpack
from conveyor.errors import UnavailableError

log = structlog.get_logger()

_BATCH: Final = 500
_MOST_TEXT: Final = 65_536  # characters of each part
_LESS_TEXT: Final = 8_192  # of a record whose words PostgreSQL would not take
_NO_WORDS: Final = frozenset({"received", "model", "divergence"})
"""Not text, or text that another part holds."""
_CODES: Final = ("type", "action_type", "write_status")
_YIELD: Final = 3.0  # times as long at rest as at work while records arrive
_PAUSE: Final = 1.0

FORGET_SECONDS: Final = 20.0

Sealed = tuple[int, datetime, bytes, str | None, Payload | Absent]
"""Sequence, time of sealing, record, whose key its payload is under, the payload."""


class Indexer:
    """Indexes what is sealed. `wake` may be called from any thread."""

    def __init__(self, store: HotStore, vault: Destructions) -> None:
        """Take a session of its own: the index is nobody else's to write."""
        self._store = store
        self._forgetter = Forgetter(store, vault)
        self._forget_at = 0.0
        self._news = threading.Event()

    def wake(self) -> None:
        """Say that there are new records."""
        self._news.set()

    def run(self, stop: threading.Event) -> None:
        """Index until `stop` is set (which needs a `wake` to be noticed at once)."""
        self._news.set()  # what a predecessor has left
        while not stop.is_set():
            self._news.wait(FORGET_SECONDS)
            self._news.clear()
            try:
                self._catch_up(stop)
            except UnavailableError as error:
                log.warning("indexing_waits", error=str(error))
                self._news.set()
                stop.wait(_PAUSE)

    def _catch_up(self, stop: threading.Event) -> None:
        while not stop.is_set():
            began = time.monotonic()
            if began >= self._forget_at:
                self.forget()
                self._forget_at = began + FORGET_SECONDS
            if not self.step():
                return
            if self._news.is_set():  # records arrive: they come first
                self._news.clear()
                stop.wait(_YIELD * (time.monotonic() - began))

    def forget(self) -> None:
        """Carry out what the vault has destroyed. Raises UnavailableError."""
        while self._forgetter.step():
            pass

    def step(self) -> int:
        """Index the next records and return how many; durable on return.

        Raises UnavailableError.
        """
        sealed = self._store.to_index(_BATCH)
        if not sealed:
            return 0
        if closed := [_closed(one) for one in sealed if one[-1] is Absent.DESTROYED]:
            self._forgetter.late(closed)
        try:
            self._store.index(columns(sealed, _MOST_TEXT))
        except TooLong:
            for one in sealed:
                self._one(one)
        return len(sealed)

    def _one(self, sealed: Sealed) -> None:
        for most in (_MOST_TEXT, _LESS_TEXT, 0):
            try:
                self._store.index(columns([sealed], most))
            except TooLong:
                continue
            return


def columns(sealed: Iterable[Sealed], most: int) -> list[list[Any]]:
    """Return the rows of the index, column by column, with `most` characters of each part."""
    rows = [
        (*_keys(sequence, at, record, subject), _all_words(record, payload, most))
        for sequence, at, record, subject, payload in sealed
    ]
    return [list(column) for column in zip(*rows, strict=True)]


def _closed(sealed: Sealed) -> tuple[int, str, str | None]:
    sequence, _, record, subject, _ = sealed
    fields = orjson.loads(record)
    return sequence, subject or subject_of(fields), fields["item_id"]


def _all_words(record: bytes, payload: Payload | Absent, most: int) -> str:
    """Return what the words of a record are: its codes, such as EXPORTED, and its texts."""
    fields = orjson.loads(record)
    codes = [str(fields[name]) for name in _CODES if fields[name] is not None]
    return "\n".join((" ".join(codes).replace("\0", " "), words(payload, most) or ""))


def _keys(
    sequence: int, recorded_at: datetime, record: bytes, subject: str | None
) -> tuple[Any, ...]:
    fields = orjson.loads(record)
    return (
        sequence,
        recorded_at,
        fields["type"],
        _key(fields["item_id"]),
        _key(fields["decision_id"]),
        bounded_key(fields["correlation_id"]),
        _key(fields["actor"]),
        subject or subject_of(fields),
    )


def _key(value: str | None) -> str | None:
    return None if value is None else bounded_key(value)


def words(payload: Payload | Absent, most: int) -> str | None:
    """Return the text of a payload, as PostgreSQL takes it; None where there is none to read."""
    if isinstance(payload, Absent):
        if payload is not Absent.DESTROYED:
            log.warning("payload_not_searchable", error=str(payload))
        return None
    try:
        parts: Mapping[str, bytes] = unpack(payload.packed)
    except PayloadError as error:
        log.warning("payload_not_searchable", error=str(error))
        return None
    texts = [
        data[: 4 * most].decode("utf-8", "replace")[:most].replace("\0", " ")
        for name, data in parts.items()
        if name not in _NO_WORDS
    ]
    return "\n".join(texts)
