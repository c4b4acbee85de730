"""From an event to the record that is sealed, and to the payload that the record commits to.

Owns the fields of a record, their canonical bytes and their bounds. Pure: time, salts and sequence
numbers are passed in; refuses to know Kafka clients, databases and the tree's shape.

A record is canonical JSON (RFC 8785, restricted: ASCII keys, no floats, |int| ≤ 2**53 - 1). It
holds keys and codes, never text of people or models: texts are payload parts (see `payload`).

No event may fail to seal for its size. A record over 8 KiB, which only hostile or broken events
make, has every string over 256 bytes (then over 64) replaced by `sha256:<hex of its UTF-8>`, and a
list of causes over 16 by its first 15 and the digest of the whole list. The received bytes, a
payload part, still hold what was said.
"""

import hashlib
import re
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any, Final, TypeAlias

import msgspec
import orjson

from audit_sink.payload import payload_commitment
from contract.events import (
    Control,
    DeadLetter,
    Model,
    Origin,
    ReviewActivity,
    ReviewDecision,
    ReviewItem,
    WriteBack,
)
from contract.identity import sorted_json
from contract.statement import StatementError, from_text, timestamp_text

MAX_BYTES: Final = 8_192
FIELDS: Final = frozenset(
    {
        "action_type",
        "actor",
        "causation_ids",
        "correlation_id",
        "decision_id",
        "event_id",
        "item_id",
        "model",
        "origin",
        "payload_commitment",
        "recorded_at",
        "revision",
        "role",
        "schema",
        "sequence",
        "target",
        "timestamp",
        "type",
        "user_id_token",
        "write_status",
    }
)
"""The fields of a record: all of them are there, null where they say nothing."""

_MOST_CAUSES: Final = 16
_UUID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")

Fact: TypeAlias = ReviewItem | ReviewDecision | WriteBack | DeadLetter | ReviewActivity | Control
"""What the log is made of: every event but a pipeline's own `ModelOutput`."""


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """Everything about a record but its place in the log and the time of its sealing.

    A msgspec struct, as events are: made for every event, it costs a fifth of a frozen dataclass.
    """

    event_id: str
    digest: bytes
    """32 bytes. Same id and same digest is the same fact; another digest is refused."""
    timestamp: datetime
    fields: dict[str, Any]
    salt: bytes
    parts: Mapping[str, bytes]
    output: Origin | None = None
    """Where the model output is that this event accounts for: an item, or intake's dead letter."""


def has_sound_id(event: Fact) -> bool:
    """Tell whether the event's id is a UUID in its one text form: what duplicates are known by."""
    return _UUID.fullmatch(event.event_id) is not None


def draft(event: Fact, *, received: bytes, origin: Origin, salt: bytes) -> Draft:
    """Return the record of `event`, read as the bytes `received` at `origin`, but for its place.

    `salt` is 32 random bytes, drawn for this record alone.
    """
    said, parts = _said(event)
    parts["received"] = received
    fields = {
        "action_type": None,
        "actor": None,
        "decision_id": None,
        "item_id": None,
        "model": None,
        "revision": None,
        "role": None,
        "target": None,
        "user_id_token": None,
        "write_status": None,
        "causation_ids": event.causation_ids,
        "correlation_id": event.correlation_id,
        "event_id": event.event_id,
        "origin": {
            "offset": origin.offset,
            "partition": origin.partition,
            "topic": origin.topic,
        },
        "payload_commitment": payload_commitment(salt, parts).hex(),
        "schema": received[2:10].hex(),
        "timestamp": timestamp_text(event.timestamp),
        "type": type(event).__name__,
        **said,
    }
    return Draft(
        event_id=event.event_id,
        digest=_digest(event.content_digest),
        timestamp=event.timestamp,
        fields=fields,
        salt=salt,
        parts=parts,
        output=event.origin if isinstance(event, ReviewItem | DeadLetter) else None,
    )


def seal(unsealed: Draft, *, sequence: int, recorded_at: str) -> bytes:
    """Return the canonical bytes of a record at its place: at most 8 KiB, whatever the event."""
    fields = {**unsealed.fields, "sequence": sequence, "recorded_at": recorded_at}
    record = canonical(fields)
    for longest in (256, 64):
        if len(record) <= MAX_BYTES:
            break
        record = canonical(_bounded(fields, longest))
    return record


def canonical(fields: Mapping[str, Any]) -> bytes:
    """Return RFC 8785 JSON of a value with ASCII keys, no floats and no integer above 2**53 - 1."""
    return orjson.dumps(fields, option=orjson.OPT_SORT_KEYS)


def record_problem(entry: bytes, sequence: int) -> str | None:
    """Return what is wrong with a record at this place by itself, or None."""
    if len(entry) > MAX_BYTES:
        return f"{len(entry)} bytes, where a record has at most {MAX_BYTES}"
    try:
        fields: Any = orjson.loads(entry)
    except orjson.JSONDecodeError as error:
        return f"no JSON: {error}"
    if not isinstance(fields, dict) or not fields.keys() >= FIELDS:
        return "not the fields of a record"
    if canonical(fields) != entry:
        return "not in canonical form"
    if type(fields["sequence"]) is not int or fields["sequence"] != sequence:
        return f"says of itself that it is record {fields['sequence']!r}"
    return None


