"""What the desk is told of the log: records found, the story of an item, parts, bundles, the head.

Owns what one answer may hold, and how much of the machine all of them may take: two sessions, read
only, a few seconds a statement, so that the sequencer next door is never kept waiting. Refuses to
know HTTP (`desk_http`) and people: whoever asks has asked for their rights already.
"""

import queue
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import IO, Any, Final

import psycopg

from audit_sink.bundle import write_into
from audit_sink.checkpoint import PublicKey
from audit_sink.commands.opened import Opened
from audit_sink.desk_shapes import told
from audit_sink.evidence import Keys
from audit_sink.folder import FileProblemError, Folder, MissingFileError
from audit_sink.ledger import PostgresLedger
from audit_sink.locking import Vault
from audit_sink.lookup import ColdPayloads, HotStore, Question
from audit_sink.source import FilesSource, NoSuchRecordError, Prover
from audit_sink.story import Teller, fields_of, to_bundle
from audit_sink.tlog_proof import ProofError
from contract.statement import timestamp_text
from conveyor.errors import UnavailableError

MOST_FOUND: Final = 100
MOST_CHAPTERS: Final = 200
MOST_IN_BUNDLE: Final = 10_000
_SESSIONS: Final = 2
_WAIT: Final = 3.0
_STATEMENT_MS: Final = 4_000
_IN_MEMORY: Final = 8 * 1024 * 1024


class BusyError(Exception):
    """Others are being answered. Ask again in a moment."""


class TooBroadError(Exception):
    """Finding it takes longer than anybody may take. Narrow the search."""


class NotSealedYetError(Exception):
    """No head reaches that far yet. Ask again in a second."""


class _Session(HotStore):
    """A session that a slow question cannot hold for long, and that can change nothing."""

    def connection(self) -> psycopg.Connection[Any]:
        known = self._connection
        connection = super().connection()
        if connection is not known:
            connection.execute(f"SET statement_timeout = {_STATEMENT_MS}")
            connection.execute("SET default_transaction_read_only = on")
        return connection


