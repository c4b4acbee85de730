"""The verifier: trusts the bytes it is given, one public key, and nothing else.

Owns what "all is well" means. Every record is hashed anew from the entry bundles; every tile of
every level, the root, the signature and, where the ledger can be asked, every head there ever was
must follow from those hashes; and nothing else may lie in the folder. Whatever the bytes are, only
`BadEvidenceError` is raised, and it names the first thing that is wrong.

Limits of any such check: files and checkpoint that were both set back to an earlier day verify by
themselves. The ledger shows that; without it the report says NOT CHECKED.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import orjson

from audit_sink.checkpoint import MAX_BYTES as MAX_CHECKPOINT
from audit_sink.checkpoint import Checkpoint, CheckpointError, PublicKey, open_checkpoint
from audit_sink.folder import FileProblemError, Folder, MissingFileError
from audit_sink.record import record_problem
from audit_sink.strays import MAX_BUNDLE, MAX_TILE, check_strays
from audit_sink.tiles import entries_name, split_bundle
from audit_sink.tree import (
    HASH_SIZE,
    WIDTH,
    Edge,
    TileName,
    leaf_hash,
    perfect_root,
    split_hashes,
)

Progress = Callable[[int, int], None]
"""Told after each bundle how many records of how many are checked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The first thing that is wrong: where, what, and which record, where one can be named."""

    file: str
    problem: str
    sequence: int | None = None
    event_id: str | None = None
    type: str | None = None

    def __str__(self) -> str:
        """Return it as one line for people."""
        named = ""
        if self.sequence is not None:
            known = f" ({self.type} {self.event_id})" if self.event_id else ""
            named = f"record {self.sequence}{known}: "
        return f"{named}{self.problem} [{self.file}]"


class BadEvidenceError(Exception):
    """The log is not what its head says. `finding` names the first place."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(str(finding))
        self.finding = finding


class CutBackError(BadEvidenceError):
    """The ledger knows a later head than the checkpoint: cut back, or being published just now."""


class LedgerHeads(Protocol):
    """What the verifier asks the ledger: `ledger.PostgresLedger`."""

    def history(self) -> list[tuple[int, bytes]]:
        """Return size and root of every head, in order of size. Raises UnavailableError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """All is well: what was checked."""

    origin: str
    size: int
    root: bytes
    heads: int | None
    """How many heads of the ledger lie on this history; None where it could not be asked."""
    ahead: int
    """Files of a later size than the checkpoint's: a publication was under way or broke off."""


def verify(
    folder: Folder,
    key: PublicKey,
    ledger: LedgerHeads | None = None,
    progress: Progress = lambda _done, _all: None,
) -> Report:
    """Check the whole log and say what was checked.

    Raises:
        BadEvidenceError: it is not what its head says.
        UnavailableError: the ledger does not answer.
    """
    # The ledger first: by the time the checkpoint is read, it is that far or further.
    heads = [] if ledger is None else ledger.history()
    try:
        note = folder.read("checkpoint", MAX_CHECKPOINT)
        checkpoint = open_checkpoint(note, key)
        if heads and heads[-1][0] > checkpoint.size:
            problem = f"{checkpoint.size} records, but the ledger's head has {heads[-1][0]}"
            raise CutBackError(Finding(file="checkpoint", problem=f"cut back: {problem}"))
        check = _Check(folder=folder, checkpoint=checkpoint, heads=dict(heads), progress=progress)
        check.run()
        ahead = check_strays(folder, checkpoint.size)
    except CheckpointError as error:
        raise BadEvidenceError(Finding(file="checkpoint", problem=str(error))) from error
    except FileProblemError as error:
        raise BadEvidenceError(Finding(file=error.path, problem=error.problem)) from error
    if ledger is not None:
        heads = ledger.history()
        _check_is_known(checkpoint, dict(heads))
    return Report(
        origin=checkpoint.origin,
        size=checkpoint.size,
        root=checkpoint.root,
        heads=None if ledger is None else len(heads),
        ahead=ahead,
    )


def _check_is_known(checkpoint: Checkpoint, heads: dict[int, bytes]) -> None:
    root = heads.get(checkpoint.size)
    if root is None:
        problem = f"the ledger knows no head of {checkpoint.size} records"
    elif root != checkpoint.root:
        problem = f"the ledger's head of {checkpoint.size} records has another root: a fork"
    else:
        return
    raise BadEvidenceError(Finding(file="checkpoint", problem=problem))


