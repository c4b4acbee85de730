"""The events, as values. One struct per Avro schema in `avro/`, field for field.

Owns no behaviour: decoding is `codec`'s, naming is `identity`'s. Structs are frozen and take their
fields by name. They are msgspec structs rather than dataclasses, because the same declaration then
checks what pipelines send as plain JSON (see docs/adr/0002-msgspec-events.md).

Ids are lower-case UUID text, times aware UTC datetimes, field values JSON text.
"""

from datetime import datetime
from enum import StrEnum
from typing import Annotated

from msgspec import Meta, Struct, field

Timestamp = Annotated[datetime, Meta(tz=True)]
Int = Annotated[int, Meta(ge=-(2**31), le=2**31 - 1)]
Long = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]


class _Value(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What all values here have in common."""


class Target(_Value, frozen=True, kw_only=True):
    system: str
    instance: str
    identifier: str


class Origin(_Value, frozen=True, kw_only=True):
    topic: str
    partition: Int
    offset: Long


class Model(_Value, frozen=True, kw_only=True):
    name: str
    version: str
    hash: str | None = None
    config: dict[str, str] = field(default_factory=dict)


class Retrieval(_Value, frozen=True, kw_only=True):
    snippet: str
    doc_id: str | None = None
    score: float | None = None
    source: str | None = None
    snapshot: str | None = None
    start: Long | None = None
    end: Long | None = None


class Risk(_Value, frozen=True, kw_only=True):
    score: float
    reasons: list[str] = field(default_factory=list)


class Evidence(_Value, frozen=True, kw_only=True):
    title: str
    uri: str


class Change(_Value, frozen=True, kw_only=True):
    target: Target
    fields: dict[str, str]
    comment: str | None = None


class Pii(_Value, frozen=True, kw_only=True):
    kind: str
    path: str | None = None
    value: str | None = None
    subject: str | None = None


class ModelOutput(_Value, frozen=True, kw_only=True):
    """A pipeline proposes a change. Required fields are those without a default."""

    source: str
    external_id: str
    correlation_id: str
    timestamp: Timestamp
    prompt: str
    model: Model
    output: str
    risk: Risk
    change: Change
    revision: Int = 1
    subject: str | None = None
    reasoning: list[str] = field(default_factory=list)
    retrieval: list[Retrieval] = field(default_factory=list)
    confidence: float | None = None
    evidence: list[Evidence] = field(default_factory=list)
    pii: list[Pii] = field(default_factory=list)
    due_at: Timestamp | None = None
    labels: dict[str, str] = field(default_factory=dict)


class Passage(_Value, frozen=True, kw_only=True):
    retrieval: Int
    start: Long
    end: Long


class Sentence(_Value, frozen=True, kw_only=True):
    start: Long
    end: Long
    support: float
    best: Passage | None = None


class Divergence(_Value, frozen=True, kw_only=True):
    score: float
    unsupported_ratio: float
    sentences: list[Sentence] = field(default_factory=list)
    novel_numbers: list[str] = field(default_factory=list)
    novel_names: list[str] = field(default_factory=list)


class ReviewItem(_Value, frozen=True, kw_only=True):
    """A proposal that is valid and measured."""

    event_id: str
    correlation_id: str
    causation_ids: list[str] = field(default_factory=list)
    timestamp: Timestamp
    ingested_at: Timestamp
    item_id: str
    source: str
    external_id: str
    revision: Int
    content_digest: bytes
    origin: Origin
    user_id_token: str | None = None
    prompt: str
    reasoning: list[str] = field(default_factory=list)
    model: Model
    retrieval: list[Retrieval] = field(default_factory=list)
    output: str
    confidence: float | None = None
    risk: Risk
    evidence: list[Evidence] = field(default_factory=list)
    change: Change
    due_at: Timestamp | None = None
    labels: dict[str, str] = field(default_factory=dict)
    divergence: Divergence


class Action(StrEnum):
    APPROVE = "APPROVE"
    REJECT = "REJECT"
    NEED_INFO = "NEED_INFO"
    UNDO = "UNDO"
    TAKE_BACK = "TAKE_BACK"


class Signature(_Value, frozen=True, kw_only=True):
    key_id: str
    signature: bytes
    algorithm: str = "Ed25519"


class ReviewDecision(_Value, frozen=True, kw_only=True):
    """A decision became effective. Only what is in `statement` was signed."""

    event_id: str
    correlation_id: str
    causation_ids: list[str] = field(default_factory=list)
    timestamp: Timestamp
    item_id: str
    revision: Int
    decision_id: str
    action: Action
    target: Target
    statement: str
    signatures: list[Signature]
    content_digest: bytes
    not_before: Timestamp
    target_ordinal: Long


class WriteBackState(StrEnum):
    WAITING = "WAITING"
    SENDING = "SENDING"
    RETRYING = "RETRYING"
    UNKNOWN = "UNKNOWN"
    APPLIED = "APPLIED"
    CONFLICT = "CONFLICT"
    REFUSED = "REFUSED"
    STUCK = "STUCK"
    ABANDONED = "ABANDONED"
    CANCELLED = "CANCELLED"


CLOSING = frozenset(
    {
        WriteBackState.APPLIED,
        WriteBackState.CONFLICT,
        WriteBackState.REFUSED,
        WriteBackState.ABANDONED,
        WriteBackState.CANCELLED,
    }
)
"""States that close a target ordinal, so that the next one may start."""


class WriteBack(_Value, frozen=True, kw_only=True):
    """A write-back changed state."""

    event_id: str
    correlation_id: str
    causation_ids: list[str] = field(default_factory=list)
    timestamp: Timestamp
    item_id: str
    revision: Int
    decision_id: str
    write_back_id: str
    target: Target
    step: str
    state: WriteBackState
    transition: Int
    attempts: Int
    next_attempt_at: Timestamp | None = None
    reason_code: str | None = None
    reason: str | None = None
    target_version: str | None = None
    conflicting: list[str] = field(default_factory=list)
    overwrote: dict[str, str] = field(default_factory=dict)
    target_ordinal: Long
    content_digest: bytes


class Header(_Value, frozen=True, kw_only=True):
    key: str
    value: bytes | None = None


class DeadLetter(_Value, frozen=True, kw_only=True):
    """A record was parked, with everything needed to look at it and to send it again."""

    event_id: str
    correlation_id: str
    causation_ids: list[str] = field(default_factory=list)
    timestamp: Timestamp
    consumer: str
    origin: Origin
    root: Origin
    reason_code: str
    reason: str
    key: bytes | None = None
    value: bytes | None = None
    headers: list[Header] = field(default_factory=list)
    content_digest: bytes


class ReviewActivity(_Value, frozen=True, kw_only=True):
    """Somebody did something short of a decision that counts."""

    event_id: str
    correlation_id: str
    causation_ids: list[str] = field(default_factory=list)
    timestamp: Timestamp
    item_id: str
    revision: Int
    activity: str
    actor_id: str
    person_id: str
    role: str
    detail: dict[str, str] = field(default_factory=dict)
    statement: str | None = None
    signatures: list[Signature] = field(default_factory=list)
    content_digest: bytes


class Control(_Value, frozen=True, kw_only=True):
    """Somebody operated Placet."""

    event_id: str
    correlation_id: str
    causation_ids: list[str] = field(default_factory=list)
    timestamp: Timestamp
    scope: str
    control: str
    actor_id: str
    role: str
    reason: str | None = None
    detail: dict[str, str] = field(default_factory=dict)
    content_digest: bytes


Event = (
    ModelOutput | ReviewItem | ReviewDecision | WriteBack | DeadLetter | ReviewActivity | Control
)

EVENTS: dict[str, type[Event]] = {
    event.__name__: event
    for event in (
        ModelOutput,
        ReviewItem,
        ReviewDecision,
        WriteBack,
        DeadLetter,
        ReviewActivity,
        Control,
    )
}
