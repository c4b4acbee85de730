"""PostgreSQL targets: effect, key and version check in one transaction of the target itself.

Owns the order of steps that makes one effect (law 4) and writes what was approved (law 6):

1. lock the records, in key order. An earlier transaction of ours whose COMMIT is still on its way
   (a zombie) holds these locks, so whoever gets them knows that it has ended;
2. look for key rows, in a later statement, so that what that transaction did is seen: found means
   AlreadyApplied, whatever the record looks like now;
3. compare what the reviewer saw with what is there, field by field: different means Conflict;
4. one statement: UPDATE ... WHERE key AND version, and a key row for each record it reached;
5. COMMIT. Its answer may be lost: Unknown, and the key row answers when `apply` is called again;
6. read back, because triggers may have had other ideas.

A set of write-backs shares a transaction, because round trips and commits are what costs. When the
server refuses one, the set is rolled back and halved until the refused ones are alone. There is no
intent to commit before the write: the key row, in the same transaction, answers every probe.

What this adapter cannot promise: a decision's comment has no place in a table; a writer that does
not increment the version column is not noticed between steps 1 and 4 (the row lock keeps it out).
"""

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import orjson
import psycopg
import structlog
from psycopg.rows import dict_row

from contract.targets import TargetConfig
from conveyor.database import connect, unavailable_database
from dispatcher.targets import catalogue
from dispatcher.targets.columns import BadValueError, Column, Value, canonical, decode, decode_key
from dispatcher.targets.sql_errors import ServerError, is_rolled_back, outcome_of
from dispatcher.targets.sql_text import Statements
from dispatcher.targets.target import Promises, Snapshot, StartRefusedError
from dispatcher.targets.watchdog import Watchdog
from dispatcher.writeback import (
    Absent,
    AlreadyApplied,
    Applied,
    Code,
    Conflict,
    Images,
    Outcome,
    Probe,
    Refused,
    Unavailable,
    Unknown,
    WriteBack,
)

log = structlog.get_logger()

_PROMISES: Final = Promises(batch=200, key_in_write=True, settle=0.0, comment=False, undo=True)
_BUDGET: Final = 30.0
"""Seconds a batch may take, bisecting and waiting for locks included; then the rest waits."""
_SESSION: Final = """
SET statement_timeout = '15s';
SET lock_timeout = '2s';
SET idle_in_transaction_session_timeout = '60s';
SET timezone = 'UTC';
SET default_transaction_isolation = 'read committed';
SET synchronous_commit = 'on'
"""


@dataclass(frozen=True, slots=True)
class _Item:
    """A write-back whose values were found to fit: what to send, by field."""

    index: int
    write_back: WriteBack
    values: Mapping[str, Value]

    @property
    def identifier(self) -> str:
        return self.write_back.target.identifier


@dataclass(frozen=True, slots=True)
class _Record:
    """One record as read: version (None: NULL) and columns as JSON text."""

    version: str | None
    fields: Mapping[str, str]


@dataclass(slots=True)
class _Session:
    """A connection and what was learned about the table when it was opened."""

    connection: psycopg.Connection[Any]
    table: catalogue.Table
    statements: Statements


class _LostError(Exception):
    """The connection is gone, or cannot be had. `committing`: COMMIT had been sent."""

    def __init__(self, outcome: Unavailable, *, committing: bool = False) -> None:
        super().__init__(outcome.detail)
        self.outcome = outcome
        self.committing = committing


Results = dict[int, Outcome]


