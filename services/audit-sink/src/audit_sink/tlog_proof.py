"""Self-contained proofs that a record is in the log: C2SP tlog-proof, one text file each.

Owns the format byte for byte, because software written by others reads it, and what such a file
must hold to convince. Our `extra` line is the record itself, which is what hashes to the leaf: the
specification has `extra` for data needed to reconstruct the record's hash. Pure.
"""

import base64
import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from audit_sink.checkpoint import MAX_BYTES as MAX_CHECKPOINT
from audit_sink.checkpoint import Checkpoint, CheckpointError, PublicKey, open_checkpoint
from audit_sink.proof import verify_inclusion
from audit_sink.record import MAX_BYTES as MAX_RECORD
from audit_sink.record import record_problem
from audit_sink.tree import HASH_SIZE, leaf_hash

SUFFIX: Final = ".tlog-proof"
HEADER: Final = b"c2sp.org/tlog-proof@v1"
_MOST_HASHES: Final = 63
MAX_BYTES: Final = MAX_CHECKPOINT + 2 * MAX_RECORD + 64 * (_MOST_HASHES + 2)
_INDEX: Final = re.compile(rb"0|[1-9][0-9]{0,18}")


class ProofError(ValueError):
    """These bytes prove nothing. The message says why not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What a proof file says, believed or not."""

    index: int
    hashes: Sequence[bytes]
    note: bytes
    """The signed checkpoint, verbatim."""
    record: bytes | None

    @property
    def text(self) -> bytes:
        """Return the file."""
        lines = [HEADER]
        if self.record is not None:
            lines.append(b"extra " + base64.b64encode(self.record))
        lines.append(b"index %d" % self.index)
        lines += [base64.b64encode(one) for one in self.hashes]
        return b"\n".join([*lines, b"", self.note])


@dataclass(frozen=True, slots=True, kw_only=True)
class Proven:
    """A record that is in the log at `index`, under a head that the key has signed."""

    index: int
    record: bytes
    checkpoint: Checkpoint


def parse_proof(data: bytes) -> Proof:
    """Return what a proof file says. Raises ProofError."""
    if len(data) > MAX_BYTES:
        raise ProofError(f"longer than {MAX_BYTES} bytes")
    head, separator, note = data.partition(b"\n\n")
    lines = head.split(b"\n")
    if not separator or lines[0] != HEADER:
        raise ProofError(f"no proof: its first line is not {HEADER.decode()}")
    at = 1
    record = None
    if lines[at : at + 1] and lines[at].startswith(b"extra "):
        record = _decode(lines[at][6:])
        at += 1
    if not lines[at : at + 1] or not lines[at].startswith(b"index "):
        raise ProofError("it does not say which record it is about")
    index = lines[at][6:]
    if not _INDEX.fullmatch(index):
        raise ProofError(f"{index[:40]!r} is no place in a log")
    hashes = [_decode(line) for line in lines[at + 1 :]]
    if len(hashes) > _MOST_HASHES or any(len(one) != HASH_SIZE for one in hashes):
        raise ProofError("a proof has at most 63 hashes of 32 bytes each")
    return Proof(index=int(index), hashes=hashes, note=note, record=record)


def check_proof(data: bytes, key: PublicKey, record: bytes | None = None) -> Proven:
    """Return what a proof file proves to somebody who trusts `key` and nothing else.

    `record` is for a file without `extra`; where both are given they must be the same.

    Raises:
        ProofError: it proves nothing.
    """
    proof = parse_proof(data)
    if record is not None and proof.record not in {None, record}:
        raise ProofError("the proof is about another record")
    proven = record if record is not None else proof.record
    if proven is None:
        raise ProofError("the record is not in the proof; give it as a file of its own")
    try:
        checkpoint = open_checkpoint(proof.note, key)
    except CheckpointError as error:
        raise ProofError(f"its checkpoint: {error}") from error
    # What the record says of itself comes after the proof: only then are they sealed words.
    if not verify_inclusion(
        leaf=leaf_hash(proven),
        index=proof.index,
        size=checkpoint.size,
        proof=proof.hashes,
        root=checkpoint.root,
    ):
        raise ProofError(
            f"the record is not the one at {proof.index} in the log of {checkpoint.size}"
        )
    problem = record_problem(proven, proof.index)
    if problem:
        raise ProofError(f"record {proof.index}: {problem}")
    return Proven(index=proof.index, record=proven, checkpoint=checkpoint)


def _decode(text: bytes) -> bytes:
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ProofError(f"{text[:40]!r} is no base64") from error
    if base64.b64encode(data) != text:
        raise ProofError(f"{text[:40]!r} is not the one base64 of its bytes")
    return data
