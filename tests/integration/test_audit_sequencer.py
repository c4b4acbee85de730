"""The four steps on a real PostgreSQL: what is committed, refused, and survives lost answers."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from msgspec.structs import replace
from tests.support.audit_log import KEY, MemoryLetters, control, read
from tests.support.audit_process import Place, audit_place
from tests.support.proxy import Loss, Proxy
from typer.testing import CliRunner

from audit_sink import store
from audit_sink.append import Appender
from audit_sink.cli import app
from audit_sink.ledger import Head, PostgresLedger
from audit_sink.locking import Payload
from audit_sink.lookup import HotStore
from audit_sink.payload import unpack
from audit_sink.publish import Publisher
from audit_sink.store import LogDamagedError, Reader, SecondSequencerError, Writer
from audit_sink.tiles import FileStore
from contract.codec import encode
from contract.identity import Digester
from contract.topics import CONTROLS
from conveyor.errors import UnavailableError
from conveyor.record import Record


@dataclass
class Sink:
    place: Place
    writer: Writer
    appender: Appender
    publisher: Publisher
    files: FileStore

    def take(self, *numbers: int) -> None:
        self.appender.handle(batch(*numbers))


def batch(*numbers: int) -> list[Record]:
    return [read(control(number), offset=number) for number in numbers]


@pytest.fixture
def place(postgres: str, tmp_path: Path) -> Iterator[Place]:
    with audit_place(postgres, tmp_path / "log") as made:
        yield made


@contextmanager
def _sink(place: Place, database: str, ledger_dsn: str) -> Iterator[Sink]:
    writer, reader, vault = Writer(database), Reader(place.database), place.keyring()
    ledger = PostgresLedger(ledger_dsn, KEY.name)
    writer.migrate()
    ledger.migrate()
    files = FileStore(place.folder)
    yield Sink(
        place=place,
        writer=writer,
        appender=Appender(
            log=writer,
            letters=MemoryLetters(),
            digester=Digester(bytes(32)),
            vault=vault,
            appended=lambda _: None,
        ),
        publisher=Publisher(rows=reader, files=files, ledger=ledger, key=KEY),
        files=files,
    )
    for one in (writer, reader, ledger, files, vault):
        one.close()


@pytest.fixture
def sink(place: Place) -> Iterator[Sink]:
    with _sink(place, place.database, place.ledger) as made:
        yield made


def test_what_is_appended_is_sealed_and_verifies_against_the_ledger(sink: Sink) -> None:
    for start in (0, 300, 600):
        sink.take(*range(start, start + 300))
        sink.publisher.publish()
    report = sink.place.verify()
    assert (report.size, report.heads) == (900, 3)
    assert sink.place.column("SELECT sequence FROM audit.record ORDER BY 1") == list(range(900))
    assert sink.writer.offsets() == {(CONTROLS, 0): 900}


def test_a_redelivered_window_appends_nothing(sink: Sink) -> None:
    sink.take(*range(50))
    sink.take(*range(20, 70))
    sink.take(*range(70))
    assert sink.place.column("SELECT count(*) FROM audit.record") == [70]


def test_the_payload_holds_the_received_bytes(sink: Sink) -> None:
    sink.take(3)
    with (
        closing(sink.place.keyring()) as vault,
        closing(HotStore(sink.place.database, "test", vault)) as hot,
    ):
        payload = hot.payloads([0])[0]
    assert isinstance(payload, Payload)
    assert unpack(payload.packed)["received"] == encode(control(3))


def test_a_nul_in_a_key_is_sealed(sink: Sink) -> None:
    sink.appender.handle([read(replace(control(1), correlation_id="a\0b"))])
    assert sink.place.column("SELECT correlation_id FROM audit.record") == [
        "a\N{REPLACEMENT CHARACTER}b"
    ]
    sink.publisher.publish()
    assert sink.place.verify().size == 1


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit.record SET record = record",
        "DELETE FROM audit.record",
        "TRUNCATE audit.record",
        "UPDATE audit.event_key SET sequence = 7",
        "DELETE FROM audit.event_key WHERE false",
        "TRUNCATE audit.event_key",
        "UPDATE audit.payload SET salt = ''",
    ],
)
def test_sealed_rows_can_be_neither_changed_nor_removed(sink: Sink, statement: str) -> None:
    sink.take(1)
    with (
        psycopg.connect(sink.place.database) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege, match="only grows"),
    ):
        connection.execute(statement)  # type: ignore[call-overload]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE ledger.head SET size = 1",
        "UPDATE ledger.head SET root = ''",
        "DELETE FROM ledger.head",
        "UPDATE ledger.head_history SET at = now()",
        "TRUNCATE ledger.head_history",
    ],
)
def test_the_ledger_never_goes_back(sink: Sink, statement: str) -> None:
    sink.take(1, 2, 3)
    sink.publisher.publish()
    with (
        psycopg.connect(sink.place.ledger) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute(statement)  # type: ignore[call-overload]


def test_the_ledger_moves_on_from_its_own_head_alone(sink: Sink) -> None:
    first, second = _head(1, b"1"), _head(2, b"2")
    with closing(PostgresLedger(sink.place.ledger, KEY.name)) as ledger:
        assert ledger.advance(None, first)
        for stale in (None, _head(1, b"another"), _head(2, b"1")):
            assert not ledger.advance(stale, second)
            assert ledger.head() == first
        assert ledger.advance(first, second)
        assert ledger.history() == [(1, first.root), (2, second.root)]


def _head(size: int, root: bytes) -> Head:
    return Head(size=size, root=root.ljust(32, b"."), checkpoint=b"note %d" % size)


def test_payloads_can_be_destroyed_and_the_log_still_verifies(sink: Sink) -> None:
    sink.take(1, 2)
    sink.publisher.publish()
    with psycopg.connect(sink.place.database) as connection:
        connection.execute("DELETE FROM audit.payload")
    assert sink.place.verify().size == 2


def test_a_second_sequencer_waits_for_the_lock_in_vain_and_stops(
    sink: Sink, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink.take(1)
    monkeypatch.setattr(store, "_LOCK_WAIT_MS", 100)
    second = Writer(sink.place.database)
    with pytest.raises(SecondSequencerError, match="lock"), second.transaction():
        pass


def test_a_second_sequencer_without_the_lock_fails_at_the_number(sink: Sink) -> None:
    sink.take(0)
    with psycopg.connect(sink.place.database) as other:
        other.execute("INSERT INTO audit.payload (sequence, salt, parts) VALUES (1, '', '')")
        other.commit()
    with pytest.raises(SecondSequencerError, match="somebody else"):
        sink.take(1)
    assert sink.place.column("SELECT sequence FROM audit.record") == [0]
    assert sink.writer.offsets() == {(CONTROLS, 0): 1}


@pytest.mark.parametrize("loss", ["answer", "request"])
def test_a_lost_commit_is_appended_once_when_the_batch_comes_again(
    place: Place, loss: Loss
) -> None:
    with closing(Proxy(place.database)) as proxy, _sink(place, proxy.dsn, place.ledger) as sink:
        sink.take(0, 1)
        proxy.lose = loss
        with pytest.raises(UnavailableError):
            sink.take(2, 3)
        proxy.lose = None
        sink.take(2, 3)
        sink.take(4)
        _has_all_five(sink)


def _has_all_five(sink: Sink) -> None:
    assert sink.place.column("SELECT sequence FROM audit.record ORDER BY 1") == [0, 1, 2, 3, 4]
    sink.publisher.publish()
    assert sink.place.verify().size == 5


def test_while_the_ledger_is_away_appending_goes_on_and_the_head_catches_up(
    place: Place,
) -> None:
    with closing(Proxy(place.ledger)) as proxy, _sink(place, place.database, proxy.dsn) as sink:
        sink.take(*range(10))
        assert sink.publisher._try_round()
        proxy.cut()
        sink.take(*range(10, 2_000))
        assert not sink.publisher._try_round()
        assert sink.publisher.frozen is None
        assert place.verify().size == 10
        proxy.down = False
        assert sink.publisher._try_round()
        assert place.verify().size == 2_000


def test_a_row_changed_behind_our_back_freezes_publishing_and_not_appending(sink: Sink) -> None:
    sink.take(*range(10))
    with psycopg.connect(sink.place.database) as connection:
        connection.execute("ALTER TABLE audit.record DISABLE TRIGGER only_grows")
        connection.execute("UPDATE audit.record SET record = '{}' WHERE sequence = 4")
    with pytest.raises(LogDamagedError, match="record 4"):
        sink.publisher.publish()
    assert not sink.publisher._try_round()
    sink.take(11)
    assert sink.publisher.frozen


def test_tail_prints_the_same_from_files_and_from_the_hot_store(sink: Sink) -> None:
    sink.take(*range(700))
    sink.publisher.publish()
    run = CliRunner()
    options = ["tail", "-n", "300", "--output", "jsonl"]
    files = run.invoke(app, [*options, "--from", str(sink.place.folder)])
    rows = run.invoke(app, [*options, "--database", sink.place.database])
    assert files.exit_code == rows.exit_code == 0
    assert files.stdout == rows.stdout
    assert files.stdout.count("\n") == 300
    table = run.invoke(app, ["tail", "-n", "2", "--from", str(sink.place.folder)])
    assert "PAUSED" in table.stdout


def test_verify_on_the_command_line_asks_the_ledger(sink: Sink) -> None:
    sink.take(*range(5))
    sink.publisher.publish()
    run = CliRunner()
    options = ["verify", "--from", str(sink.place.folder), "--key", KEY.public.text]
    offline = run.invoke(app, options)
    assert offline.exit_code == 0
    assert "5 records" in offline.stdout
    assert "ledger: NOT CHECKED" in offline.stdout
    online = run.invoke(app, [*options, "--ledger", sink.place.ledger])
    assert online.exit_code == 0
    assert "ledger: all 1 heads" in online.stdout
