"""Opens what archiving works on: the hot store, the published folder, the cold store."""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from audit_sink.checkpoint import PrivateKey
from audit_sink.cold.archive import Archiver
from audit_sink.cold.place import OpenCold
from audit_sink.cold.rows import ArchiveRows
from audit_sink.folder import Folder
from audit_sink.source import FilesSource


@contextmanager
def opened_archiver(
    *,
    database: str,
    folder: Path,
    cold: Callable[[], OpenCold],
    key: PrivateKey,
    batch: int,
) -> Iterator[Archiver]:
    """Open all three for a while.

    Raises:
        FileProblemError, UnavailableError: one of them is not there.
    """
    with (
        closing(Folder(folder)) as published,
        closing(cold()) as store,
        closing(ArchiveRows(database, "audit-sink archive")) as rows,
    ):
        yield Archiver(rows=rows, cold=store, source=FilesSource(published), key=key, batch=batch)
