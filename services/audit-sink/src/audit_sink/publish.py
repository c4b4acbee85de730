"""Steps 2 to 4 of sealing: committed rows become tiles, a head in the ledger, a checkpoint.

Owns their order and what is believed: the ledger says how far the log has got, committed rows say
what is in it, files are made from rows and are never a source of anything but speed. Refuses to
know events and Kafka.

    2. tiles and entry bundles are written      a crash leaves files nothing refers to; the same
                                                bytes are written again
    3. the ledger's head moves, by comparing    a crash leaves a head without its checkpoint file;
       and swapping; it holds the signed note   step 4 is done at the next start
    4. that note replaces the checkpoint file   a crash leaves superseded partial tiles

Every round begins by asking the ledger, so that starting after a crash is the ordinary case. Where
log, files and ledger do not tell one history, publishing freezes and says so; appending goes on.
"""

import threading
import time
from collections.abc import Iterator, Sequence
from typing import Final, Protocol

import structlog

from audit_sink.checkpoint import (
    Checkpoint,
    CheckpointError,
    PrivateKey,
    open_checkpoint,
    sign,
)
from audit_sink.ledger import Head, Ledger
from audit_sink.store import LogDamagedError
from audit_sink.tiles import Store, TileConflictError, bundle, entries_name
from audit_sink.tree import WIDTH, Edge, TileName, leaf_hash
from conveyor import metrics
from conveyor.errors import UnavailableError

log = structlog.get_logger()

_CHUNK: Final = 16 * WIDTH  # rows read at a time
_LONGEST_ROUND: Final = 256 * WIDTH  # rows under one new head, so that catching up shows
_INTERVAL: Final = 0.25  # seconds between rounds: a head within a second, four fsync rounds at most
_FIRST_PAUSE: Final = 0.5
_LONGEST_PAUSE: Final = 5.0


class DisagreementError(Exception):
    """Log, files and ledger do not tell one history. Publishing is frozen.

    Operators: run `placet audit verify`; find out who changed what; keep all three as they are.
    """


class Rows(Protocol):
    """Committed rows: `store.Reader`. Its methods raise UnavailableError."""

    def size(self) -> int:
        """Return how many records are committed."""

    def records(self, start: int, end: int) -> list[tuple[bytes, bytes]]:
        """Return records [start, end) with their hashes. Raises LogDamagedError."""