class SqlTarget:
    """One PostgreSQL table. See `target.Target` for what each method promises."""

    def __init__(self, config: TargetConfig, dsn: str) -> None:
        """Take the configuration. Nothing is connected before the first call."""
        self._config = config
        self._dsn = dsn
        self._writer: _Session | None = None
        self._reader: _Session | None = None
        self._reading = threading.Lock()
        self._columns: Mapping[str, Column] = {}
        self._watchdog = Watchdog(_BUDGET + 15.0)

    @property
    def promises(self) -> Promises:
        return _PROMISES

    def inspect(self) -> None:
        with unavailable_database():
            self._drop_writer()
            self._writer = self._connect("write")

    def ready(self) -> Unavailable | None:
        try:
            with self._lost_connection(self._session()) as session:
                session.connection.execute("SELECT 1")
        except _LostError as lost:
            self._drop_writer()
            return lost.outcome
        return None

    def close(self) -> None:
        self._drop_writer()
        self._drop_reader()
        self._watchdog.close()

    def normalise(self, field: str, value: str) -> str:
        column = self._columns.get(field)
        return value if column is None else canonical(column, value)

    # Reading, from any thread, on a connection of its own: never behind a batch.

    def read(self, identifier: str) -> Snapshot | Refused | Unavailable:
        if not self._config.names(identifier):
            return Refused(code=Code.BAD_IDENTIFIER, detail="not the identifier's canonical form")
        with self._reading:
            try:
                return self._read(identifier)
            except _LostError as lost:
                self._drop_reader()
                return lost.outcome
            except BadValueError as bad:
                return Refused(code=bad.code, detail=bad.detail)
            except psycopg.Error as error:
                self._drop_reader()
                return outcome_of(_server_error(error))

    def _read(self, identifier: str) -> Snapshot | Refused:
        if self._reader is None:
            self._reader = self._open("read")
        with self._lost_connection(self._reader) as session:
            decode_key(session.table.key, identifier)
            record = _records(session, session.statements.read, [identifier]).get(identifier)
        if record is None:
            return _not_found()
        return Snapshot(
            identifier=identifier,
            fields=record.fields,
            version=record.version or "",
            read_at=datetime.now(UTC),
        )

    # Writing, from the one worker thread.

    def apply(self, write_back: WriteBack) -> Outcome:
        return self.apply_batch([write_back])[0]

    def undo(self, write_back: WriteBack, before: Images, after: Images) -> Outcome:
        return self.apply(
            WriteBack(
                write_back_id=write_back.write_back_id,
                target=write_back.target,
                step=write_back.step,
                fields=before,
                seen=dict(after),
                comment=write_back.comment,
                audit=write_back.audit,
            )
        )

    def probe(self, write_back: WriteBack) -> Probe:
        try:
            session = self._session()
            with self._lost_connection(session), session.connection.transaction():
                # The lock waits for an earlier transaction of ours that has not ended yet.
                _records(session, session.statements.lock, [write_back.target.identifier])
                found = _keys(session, [write_back.write_back_id])
        except _LostError as lost:
            self._drop_writer()
            return lost.outcome
        except psycopg.Error as error:
            self._drop_writer()
            return Unknown(code=Code.TIMEOUT, detail=_server_error(error).detail)
        key = found.get(write_back.write_back_id)
        return Absent() if key is None else AlreadyApplied(version=key.version, before=key.before)

    def apply_batch(self, write_backs: Sequence[WriteBack]) -> list[Outcome]:
        if len({one.target.identifier for one in write_backs}) < len(write_backs):
            raise ValueError("two write-backs for one record in one batch")
        results: Results = {}
        deadline = time.monotonic() + _BUDGET
        try:
            session = self._session()
        except _LostError as lost:
            return [lost.outcome] * len(write_backs)
        items = [
            item
            for index, one in enumerate(write_backs)
            if (item := _item(session.table, index, one, results)) is not None
        ]
        locked = self._write_set(items, results, deadline, wait=len(items) == 1)
        for item in locked:  # each alone, waiting a moment for whoever holds it
            self._write_set([item], results, deadline, wait=True)
        return [results[index] for index in range(len(write_backs))]

    def _write_set(
        self, items: Sequence[_Item], results: Results, deadline: float, *, wait: bool
    ) -> list[_Item]:
        """Fill `results` for `items`, and return those that somebody else holds (unless `wait`)."""
        if not items:
            return []
        if time.monotonic() > deadline:
            late = Unavailable(code=Code.TARGET_BUSY, detail="the batch took too long")
            results.update({item.index: late for item in items})
            return []
        try:
            return self._transaction(items, results, wait=wait)
        except _LostError as lost:
            self._drop_writer()
            results.update({item.index: lost.outcome for item in items})
            return []
        except psycopg.Error as error:
            outcome = outcome_of(_server_error(error))
            self._roll_back()
            whole = isinstance(outcome, Unavailable) and outcome.whole_target
            if whole:
                self._drop_writer()  # the table may have changed: look again
            if whole or len(items) == 1:
                results.update({item.index: outcome for item in items})
                return []
        half = len(items) // 2
        return self._write_set(items[:half], results, deadline, wait=wait) + self._write_set(
            items[half:], results, deadline, wait=wait
        )

    def _transaction(self, items: Sequence[_Item], results: Results, *, wait: bool) -> list[_Item]:
        """Steps 1 to 6 of the module's docstring. One ordered protocol, kept whole.

        Raises:
            _LostError: before COMMIT was sent, so nothing was written.
            psycopg.Error: the server refused something; the transaction must be rolled back.
        """
        session = self._session()
        found: Results = {}
        with self._lost_connection(session):
            connection = session.connection
            identifiers = [item.identifier for item in items]
            lock = session.statements.lock if wait else session.statements.lock_free
            with connection.pipeline():
                connection.execute("BEGIN")
                locking = connection.execute(lock, (identifiers,), prepare=True)
                keys = _Keys(session, [item.write_back.write_back_id for item in items])
            records = _by_identifier(session.table, locking)
            absent = [name for name in identifiers if name not in records]
            held = _existing(session, absent) if absent and not wait else set()
            writable = [
                item
                for item in items
                if item.identifier not in held
                and _may_write(session.table, item, records, keys.found(), found)
            ]
            written = _update(session, writable, records)
        # A crash here leaves nothing: the server rolls back.
        try:
            with self._watchdog.over(connection):
                connection.execute("COMMIT")
        except psycopg.Error as error:
            if is_rolled_back(error.diag.severity_nonlocalized, error.sqlstate):
                raise
            # It may be committed: the key rows will tell. Everything that was only read is true.
            self._drop_writer()
            results.update(found)
            results.update(_unknown(writable, Code.COMMIT_ANSWER_LOST))
            return [item for item in items if item.identifier in held]
        # A crash from here on: the key rows are there, and the next attempt finds them.
        results.update(found)
        results.update(self._read_back(session, writable, written, records))
        return [item for item in items if item.identifier in held]

    def _read_back(
        self,
        session: _Session,
        items: Sequence[_Item],
        written: Mapping[str, _Record],
        before: Mapping[str, _Record],
    ) -> Results:
        """Step 6. Only what reads back as approved is Applied without `differs`."""
        results: Results = {
            item.index: Refused(
                code=Code.WRITE_SUPPRESSED, detail="a trigger or policy dropped the update"
            )
            for item in items
            if item.write_back.write_back_id not in written
        }
        reached = [item for item in items if item.write_back.write_back_id in written]
        if not reached:
            return results
        try:
            with self._watchdog.over(session.connection):
                now = _records(
                    session, session.statements.read, [item.identifier for item in reached]
                )
        except psycopg.Error:
            self._drop_writer()
            return results | _unknown(reached, Code.READ_BACK_LOST)
        for item in reached:
            ours = written[item.write_back.write_back_id]
            there = now.get(item.identifier)
            # Another version is another writer's, after us: then what we wrote is what counts.
            after = there if there is not None and there.version == ours.version else ours
            results[item.index] = Applied(
                before=_image(item, before[item.identifier]),
                after=_image(item, after),
                version=ours.version or "",
                differs=_differing(session.table, item, after),
            )
        return results

    # Connections

    def _session(self) -> _Session:
        if self._writer is None:
            self._writer = self._open("write")
        return self._writer

    def _open(self, purpose: str) -> _Session:
        try:
            return self._connect(purpose)
        except StartRefusedError as refused:
            log.warning("target_refused", target=self._config.name, code=refused.code)
            raise _LostError(
                Unavailable(
                    code=Code.TARGET_CHANGED,
                    detail=f"the target cannot be worked with: {refused.code}",
                    whole_target=True,
                )
            ) from refused
        except psycopg.Error as error:
            raise _LostError(_away(error)) from error

    def _connect(self, purpose: str) -> _Session:
        connection = connect(
            self._dsn, f"placet {self._config.name} {purpose}", tcp_user_timeout=20_000
        )
        try:
            for setting in _SESSION.strip().split(";"):
                connection.execute(setting.encode())
            with connection.cursor(row_factory=dict_row) as cursor:
                table = catalogue.inspect(cursor, self._config)
        except BaseException:
            connection.close()
            raise
        self._columns = table.columns
        return _Session(connection, table, Statements(table))

    @contextmanager
    def _lost_connection(self, session: _Session) -> Iterator[_Session]:
        """Turn a connection that broke, or that the watchdog cut, into _LostError."""
        try:
            with self._watchdog.over(session.connection):
                yield session
        except psycopg.Error as error:
            if session.connection.broken or session.connection.closed:
                raise _LostError(_away(error)) from error
            raise

    def _roll_back(self) -> None:
        if self._writer is None:
            return
        try:
            self._writer.connection.execute("ROLLBACK")
        except psycopg.Error:
            self._drop_writer()  # a connection that ends rolls back too

    def _drop_writer(self) -> None:
        if self._writer is not None:
            self._writer.connection.close()
            self._writer = None

    def _drop_reader(self) -> None:
        if self._reader is not None:
            self._reader.connection.close()
            self._reader = None


