"""One record with what it commits to, and whether all of it is what was sealed.

Owns what "checked" means for a payload (each part against its salted commitment, all commitments
against the record) and for a signed statement. Pure: parts, proofs and keys are passed in.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import orjson

from audit_sink.payload import combine, part_commitment, part_salt
from contract.codec import CodecError, decode
from contract.events import ReviewActivity, ReviewDecision

RECEIVED: Final = "received"
STATEMENT: Final = "statement"


class Keys(Protocol):
    """The public keys that may sign statements: `conveyor.keys.Verifier`."""

    def verify(self, name: str, signature: bytes, data: bytes) -> bool:
        """Tell whether the pinned key `name` made `signature` over `data`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A payload part: shown with its salt, or only committed to."""

    commitment: bytes
    salt: bytes | None = None
    data: bytes | None = None

    def withheld(self) -> "Part":
        """Return it without salt and bytes: nobody can guess even a short text from that."""
        return Part(commitment=self.commitment)


Parts = Mapping[str, Part]


def shown(salt: bytes, parts: Mapping[str, bytes]) -> Parts:
    """Return the parts of a record with this salt, in order of their names."""
    made = {}
    for name, data in sorted(parts.items()):
        own = part_salt(salt, name)
        made[name] = Part(commitment=part_commitment(own, data), salt=own, data=data)
    return made


def parts_problem(fields: Mapping[str, Any], parts: Parts) -> str | None:
    """Return why `parts` are not what the record with these fields commits to, or None."""
    for name, part in parts.items():
        if part.data is None:
            continue
        if part.salt is None or part_commitment(part.salt, part.data) != part.commitment:
            return f"part {name!r} is not what was sealed"
    combined = combine({name: part.commitment for name, part in parts.items()})
    if combined.hex() != fields.get("payload_commitment"):
        return "its payload parts are not those it commits to"
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Signing:
    """A statement that somebody's decision rests on."""

    statement: str
    key_ids: Sequence[str]
    problem: str | None
    checked: bool
    """False where no key was given, so that only the log vouches for it."""


def signing(fields: Mapping[str, Any], parts: Parts, keys: Keys | None) -> Signing | None:
    """Return how the statement of a record is signed; None where it has none, or none is shown."""
    received = parts.get(RECEIVED)
    if received is None or received.data is None:
        return None
    try:
        event = decode(received.data)
    except CodecError as error:
        return Signing(statement="", key_ids=(), problem=f"received bytes: {error}", checked=False)
    if not isinstance(event, ReviewDecision | ReviewActivity) or event.statement is None:
        return None
    return Signing(
        statement=event.statement,
        key_ids=[one.key_id for one in event.signatures],
        problem=_signature_problem(event, fields, parts, keys),
        checked=keys is not None,
    )


def _signature_problem(
    event: ReviewDecision | ReviewActivity,
    fields: Mapping[str, Any],
    parts: Parts,
    keys: Keys | None,
) -> str | None:
    if event.statement is None:
        return None
    data = event.statement.encode()
    part = parts.get(STATEMENT)
    if part is not None and part.data is not None and part.data != data:
        return "the statement is not the one that was received"
    if event.event_id != fields.get("event_id"):
        return "the received bytes are another event's"
    if not event.signatures:
        return "the statement is not signed"
    if keys is None:
        return None
    for one in event.signatures:
        if not keys.verify(one.key_id, one.signature, data):
            return f"no pinned key made the signature {one.key_id[:40]!r}"
    if isinstance(event, ReviewDecision):
        return _other_decision(data, event)
    return None


def _other_decision(statement: bytes, event: ReviewDecision) -> str | None:
    """Return why a signed statement does not mean this decision: it was moved to another one."""
    try:
        said = orjson.loads(statement)
    except orjson.JSONDecodeError:
        return "the statement is no JSON"
    if not isinstance(said, dict) or said.get("decision_id") != event.decision_id:
        return "the statement is about another decision"
    if said.get("item_id") != event.item_id or said.get("action") != event.action.value:
        return "the statement is about another item or action"
    return None