class Publisher:
    """Publishes what is committed. `wake` may be called from any thread, the rest from one."""

    def __init__(self, *, rows: Rows, files: Store, ledger: Ledger, key: PrivateKey) -> None:
        """`key` signs; its name is the log's origin."""
        self._rows = rows
        self._files = files
        self._ledger = ledger
        self._key = key
        self._edge: Edge | None = None
        self._news = threading.Event()
        self._waiting_since: float | None = None
        self.frozen: str | None = None
        """Why nothing is published, or None."""
        self.is_reaching = False
        """Whether the last round got through to database, disk and ledger."""
        metrics.AUDIT_HEAD_AGE.set_function(self._head_age)

    def wake(self) -> None:
        """Say that there are new committed rows."""
        if self._waiting_since is None:
            self._waiting_since = time.monotonic()
        self._news.set()

    def run(self, stop: threading.Event) -> None:
        """Publish until `stop` is set (which needs a `wake` to be noticed at once)."""
        pause = _FIRST_PAUSE
        self._news.set()  # what a predecessor has left
        while not stop.is_set():
            self._news.wait()
            self._news.clear()
            began = time.monotonic()
            if self._try_round():
                pause = _FIRST_PAUSE
                stop.wait(max(0.0, began + _INTERVAL - time.monotonic()))
            else:
                self._news.set()
                stop.wait(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)

    def _try_round(self) -> bool:
        try:
            self.publish()
        except (UnavailableError, OSError) as error:
            self._edge, self.is_reaching = None, False
            log.warning("publishing_waits", error=str(error))
            return False
        except (DisagreementError, TileConflictError, LogDamagedError) as error:
            self._edge, self.is_reaching = None, True
            if self.frozen != str(error):
                log.exception("publishing_frozen")
            self.frozen = str(error)
            metrics.AUDIT_DISAGREEMENT.set(1)
            return False
        self.is_reaching, self.frozen = True, None
        metrics.AUDIT_DISAGREEMENT.set(0)
        return True

    def publish(self) -> int:
        """Bring files and ledger up to what is committed, and return the size they are at.

        Raises:
            UnavailableError, OSError: database, ledger or disk is away. Try again.
            DisagreementError, TileConflictError, LogDamagedError: freeze.
        """
        waiting_since = self._waiting_since
        while True:
            head = self._ledger.head()
            committed = self._rows.size()
            edge = self._edge_at(head, committed)
            end = min(committed, edge.size + _LONGEST_ROUND)
            if head is None or end > head.size:
                edge, full = self._write_tiles(edge, end)
                # Step 3. A crash before it: tiles ahead of the head, made again.
                head = self._move_head(head, edge)
                self._edge = edge
            else:
                full = []
            # Step 4. A crash before it: the ledger has the note, and the next round is here again.
            if self._files.checkpoint() != head.checkpoint:
                self._files.publish(head.checkpoint)
            self._files.drop_partials(full)
            metrics.AUDIT_HEAD_SIZE.set(head.size)
            if end == committed:
                # A commit after size() has set the time anew, or will wake us for it.
                if self._waiting_since == waiting_since:
                    self._waiting_since = None
                return head.size

    def _edge_at(self, head: Head | None, committed: int) -> Edge:
        """Return the tree's edge where the ledger says the log stands, checked against its root."""
        size = 0 if head is None else head.size
        if committed < size:
            raise DisagreementError(
                f"the ledger's head has {size} records, the database only {committed}"
            )
        edge = self._edge
        if edge is None or edge.size != size:
            self._check_files(head)
            edge = self._restored(size) or self._rebuilt(size)
        if head is not None and edge.root() != head.root:
            edge = self._rebuilt(size)  # perhaps only the files are wrong
            if edge.root() != head.root:
                raise DisagreementError(
                    f"the first {size} records do not have the root in the ledger's head"
                )
        self._edge = edge
        return edge

    def _check_files(self, head: Head | None) -> None:
        """Refuse to go on where files or ledger hold a head that this log did not get from here."""
        note = self._files.checkpoint()
        published = None if note is None else self._opened(note, "the published checkpoint")
        if head is None:
            if published is not None and published.size:
                raise DisagreementError(
                    f"a checkpoint over {published.size} records is published, "
                    "but the ledger knows no head"
                )
            return
        stored = self._opened(head.checkpoint, "the ledger's checkpoint")
        if (stored.size, stored.root) != (head.size, head.root):
            raise DisagreementError("the ledger's head is not what its checkpoint says")
        if published is None:
            return
        if published.size > head.size or (
            published.size == head.size and published.root != head.root
        ):
            raise DisagreementError(
                f"the published checkpoint ({published.size} records) is not on the ledger's "
                f"history, which stands at {head.size}"
            )

    def _opened(self, note: bytes, what: str) -> Checkpoint:
        try:
            return open_checkpoint(note, self._key.public)
        except CheckpointError as error:
            raise DisagreementError(f"{what} is not ours: {error}") from error

    def _restored(self, size: int) -> Edge | None:
        try:
            return Edge.restore(size, self._files.read)
        except LookupError:
            return None

    def _rebuilt(self, size: int) -> Edge:
        """Return the edge after `size` records from the rows alone: slow and always right."""
        log.info("edge_rebuilt_from_rows", size=size)
        edge = Edge()
        for rows in self._chunks(0, size):
            edge.extend(audit_hash for _, audit_hash in rows)
        return edge

    def _chunks(self, start: int, end: int) -> Iterator[list[tuple[bytes, bytes]]]:
        for at in range(start, end, _CHUNK):
            rows = self._rows.records(at, min(end, at + _CHUNK))
            for number, (record, audit_hash) in enumerate(rows, at):
                if leaf_hash(record) != audit_hash:
                    raise LogDamagedError(f"record {number} does not hash to its audit_hash")
            yield rows

    def _write_tiles(self, edge: Edge, end: int) -> tuple[Edge, list[TileName]]:
        """Write every tile and bundle that a tree of `end` records adds; durable on return."""
        grown = edge.copy()
        full: list[TileName] = []
        first = edge.size - edge.size % WIDTH  # the bundle under way begins before the edge
        at = first
        for rows in self._chunks(first, end):
            hashes = [audit_hash for _, audit_hash in rows]
            known = max(0, edge.size - at)
            if hashes[:known] != edge.lowest[:known]:
                raise LogDamagedError(f"a record after {first} is not the one that was sealed")
            tiles = grown.extend(hashes[known:])
            tiles += _bundles(at, [record for record, _ in rows])
            self._files.write(tiles)
            full += [name for name, _ in tiles if name.width == WIDTH]
            at += len(rows)
        self._files.write(grown.partial_tiles())
        return grown, full

    def _move_head(self, old: Head | None, edge: Edge) -> Head:
        root = edge.root()
        note = sign(Checkpoint(origin=self._key.name, size=edge.size, root=root), self._key)
        new = Head(size=edge.size, root=root, checkpoint=note)
        if not self._ledger.advance(old, new):
            raise DisagreementError(
                f"the ledger's head moved while {edge.size} records were being sealed: "
                "somebody else publishes this log"
            )
        return new

    def _head_age(self) -> float:
        since = self._waiting_since
        return 0.0 if since is None else time.monotonic() - since


def _bundles(start: int, records: Sequence[bytes]) -> Iterator[tuple[TileName, bytes]]:
    """Yield entry bundles of records that begin at `start`, a multiple of 256."""
    for at in range(0, len(records), WIDTH):
        entries = records[at : at + WIDTH]
        name = entries_name((start + at) // WIDTH, len(entries))
        yield name, bundle(entries)
