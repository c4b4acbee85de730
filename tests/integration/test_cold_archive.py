"""Archiving on a real hot store: what counts, what a crash leaves, what may go."""

import threading
import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, nullcontext
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
import zstandard
from msgspec.structs import replace
from tests.support.audit_log import KEY, NOW
from tests.support.audit_process import audit_place
from tests.support.cold_log import LATER, ColdLog, TroubledCold, cold_log
from tests.support.object_store import new_bucket, object_store

from audit_sink.cold.archive import Archiver
from audit_sink.cold.bucket import BucketCold, client
from audit_sink.cold.check import compressed
from audit_sink.cold.loop import ArchiveLoop
from audit_sink.cold.pack import read_all
from audit_sink.cold.rows import ArchiveRows
from audit_sink.cold.store import ColdConflictError
from audit_sink.cold.whole import verify_cold
from audit_sink.tiles import bundle
from audit_sink.verify import BadEvidenceError
from conveyor.errors import UnavailableError

DAY = timedelta(days=1)


@pytest.fixture
def log(postgres: str, tmp_path: Path) -> Iterator[ColdLog]:
    with (
        audit_place(postgres, tmp_path / "log") as place,
        cold_log(place, tmp_path / "cold") as made,
    ):
        yield made


def steps(archiver: Archiver) -> list[tuple[int, int]]:
    done = []
    while (one := archiver.step(LATER)) is not None:
        done.append((one.first, one.end))
    return done


def packed(log: ColdLog) -> dict[int, dict[str, Any]]:
    """The rows of the packs that count."""
    rows: dict[int, dict[str, Any]] = {}
    for name in log.place.column("SELECT pack_name FROM audit.archive"):
        rows |= read_all((log.folder / str(name)).read_bytes())
    return rows


def test_whole_bundles_below_the_published_head_are_archived_and_chained(log: ColdLog) -> None:
    log.seal(1_100)
    assert steps(log.archiver()) == [(0, 512), (512, 1_024)]
    report = log.verify()
    assert (report.archives, report.size, report.heads, report.left_over) == (2, 1_024, 0, 0)
    log.seal(1_300)
    log.batch = 256
    assert steps(log.archiver()) == [(1_024, 1_280)]
    report = log.verify()
    assert (report.archives, report.size, report.heads) == (3, 1_280, 1)
    assert report.bytes == sum(
        path.stat().st_size for path in log.folder.rglob("*") if path.is_file()
    )


def test_payloads_are_archived_exactly_as_they_are_stored(log: ColdLog) -> None:
    log.seal(256, lambda one: replace(one, parts=None) if one.sequence == 7 else one)
    steps(log.archiver())
    rows = packed(log)
    assert sorted(rows) == [number for number in range(256) if number != 7]
    for number, row in rows.items():
        made = log.made[number]
        assert (row["subject"], row["salt"], row["parts"]) == (made.subject, made.salt, made.parts)


def test_what_is_young_or_not_published_is_left_alone(log: ColdLog) -> None:
    log.seal(300)
    with log.writer.transaction() as transaction:
        transaction.insert(
            [replace(log.made[0], sequence=300 + n, event_id=_uuid(n)) for n in range(300)]
        )
    archiver = log.archiver()
    assert archiver.step(NOW) is None  # sealed at NOW, so not before it
    assert steps(archiver) == [(0, 256)]


def _uuid(number: int) -> uuid.UUID:
    return uuid.UUID(int=number, version=4)


@pytest.mark.parametrize("kind", ["fail", "lose"])
def test_a_crash_at_any_write_is_made_good_by_the_next_step(log: ColdLog, kind: str) -> None:
    log.seal(700)
    with closing(TroubledCold(log.folder)) as cold:
        getattr(cold.trouble, kind).add("put")
        for write in range(1, 8):
            cold.left = write
            with pytest.raises(UnavailableError):
                log.archiver(cold).step(LATER)
            assert log.rows.last_archive() is None
        # Meanwhile somebody was forgotten: the pack is another one now.
        if kind == "fail":
            with psycopg.connect(log.place.database) as connection:
                connection.execute("DELETE FROM audit.payload WHERE sequence = 5")
        cold.left = -1
        assert steps(log.archiver(cold)) == [(0, 512)]
    assert log.verify().size == 512
    assert len(log.place.column("SELECT 1 FROM audit.archive")) == 1
    assert (5 in packed(log)) is (kind == "lose")


