"""How everything gets its name.

Owns the derivation of ids and keys: UUIDv5 over the compact UTF-8 JSON array of kind and parts, in
a namespace of Placet's own. Knows no clock and no chance: what is derived from the same event is
the same for ever, so that every retry, replay and redelivery collides.
"""

import hashlib
import hmac
from typing import Any, Final, NewType
from urllib.parse import quote
from uuid import UUID, uuid5

import orjson

ItemId = NewType("ItemId", str)
EventId = NewType("EventId", str)
DecisionId = NewType("DecisionId", str)
WriteBackId = NewType("WriteBackId", str)
PersonId = NewType("PersonId", str)

NAMESPACE: Final = UUID("88c0a192-fa4b-5cea-b2ef-bc8c4c5a06cf")
"""UUIDv5 of the URL `urn:placet`."""


def derive(kind: str, *parts: str | int) -> str:
    """Return the UUIDv5 of `[kind, *parts]` as compact UTF-8 JSON, in lower-case text form."""
    return str(uuid5(NAMESPACE, orjson.dumps([kind, *parts]).decode()))


def item_id(source: str, external_id: str) -> ItemId:
    """Name the one review item that (`source`, `external_id`) means for ever."""
    return ItemId(derive("item", source, external_id))


def review_item_event_id(item: ItemId, revision: int, content_digest: bytes) -> EventId:
    """Name a revision's event: a re-read record is the same event, other content is not."""
    return EventId(derive("review-item", item, revision, content_digest.hex()))


def decision_id(item: ItemId, ordinal: int) -> DecisionId:
    """Name the `ordinal`-th decision on an item (1-based, counted under the item's row lock)."""
    return DecisionId(derive("decision", item, ordinal))


def write_back_id(
    decision: DecisionId, system: str, instance: str, identifier: str, step: str
) -> WriteBackId:
    """Name one step of one decision: the idempotency key the target sees."""
    return WriteBackId(derive("write-back", decision, system, instance, identifier, step))


def write_back_event_id(write_back: WriteBackId, transition: int) -> EventId:
    """Name the `transition`-th change of state of a write-back (1-based)."""
    return EventId(derive("write-back-event", write_back, transition))


def dead_letter_event_id(consumer: str, topic: str, partition: int, offset: int) -> EventId:
    """Name a parked record by its root coordinates, so that replayed poison is the same letter."""
    return EventId(derive("dead-letter", consumer, topic, partition, offset))


def outcome_event_id(item: ItemId, revision: int, state: str, cause: str) -> EventId:
    """Name what a pipeline is told: one state of one revision, by the event that caused it."""
    return EventId(derive("outcome", item, revision, state, cause))


def record_key(system: str, instance: str, identifier: str) -> bytes:
    """Return the Kafka key of a target record: its three parts percent-encoded, joined by `/`."""
    return "/".join(quote(part, safe="") for part in (system, instance, identifier)).encode()


def sorted_json(value: Any) -> bytes:
    """Return compact JSON with sorted keys: RFC 8785 as long as keys are ASCII and no float occurs.

    Floats are accepted where only equality matters (digests); never sign or seal one.
    """
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS | orjson.OPT_NAIVE_UTC)


class Digester:
    """Make `content_digest`: HMAC-SHA-256 under the installation key, which never rotates.

    Keyed, because a short text could otherwise be guessed from its digest.
    """

    __slots__ = ("_key",)

    def __init__(self, key: bytes) -> None:
        """Take the 32-byte installation key."""
        if len(key) != 32:  # noqa: PLR2004 - the size of the key, said once
            message = f"the installation key has 32 bytes, not {len(key)}"
            raise ValueError(message)
        self._key = key

    def of_bytes(self, data: bytes) -> bytes:
        """Return the 32-byte digest of `data`."""
        return hmac.digest(self._key, data, hashlib.sha256)

    def of_value(self, value: Any) -> bytes:
        """Return the 32-byte digest of a JSON value, whatever the order of its keys."""
        return self.of_bytes(sorted_json(value))
