"""Steps 2 to 4: what a crash at each write leaves, and when publishing freezes."""

import threading
import time
from pathlib import Path

import pytest
from msgspec.structs import replace
from tests.support.audit_log import (
    KEY,
    OTHER_KEY,
    MemoryLedger,
    MemoryLog,
    TroubledFiles,
    row,
)

from audit_sink.checkpoint import Checkpoint, PrivateKey, open_checkpoint, sign
from audit_sink.folder import Folder
from audit_sink.ledger import Head
from audit_sink.publish import DisagreementError, Publisher
from audit_sink.store import LogDamagedError
from audit_sink.tiles import FileStore, SecondPublisherError, TileConflictError
from audit_sink.tree import Edge
from audit_sink.verify import verify
from conveyor.errors import UnavailableError


class Log:
    """Rows, files and ledger of one log, and a publisher that can be started anew."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.rows = MemoryLog()
        self.ledger = MemoryLedger()
        self.start()

    def start(self, key: PrivateKey = KEY) -> None:
        self.files = TroubledFiles(self.folder)
        self.publisher = Publisher(rows=self.rows, files=self.files, ledger=self.ledger, key=key)

    def restart(self, key: PrivateKey = KEY) -> None:
        self.files.close()
        self.start(key)

    def append(self, count: int) -> None:
        size = self.rows.size()
        self.rows.rows += [row(number) for number in range(size, size + count)]

    def check(self) -> None:
        folder = Folder(self.folder)
        report = verify(folder, KEY.public, self.ledger)
        folder.close()
        assert report.size == self.rows.size()
        assert self.ledger.heads[-1].size == self.rows.size()

    def checkpoint(self) -> Checkpoint:
        return open_checkpoint(self.files.checkpoint() or b"", KEY.public)


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return Log(tmp_path)


def test_a_log_without_records_has_a_head(log: Log) -> None:
    assert log.publisher.publish() == 0
    log.check()


def test_every_batch_gets_a_head_over_all_committed_records(log: Log) -> None:
    for count in (1, 254, 1, 1, 300, 700):
        log.append(count)
        log.publisher.publish()
        log.check()
    assert [head.size for head in log.ledger.heads] == [1, 255, 256, 257, 557, 1257]


def test_nothing_new_writes_nothing(log: Log) -> None:
    log.append(5)
    log.publisher.publish()
    log.files.trouble.fail |= {"write", "publish"}
    log.ledger.trouble.fail.add("advance")
    assert log.publisher.publish() == 5


CRASHES = [
    (write, kind)
    for write in ("ask", "write", "advance", "publish")
    for kind in ("fail", "lose")
    if (write, kind) != ("ask", "lose")
]


@pytest.mark.parametrize("restart", [True, False], ids=["process killed", "process lives"])
@pytest.mark.parametrize("before", [0, 100, 256, 300])
@pytest.mark.parametrize(("write", "kind"), CRASHES)
def test_after_a_failure_at_any_write_there_is_one_history(
    log: Log,
    write: str,
    kind: str,
    before: int,
    restart: bool,  # noqa: FBT001 - a table
) -> None:
    log.append(before)
    log.publisher.publish()
    log.append(500)
    trouble = log.ledger.trouble if write in {"ask", "advance"} else log.files.trouble
    getattr(trouble, kind).add(write)
    with pytest.raises(UnavailableError):
        log.publisher.publish()
    getattr(trouble, kind).clear()
    if restart:
        log.restart()
    log.append(17)  # appending went on meanwhile
    log.publisher._try_round()
    assert log.publisher.frozen is None
    log.check()


def test_what_a_crash_left_half_written_is_swept(log: Log) -> None:
    (log.folder / ".tmp" / "tile_0_000").write_bytes(b"half")
    log.restart()
    log.append(3)
    log.publisher.publish()
    assert list((log.folder / ".tmp").iterdir()) == []
    log.check()


def test_lost_tiles_are_made_again_from_rows(log: Log) -> None:
    log.append(300)
    log.publisher.publish()
    (log.folder / "tile/1/000.p/1").unlink()
    log.restart()
    log.append(300)
    log.publisher.publish()
    assert (log.folder / "tile/1/000.p/2").exists()


def test_a_lost_checkpoint_comes_back_from_the_ledger(log: Log) -> None:
    log.append(3)
    log.publisher.publish()
    (log.folder / "checkpoint").unlink()
    log.restart()
    log.publisher.publish()
    log.check()


def test_narrower_tiles_go_when_the_full_one_is_there(log: Log) -> None:
    for count in (10, 90, 100, 100):
        log.append(count)
        log.publisher.publish()
    paths = {path.relative_to(log.folder).as_posix() for path in log.folder.rglob("*.p/*")}
    assert paths == {"tile/0/001.p/44", "tile/1/000.p/1", "tile/entries/001.p/44"}
    log.check()


def test_a_second_publisher_is_turned_away(log: Log) -> None:
    with pytest.raises(SecondPublisherError):
        FileStore(log.folder)


def _lose_rows(log: Log) -> None:
    del log.rows.rows[-3:]


def _alter_row(log: Log) -> None:
    log.rows.rows[299] = row(299, word="altered")


def _alter_early_row(log: Log) -> None:
    log.rows.rows[5] = row(5, word="altered")
    (log.folder / "tile/1/000.p/1").unlink()


def _alter_record_only(log: Log) -> None:
    wrong = row(299, word="altered")
    log.rows.rows[299] = replace(wrong, audit_hash=log.rows.rows[299].audit_hash)


def _hole(log: Log) -> None:
    del log.rows.rows[298]
    log.append(1)


def _lose_ledger(log: Log) -> None:
    log.ledger.heads.clear()


def _cut_ledger_back(log: Log) -> None:
    del log.ledger.heads[1:]


def _fork_ledger(log: Log) -> None:
    edge = Edge()
    edge.extend(row(number, word="fork").audit_hash for number in range(300))
    note = sign(Checkpoint(origin=KEY.name, size=300, root=edge.root()), KEY)
    log.ledger.heads[-1] = Head(size=300, root=edge.root(), checkpoint=note)


def _foreign_note_in_ledger(log: Log) -> None:
    head = log.ledger.heads[-1]
    note = sign(Checkpoint(origin=KEY.name, size=300, root=head.root), OTHER_KEY)
    log.ledger.heads[-1] = Head(size=300, root=head.root, checkpoint=note)


def _other_head_than_its_note(log: Log) -> None:
    head = log.ledger.heads[-1]
    log.ledger.heads[-1] = Head(size=299, root=head.root, checkpoint=head.checkpoint)


def _garble_checkpoint(log: Log) -> None:
    (log.folder / "checkpoint").write_bytes(b"garbage")


def _publish_further(log: Log) -> None:
    note = sign(Checkpoint(origin=KEY.name, size=301, root=bytes(32)), KEY)
    (log.folder / "checkpoint").write_bytes(note)


def _alter_tile(log: Log) -> None:
    path = log.folder / "tile/entries/001"
    path.write_bytes(b"\0" * 10)


DISAGREEMENTS = [
    _lose_rows,
    _alter_row,
    _alter_early_row,
    _alter_record_only,
    _hole,
    _lose_ledger,
    _cut_ledger_back,
    _fork_ledger,
    _foreign_note_in_ledger,
    _other_head_than_its_note,
    _garble_checkpoint,
    _publish_further,
    _alter_tile,
]


@pytest.mark.parametrize("meddle", DISAGREEMENTS)
def test_where_log_files_and_ledger_disagree_publishing_freezes(log: Log, meddle: object) -> None:
    for count in (100, 200):
        log.append(count)
        log.publisher.publish()
    before = (log.folder / "checkpoint").read_bytes()
    meddle(log)  # type: ignore[operator]
    log.restart()
    if meddle is not _lose_rows:
        log.append(300)
    heads, published = list(log.ledger.heads), (log.folder / "checkpoint").read_bytes()
    with pytest.raises((DisagreementError, LogDamagedError, TileConflictError)):
        log.publisher.publish()
    assert not log.publisher._try_round()
    assert log.publisher.frozen
    assert log.ledger.heads == heads
    assert (log.folder / "checkpoint").read_bytes() == published
    assert before


def test_a_head_that_moves_while_tiles_are_written_freezes(log: Log) -> None:
    log.append(3)
    log.publisher.publish()
    log.append(3)
    original = log.ledger.advance

    def overtaken(old: Head | None, new: Head) -> bool:
        log.ledger.heads.append(Head(size=5, root=bytes(32), checkpoint=b""))
        return original(old, new)

    log.ledger.advance = overtaken  # type: ignore[method-assign]
    with pytest.raises(DisagreementError, match="somebody else"):
        log.publisher.publish()


def test_a_ledger_that_agrees_again_ends_the_freeze(log: Log) -> None:
    log.append(3)
    log.publisher.publish()
    heads = list(log.ledger.heads)
    log.append(3)
    log.ledger.heads.clear()
    log.publisher._edge = None
    assert not log.publisher._try_round()
    log.ledger.heads += heads
    assert log.publisher._try_round()
    assert log.publisher.frozen is None
    log.check()


def test_the_loop_publishes_when_woken_and_ends_when_told(log: Log) -> None:
    stop = threading.Event()
    thread = threading.Thread(target=log.publisher.run, args=(stop,))
    thread.start()
    log.append(4)
    log.publisher.wake()
    deadline = time.monotonic() + 5
    while not log.ledger.heads or log.ledger.heads[-1].size < 4:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    stop.set()
    log.publisher.wake()
    thread.join(5)
    assert not thread.is_alive()
    log.check()
    assert log.checkpoint().size == 4


def test_head_age_counts_from_the_first_unpublished_commit(log: Log) -> None:
    assert log.publisher._head_age() == 0
    log.append(1)
    log.publisher.wake()
    assert log.publisher._head_age() > 0
    log.publisher.publish()
    assert log.publisher._head_age() == 0