@dataclass(frozen=True, slots=True)
class _Key:
    """A key row."""

    identifier: str
    version: str | None
    before: Images | None


class _Keys:
    """A look-up of key rows that was sent, perhaps in a pipeline, and is read later."""

    def __init__(self, session: _Session, write_back_ids: Sequence[str]) -> None:
        self._cursor = session.connection.execute(
            session.statements.keys, (list(write_back_ids),), prepare=True
        )
        self._found: dict[str, _Key] | None = None

    def found(self) -> dict[str, _Key]:
        if self._found is None:
            self._found = {row[0]: _Key(*row[1:]) for row in self._cursor.fetchall()}
        return self._found


def _keys(session: _Session, write_back_ids: Sequence[str]) -> dict[str, _Key]:
    return _Keys(session, write_back_ids).found()


def _item(
    table: catalogue.Table, index: int, write_back: WriteBack, results: Results
) -> _Item | None:
    """Return the write-back with its values decoded, or put the refusal into `results`."""
    try:
        decode_key(table.key, write_back.target.identifier)
        values = {name: _value(table, name, text) for name, text in write_back.fields.items()}
    except BadValueError as bad:
        results[index] = Refused(code=bad.code, detail=bad.detail)
        return None
    return _Item(index, write_back, values)


def _value(table: catalogue.Table, name: str, text: str) -> Value:
    column = table.columns.get(name)
    if column is None:
        raise BadValueError(Code.UNKNOWN_FIELD, "a field is not among the configured columns")
    return decode(column, text)