def test_a_crash_behind_the_manifest_goes_on_with_that_manifest(
    log: ColdLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    log.seal(700)
    with monkeypatch.context() as patch:
        patch.setattr(ArchiveRows, "insert", _away)
        with pytest.raises(UnavailableError):
            log.archiver().step(LATER)
    with psycopg.connect(log.place.database) as connection:
        connection.execute("DELETE FROM audit.payload WHERE sequence = 5")
    log.batch = 256  # the setting is another one now; the manifest is what counts
    assert steps(log.archiver()) == [(0, 512)]
    assert log.verify().left_over == 0


def _away(*_: object) -> None:
    raise UnavailableError("the database is away")


def test_a_pack_left_over_by_a_crash_is_counted_and_no_more(log: ColdLog) -> None:
    log.seal(600)
    with closing(TroubledCold(log.folder)) as cold:
        cold.trouble.lose.add("put")
        cold.left = 5  # two bundles, two tiles, and the pack
        with pytest.raises(UnavailableError):
            log.archiver(cold).step(LATER)
    with psycopg.connect(log.place.database) as connection:
        connection.execute("DELETE FROM audit.payload WHERE sequence = 5")
    assert steps(log.archiver()) == [(0, 512)]
    assert log.verify().left_over == 1


def test_a_bundle_that_was_compressed_otherwise_is_as_good_and_another_is_not(
    log: ColdLog,
) -> None:
    log.seal(600)
    entries = [row.record for row in log.made[:256]]
    other = zstandard.ZstdCompressor(level=1).compress(bundle(entries))
    assert other != compressed(entries)
    log.cold.put_once("tile/entries/000.zst", other)
    wrong = zstandard.ZstdCompressor(level=1).compress(bundle(entries))
    log.cold.put_once("tile/entries/001.zst", wrong)
    with pytest.raises(ColdConflictError, match=r"entries/001\.zst"):
        log.archiver().step(LATER)
    (log.folder / "tile/entries/001.zst").unlink()
    assert steps(log.archiver()) == [(0, 512)]
    assert log.verify().size == 512


def test_another_store_than_the_one_that_holds_the_rest_is_refused(
    log: ColdLog, tmp_path: Path
) -> None:
    log.seal(1_100)
    log.archiver().step(LATER)
    with closing(TroubledCold(tmp_path / "other")) as other:
        with pytest.raises(BadEvidenceError, match="another store"):
            log.archiver(other).step(LATER)
        assert other.puts == 0


def test_old_payloads_leave_the_hot_store_once_archived_indexed_and_past_their_time(
    log: ColdLog,
) -> None:
    log.seal(700)
    archiver = log.archiver()
    assert archiver.drop(LATER) is None  # nothing is archived
    steps(archiver)
    assert archiver.drop(LATER) is None  # nothing is indexed
    log.indexed()
    assert archiver.drop(NOW) is None  # not past its time
    assert archiver.drop(LATER) == 512
    assert archiver.drop(LATER) is None
    assert log.payloads() == list(range(512, 700))
    assert log.verify().size == 512


def test_payloads_in_clear_are_neither_archived_nor_dropped(log: ColdLog) -> None:
    log.seal(300, lambda one: replace(one, subject=None) if one.sequence < 3 else one)
    archiver = log.archiver()
    steps(archiver)
    assert sorted(packed(log)) == list(range(3, 256))
    log.indexed()
    assert archiver.drop(LATER) == 253
    assert log.payloads() == [0, 1, 2, *range(256, 300)]


@pytest.mark.parametrize("how", ["flip", "cut", "gone"])
def test_no_payload_goes_whose_copy_is_not_right(log: ColdLog, how: str) -> None:
    log.seal(300)
    archiver = log.archiver()
    steps(archiver)
    log.indexed()
    (path,) = log.folder.glob("batch/*/*.pack")
    data = bytearray(path.read_bytes())
    path.unlink()
    data[-1] ^= 1
    if how != "gone":
        path.write_bytes(data if how == "flip" else data[:-1])
    with pytest.raises(BadEvidenceError, match="payloads-"):
        archiver.drop(LATER)
    assert len(log.payloads()) == 300


def test_only_one_archives_at_a_time(log: ColdLog) -> None:
    log.seal(300)
    with closing(ArchiveRows(log.place.database, "other")) as other:
        with other.alone() as alone:
            assert alone
            with log.rows.alone() as second:
                assert not second
            loop = _loop(log)
            loop.round(threading.Event())
            assert log.rows.last_archive() is None
        _loop(log).round(threading.Event())
        assert log.rows.last_archive() is not None


def _loop(log: ColdLog) -> ArchiveLoop:
    return ArchiveLoop(
        lambda: nullcontext(log.archiver()), after=DAY, hot=90 * DAY, clock=lambda: LATER
    )


def test_a_store_that_is_away_is_waited_for_and_nothing_stops(log: ColdLog) -> None:
    is_away = [True]

    def opened() -> AbstractContextManager[Archiver]:
        if is_away:
            raise UnavailableError("the cold store is away")
        return nullcontext(log.archiver())

    loop = ArchiveLoop(opened, after=DAY, hot=90 * DAY, clock=lambda: LATER)
    log.seal(300)
    loop.round(threading.Event())
    log.seal(1_100)
    assert (loop.stopped, log.rows.last_archive()) == (None, None)
    is_away.clear()
    loop.round(threading.Event())
    assert log.verify().size == 1_024


def test_the_loop_archives_drops_and_says_why_it_stopped(log: ColdLog) -> None:
    log.seal(600)
    log.indexed()
    loop = _loop(log)
    loop.wake()
    loop.round(threading.Event())
    assert loop.stopped is None
    assert log.payloads() == list(range(512, 600))
    log.seal(1_100)
    (log.folder / "manifest" / f"{0:015}-{512:015}").unlink()
    loop.round(threading.Event())
    assert loop.stopped is not None
    assert "manifest/" in loop.stopped
    assert len(log.place.column("SELECT 1 FROM audit.archive")) == 1


def test_a_bucket_holds_the_same(log: ColdLog, tmp_path: Path) -> None:
    log.seal(600)
    with object_store(tmp_path / "s3") as account, closing(client(account)) as s3:
        cold = BucketCold(s3, new_bucket(s3), "log/")
        assert steps(log.archiver(cold)) == [(0, 512)]
        log.indexed()
        assert log.archiver(cold).drop(LATER) == 512
        report = verify_cold(cold, KEY.public)
        assert (report.size, report.heads, report.left_over) == (512, None, 0)
        for one in cold.listed():
            found = s3.head_object(
                Bucket=cold._bucket, Key=f"log/{one.name}", VersionId=one.version
            )
            assert found["ObjectLockMode"] == "COMPLIANCE"
