"""Checking a bundle that somebody hostile may have made: bytes, a public key, nothing else.

Owns bounds (nothing is unpacked to disk, no entry is read further than it may be long) and what
must agree with what. Only ProofError is raised; what is wrong with single records is listed.
"""

import zipfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import orjson

from audit_sink.bundle import (
    CHECKPOINT_NAME,
    FORMAT,
    INDEX_NAME,
    KEY_NAME,
    README_NAME,
    part_name,
    proof_name,
    record_name,
)
from audit_sink.checkpoint import MAX_BYTES as MAX_CHECKPOINT
from audit_sink.checkpoint import Checkpoint, CheckpointError, PublicKey, open_checkpoint
from audit_sink.evidence import Keys, Part, parts_problem, signing
from audit_sink.record import MAX_BYTES as MAX_RECORD
from audit_sink.tlog_proof import MAX_BYTES as MAX_PROOF
from audit_sink.tlog_proof import ProofError, check_proof

_MOST_RECORDS: Final = 1_000_000
_MAX_INDEX: Final = 1 << 30
_MAX_PART: Final = 64 * 1024 * 1024
_MAX_KEY: Final = 4_096
_MOST_PROBLEMS: Final = 20
_PART: Final = r"^[a-z_]{1,40}$"
_ZIP_MAGIC: Final = b"PK"
_UNREADABLE: Final = (
    zipfile.BadZipFile, zlib.error, OSError, EOFError, NotImplementedError, RuntimeError,
    ValueError, KeyError, OverflowError, UnicodeError,
)  # fmt: skip

_Hash = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}$")]
_PartName = Annotated[str, msgspec.Meta(pattern=_PART)]
_Sequence = Annotated[int, msgspec.Meta(ge=0, le=2**53)]


class _Described(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    commitment: _Hash
    salt: _Hash | None = None


class _Listed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    sequence: _Sequence
    parts: dict[_PartName, _Described] | None


class _Index(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    format: str
    records: Annotated[list[_Listed], msgspec.Meta(max_length=_MOST_RECORDS)]


@dataclass(slots=True, kw_only=True)
class BundleReport:
    """What was checked, and the first things that are wrong; well where `problems` is empty."""

    origin: str
    size: int
    records: int = 0
    parts: int = 0
    withheld: int = 0
    destroyed: int = 0
    signatures: int = 0
    problems: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """Return it for `--json`."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


def is_bundle(path: Path) -> bool:
    """Tell whether a file begins as a bundle does; False also where it cannot be read."""
    try:
        if not path.is_file():
            return False
        with path.open("rb") as file:
            return file.read(len(_ZIP_MAGIC)) == _ZIP_MAGIC
    except (OSError, ValueError):
        return False


def own_key(path: Path) -> str:
    """Return the text of the key that a bundle brings along. Raises ProofError."""
    with _open(path) as archive:
        return _read(archive, KEY_NAME, _MAX_KEY).decode("utf-8", "replace")


def check_bundle(path: Path, key: PublicKey, keys: Keys | None = None) -> BundleReport:
    """Check everything in a bundle.

    Raises:
        ProofError: it is no bundle, or its checkpoint is not signed by the key.
    """
    with _open(path) as archive:
        names = [entry.filename for entry in archive.infolist()]
        if len(set(names)) != len(names):
            raise ProofError("two entries of one name")
        note = _read(archive, CHECKPOINT_NAME, MAX_CHECKPOINT)
        try:
            head = open_checkpoint(note, key)
        except CheckpointError as error:
            raise ProofError(f"{CHECKPOINT_NAME}: {error}") from error
        index = _index(_read(archive, INDEX_NAME, _MAX_INDEX))
        _check_names(set(names), index)
        report = BundleReport(origin=head.origin, size=head.size)
        check = _Check(archive=archive, key=key, head=head, keys=keys, report=report)
        for listed in index.records:
            try:
                check.record(listed)
            except ProofError as error:
                if len(report.problems) < _MOST_PROBLEMS:
                    report.problems.append(f"record {listed.sequence}: {error}")
        return report


@dataclass(frozen=True, slots=True, kw_only=True)
class _Check:
    """Checks one record of a bundle after the other."""

    archive: zipfile.ZipFile
    key: PublicKey
    head: Checkpoint
    keys: Keys | None
    report: BundleReport

    def record(self, listed: _Listed) -> None:
        """Check a record, its proof and its parts. Raises ProofError."""
        sequence, report = listed.sequence, self.report
        record = _read(self.archive, record_name(sequence), MAX_RECORD)
        proof = _read(self.archive, proof_name(sequence), MAX_PROOF)
        proven = check_proof(proof, self.key, record)
        if proven.index != sequence or proven.checkpoint != self.head:
            raise ProofError("its proof is about another record or head")
        report.records += 1
        if listed.parts is None:
            report.destroyed += 1
            return
        parts = {name: self._part(sequence, name, one) for name, one in listed.parts.items()}
        fields = orjson.loads(record)
        problem = parts_problem(fields, parts)
        if problem:
            raise ProofError(problem)
        signed = signing(fields, parts, self.keys)
        if signed is not None and signed.problem:
            raise ProofError(signed.problem)
        report.signatures += signed is not None and signed.checked
        shown = sum(part.data is not None for part in parts.values())
        report.parts += shown
        report.withheld += len(parts) - shown

    def _part(self, sequence: int, name: str, described: _Described) -> Part:
        commitment = bytes.fromhex(described.commitment)
        if described.salt is None:
            return Part(commitment=commitment)
        data = _read(self.archive, part_name(sequence, name), _MAX_PART)
        return Part(commitment=commitment, salt=bytes.fromhex(described.salt), data=data)


def _check_names(names: set[str], index: _Index) -> None:
    """Refuse what the index does not explain, and what it promises and is not there."""
    sequences = [one.sequence for one in index.records]
    if sequences != sorted(set(sequences)):
        raise ProofError(f"{INDEX_NAME}: records are not listed once, in order")
    expected = {README_NAME, KEY_NAME, CHECKPOINT_NAME, INDEX_NAME}
    for one in index.records:
        expected |= {record_name(one.sequence), proof_name(one.sequence)}
        for name, described in (one.parts or {}).items():
            if described.salt is not None:
                expected.add(part_name(one.sequence, name))
    for name in sorted(expected - names)[:1]:
        raise ProofError(f"{name}: missing")
    for name in sorted(names - expected)[:1]:
        raise ProofError(f"{name[:200]}: nothing in {INDEX_NAME} explains it")


def _index(data: bytes) -> _Index:
    try:
        index = msgspec.json.decode(data, type=_Index)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise ProofError(f"{INDEX_NAME}: {error}") from error
    if index.format != FORMAT:
        raise ProofError(f"{INDEX_NAME}: {index.format[:80]!r}, not {FORMAT!r}")
    return index


def _open(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except _UNREADABLE as error:
        raise ProofError(f"no bundle: {error}") from error


def _read(archive: zipfile.ZipFile, name: str, most: int) -> bytes:
    """Return an entry of at most `most` bytes; reads no further, whatever its header says."""
    try:
        with archive.open(name) as file:
            data = file.read(most + 1)
    except _UNREADABLE as error:
        raise ProofError(f"{name}: cannot be read: {error}") from error
    if len(data) > most:
        raise ProofError(f"{name}: longer than the {most} bytes that belong there")
    return data
