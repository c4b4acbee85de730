"""The dispatcher's memory: where each step of each decision is, in PostgreSQL schema `dispatch`.

Owns every statement of that schema (`queries.sql`) and its transactions: a change of state, the
record's order and the event that tells of it commit together or not at all. Refuses to know what
an outcome means (`writeback` decides) and what a target is.

A Ledger is one connection, used by one thread. It opens by itself and again after a loss;
UnavailableError says that nothing of the interrupted transaction is there.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import orjson
import psycopg
from psycopg.rows import class_row, kwargs_row

from contract.events import WriteBack, WriteBackState
from contract.identity import Digester
from contract.topics import WRITE_BACKS
from conveyor import outbox, relay
from conveyor.database import connect, unavailable_database
from dispatcher.events import Row, event_of
from dispatcher.ledger_rows import (
    FAILED,
    Move,
    Verdict,
    cancellations,
    never_begun,
    rows_of,
    state_of,
    verdicts,
)
from dispatcher.plan import Plan, TakeBack
from dispatcher.queries import QUERIES
from dispatcher.writeback import Code, Images, Next, State, move

OUTBOX: Final = "dispatch.outbox"
CHANNEL: Final = "placet_dispatch_outbox"
SOURCE: Final = "dispatcher"


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """A due step, locked until the transaction ends."""

    write_back_id: str
    identifier: str
    ordinal: int
    step: str
    decision_id: str
    item_id: str
    revision: int
    correlation_id: str
    state: WriteBackState
    transition: int
    attempts: int
    excused: int
    statement: str
    since_due: float


Transaction = psycopg.Connection[Any]


class Ledger:
    """One session on the schema `dispatch`, for one target instance."""

    def __init__(self, dsn: str, *, system: str, instance: str, digester: Digester) -> None:
        """Take the wiring. Nothing is connected before the first transaction."""
        self._dsn = dsn
        self._system = system
        self._instance = instance
        self._digester = digester
        self._connection: psycopg.Connection[Any] | None = None
        self._replayed = False  # the last batch held nothing new

    @property
    def connected(self) -> bool:
        """Tell whether there is a session, without asking the server."""
        return self._connection is not None and not self._connection.closed

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """Run the block in a transaction; durable when it ends.

        Raises:
            UnavailableError: the database is away. The transaction is not there, unless its COMMIT
                was on the way: every statement here may be repeated.
        """
        with unavailable_database():
            try:
                with self._open().transaction():
                    yield self._open()
            except (psycopg.OperationalError, psycopg.InterfaceError):
                self.close()
                raise

    def close(self) -> None:
        """End the session, and with it the instance's lock."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _open(self) -> psycopg.Connection[Any]:
        if self._connection is None:
            connection = connect(self._dsn, f"placet dispatcher {self._instance}")
            # A transaction stays open while the target works; how long, the target limits.
            connection.execute("SET idle_in_transaction_session_timeout = 0")
            self._connection = connection
        return self._connection

    def run(self, cursor: Transaction, name: str, **parameters: Any) -> psycopg.Cursor[Any]:
        """Run a named statement; `instance` is given."""
        return cursor.execute(
            QUERIES[name], {"instance": self._instance, **parameters}, prepare=True
        )

    def digest(self, data: bytes) -> bytes:
        """Return the installation's digest of `data`, as the ledger keeps instead of it."""
        return self._digester.of_bytes(data)

    def lock_instance(self) -> bool:
        """Try to become the one dispatcher of the instance, as long as this session lives."""
        with unavailable_database():
            try:
                row = (
                    self._open()
                    .execute(QUERIES["lock_instance"], {"name": f"dispatcher:{self._instance}"})
                    .fetchone()
                )
            except (psycopg.OperationalError, psycopg.InterfaceError):
                self.close()
                raise
        return row is not None and bool(row[0])

    def wake_relay(self) -> None:
        """Hint that the outbox has rows. Outside any transaction: NOTIFY serialises commits."""
        with unavailable_database():
            relay.wake(self._open(), CHANNEL)

    # What comes in

    def accept(self, transaction: Transaction, plans: Sequence[Plan]) -> list[Verdict]:
        """Insert the steps of `plans`, and say of each whether it is new. Order is kept."""
        rows = rows_of(plans)
        if not rows:
            return []
        known: dict[str, tuple[Any, ...]] = {}
        if self._replayed:
            # A replay comes in runs, and asking is a tenth of inserting. What a key belongs to
            # never changes, so that this needs no lock.
            known = self._known(self.run(transaction, "known", ids=list(rows)))
        missing = {key: row for key, row in rows.items() if key not in known}
        inserted: dict[str, str] = {}
        if missing:
            inserted, found = self._insert(transaction, missing)
            known |= found
        self._replayed = not inserted
        closed = [one for one, state in inserted.items() if state != State.WAITING]
        self.settle(transaction, [rows[one]["identifier"] for one in closed])
        self._tell(transaction, self._rows(transaction, closed), {})
        return verdicts(plans, set(inserted), known)

    def _insert(
        self, transaction: Transaction, rows: Mapping[str, Mapping[str, Any]]
    ) -> tuple[dict[str, str], dict[str, tuple[Any, ...]]]:
        """Insert steps; return the states of those that are new, and whose each key is now."""
        places = _places(row["identifier"] for row in rows.values())
        with transaction.pipeline():
            self.run(transaction, "open_records", rows=places)
            self.run(transaction, "lock_records", rows=places)
            accepting = self.run(transaction, "accept", rows=_document(list(rows.values())))
            knowing = self.run(transaction, "known", ids=list(rows))
        return dict(accepting.fetchall()), self._known(knowing)

    @staticmethod
    def _known(cursor: psycopg.Cursor[Any]) -> dict[str, tuple[Any, ...]]:
        return {row[0]: row[1:] for row in cursor.fetchall()}

    def take_back(self, transaction: Transaction, one: TakeBack) -> tuple[Verdict, list[str]]:
        """Close the ordinal of a TAKE_BACK.

        Returns the verdict, and the steps for which it came too late: they go on.
        """
        place = {"identifier": one.target.identifier, "ordinal": one.ordinal}
        document = _places([one.target.identifier])
        self.run(transaction, "open_records", rows=document)
        steps = self.run(transaction, "take_back_rows", **place).fetchall()
        self.run(transaction, "lock_records", rows=document)
        if not steps:  # one may have come in before we had the record
            steps = self.run(transaction, "take_back_rows", **place).fetchall()
        known = self.run(transaction, "known_take_back", decision_id=one.decision_id).fetchone()
        if known is not None:
            same = known == (one.ordinal, one.taken, one.digest)
            return (Verdict.DUPLICATE if same else Verdict.REUSED), []
        if any(step[1] != one.taken for step in steps):
            return Verdict.REUSED, []
        inserted = self.run(
            transaction,
            "take_back",
            **place,
            decision_id=one.decision_id,
            taken=one.taken,
            digest=one.digest,
        ).fetchone()
        if inserted is None:
            return Verdict.REUSED, []
        moves, late = cancellations(steps, one.target.identifier)
        self._record(transaction, moves)
        self.settle(transaction, [one.target.identifier])
        self.tell(transaction, moves)
        return Verdict.NEW, late

    # Work

    def claim(self, transaction: Transaction, most: int) -> list[Claimed]:
        """Lock up to `most` due steps, at most one per record, the longest due first."""
        with transaction.cursor(row_factory=kwargs_row(_claimed)) as cursor:
            return cursor.execute(
                QUERIES["claim"], {"instance": self._instance, "most": most}, prepare=True
            ).fetchall()

    def due(self, transaction: Transaction, most: int, busy: Sequence[str]) -> list[Claimed]:
        """Return up to `most` due steps that are not `busy`, as `claim` does, without a lock."""
        values = {"instance": self._instance, "most": most, "busy": list(busy)}
        with transaction.cursor(row_factory=kwargs_row(_claimed)) as cursor:
            return cursor.execute(QUERIES["due"], values, prepare=True).fetchall()

    def record(self, transaction: Transaction, moves: Sequence[Move]) -> None:
        """Record what became of claimed steps: states, order, images and events.

        A step that will never be done takes those after it along.
        """
        failed = [one.write_back_id for one in moves if one.next.state in FAILED]
        if failed:
            rows = self.run(transaction, "later_steps", ids=failed).fetchall()
            moves = [*moves, *never_begun(rows)]
        closing = [one for one in moves if one.next.closes]
        self._record(transaction, moves)
        self.settle(transaction, [one.identifier for one in closing])
        self.keep_images(transaction, moves)
        self.tell(transaction, moves)

    def keep_images(self, transaction: Transaction, moves: Sequence[Move]) -> None:
        """Keep what the target held before and after, where that is known."""
        images = [one for one in moves if one.next.before is not None or one.next.after is not None]
        if images:
            self.run(
                transaction,
                "keep_images",
                ids=[one.write_back_id for one in images],
                before=[_image(one.next.before) for one in images],
                after=[_image(one.next.after) for one in images],
            )

    def next_due(self, busy: Sequence[str] = ()) -> float | None:
        """Return seconds until the next step is due (0 or less: now), None when there is none.

        Steps that are `busy` do not count.
        """
        with self.transaction() as transaction:
            if busy:
                row = self.run(transaction, "next_due_besides", busy=list(busy)).fetchone()
            else:
                row = self.run(transaction, "next_due").fetchone()
        return None if row is None or row[0] is None else float(row[0])

    def find_gaps(self, gap: float) -> int:
        """Make STUCK what has waited `gap` seconds for an ordinal that did not come."""
        with self.transaction() as transaction:
            stuck = Next(
                state=move(State.WAITING, State.STUCK),
                code=Code.ORDER_GAP,
                detail="an earlier write to this record has not arrived",
            )
            moves = [
                Move(
                    write_back_id=row[0],
                    identifier="",
                    transition=row[1] + 1,
                    attempts=row[2],
                    next=stuck,
                )
                for row in self.run(transaction, "gaps", gap=gap).fetchall()
            ]
            self._record(transaction, moves)
            self.tell(transaction, moves)
        return len(moves)

    def count_stuck(self) -> int:
        """Return how many steps wait for a person."""
        with self.transaction() as transaction:
            row = self.run(transaction, "stuck").fetchone()
        return 0 if row is None else int(row[0])

    # Parts of the above

    def _record(self, transaction: Transaction, moves: Sequence[Move]) -> None:
        if not moves:
            return
        closing = [one.write_back_id for one in moves if one.next.closes]
        with transaction.pipeline():
            if closing:
                places = _places(one.identifier for one in moves if one.next.closes)
                self.run(transaction, "lock_records", rows=places)
            self.run(transaction, "record", rows=_document([state_of(one) for one in moves]))
            if closing:
                self.run(transaction, "forget_plans", ids=closing)

    def settle(self, transaction: Transaction, identifiers: Sequence[str]) -> None:
        """Advance these records over what is closed, and release what comes next."""
        if not identifiers:
            return
        document = _places(identifiers)
        with transaction.pipeline():
            self.run(transaction, "advance", rows=document)
            releasing = self.run(transaction, "release", rows=document)
        resolved = [row[0] for row in releasing.fetchall() if row[1] == State.STUCK]
        self._tell(transaction, self._rows(transaction, resolved), {})

    def _rows(self, transaction: Transaction, write_back_ids: Sequence[str]) -> list[Row]:
        if not write_back_ids:
            return []
        with transaction.cursor(row_factory=class_row(Row)) as cursor:
            return cursor.execute(
                QUERIES["events"], {"ids": list(write_back_ids)}, prepare=True
            ).fetchall()

    def tell(self, transaction: Transaction, moves: Sequence[Move]) -> None:
        """Put the events of these moves, which are recorded, in the outbox."""
        rows = self._rows(transaction, [one.write_back_id for one in moves])
        self._tell(transaction, rows, {one.write_back_id: one.next for one in moves})

    def tell_again(self, transaction: Transaction, write_back_ids: Sequence[str]) -> None:
        """Put events of these rows, as they are, in the outbox."""
        self._tell(transaction, self._rows(transaction, write_back_ids), {})

    def _tell(
        self,
        transaction: Transaction,
        rows: Sequence[Row],
        following: Mapping[str, Next],
    ) -> None:
        events = [self._event(row, following.get(row.write_back_id)) for row in rows]
        outbox.insert(
            transaction,
            OUTBOX,
            [
                outbox.row_of(event, topic=WRITE_BACKS, key=event.item_id.encode(), source=SOURCE)
                for event in events
            ],
        )

    def _event(self, row: Row, following: Next | None) -> WriteBack:
        return event_of(
            row,
            system=self._system,
            instance=self._instance,
            conflicting=() if following is None else following.conflicting,
            digester=self._digester,
            overwrote=None if following is None else following.overwrote,
        )


def _document(rows: Sequence[Mapping[str, Any]]) -> str:
    return orjson.dumps(rows).decode()


def _places(identifiers: Iterable[str]) -> str:
    return _document([{"identifier": one} for one in sorted(set(identifiers))])


def _image(image: Images | None) -> bytes | None:
    return None if image is None else orjson.dumps(dict(image))


def _claimed(*, state: str, **rest: Any) -> Claimed:
    return Claimed(state=State(state), **rest)
