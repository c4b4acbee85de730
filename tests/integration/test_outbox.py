"""Outbox, relay, inbox and migrations on real PostgreSQL."""

import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from contract.topics import CONTROLS
from conveyor import inbox, outbox
from conveyor.database import connect, unavailable_database
from conveyor.errors import UnavailableError
from conveyor.inbox import Verdict
from conveyor.memory import MemoryBroker
from conveyor.migrate import MigrationError, migrate
from conveyor.outbox import OutboxRow
from conveyor.relay import Relay, wake

TABLES = """
CREATE TABLE outbox (seq bigint GENERATED ALWAYS AS IDENTITY, id uuid PRIMARY KEY,
  aggregatetype text NOT NULL, aggregateid bytea NOT NULL, type text NOT NULL,
  payload bytea NOT NULL, headers bytea NOT NULL, not_before timestamptz NOT NULL DEFAULT now());
CREATE TABLE inbox (event_id uuid PRIMARY KEY, content_digest bytea NOT NULL);
"""


@pytest.fixture
def dsn(postgres: str) -> str:
    with connect(postgres, "test") as connection:
        connection.execute(TABLES)
    return postgres


def row(number: int, not_before: datetime | None = None) -> OutboxRow:
    return OutboxRow(
        id=f"00000000-0000-4000-8000-{number:012d}",
        topic=CONTROLS,
        key=b"k",
        type="Control",
        payload=b"%d" % number,
        headers=outbox.headers_bytes((("ce_id", b"x"),)),
        not_before=not_before,
    )


def relay(dsn: str, broker: MemoryBroker) -> Relay:
    return Relay(dsn=dsn, table="public.outbox", channel="outbox", producer=broker)


def sent(broker: MemoryBroker) -> list[bytes]:
    return [record.value for record in broker.unread("test", [CONTROLS], 10_000)]


def test_rows_leave_in_order_and_are_gone(dsn):
    broker = MemoryBroker()
    with connect(dsn, "test") as connection:
        outbox.insert(connection, "public.outbox", [row(n) for n in range(5)])
        assert relay(dsn, broker).drain_once(connection) == 5
        assert connection.execute("SELECT count(*) FROM outbox").fetchone() == (0,)
    assert sent(broker) == [b"0", b"1", b"2", b"3", b"4"]


def test_a_broker_that_does_not_answer_leaves_every_row(dsn):
    broker = MemoryBroker()
    broker.away = True
    with connect(dsn, "test") as connection:
        outbox.insert(connection, "public.outbox", [row(1)])
        with pytest.raises(UnavailableError):
            relay(dsn, broker).drain_once(connection)
        assert connection.execute("SELECT count(*) FROM outbox").fetchone() == (1,)


def test_a_row_that_commits_late_is_not_skipped(dsn):
    broker = MemoryBroker()
    with connect(dsn, "late") as late, connect(dsn, "test") as connection:
        late.execute("BEGIN")
        outbox.insert(late, "public.outbox", [row(1)])  # draws the lower seq, commits last
        outbox.insert(connection, "public.outbox", [row(2)])
        one = relay(dsn, broker)  # one and the same, so that what it remembers would show
        one.drain_once(connection)
        late.execute("COMMIT")
        one.drain_once(connection)
    assert sent(broker) == [b"2", b"1"]


def test_a_held_row_leaves_when_its_hold_ends_and_no_earlier(dsn):
    broker = MemoryBroker()
    stop = threading.Event()
    thread = threading.Thread(target=relay(dsn, broker).run, args=(stop,), daemon=True)
    try:
        with connect(dsn, "test") as connection:
            until = datetime.now(UTC) + timedelta(seconds=0.7)
            outbox.insert(connection, "public.outbox", [row(1, until)])
            thread.start()
            _until(lambda: sent(broker))
            assert datetime.now(UTC) >= until
    finally:
        stop.set()
    thread.join(5)
    assert not thread.is_alive()


def test_two_relays_send_each_row_once_and_the_second_takes_over(dsn):
    broker = MemoryBroker()
    first, second = threading.Event(), threading.Event()
    threads = [
        threading.Thread(target=relay(dsn, broker).run, args=(stop,), daemon=True)
        for stop in (first, second)
    ]
    for thread in threads:
        thread.start()
    with connect(dsn, "test") as connection:
        outbox.insert(connection, "public.outbox", [row(n) for n in range(50)])
        wake(connection, "outbox")
        _until(lambda: len(sent(broker)) >= 50)
        first.set()
        threads[0].join(5)
        outbox.insert(connection, "public.outbox", [row(n) for n in range(50, 60)])
        _until(lambda: len(sent(broker)) >= 60)
    second.set()
    threads[1].join(5)
    assert sorted(int(value) for value in sent(broker)) == list(range(60))


def _until(condition) -> None:
    deadline = datetime.now(UTC) + timedelta(seconds=10)
    pause = threading.Event()
    while not condition():
        assert datetime.now(UTC) < deadline
        pause.wait(0.01)


def test_the_inbox_tells_new_duplicate_and_reused(dsn):
    one, two = (row(n).id for n in (1, 2))
    with connect(dsn, "test") as connection, connection.transaction():
        with connection.cursor() as cursor:
            assert inbox.accept(
                cursor, "public.inbox", [(one, b"a"), (one, b"a"), (two, b"a")]
            ) == [
                Verdict.NEW,
                Verdict.DUPLICATE,
                Verdict.NEW,
            ]
            assert inbox.accept(cursor, "public.inbox", [(one, b"a"), (two, b"b")]) == [
                Verdict.DUPLICATE,
                Verdict.REUSED,
            ]


def test_migrations_run_once_and_in_order(postgres, tmp_path: Path):
    (tmp_path / "0002_post_b.sql").write_text("ALTER TABLE a ADD COLUMN c int")
    (tmp_path / "0001_pre_a.sql").write_text("CREATE TABLE a (b int)")
    assert migrate(postgres, "public", tmp_path) == ["0001_pre_a.sql", "0002_post_b.sql"]
    assert migrate(postgres, "public", tmp_path) == []


def test_a_migration_that_fails_leaves_nothing(postgres, tmp_path: Path):
    (tmp_path / "0001_pre_a.sql").write_text("CREATE TABLE a (b int); SELECT 1/0")
    with pytest.raises(psycopg.Error):
        migrate(postgres, "public", tmp_path)
    with connect(postgres, "test") as connection:
        assert connection.execute("SELECT to_regclass('a')").fetchone() == (None,)


def test_a_migration_of_another_name_is_refused(postgres, tmp_path: Path):
    (tmp_path / "first.sql").write_text("SELECT 1")
    with pytest.raises(MigrationError):
        migrate(postgres, "public", tmp_path)


def test_a_lost_connection_is_unavailable_and_a_refused_statement_is_not(postgres):
    with pytest.raises(UnavailableError), unavailable_database():
        connect("host=127.0.0.1 port=1", "test")
    with connect(postgres, "test") as connection, pytest.raises(psycopg.errors.DivisionByZero):
        with unavailable_database():
            connection.execute("SELECT 1/0")