def _records(session: _Session, statement: bytes, identifiers: Sequence[str]) -> dict[str, _Record]:
    cursor = session.connection.execute(statement, (list(identifiers),), prepare=True)
    return _by_identifier(session.table, cursor)


def _by_identifier(table: catalogue.Table, cursor: psycopg.Cursor[Any]) -> dict[str, _Record]:
    return {
        row[0]: _Record(row[1], dict(zip(table.columns, row[2:], strict=True)))
        for row in cursor.fetchall()
    }


def _existing(session: _Session, identifiers: Sequence[str]) -> set[str]:
    cursor = session.connection.execute(session.statements.existing, (list(identifiers),))
    return {row[0] for row in cursor.fetchall()}


def _may_write(
    table: catalogue.Table,
    item: _Item,
    records: Mapping[str, _Record],
    keys: Mapping[str, _Key],
    found: Results,
) -> bool:
    """Steps 2 and 3 for one write-back: True, or the reason why not in `found`."""
    record = records.get(item.identifier)
    key = keys.get(item.write_back.write_back_id)
    if key is not None:
        found[item.index] = _already(table, item, record, key)
    elif record is None:
        found[item.index] = _not_found()
    elif record.version is None:
        found[item.index] = Refused(code=Code.VERSION_IS_NULL, detail="the record has no version")
    else:
        moved = _moved(table, item, record)
        if not moved:
            return True
        found[item.index] = Conflict(
            current=_image(item, record), version=record.version, fields=moved
        )
    return False


