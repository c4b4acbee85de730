"""Checks a whole cold store: the chain of manifests, every object, and that nothing else is there.

Owns what may lie in a store beside what manifests name: what an archive that broke off has left,
which is counted and believed by nobody. Trusts bytes, one public key and, where there is one, the
ledger. Raises BadEvidenceError whatever it is given (and UnavailableError).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from audit_sink.checkpoint import PublicKey
from audit_sink.cold.check import check_archive
from audit_sink.cold.manifest import (
    MANIFESTS,
    MAX_BATCH,
    MAX_BYTES,
    Manifest,
    ManifestError,
    chain_problem,
    digest_in,
    hole_in,
    open_manifest,
    range_of,
)
from audit_sink.cold.store import Cold, Stored
from audit_sink.folder import FileProblemError
from audit_sink.tree import Edge, parse_path
from audit_sink.verify import BadEvidenceError, Finding, LedgerHeads, Progress

_LARGEST_LEFT: Final = 1024**3


@dataclass(frozen=True, slots=True, kw_only=True)
class ColdReport:
    """All is well: what was checked."""

    archives: int
    size: int
    """Records."""
    root: bytes
    bytes: int
    heads: int | None
    """How many of the ledger's heads lie on this history; None where it could not be asked."""
    left_over: int
    """Objects that an archive has left which broke off."""


def verify_cold(
    cold: Cold,
    key: PublicKey,
    ledger: LedgerHeads | None = None,
    progress: Progress = lambda _done, _all: None,
) -> ColdReport:
    """Check everything and say what was checked.

    Raises:
        BadEvidenceError: something is missing, changed, foreign, or does not follow.
        UnavailableError: the store or the ledger is away.
    """
    heads = {} if ledger is None else dict(ledger.history())
    try:
        stored = list(cold.listed())
        _check_versions(stored)
        notes = _notes(stored)
        edge, total, pinned = Edge(), 0, dict[str, str]()
        before: tuple[bytes, Manifest] | None = None
        for one in notes:
            data = cold.get(one.name, one.version, MAX_BYTES)
            manifest = _opened(one, data, key, before)
            checked = check_archive(cold, manifest, edge, heads)
            edge, before = checked.edge, (data, manifest)
            total += checked.size + len(data)
            pinned |= {item.name: item.version for item in manifest.objects}
            progress(edge.size, max(end for _, end in _ranges(notes)))
        left_over = _check_others(cold, stored, pinned, edge.size)
    except FileProblemError as error:
        raise BadEvidenceError(Finding(file=error.path, problem=error.problem)) from error
    return ColdReport(
        archives=len(notes),
        size=edge.size,
        root=edge.root(),
        bytes=total,
        heads=None if ledger is None else sum(size <= edge.size for size in heads),
        left_over=left_over,
    )


def _check_versions(stored: Sequence[Stored]) -> None:
    """Refuse what somebody wrote over or tried to delete: the pinned version is there, but why?"""
    seen: set[str] = set()
    for one in stored:
        if one.deleted:
            problem = "somebody has tried to delete it: a marker hides it"
            raise BadEvidenceError(Finding(file=one.name, problem=problem))
        if one.name in seen:
            problem = "somebody has written over it: it has more than one version"
            raise BadEvidenceError(Finding(file=one.name, problem=problem))
        seen.add(one.name)


def _notes(stored: Sequence[Stored]) -> list[Stored]:
    """Return the manifests in the order of their ranges, which leave nothing out."""
    notes = sorted(
        (one for one in stored if one.name.startswith(MANIFESTS)), key=lambda one: one.name
    )
    for one in notes:
        if range_of(one.name) is None:
            raise BadEvidenceError(Finding(file=one.name, problem="no name of a manifest"))
    hole = hole_in(list(_ranges(notes)))
    if hole is not None:
        problem = f"no manifest, or more than one, covers record {hole}"
        raise BadEvidenceError(Finding(file=MANIFESTS, problem=problem, sequence=hole))
    if not notes:
        raise BadEvidenceError(Finding(file=MANIFESTS, problem="there is no manifest"))
    return notes


def _ranges(notes: Sequence[Stored]) -> Iterator[tuple[int, int]]:
    for one in notes:
        found = range_of(one.name)
        assert found is not None  # `_notes` has looked
        yield found


def _opened(
    one: Stored, data: bytes, key: PublicKey, before: tuple[bytes, Manifest] | None
) -> Manifest:
    try:
        manifest = open_manifest(data, key)
    except ManifestError as error:
        raise BadEvidenceError(Finding(file=one.name, problem=str(error))) from error
    problem = chain_problem(before, manifest)
    if manifest.name != one.name:
        problem = f"it is {manifest.name}, under another name"
    if problem:
        raise BadEvidenceError(Finding(file=one.name, problem=problem))
    return manifest


def _check_others(
    cold: Cold, stored: Sequence[Stored], pinned: Mapping[str, str], size: int
) -> int:
    """Return how many objects were left by what broke off; refuse any other that is not pinned."""
    left = 0
    for one in stored:
        if one.name.startswith(MANIFESTS) or one.name in pinned:
            continue
        digest = digest_in(one.name)
        if digest is not None:
            if sha256(cold.get(one.name, one.version, min(one.size, _LARGEST_LEFT))).digest() != (
                digest
            ):
                raise BadEvidenceError(Finding(file=one.name, problem="not what its name says"))
        elif not _is_ahead(one.name, size):
            problem = "no manifest names it: it does not belong here"
            raise BadEvidenceError(Finding(file=one.name, problem=problem))
        left += 1
    return left


def _is_ahead(name: str, size: int) -> bool:
    """Tell whether a tile is one that the next archive will have."""
    tile = parse_path(name.removesuffix(".zst"))
    return (
        tile is not None
        and (tile.level < 0) == name.endswith(".zst")
        and size < tile.end <= size + MAX_BATCH
        and tile.path == name.removesuffix(".zst")
    )
