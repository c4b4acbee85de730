"""Opens what a command reads from: the log's files, the hot store, or both.

Owns which is asked first. Files where there are any: they are what is published and small to read;
the hot store to find records by their ids and for payloads.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from uuid import UUID

import psycopg

from audit_sink.checkpoint import PublicKey
from audit_sink.cold.payloads import PackReader
from audit_sink.cold.settings import ColdSettings
from audit_sink.commands.terminal import USAGE, console, plain, stopped
from audit_sink.folder import FileProblemError, Folder
from audit_sink.ledger import PostgresLedger
from audit_sink.lookup import HotStore
from audit_sink.source import (
    FilesSource,
    NoSuchRecordError,
    Prover,
    RowsSource,
    Source,
    find_in_files,
    is_event,
)
from audit_sink.story import fields_of
from audit_sink.whereabouts import Defaults
from conveyor.errors import UnavailableError
from vault.keyring import Keyring

_LONGEST_NAME: Final = 1_024


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A log that commands look things up in."""

    source: Source
    prover: Prover
    hot: HotStore | None
    files: FilesSource | None

    def record(self, sequence: int) -> bytes:
        """Return a record; the hot store has also those that no head reaches yet."""
        if self.hot is not None:
            return self.hot.records(sequence, sequence + 1)[0][0]
        return self.source.record(sequence)

    def find(self, name: str) -> list[int]:
        """Return the places of the records that go by `name`, in order.

        A sequence number; an event's id; else every record of an item, a decision or a correlation
        id. Raises NoSuchRecordError.
        """
        if name.isascii() and name.isdigit():
            sequence = int(name[:18])
            size = self.prover.checkpoint.size if self.hot is None else self.hot.size()
            if sequence >= size:
                raise NoSuchRecordError(f"There is no record {sequence}: the log has {size}")
            return [sequence]
        if len(name) > _LONGEST_NAME or "\0" in name:
            raise NoSuchRecordError("No record goes by a name like that")
        if _is_uuid(name):
            name = name.lower()
        found = self._find(name)
        if not found:
            raise NoSuchRecordError(f"No record goes by {name}")
        return found

    def story(self, name: str) -> list[int]:
        """Return what `find` does; of a decision, all that led to it and came of it."""
        found = self.find(name)
        own = fields_of(self.record(found[0]))
        item, decision = own.get("item_id"), own.get("decision_id")
        if len(found) > 1 or own.get("type") != "ReviewDecision" or not isinstance(item, str):
            return found
        return [
            one
            for one in self.about(item)
            if one <= found[0] or fields_of(self.record(one)).get("decision_id") == decision
        ]

    def about(self, name: str) -> list[int]:
        """Return the places of all records of an item, a decision or a correlation id, in order."""
        if self.hot is not None:
            return self.hot.about(name)
        return self._in_files(name)

    def _find(self, name: str) -> list[int]:
        if self.hot is not None:
            return self.hot.find(name)
        found = self._in_files(name)
        own = [one for one in found if is_event(self.record(one), name)]
        return own or found

    def _in_files(self, name: str) -> list[int]:
        assert self.files is not None  # `opened` has seen to one of them
        return find_in_files(self.files, name, self.prover.checkpoint.size)


@contextmanager
def opened(
    defaults: Defaults,
    key: PublicKey,
    *,
    files: Path | None,
    database: str | None,
    ledger: str | None = None,
) -> Iterator[Opened]:
    """Open what the options name; where they name nothing, the defaults.

    Raises FileProblemError, UnavailableError, CheckpointError.
    """
    dsn = database or (defaults.database if files is None else None)
    heads = ledger or (defaults.ledger if files is None else None)
    path = files or (defaults.log_dir if database is None else None)
    folder = _folder(path, must=files is not None)
    if folder is None and (dsn is None or heads is None):
        raise stopped(USAGE, "Say where the log is: --from FILES, or --database with --ledger")
    vault = None if dsn is None else open_vault(defaults)
    cold = None if dsn is None else open_cold(defaults)
    must = database is not None or folder is None
    hot = None if dsn is None else _hot(dsn, vault, cold, must=must)
    second = None if heads is None else PostgresLedger(heads, key.name, "placet audit")
    try:
        of_files = None if folder is None else FilesSource(folder)
        source: Source
        if of_files is not None:
            source = of_files
        else:
            assert hot is not None
            assert second is not None
            source = RowsSource(hot, second)
        yield Opened(source=source, prover=Prover(source, key), hot=hot, files=of_files)
    finally:
        for one in (hot, second, folder, vault, cold):
            if one is not None:
                one.close()


def open_vault(defaults: Defaults) -> Keyring | None:
    """Return the vault that payloads are under; None where nobody says where it is.

    Raises KeyFileError.
    """
    if defaults.vault is None or defaults.vault_key_file is None:
        return None
    return Keyring.open(defaults.vault, defaults.vault_key_file, "placet audit")


def open_cold(defaults: Defaults) -> PackReader | None:
    """Return what reads payloads that have left the hot store; opened when it is needed."""
    if defaults.cold is None:
        return None
    return PackReader(lambda: ColdSettings().open_cold(place=defaults.cold))


def _hot(
    dsn: str, vault: Keyring | None, cold: PackReader | None, *, must: bool
) -> HotStore | None:
    """Return the hot store; None where nobody asked for it, files will do, and it is away."""
    hot = HotStore(dsn, "placet audit", vault, cold)
    try:
        hot.size()
    except (UnavailableError, psycopg.Error) as error:
        hot.close()
        if must:
            raise
        console().print(f"hot store: NOT ASKED ({plain(str(error))})", style="yellow")
        return None
    return hot


def _folder(path: Path | None, *, must: bool) -> Folder | None:
    if path is None:
        return None
    try:
        return Folder(path)
    except FileProblemError:
        if must:
            raise
        return None


def _is_uuid(name: str) -> bool:
    try:
        return str(UUID(name)) == name.lower()
    except ValueError:
        return False