def _digest(claimed: bytes) -> bytes:
    """Return 32 bytes whatever an event claims."""
    return claimed if len(claimed) == 32 else hashlib.sha256(claimed).digest()  # noqa: PLR2004


def _bounded(value: Any, longest: int) -> Any:
    if isinstance(value, str):
        return value if len(orjson.dumps(value)) - 2 <= longest else _fingerprint(value.encode())
    if isinstance(value, dict):
        return {key: _bounded(entry, longest) for key, entry in value.items()}
    if isinstance(value, list):
        if len(value) > _MOST_CAUSES:
            value = [*value[: _MOST_CAUSES - 1], _fingerprint(orjson.dumps(value))]
        return [_bounded(entry, longest) for entry in value]
    return value


def _fingerprint(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def _said(event: Fact) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Return the fields only this type of event fills, and its texts as payload parts."""
    match event:
        case ReviewItem():
            return _proposed(event)
        case ReviewDecision():
            return _decided(event)
        case WriteBack():
            return {
                "item_id": event.item_id,
                "revision": event.revision,
                "decision_id": event.decision_id,
                "target": _target(event),
                "write_status": event.state.value,
            }, {}
        case DeadLetter():
            return {
                "actor": event.consumer,
                "role": "service",
                "action_type": event.reason_code,
            }, {"rationale": event.reason.encode()}
        case ReviewActivity():
            return _acted(event)
        case Control():
            return _operated(event)


def _proposed(event: ReviewItem) -> tuple[dict[str, Any], dict[str, bytes]]:
    model, model_digest = _model(
        event.model.name,
        event.model.version,
        event.model.hash,
        tuple(sorted(event.model.config.items())),
    )
    fields = {
        "item_id": event.item_id,
        "revision": event.revision,
        "user_id_token": event.user_id_token,
        "target": _target(event.change),
        "model": model_digest,
    }
    parts = {
        "prompt": event.prompt.encode(),
        "output": event.output.encode(),
        "retrieval": sorted_json(msgspec.to_builtins(event.retrieval)),
        "diff": sorted_json(event.change.fields),
        "model": model,
        "divergence": sorted_json(msgspec.to_builtins(event.divergence)),
    }
    if event.evidence:
        parts["evidence"] = sorted_json(msgspec.to_builtins(event.evidence))
    if event.reasoning:
        parts["reasoning"] = sorted_json(event.reasoning)
    if event.change.comment is not None:
        parts["rationale"] = event.change.comment.encode()
    return fields, parts


def _decided(event: ReviewDecision) -> tuple[dict[str, Any], dict[str, bytes]]:
    fields = {
        "item_id": event.item_id,
        "revision": event.revision,
        "decision_id": event.decision_id,
        "target": _target(event),
        "action_type": event.action.value,
    }
    parts = {"statement": event.statement.encode()}
    try:
        statement = from_text(event.statement)
    except StatementError:
        # Whoever put this on the topic forged it. It is a fact all the same, with nobody as actor;
        # the dispatcher's dead letter, sealed too, says that it wrote nothing.
        return fields, parts
    parts["diff"] = sorted_json(msgspec.to_builtins(statement.fields))
    if statement.comment is not None:
        parts["rationale"] = statement.comment.encode()
    if statement.approvers:
        last = statement.approvers[-1]  # whose approval made the decision effective
        fields |= {"actor": last.actor_id, "role": last.role}
    return fields, parts


def _acted(event: ReviewActivity) -> tuple[dict[str, Any], dict[str, bytes]]:
    parts = {"detail": sorted_json(event.detail)} if event.detail else {}
    if event.statement is not None:
        parts["statement"] = event.statement.encode()
    return {
        "item_id": event.item_id,
        "revision": event.revision,
        "actor": event.actor_id,
        "role": event.role,
        "action_type": event.activity,
    }, parts


def _operated(event: Control) -> tuple[dict[str, Any], dict[str, bytes]]:
    parts = {"detail": sorted_json({"scope": event.scope, **event.detail})}
    if event.reason is not None:
        parts["rationale"] = event.reason.encode()
    return {"actor": event.actor_id, "role": event.role, "action_type": event.control}, parts


def _target(event: Any) -> dict[str, str]:
    target = event.target
    return {
        "identifier": target.identifier,
        "instance": target.instance,
        "system": target.system,
    }


@lru_cache(maxsize=1024)
def _model(
    name: str, version: str, weights: str | None, config: tuple[tuple[str, str], ...]
) -> tuple[bytes, str]:
    """Return the model as canonical JSON, a part, and the unsalted SHA-256 of it, a field."""
    model = Model(name=name, version=version, hash=weights, config=dict(config))
    text = sorted_json(msgspec.to_builtins(model))
    return text, hashlib.sha256(text).hexdigest()
