"""Where commands read a log: from its files, or from the hot store with the ledger.

Owns how tiles, records and the newest checkpoint are fetched from either. Believes neither: proofs
made from them are checked against the signed root before anybody sees them.
"""

from collections.abc import Iterator, Sequence
from typing import Final, Protocol

import orjson

from audit_sink.checkpoint import MAX_BYTES as MAX_CHECKPOINT
from audit_sink.checkpoint import Checkpoint, PublicKey, open_checkpoint
from audit_sink.folder import FileProblemError, Folder, MissingFileError
from audit_sink.ledger import PostgresLedger
from audit_sink.nodes import TileNodes
from audit_sink.proof import consistency_proof, inclusion_proof, verify_consistency
from audit_sink.store import Reader
from audit_sink.strays import MAX_BUNDLE, MAX_TILE
from audit_sink.tiles import entries_name, split_bundle
from audit_sink.tlog_proof import Proof, ProofError, check_proof
from audit_sink.tree import WIDTH, TileName, perfect_root

_KEYS: Final = ("event_id", "item_id", "decision_id", "correlation_id")
_SPAN: Final = WIDTH * WIDTH


class NoSuchRecordError(LookupError):
    """Nothing in the log goes by that name."""


class Source(Protocol):
    """A log that is read, not checked.

    Its methods raise FileProblemError, UnavailableError, LogDamagedError or LookupError.
    """

    def note(self) -> bytes:
        """Return the newest signed checkpoint."""

    def tile(self, name: TileName) -> bytes:
        """Return a hash tile, or a wider one."""

    def record(self, sequence: int) -> bytes:
        """Return a record."""


