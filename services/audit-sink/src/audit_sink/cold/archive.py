"""Copies sealed and published records into the cold store, and lets old payloads go.

Owns the order, and when a copy counts. One archive is a range of whole entry bundles below the
published head:

    1. tiles, entry bundles, pack, table   a crash leaves objects that no manifest names; tiles and
                                           bundles are written again with the same bytes, pack and
                                           table are named by their digest
    2. the signed manifest, created once   a crash leaves a manifest without its row; the next step
                                           finds it, and goes on with 3 instead of writing
    3. everything is read back and checked: digests, entries against tiles, the root against the
       published head
    4. the row in audit.archive            from here on the copy counts
    5. much later, the payloads of the hot store go; not before the pack was read once more and
       holds each of the rows that go

Payloads in clear (of before the vault) are not archived and never go: what a bucket locks, nobody
can destroy, so nothing goes there that no key protects.

Twice, or by two processes, is harmless: an advisory lock lets one archive, names and versions make
the rest the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import sha256
from typing import Any, Final

import msgspec
import structlog

from audit_sink.checkpoint import Checkpoint, PrivateKey
from audit_sink.cold.check import bundles, check_archive, compressed, fetched, uncompressed
from audit_sink.cold.manifest import (
    MAX_BATCH,
    MAX_BYTES,
    Manifest,
    ManifestError,
    Pinned,
    largest,
    manifest_name,
    object_name,
    open_manifest,
    pack_name,
    sign_manifest,
    table_name,
)
from audit_sink.cold.pack import PackError, pack, read_all
from audit_sink.cold.rows import Archive, ArchiveRows, Payloads
from audit_sink.cold.store import Cold, ColdConflictError
from audit_sink.cold.table import parquet_of
from audit_sink.folder import FileProblemError
from audit_sink.source import Prover, Source
from audit_sink.store import LogDamagedError
from audit_sink.tree import HASH_SIZE, WIDTH, Edge, TileName, leaf_hash
from audit_sink.verify import BadEvidenceError, Finding

log = structlog.get_logger()

_CHUNK: Final = 16 * WIDTH


@dataclass(frozen=True, slots=True, kw_only=True)
class Archived:
    """What one step has done."""

    first: int
    end: int
    size: int
    """Bytes in the cold store."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Archiver:
    """Archives one range a step. Its methods raise what `cold`, `rows` and `source` raise."""

    rows: ArchiveRows
    cold: Cold
    source: Source
    """The published log: what its head does not reach is not archived."""
    key: PrivateKey
    batch: int
    """Records in one archive, at most."""

    def step(self, before: datetime) -> Archived | None:
        """Archive the next range of records sealed before then; None where there is none.

        Durable, read back, checked and noted on return.

        Raises:
            BadEvidenceError, ProofError, LogDamagedError: hot log, cold store and head disagree.
        """
        last = self.rows.last_archive()
        prover = Prover(self.source, self.key.public)
        first = 0 if last is None else last.end
        end = self._end(first, prover.checkpoint.size, before)
        if end <= first:
            return None
        edge = self._edge(last, prover.checkpoint.size)
        self._check_store(last)
        found = self._found(last, first)
        note, manifest, version = found or self._written(last, edge, end)
        checked = check_archive(self.cold, manifest, edge)
        prover.grown_from(Checkpoint(origin=self.key.name, size=manifest.end, root=manifest.root))
        self.rows.insert(self._row(note, manifest, version))
        return Archived(first=first, end=manifest.end, size=checked.size + len(note))

    def _end(self, first: int, head: int, before: datetime) -> int:
        """Return where the next range ends: whole bundles, published, old enough."""
        batch = max(WIDTH, min(self.batch, MAX_BATCH) // WIDTH * WIDTH)
        if head - first < WIDTH:
            return first
        return min(first + batch, min(head, self.rows.first_recorded(before)) // WIDTH * WIDTH)

    def _edge(self, last: Archive | None, head: int) -> Edge:
        """Return the tree's edge where the last archive ends, from the published tiles."""
        if last is None:
            return Edge()

        def read(name: TileName) -> bytes:
            wider = replace(name, width=name.width_at(head))
            return self.source.tile(wider)[: name.width * HASH_SIZE]

        edge = Edge.restore(last.end, read)
        if edge.root() != last.root:
            problem = f"the first {last.end} records of the published log are not those archived"
            raise BadEvidenceError(Finding(file="checkpoint", problem=problem))
        return edge

    def _check_store(self, last: Archive | None) -> None:
        """Refuse to go on in another store than the one that holds what was archived before."""
        if last is None:
            return
        name = manifest_name(last.first, last.end)
        try:
            data = self.cold.get(name, last.manifest_version, MAX_BYTES)
        except FileProblemError as error:
            problem = f"{error.problem}: another store, or damaged"
            raise BadEvidenceError(Finding(file=name, problem=problem)) from error
        if sha256(data).digest() != last.manifest_digest:
            raise BadEvidenceError(Finding(file=name, problem="not the manifest that was noted"))

    def _found(self, last: Archive | None, first: int) -> tuple[bytes, Manifest, str] | None:
        """Return the manifest of an attempt that broke off behind it."""
        for one in self.cold.listed(manifest_name(first, 0).rpartition("-")[0]):
            if one.deleted:
                continue
            data = self.cold.get(one.name, one.version, MAX_BYTES)
            try:
                manifest = open_manifest(data, self.key.public)
            except ManifestError as error:
                raise BadEvidenceError(Finding(file=one.name, problem=str(error))) from error
            follows = manifest.previous == (None if last is None else last.manifest_digest)
            if manifest.name == one.name and follows:
                log.info("archive_taken_up_again", first=first, end=manifest.end)
                return data, manifest, one.version
            raise BadEvidenceError(Finding(file=one.name, problem="does not follow what was noted"))
        return None

    def _written(self, last: Archive | None, edge: Edge, end: int) -> tuple[bytes, Manifest, str]:
        """Write a range and its manifest; all durable on return."""
        first = edge.size
        records, grown, tiles = self._records(edge, end)
        payloads = self.rows.payload_rows(first, end)
        objects = [
            self._put_bundle(object_name(name), some) for name, some in bundles(records, first)
        ]
        objects += [self._put(name.path, data) for name, data in sorted(tiles)]
        packed = pack(first, end - first, payloads.columns, payloads.rows)
        objects.append(self._put(pack_name(first, end, packed), packed))
        table = parquet_of(records)
        objects.append(self._put(table_name(first, end, table), table))
        manifest = Manifest(
            origin=self.key.name,
            first=first,
            end=end,
            root=grown.root(),
            payloads=len(payloads.rows),
            previous=None if last is None else last.manifest_digest,
            objects=objects,
        )
        note = sign_manifest(manifest, self.key)
        return note, open_manifest(note, self.key.public), self.cold.put_once(manifest.name, note)

    def _records(
        self, edge: Edge, end: int
    ) -> tuple[list[bytes], Edge, list[tuple[TileName, bytes]]]:
        records: list[bytes] = []
        grown, tiles = edge.copy(), []
        for at in range(edge.size, end, _CHUNK):
            rows = self.rows.records(at, min(end, at + _CHUNK))
            for sequence, (record, audit_hash) in enumerate(rows, at):
                if leaf_hash(record) != audit_hash:
                    raise LogDamagedError(f"record {sequence} does not hash to its audit_hash")
            records += [record for record, _ in rows]
            tiles += grown.extend(audit_hash for _, audit_hash in rows)
        return records, grown, tiles

    def _put(self, name: str, data: bytes) -> Pinned:
        version = self.cold.put_once(name, data)
        return Pinned(name=name, version=version, sha256=sha256(data).digest(), size=len(data))

    def _put_bundle(self, name: str, entries: Sequence[bytes]) -> Pinned:
        """Write a bundle; one that another release compressed otherwise is as good."""
        try:
            return self._put(name, compressed(entries))
        except ColdConflictError:
            for one in self.cold.listed(name):
                if one.name != name or one.deleted:
                    continue
                data = self.cold.get(name, one.version, largest(name))
                if _holds(data, entries):
                    digest = sha256(data).digest()
                    return Pinned(name=name, version=one.version, sha256=digest, size=len(data))
            raise

    def _row(self, note: bytes, manifest: Manifest, version: str) -> Archive:
        recorded_at = self.rows.recorded_at(manifest.end - 1)
        assert recorded_at is not None  # the record was just archived
        return Archive(
            first=manifest.first,
            end=manifest.end,
            root=manifest.root,
            manifest_version=version,
            manifest_digest=sha256(note).digest(),
            pack_name=manifest.pack.name,
            pack_version=manifest.pack.version,
            pack_digest=manifest.pack.sha256,
            last_recorded_at=recorded_at,
        )

    def drop(self, before: datetime) -> int | None:
        """Let the payloads of one archive leave the hot store; None where none may go.

        Only where all of its records were sealed before then, and the pack, read once more, holds
        every row that goes. Returns how many went.

        Raises:
            BadEvidenceError: the pack is not what was archived. Nothing went.
        """
        archive = self.rows.archive_to_drop(before)
        if archive is None:
            return None
        packed = self._packed(archive)
        here = _plain(self.rows.payload_rows(archive.first, archive.end))
        missing = [one for one, row in here.items() if packed.get(one) != row]
        if missing:
            problem = f"does not hold the payload of record {missing[0]} as the hot store does"
            finding = Finding(file=archive.pack_name, problem=problem, sequence=missing[0])
            raise BadEvidenceError(finding)
        return self.rows.drop_payloads(archive)

    def _packed(self, archive: Archive) -> dict[int, dict[str, Any]]:
        name, version = archive.pack_name, archive.pack_version
        stored = next(
            (one for one in self.cold.listed(name) if (one.name, one.version) == (name, version)),
            None,
        )
        size = 0 if stored is None else stored.size
        pinned = Pinned(name=name, version=version, sha256=archive.pack_digest, size=size)
        try:
            return read_all(fetched(self.cold, pinned))
        except PackError as error:
            raise BadEvidenceError(Finding(file=name, problem=str(error))) from error


def _holds(data: bytes, entries: Sequence[bytes]) -> bool:
    try:
        return uncompressed(data) == list(entries)
    except ValueError:
        return False


def _plain(payloads: Payloads) -> dict[int, dict[str, Any]]:
    """Return rows as a pack gives them back: what MessagePack makes of a UUID or a time."""
    return {
        sequence: msgspec.msgpack.decode(msgspec.msgpack.encode(row))
        for sequence, row in payloads.rows.items()
    }
