"""From a pipeline's record to a review item, or to the reason why not. Pure.

Owns the border of Placet: every limit of the contract, each with its own reason code. What passes
here is true of a proposal for the rest of its life, so nobody behind it checks again. Text is kept
byte for byte; nothing is trimmed, normalised or repaired.

Refuses to know Kafka, clocks and lanes (policy assigns those at ingest). Masking of personal data
(`privacy`) has its place between the checks and the measuring: it will rewrite texts and keep
everything else as it is. Until then a `subject` goes no further than a keyed token of itself.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from contract.codec import CodecError, ResolveSchemaId, decode_model_output
from contract.events import Divergence, ModelOutput, Origin, Retrieval, ReviewItem
from contract.identity import Digester, item_id, review_item_event_id
from contract.reasons import Reason
from contract.targets import TargetConfig
from intake.divergence import measure
from intake.limits import (
    MAX_RECORD,
    Refused,
    RefusedError,
    check_change,
    check_identifiers,
    check_texts,
    check_values,
    in_utc,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What intake is configured with.

    `resolve` answers Confluent schema ids, and may do I/O; `measure` is `divergence.measure`, or
    that with a stop-watch around it.
    """

    targets: Mapping[str, TargetConfig]
    digester: Digester
    resolve: ResolveSchemaId | None = None
    measure: Callable[[str, list[Retrieval], str], Divergence] = measure


def normalise(
    *, key: bytes | None, value: bytes | None, origin: Origin, at: datetime, rules: Rules
) -> ReviewItem | Refused:
    """Return the review item that a record means, or why it means none.

    `at` is when the broker appended the record. The same bytes give the same item, event id and
    digest wherever and whenever they are read. Raises only what `rules.resolve` raises (besides
    `LookupError`, which means the schema is unknown).
    """
    if value is None:
        return Refused(reason=Reason.UNREADABLE, message="no value: a tombstone proposes nothing")
    if len(value) > MAX_RECORD:
        return Refused(
            reason=Reason.RECORD_TOO_LARGE,
            message=f"{len(value)} bytes; a record has {MAX_RECORD} at most",
        )
    try:
        output, plain = decode_model_output(value, rules.resolve)
        canonical = check_texts(output, plain)
        check_identifiers(output, key)
        check_values(output)
        check_change(output, rules.targets)
        return _review_item(output, canonical, origin, at, rules)
    except CodecError as error:
        return Refused(reason=error.reason, message=_printable(str(error)))
    except RefusedError as error:
        return Refused(reason=error.refused.reason, message=_printable(error.refused.message))


def _printable(message: str) -> str:
    """Return `message` without control characters: it may quote a name from the record."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in message)


def _review_item(
    output: ModelOutput, canonical: bytes, origin: Origin, at: datetime, rules: Rules
) -> ReviewItem:
    item = item_id(output.source, output.external_id)
    content_digest = rules.digester.of_bytes(canonical)
    return ReviewItem(
        event_id=review_item_event_id(item, output.revision, content_digest),
        correlation_id=output.correlation_id,
        timestamp=in_utc(output.timestamp, "timestamp"),
        ingested_at=at,
        item_id=item,
        source=output.source,
        external_id=output.external_id,
        revision=output.revision,
        content_digest=content_digest,
        origin=origin,
        user_id_token=_subject_token(output.subject, rules.digester),
        prompt=output.prompt,
        reasoning=output.reasoning,
        model=output.model,
        retrieval=output.retrieval,
        output=output.output,
        confidence=output.confidence,
        risk=output.risk,
        evidence=output.evidence,
        change=output.change,
        due_at=None if output.due_at is None else in_utc(output.due_at, "due_at"),
        labels=output.labels,
        divergence=rules.measure(output.output, output.retrieval, output.prompt),
    )


def _subject_token(subject: str | None, digester: Digester) -> str | None:
    """Return the same short token for the same subject; it tells nothing without the key."""
    if subject is None:
        return None
    return "subject:" + digester.of_bytes(b"subject\0" + subject.encode()).hex()[:16]
