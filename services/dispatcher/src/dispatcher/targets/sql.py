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
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

import psycopg

from contract.targets import TargetConfig
from conveyor.database import unavailable_database
from dispatcher.targets import sql_judgement as judgement
from dispatcher.targets.columns import BadValueError, canonical, decode_key
from dispatcher.targets.sql_errors import is_rolled_back, outcome_of
from dispatcher.targets.sql_judgement import NOT_FOUND, Columns, Item, Key, Record, Results
from dispatcher.targets.sql_session import LIMIT, LostError, Session, Sessions, server_error
from dispatcher.targets.target import Promises, Snapshot
from dispatcher.writeback import (
    Absent,
    AlreadyApplied,
    Applied,
    Code,
    Images,
    Outcome,
    Probe,
    Refused,
    Unavailable,
    Unknown,
    WriteBack,
)

_PROMISES: Final = Promises(batch=200, key_in_write=True, settle=0.0, comment=False, undo=True)
_BUDGET: Final = 30.0
"""Seconds a batch may take, bisecting and waiting for locks included; then the rest waits."""


class SqlTarget:
    """One PostgreSQL table. See `target.Target` for what each method promises."""

    def __init__(self, config: TargetConfig, dsn: str, *, limit: float = LIMIT) -> None:
        """Take the configuration. Nothing is connected before the first call.

        `limit`: seconds the target may leave a request without an answer.
        """
        self._config = config
        self._sessions = Sessions(config, dsn, limit)
        self._writer: Session | None = None
        self._reader: Session | None = None
        self._reading = threading.Lock()
        self._columns: Columns = {}
        self._was_idle = False

    @property
    def promises(self) -> Promises:
        return _PROMISES

    def inspect(self) -> None:
        with unavailable_database():
            self._drop_writer()
            self._writer = self._sessions.connect("write")
            self._columns = self._writer.table.columns

    def ready(self) -> Unavailable | None:
        try:
            with self._sessions.guard(self._session()) as session:
                session.connection.execute("SELECT 1")
        except LostError as lost:
            self._drop_writer()
            return lost.outcome
        except psycopg.Error as error:
            return Unavailable(code=Code.TARGET_BUSY, detail=server_error(error).detail)
        return None

    def interrupt(self) -> None:
        self._sessions.interrupt()

    def close(self) -> None:
        self._drop_writer()
        self._drop_reader()
        self._sessions.watchdog.close()

    def normalise(self, field: str, value: str) -> str:
        column = self._columns.get(field)
        return value if column is None else canonical(column, value)

    # Reading, from any thread, on a connection of its own: never behind a batch.

    def read(self, identifier: str) -> Snapshot | Refused | Unavailable:
        if not self._config.names(identifier):
            return Refused(code=Code.BAD_IDENTIFIER, detail="not the identifier's canonical form")
        with self._reading:
            try:
                try:
                    return self._read(identifier)
                except LostError:
                    self._drop_reader()  # perhaps it broke while it was idle: once more
                    return self._read(identifier)
            except LostError as lost:
                self._drop_reader()
                return lost.outcome
            except BadValueError as bad:
                return Refused(code=bad.code, detail=bad.detail)
            except psycopg.Error as error:
                self._drop_reader()
                return outcome_of(server_error(error))

    def _read(self, identifier: str) -> Snapshot | Refused:
        if self._reader is None:
            self._reader = self._sessions.open("read")
            self._columns = self._reader.table.columns
        with self._sessions.guard(self._reader) as session:
            decode_key(session.table.key, identifier)
            record = _records(session, session.statements.read, [identifier]).get(identifier)
        if record is None:
            return NOT_FOUND
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
        return self.apply(replace(write_back, fields=before, seen=dict(after)))

    def probe(self, write_back: WriteBack) -> Probe:
        try:
            session = self._session()
            with self._sessions.guard(session), session.connection.transaction():
                # The lock waits for an earlier transaction of ours that has not ended yet.
                _records(session, session.statements.lock, [write_back.target.identifier])
                found = _Keys(session, [write_back.write_back_id]).found()
        except LostError as lost:
            self._drop_writer()
            return lost.outcome
        except psycopg.Error as error:
            self._drop_writer()
            return Unknown(code=Code.TIMEOUT, detail=server_error(error).detail)
        key = found.get(write_back.write_back_id)
        return Absent() if key is None else AlreadyApplied(version=key.version, before=key.before)

    def apply_batch(self, write_backs: Sequence[WriteBack]) -> list[Outcome]:
        if len({one.target.identifier for one in write_backs}) < len(write_backs):
            raise ValueError("two write-backs for one record in one batch")
        results: Results = {}
        deadline = time.monotonic() + _BUDGET
        self._was_idle = self._writer is not None
        try:
            session = self._session()
        except LostError as lost:
            self._sessions.go_on()
            return [lost.outcome] * len(write_backs)
        table = session.table
        items = [
            item
            for index, one in enumerate(write_backs)
            if (item := judgement.item_of(table.key, table.columns, index, one, results))
            is not None
        ]
        locked = self._write_set(items, results, deadline, wait=len(items) == 1)
        for item in locked:  # each alone, waiting a moment for whoever holds it
            self._write_set([item], results, deadline, wait=True)
        return [results[index] for index in range(len(write_backs))]

    def _write_set(
        self, items: Sequence[Item], results: Results, deadline: float, *, wait: bool
    ) -> list[Item]:
        """Fill `results` for `items`, and return those that somebody else holds (unless `wait`)."""
        if not items:
            return []
        self._sessions.go_on()
        if time.monotonic() > deadline:
            late = Unavailable(code=Code.TARGET_BUSY, detail="the batch took too long")
            results.update({item.index: late for item in items})
            return []
        try:
            return self._transaction(items, results, wait=wait)
        except LostError as lost:
            self._drop_writer()
            self._sessions.go_on()
            if self._was_idle:  # it broke before we used it: nothing was committed, so once more
                self._was_idle = False
                return self._write_set(items, results, deadline, wait=wait)
            results.update({item.index: lost.outcome for item in items})
            return []
        except psycopg.Error as error:
            outcome = outcome_of(server_error(error))
            self._roll_back()
            self._sessions.go_on()
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

    def _transaction(self, items: Sequence[Item], results: Results, *, wait: bool) -> list[Item]:
        """Steps 1 to 6 of the module's docstring. One ordered protocol, kept whole.

        Raises:
            LostError: before COMMIT was sent, so nothing was written.
            psycopg.Error: the server refused something; the transaction must be rolled back.
        """
        session = self._session()
        found: Results = {}
        with self._sessions.guard(session):
            connection = session.connection
            identifiers = [item.identifier for item in items]
            lock = session.statements.lock if wait else session.statements.lock_free
            with connection.pipeline():
                connection.execute("BEGIN")
                locking = connection.execute(lock, (identifiers,), prepare=True)
                keys = _Keys(session, [item.write_back.write_back_id for item in items])
            records, known = _by_identifier(session, locking), keys.found()
            absent = [name for name in identifiers if name not in records]
            held = _existing(session, absent) if absent and not wait else set()
            writable = [
                item
                for item in items
                if item.identifier not in held
                and judgement.may_write(
                    session.table.columns,
                    item,
                    records.get(item.identifier),
                    known.get(item.write_back.write_back_id),
                    found,
                )
            ]
            written = _update(session, writable, records)
        # A crash here leaves nothing: the server rolls back.
        try:
            with self._sessions.watchdog.over(connection):
                connection.execute("COMMIT")
        except psycopg.Error as error:
            if is_rolled_back(error.diag.severity_nonlocalized, error.sqlstate):
                raise
            # It may be committed: the key rows will tell. Everything that was only read is true.
            self._drop_writer()
            self._sessions.go_on()
            results.update(found)
            results.update(_unknown(writable, Code.COMMIT_ANSWER_LOST))
            return [item for item in items if item.identifier in held]
        # A crash from here on: the key rows are there, and the next attempt finds them.
        results.update(found)
        results.update(self._read_back(session, writable, written, records))
        return [item for item in items if item.identifier in held]

    def _read_back(
        self,
        session: Session,
        items: Sequence[Item],
        written: Mapping[str, Record],
        before: Mapping[str, Record],
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
            with self._sessions.watchdog.over(session.connection):
                now = _records(
                    session, session.statements.read, [item.identifier for item in reached]
                )
        except psycopg.Error:
            self._drop_writer()
            self._sessions.go_on()
            return results | _unknown(reached, Code.READ_BACK_LOST)
        for item in reached:
            ours = written[item.write_back.write_back_id]
            there = now.get(item.identifier)
            # Another version is another writer's, after us: then what we wrote is what counts.
            after = there if there is not None and there.version == ours.version else ours
            results[item.index] = Applied(
                before=judgement.image(item, before[item.identifier]),
                after=judgement.image(item, after),
                version=ours.version or "",
                differs=judgement.differing(session.table.columns, item, after),
            )
        return results

    # Connections

    def _session(self) -> Session:
        if self._writer is None:
            self._writer = self._sessions.open("write")
            self._columns = self._writer.table.columns
        return self._writer

    def _roll_back(self) -> None:
        if self._writer is None:
            return
        try:
            with self._sessions.watchdog.over(self._writer.connection):
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


class _Keys:
    """A look-up of key rows that was sent, perhaps in a pipeline, and is read later."""

    def __init__(self, session: Session, write_back_ids: Sequence[str]) -> None:
        self._cursor = session.connection.execute(
            session.statements.keys, (list(write_back_ids),), prepare=True
        )

    def found(self) -> dict[str, Key]:
        """Return the key rows by write-back id. Once."""
        return {row[0]: Key(*row[1:]) for row in self._cursor.fetchall()}


def _records(session: Session, statement: bytes, identifiers: Sequence[str]) -> dict[str, Record]:
    cursor = session.connection.execute(statement, (list(identifiers),), prepare=True)
    return _by_identifier(session, cursor)


def _by_identifier(session: Session, cursor: psycopg.Cursor[Any]) -> dict[str, Record]:
    return {
        row[0]: Record(row[1], dict(zip(session.table.columns, row[2:], strict=True)))
        for row in cursor.fetchall()
    }


def _existing(session: Session, identifiers: Sequence[str]) -> set[str]:
    cursor = session.connection.execute(session.statements.existing, (list(identifiers),))
    return {row[0] for row in cursor.fetchall()}


def _update(
    session: Session, items: Sequence[Item], records: Mapping[str, Record]
) -> dict[str, Record]:
    """Step 4: one statement for each set of changed columns. Returns what was written, by key."""
    groups: dict[tuple[str, ...], list[Item]] = {}
    for item in items:
        groups.setdefault(tuple(sorted(item.values)), []).append(item)
    written: dict[str, Record] = {}
    for names, group in groups.items():
        rows = [judgement.input_row(item, names, records[item.identifier]) for item in group]
        cursor = session.connection.execute(
            session.statements.write(names), ("[" + ",".join(rows) + "]",), prepare=True
        )
        for row in cursor.fetchall():
            written[row[0]] = Record(row[1], dict(zip(names, row[2:], strict=True)))
    return written


def _unknown(items: Sequence[Item], code: Code) -> Results:
    detail = "the connection was lost before the target's answer"
    return {item.index: Unknown(code=code, detail=detail) for item in items}
