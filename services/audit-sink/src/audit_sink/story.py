"""Everything that led to a decision, in order: records, payloads, proofs and what is wrong.

Owns how records are put together from a log, and checked. Refuses to print.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import orjson

from audit_sink.bundle import Sealed
from audit_sink.evidence import Keys, Parts, Signing, parts_problem, shown, signing
from audit_sink.locking import Absent, Payload
from audit_sink.payload import PayloadError, unpack
from audit_sink.tlog_proof import ProofError

_CHUNK: Final = 64


class LockedError(ValueError):
    """A payload is there and cannot be opened here. Say where the vault and its key file are."""


class Payloads(Protocol):
    """Where payloads are: `lookup.HotStore`."""

    def payloads(self, sequences: Sequence[int]) -> Mapping[int, Payload | Absent]:
        """Return the payload of each of those records, or why there is none."""


class Records(Protocol):
    """Where records are: `source.Source`."""

    def record(self, sequence: int) -> bytes:
        """Return a record."""


class Proofs(Protocol):
    """Who proves records: `source.Prover`."""

    def prove(self, sequence: int, record: bytes | None = None) -> bytes:
        """Return the proof file of a record. Raises ProofError, NoSuchRecordError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chapter:
    """One record of the story, checked."""

    sequence: int
    record: bytes
    fields: dict[str, Any]
    proof: bytes | None
    """None where no head reaches this far yet."""
    parts: Parts | None
    """None where the payload is not at hand, or was destroyed: `absent` says."""
    absent: Absent | None = None
    """None where there are parts, and where nobody looked for them."""
    signing: Signing | None
    problems: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Teller:
    """Puts chapters together, and checks each."""

    records: Records
    proofs: Proofs
    size: int
    """How far the newest head reaches."""
    payloads: Payloads | None
    keys: Keys | None
    """Who may sign statements; None leaves signatures unchecked."""

    def tell(self, sequences: Sequence[int]) -> Iterator[Chapter]:
        """Yield those records as chapters, in the order given.

        Raises what reading raises; what is wrong with the evidence is in the chapters.
        """
        for at in range(0, len(sequences), _CHUNK):
            some = sequences[at : at + _CHUNK]
            stored = {} if self.payloads is None else self.payloads.payloads(some)
            for sequence in some:
                yield self._chapter(sequence, stored.get(sequence))

    def _chapter(self, sequence: int, stored: Payload | Absent | None) -> Chapter:
        record = self.records.record(sequence)
        problems = []
        proof = None
        if sequence < self.size:
            try:
                proof = self.proofs.prove(sequence, record)
            except ProofError as error:
                problems.append(str(error))
        fields = fields_of(record)
        parts = None
        if stored is Absent.DAMAGED:
            problems.append(str(stored))
        elif isinstance(stored, Payload):
            try:
                parts = shown(stored.salt, unpack(stored.packed))
            except (PayloadError, UnicodeEncodeError) as error:
                problems.append(f"payload: {error}")
        signed = None
        if parts is not None:
            problem = parts_problem(fields, parts)
            signed = signing(fields, parts, self.keys)
            problems += [one for one in (problem, signed.problem if signed else None) if one]
        return Chapter(
            sequence=sequence,
            record=record,
            fields=fields,
            proof=proof,
            parts=parts,
            absent=stored if isinstance(stored, Absent) else None,
            signing=signed,
            problems=problems,
        )


def fields_of(record: bytes) -> dict[str, Any]:
    """Return what a record says; nothing where it is none."""
    try:
        fields = orjson.loads(record)
    except orjson.JSONDecodeError:
        return {}
    return fields if isinstance(fields, dict) else {}


def to_bundle(chapter: Chapter, only: frozenset[str] | None) -> Sealed:
    """Return a chapter as it goes into a bundle, showing `only` those parts (None: all).

    Raises:
        ProofError: nothing proves it, or it is not what was sealed.
        LockedError: it would look destroyed, and is only locked.
    """
    if chapter.problems:
        raise ProofError(f"record {chapter.sequence}: {chapter.problems[0]}")
    if chapter.proof is None:
        raise ProofError(f"record {chapter.sequence}: no head reaches this far yet")
    if chapter.absent not in (None, Absent.DESTROYED):
        raise LockedError(f"record {chapter.sequence}: its payload is {chapter.absent}")
    parts = chapter.parts
    if parts is not None and only is not None:
        parts = {name: part if name in only else part.withheld() for name, part in parts.items()}
    return Sealed(
        sequence=chapter.sequence, record=chapter.record, proof=chapter.proof, parts=parts
    )