class Answers:
    """Answers questions about one log. Thread safe."""

    def __init__(
        self,
        *,
        database: str,
        ledger: str,
        vault: Vault,
        folder: Path,
        key: PublicKey,
        signers: Keys | None,
        frozen: Callable[[], str | None],
        cold: Callable[[], ColdPayloads] | None = None,
    ) -> None:
        """`signers`: who may sign decisions; None leaves signatures unchecked.

        `frozen` says why nothing is published any more; None: it is. `cold` gives each session its
        own reader of payloads that have left the hot store.
        """
        self._folder = folder
        self._key = key
        self._signers = signers
        self._frozen = frozen
        self._free: queue.LifoQueue[tuple[HotStore, PostgresLedger]] = queue.LifoQueue()
        for _ in range(_SESSIONS):
            sessions = (
                _Session(database, "audit-sink desk", vault, None if cold is None else cold()),
                PostgresLedger(ledger, key.name, "audit-sink desk"),
            )
            self._free.put(sessions)

    def close(self) -> None:
        """End the sessions that are free."""
        while True:
            try:
                hot, ledger = self._free.get_nowait()
            except queue.Empty:
                return
            hot.close()
            ledger.close()

    def search(self, question: Question) -> dict[str, Any]:
        """Return the newest records that match, newest first, and where to go on."""
        limit = min(question.limit, MOST_FOUND)
        with self._sessions() as (hot, _):
            found = hot.search(replace(question, limit=limit + 1))
            waiting = hot.not_indexed()
        shown = found[:limit]
        return {
            "records": [fields_of(record) for _, record in shown],
            "next": shown[-1][0] if len(found) > limit else None,
            "not_indexed": waiting,
        }

    def story(self, name: str, after: int, limit: int) -> dict[str, Any]:
        """Return what happened to an item or led to a decision: chapters after a place, in order.

        Raises NoSuchRecordError.
        """
        with self._log() as log:
            places = log.story(name)
            left = [place for place in places if place > after]
            some = left[: min(limit, MOST_CHAPTERS)]
            head = log.prover.checkpoint
            chapters = list(self._teller(log).tell(some))
        return {
            "origin": head.origin,
            "records": head.size,
            "key": self._key.text,
            "total": len(places),
            "next": some[-1] if len(left) > len(some) else None,
            "chapters": told(chapters, head.size),
        }

    def part(self, sequence: int, name: str) -> bytes:
        """Return a payload part, byte for byte as it was sealed. Raises NoSuchRecordError."""
        with self._log() as log:
            (chapter,) = self._teller(log).tell(log.find(str(sequence)))
        if chapter.problems:
            raise ProofError(chapter.problems[0])
        part = (chapter.parts or {}).get(name)
        if part is None or part.data is None:
            raise NoSuchRecordError(
                f"Record {sequence} has no part of that name at hand: destroyed, or never there"
            )
        return part.data

    def proof(self, sequence: int) -> bytes:
        """Return the proof file of a record. Raises NoSuchRecordError."""
        with self._log() as log:
            (place,) = log.find(str(sequence))
            if place >= log.prover.checkpoint.size:
                raise NotSealedYetError(f"No head reaches record {place} yet")
            return log.prover.prove(place, log.record(place))

    def bundle(self, name: str) -> IO[bytes]:
        """Return a bundle of an item's or a decision's story, from its beginning.

        Raises NoSuchRecordError, NotSealedYetError, TooBroadError, ProofError.
        """
        with self._log() as log:
            places = log.story(name)
            size = log.prover.checkpoint.size
            if len(places) > MOST_IN_BUNDLE:
                raise TooBroadError(f"{len(places)} records: use `placet audit export`")
            if max(places) >= size:
                raise NotSealedYetError("The newest of these records is under no head yet")
            sealed = (to_bundle(one, None) for one in self._teller(log).tell(places))
            file = SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115 - whoever asked closes it
            try:
                write_into(file, sealed, key=self._key.text, note=log.prover.note)
            except BaseException:
                file.close()
                raise
        file.seek(0)
        return file

    def status(self) -> dict[str, Any]:
        """Return how far the log is sealed, since when, and whether its ledger agrees."""
        with self._sessions() as (hot, ledger):
            size = hot.size()
            head = self._published()
            sealed = 0 if head is None else head["size"]
            waiting = hot.recorded_at(sealed) if sealed < size else None
            agrees, at = _ledger(ledger, head)
            return {
                "origin": self._key.name,
                "key": self._key.text,
                "records": size,
                "head": None if head is None else {**head, "at": at},
                "ledger": agrees,
                "frozen": self._frozen(),
                "not_indexed": hot.not_indexed(),
                "unsealed": max(0, size - sealed),
                "unsealed_since": None if waiting is None else timestamp_text(waiting),
            }

    def _published(self) -> dict[str, Any] | None:
        try:
            folder = Folder(self._folder)
        except FileProblemError:
            return None
        try:
            head = Prover(FilesSource(folder), self._key).checkpoint
        except MissingFileError:
            return None
        finally:
            folder.close()
        return {"size": head.size, "root": head.root.hex()}

    def _teller(self, log: Opened) -> Teller:
        return Teller(
            records=log,
            proofs=log.prover,
            size=log.prover.checkpoint.size,
            payloads=log.hot,
            keys=self._signers,
        )

    @contextmanager
    def _log(self) -> Iterator[Opened]:
        """Lend the log as it is published now."""
        with self._sessions() as (hot, _):
            hot.size()  # so that a database that is away is told before files are read
            try:
                folder = Folder(self._folder)
            except FileProblemError as error:
                raise NotSealedYetError(f"Nothing is published yet: {error}") from error
            try:
                files = FilesSource(folder)
                try:
                    prover = Prover(files, self._key)
                except MissingFileError as error:
                    raise NotSealedYetError("Nothing is published yet") from error
                yield Opened(source=files, prover=prover, hot=hot, files=files)
            finally:
                folder.close()

    @contextmanager
    def _sessions(self) -> Iterator[tuple[HotStore, PostgresLedger]]:
        """Lend sessions.

        Raises BusyError, TooBroadError, UnavailableError.
        """
        try:
            lent = self._free.get(timeout=_WAIT)
        except queue.Empty:
            raise BusyError("Other questions are being answered") from None
        try:
            yield lent
        except UnavailableError as error:
            if isinstance(error.__cause__, psycopg.errors.QueryCanceled):
                raise TooBroadError("It takes too long to find") from error
            raise
        finally:
            self._free.put(lent)


def _ledger(ledger: PostgresLedger, head: dict[str, Any] | None) -> tuple[str, str | None]:
    """Return whether the ledger agrees with the published head, and when it heard of it."""
    try:
        known = ledger.head_at()
    except UnavailableError:
        return "away", None
    if known is None or head is None:
        return ("agrees" if known is None and head is None else "behind"), None
    size, root, at = known
    if size < head["size"] or (size == head["size"] and root.hex() != head["root"]):
        return "disagrees", None
    # A ledger that is ahead: the checkpoint of its head is about to be published.
    return ("agrees" if size == head["size"] else "ahead"), timestamp_text(at)