def _already(
    table: catalogue.Table, item: _Item, record: _Record | None, key: _Key
) -> AlreadyApplied | Refused:
    if key.identifier != item.identifier:
        return Refused(code=Code.KEY_REUSED, detail="the key was used for another record")
    untouched = record is not None and record.version == key.version
    differs = _differing(table, item, record) if record is not None and untouched else ()
    return AlreadyApplied(version=key.version, before=key.before, differs=differs)


def _moved(table: catalogue.Table, item: _Item, record: _Record) -> tuple[str, ...]:
    """Name the changed fields that are not as the reviewer saw them."""
    return tuple(
        name
        for name in item.values
        if (seen := item.write_back.seen.get(name)) is None
        or not _same(table.columns[name], seen, record.fields[name])
    )


def _same(column: Column, left: str, right: str) -> bool:
    """Tell whether two JSON texts are one value in a column; most are one text, too."""
    return left == right or canonical(column, left) == canonical(column, right)


def _differing(table: catalogue.Table, item: _Item, record: _Record) -> tuple[str, ...]:
    """Name the fields that do not hold what was approved."""
    return tuple(
        name
        for name, value in item.values.items()
        if value.wire != record.fields[name]
        and value.canonical != canonical(table.columns[name], record.fields[name])
    )


def _image(item: _Item, record: _Record) -> Images:
    return {name: record.fields[name] for name in item.values}


def _update(
    session: _Session, items: Sequence[_Item], records: Mapping[str, _Record]
) -> dict[str, _Record]:
    """Step 4: one statement for each set of changed columns. Returns what was written, by key."""
    groups: dict[tuple[str, ...], list[_Item]] = {}
    for item in items:
        groups.setdefault(tuple(sorted(item.values)), []).append(item)
    written: dict[str, _Record] = {}
    for names, group in groups.items():
        rows = "[" + ",".join(_row(session.table, item, names, records) for item in group) + "]"
        cursor = session.connection.execute(session.statements.write(names), (rows,), prepare=True)
        for row in cursor.fetchall():
            written[row[0]] = _Record(row[1], dict(zip(names, row[2:], strict=True)))
    return written


def _row(
    table: catalogue.Table, item: _Item, names: Sequence[str], records: Mapping[str, _Record]
) -> str:
    """Return one object of the statement's JSON input: values go as the decision spelt them."""
    record = records[item.identifier]
    before = orjson.dumps(_image(item, record)).decode()
    values = "".join(f',"c{i}":{item.values[name].wire}' for i, name in enumerate(names))
    key = decode_key(table.key, item.identifier)
    return (
        f'{{"id":"{item.write_back.write_back_id}","key":{key},"version":{record.version},'
        f'"before":{before}{values}}}'
    )


def _unknown(items: Sequence[_Item], code: Code) -> Results:
    detail = "the connection was lost before the target's answer"
    return {item.index: Unknown(code=code, detail=detail) for item in items}


def _not_found() -> Refused:
    return Refused(code=Code.RECORD_NOT_FOUND, detail="there is no such record")


def _server_error(error: psycopg.Error) -> ServerError:
    return ServerError(
        sqlstate=error.sqlstate or "08006",
        constraint=error.diag.constraint_name,
        column=error.diag.column_name,
    )


def _away(error: psycopg.Error) -> Unavailable:
    """Return why there is no connection. The server's words are for the operator's log only."""
    outcome = outcome_of(_server_error(error))
    if isinstance(outcome, Unavailable) and outcome.whole_target:
        return outcome
    return Unavailable(code=Code.TARGET_AWAY, detail=_server_error(error).detail, whole_target=True)
