"""A log with locked payloads in a real hot store, published, and an archiver for it."""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import psycopg
from msgspec.structs import replace
from tests.support.audit_log import KEY, NOW, Trouble, row
from tests.support.audit_process import Place

from audit_sink.cold.archive import Archiver
from audit_sink.cold.files import FolderCold
from audit_sink.cold.rows import ArchiveRows
from audit_sink.cold.store import Cold
from audit_sink.cold.whole import ColdReport, verify_cold
from audit_sink.folder import Folder
from audit_sink.ledger import PostgresLedger
from audit_sink.publish import Publisher
from audit_sink.source import FilesSource
from audit_sink.store import Reader, Row, Writer
from audit_sink.tiles import FileStore

LATER = NOW + timedelta(days=400)


class TroubledCold(FolderCold):
    """A real folder whose n-th write fails, before or after it has happened."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, create=True)
        self.trouble = Trouble()
        self.left = -1
        """Writes until the trouble; negative: none."""
        self.puts = 0

    def put_once(self, name: str, data: bytes) -> str:
        self.puts += 1
        self.left -= 1
        if self.left != 0:
            return super().put_once(name, data)
        with self.trouble.around("put"):
            return super().put_once(name, data)


@dataclass
class ColdLog:
    """What tests archive."""

    place: Place
    writer: Writer
    publisher: Publisher
    cold: FolderCold
    folder: Path
    """Of the cold store."""
    rows: ArchiveRows
    published: Folder
    batch: int = 512
    made: list[Row] = field(default_factory=list)

    def seal(self, size: int, change: Callable[[Row], Row] = lambda one: one) -> None:
        """Append records up to `size` and publish them."""
        new = [change(locked(number)) for number in range(len(self.made), size)]
        with self.writer.transaction() as transaction:
            transaction.insert(new)
        self.made += new
        self.publisher.publish()

    def archiver(self, cold: Cold | None = None) -> Archiver:
        return Archiver(
            rows=self.rows,
            cold=cold or self.cold,
            source=FilesSource(self.published),
            key=KEY,
            batch=self.batch,
        )

    def indexed(self) -> None:
        """Say that everything is in the search index."""
        with psycopg.connect(self.place.database) as connection:
            connection.execute(
                "INSERT INTO audit.search (sequence, recorded_at, type, correlation_id)"
                " SELECT sequence, recorded_at, type, correlation_id FROM audit.record"
                " ON CONFLICT DO NOTHING"
            )

    def payloads(self) -> list[object]:
        return self.place.column("SELECT sequence FROM audit.payload ORDER BY sequence")

    def verify(self) -> ColdReport:
        with closing(PostgresLedger(self.place.ledger, KEY.name, "test")) as ledger:
            return verify_cold(self.cold, KEY.public, ledger)


def locked(number: int) -> Row:
    """Row `number` of a log of controls, its payload as the vault leaves it: random bytes."""
    noise = b"".join(hashlib.sha512(b"%d %d" % (number, part)).digest() for part in range(3))
    return replace(row(number), subject=f"subject-{number % 7}", salt=b"", parts=noise)


@contextmanager
def cold_log(place: Place, folder: Path) -> Iterator[ColdLog]:
    with (
        closing(Writer(place.database)) as writer,
        closing(PostgresLedger(place.ledger, KEY.name)) as ledger,
        closing(Reader(place.database)) as reader,
        closing(FileStore(place.folder)) as files,
        closing(Folder(place.folder)) as published,
        closing(FolderCold(folder, create=True)) as cold,
        closing(ArchiveRows(place.database, "test")) as rows,
    ):
        writer.migrate()
        ledger.migrate()
        yield ColdLog(
            place=place,
            writer=writer,
            publisher=Publisher(rows=reader, files=files, ledger=ledger, key=KEY),
            cold=cold,
            folder=folder,
            rows=rows,
            published=published,
        )