@dataclass(slots=True, kw_only=True)
class _Check:
    """One pass over all entries, from the first to the checkpoint's last."""

    folder: Folder
    checkpoint: Checkpoint
    heads: dict[int, bytes]
    progress: Progress
    edge: Edge = field(default_factory=Edge)
    last_good_head: int = 0

    def run(self) -> None:
        size = self.checkpoint.size
        self._check_head()
        for start in range(0, size, WIDTH):
            entries, hashes = self._bundle(start // WIDTH, min(WIDTH, size - start))
            for sequence, entry in enumerate(entries, start):
                problem = record_problem(entry, sequence)
                if problem:
                    raise self._bad_record(sequence, entry, problem)
            self._extend(hashes)
            self.progress(self.edge.size, size)
        for name, data in self.edge.partial_tiles():
            self._check_tile(name, data)
        if self.edge.root() != self.checkpoint.root:
            problem = (
                f"the {size} records have the root {self.edge.root().hex()}, "
                f"the checkpoint says {self.checkpoint.root.hex()}"
            )
            raise BadEvidenceError(Finding(file="checkpoint", problem=problem))

    def _extend(self, hashes: Sequence[bytes]) -> None:
        start = self.edge.size
        stops = [size for size in range(start + 1, start + len(hashes)) if size in self.heads]
        at = start
        for stop in [*stops, start + len(hashes)]:
            for name, data in self.edge.extend(hashes[at - start : stop - start]):
                self._check_tile(name, data)
            at = stop
            self._check_head()

    def _check_head(self) -> None:
        size = self.edge.size
        root = self.heads.get(size)
        if root is None:
            return
        if root != self.edge.root():
            problem = (
                f"the ledger's head of {size} records has another root; the first record that "
                f"differs is one of {self.last_good_head} to {size - 1}"
            )
            raise BadEvidenceError(Finding(file="ledger", problem=problem))
        self.last_good_head = size

    def _check_tile(self, name: TileName, expected: bytes) -> None:
        if name.level == 0:
            return  # `_bundle` has compared it, record by record
        found = self._tile(name)
        if found == expected:
            return
        number = next(
            (n for n, pair in enumerate(_hash_pairs(found, expected)) if pair[0] != pair[1]), 0
        )
        problem = f"hash {number} is not the root of the records below it"
        if len(found) != len(expected):
            problem = f"{len(found)} bytes, not {len(expected)}"
        raise BadEvidenceError(Finding(file=name.path, problem=problem))

    def _tile(self, name: TileName) -> bytes:
        """Return the tile's bytes, from the full tile where the partial one is gone."""
        try:
            return self.folder.read(name.path, MAX_TILE)
        except MissingFileError:
            if name.width == WIDTH:
                raise
            full = TileName(level=name.level, index=name.index)
            try:
                return self.folder.read(full.path, MAX_TILE)[: name.width * HASH_SIZE]
            except MissingFileError:
                raise MissingFileError(name.path, "missing") from None

    def _bundle(self, index: int, width: int) -> tuple[list[bytes], list[bytes]]:
        """Return the entries of a bundle and their hashes, once they agree with the tile."""
        name, file, data = self._bundle_bytes(index, width)
        entries, whole = split_bundle(data, width if file != name.path else WIDTH + 1)
        hashes = [leaf_hash(entry) for entry in entries]
        tile = TileName(level=0, index=index, width=width)
        sealed = split_hashes(self._tile(tile))
        if whole and len(entries) == width and hashes == sealed:
            return entries, hashes
        raise self._difference(file, tile, entries, hashes, sealed)

    def _bundle_bytes(self, index: int, width: int) -> tuple[TileName, str, bytes]:
        name = entries_name(index, width)
        try:
            return name, name.path, self.folder.read(name.path, MAX_BUNDLE)
        except MissingFileError:
            full = entries_name(index, WIDTH).path
            if full == name.path:
                raise
            try:
                return name, full, self.folder.read(full, MAX_BUNDLE)
            except MissingFileError:
                raise MissingFileError(name.path, "missing") from None

    def _difference(
        self,
        file: str,
        tile: TileName,
        entries: Sequence[bytes],
        hashes: Sequence[bytes],
        sealed: Sequence[bytes],
    ) -> BadEvidenceError:
        """Name the first record where bundle and tile differ, and say which of the two is wrong."""
        place = next(
            (n for n in range(tile.width) if hashes[n : n + 1] != sealed[n : n + 1]), tile.width
        )
        if place == tile.width and len(sealed) == tile.width:
            problem = f"something follows the {tile.width} entries that belong here"
            return BadEvidenceError(Finding(file=file, problem=problem))
        sequence = tile.index * WIDTH + place
        if len(hashes) == tile.width and self._is_sealed(tile, hashes):
            problem = f"hash {place} is wrong; record {sequence} itself is as it was sealed"
            if len(sealed) != tile.width:
                problem = f"{len(sealed)} hashes, not {tile.width}"
            return BadEvidenceError(Finding(file=tile.path, problem=problem))
        if place >= len(entries):
            return self._bad_record(sequence, b"", "missing, or cut off", file)
        problem = f"not what was sealed: its hash is not the one in {tile.path}"
        return self._bad_record(sequence, entries[place], problem, file)

    def _is_sealed(self, tile: TileName, hashes: Sequence[bytes]) -> bool:
        """Tell whether a higher tile, or the root, vouches for these leaf hashes."""
        if tile.end == self.checkpoint.size:
            edge = self.edge.copy()
            edge.extend(hashes)
            return edge.root() == self.checkpoint.root
        width = TileName(level=1, index=tile.index // WIDTH).width_at(self.checkpoint.size)
        above = TileName(level=1, index=tile.index // WIDTH, width=width)
        try:
            sealed = split_hashes(self._tile(above))
        except FileProblemError:
            return False
        place = tile.index % WIDTH
        return sealed[place : place + 1] == [perfect_root(hashes)]

    def _bad_record(
        self, sequence: int, entry: bytes, problem: str, file: str | None = None
    ) -> BadEvidenceError:
        width = min(WIDTH, self.checkpoint.size - sequence // WIDTH * WIDTH)
        event_id, kind = _named(entry)
        return BadEvidenceError(
            Finding(
                file=file or entries_name(sequence // WIDTH, width).path,
                problem=problem,
                sequence=sequence,
                event_id=event_id,
                type=kind,
            )
        )


def _named(entry: bytes) -> tuple[str | None, str | None]:
    try:
        fields: Any = orjson.loads(entry)
        return str(fields["event_id"])[:80], str(fields["type"])[:80]
    except (ValueError, KeyError, TypeError, IndexError):
        return None, None


def _hash_pairs(one: bytes, other: bytes) -> Iterator[tuple[bytes, bytes]]:
    return zip(split_hashes(one), split_hashes(other), strict=False)