class FilesSource:
    """A log in a folder."""

    def __init__(self, folder: Folder) -> None:
        """Read `folder`, which the caller closes."""
        self._folder = folder

    def note(self) -> bytes:
        """Return the published checkpoint."""
        return self._folder.read("checkpoint", MAX_CHECKPOINT)

    def tile(self, name: TileName) -> bytes:
        """Return a tile, or the full one that replaced it."""
        return self._read(name, MAX_TILE)

    def record(self, sequence: int) -> bytes:
        """Return a record."""
        index, place = divmod(sequence, WIDTH)
        entries = self._entries(index, place + 1)
        if place >= len(entries):
            raise FileProblemError(entries_name(index, WIDTH).path, f"no record {sequence} in it")
        return entries[place]

    def bundles(self, size: int) -> Iterator[bytes]:
        """Yield the entry bundles of the first `size` records, as they are."""
        for start in range(0, size, WIDTH):
            name = entries_name(start // WIDTH, min(WIDTH, size - start))
            yield self._read(name, MAX_BUNDLE)

    def _entries(self, index: int, least: int) -> list[bytes]:
        """Return the bundle at `index`, of whatever width ≥ `least` there is."""
        for width in (WIDTH, *self._partial_widths(index, least)):
            try:
                data = self._folder.read(entries_name(index, width).path, MAX_BUNDLE)
            except MissingFileError:
                continue
            return split_bundle(data, WIDTH)[0]
        raise MissingFileError(entries_name(index, WIDTH).path, "missing")

    def _partial_widths(self, index: int, least: int) -> Sequence[int]:
        """Return the width the checkpoint promises: a live log's last bundle is a partial one."""
        lines = self.note().split(b"\n")
        if len(lines) < 2 or not lines[1].isdigit():  # noqa: PLR2004 - the line with the size
            return ()
        width = entries_name(index, WIDTH).width_at(int(lines[1][:18]))
        return (width,) if width >= least else ()

    def _read(self, name: TileName, most: int) -> bytes:
        try:
            return self._folder.read(name.path, most)
        except MissingFileError:
            full = TileName(level=name.level, index=name.index)
            return self._folder.read(full.path, most)


class RowsSource:
    """A log in the hot store; its head is in the ledger. Slow where the tree is large: it hashes.

    Level 0 is in the rows; each higher tile is worked out from all the rows below it.
    """

    def __init__(self, reader: Reader, ledger: PostgresLedger) -> None:
        """Read from both, which the caller closes."""
        self._reader = reader
        self._ledger = ledger

    def note(self) -> bytes:
        """Return the ledger's checkpoint."""
        head = self._ledger.head()
        if head is None:
            raise NoSuchRecordError("the ledger knows no head of this log")
        return head.checkpoint

    def tile(self, name: TileName) -> bytes:
        """Return a tile, worked out from the rows."""
        first = name.index * WIDTH * name.scale
        if name.level == 0:
            rows = self._reader.records(first, first + name.width)
            return b"".join(audit_hash for _, audit_hash in rows)
        starts = range(first, first + name.width * name.scale, name.scale)
        return b"".join(self._subtree(start, name.scale) for start in starts)

    def record(self, sequence: int) -> bytes:
        """Return a record."""
        return self._reader.records(sequence, sequence + 1)[0][0]

    def _subtree(self, start: int, count: int) -> bytes:
        if count > _SPAN:
            step = count // WIDTH
            return perfect_root(
                [self._subtree(at, step) for at in range(start, start + count, step)]
            )
        return perfect_root(self._reader.hashes(start, start + count))


class Prover:
    """Makes proofs under one head, and hands out none that does not convince."""

    def __init__(self, source: Source, key: PublicKey) -> None:
        """Take the newest head. Raises CheckpointError, and what `source` raises."""
        self._source = source
        self._key = key
        self.note = source.note()
        self.checkpoint: Checkpoint = open_checkpoint(self.note, key)
        self._nodes = TileNodes(self.checkpoint.size, source.tile)

    def prove(self, sequence: int, record: bytes | None = None) -> bytes:
        """Return the proof file of a record (by default the one that the source has there).

        Raises:
            NoSuchRecordError: the head does not reach that far.
            ProofError: the log does not hang together there.
        """
        size = self.checkpoint.size
        if not 0 <= sequence < size:
            raise NoSuchRecordError(f"record {sequence}: the newest head has {size} records")
        proven = self._source.record(sequence) if record is None else record
        try:
            hashes = inclusion_proof(self._nodes.node, sequence, size)
        except LookupError as error:
            raise ProofError(f"a tile is not as it should be: {error}") from error
        text = Proof(index=sequence, hashes=hashes, note=self.note, record=proven).text
        check_proof(text, self._key)
        return text

    def grown_from(self, old: Checkpoint) -> list[bytes]:
        """Return the consistency proof from an older head to this one, once it convinces.

        Raises:
            ProofError: this log did not grow out of that one.
        """
        new = self.checkpoint
        if old.size > new.size:
            raise ProofError(f"the older checkpoint has {old.size} records, this one {new.size}")
        try:
            proof = consistency_proof(self._nodes.node, old.size, new.size)
        except LookupError as error:
            raise ProofError(f"a tile is not as it should be: {error}") from error
        if not verify_consistency(
            old=old.size, new=new.size, proof=proof, old_root=old.root, new_root=new.root
        ):
            raise ProofError(
                f"the first {old.size} records are not those of the older checkpoint: a fork"
            )
        return proof


def find_in_files(files: FilesSource, name: str, size: int) -> list[int]:
    """Return the places of the records whose event, item, decision or correlation id is `name`.

    Reads every bundle, but only looks into those that hold the name at all.
    """
    # As it stands in canonical JSON; a name in a list of causes is found here and refused below.
    wanted = orjson.dumps(name)
    found = []
    for index, data in enumerate(files.bundles(size)):
        if wanted not in data:
            continue
        for place, entry in enumerate(split_bundle(data, WIDTH)[0]):
            if wanted in entry and is_named(entry, name):
                found.append(index * WIDTH + place)
    return [sequence for sequence in found if sequence < size]


def is_named(entry: bytes, name: str) -> bool:
    """Tell whether `name` is one of the ids that a record goes by."""
    try:
        fields = orjson.loads(entry)
    except orjson.JSONDecodeError:
        return False
    return isinstance(fields, dict) and any(fields.get(key) == name for key in _KEYS)


def is_event(entry: bytes, name: str) -> bool:
    """Tell whether `name` is the record's own event id."""
    fields = orjson.loads(entry)
    return isinstance(fields, dict) and fields.get("event_id") == name
