"""The verifier against every way to meddle with a log that somebody thought of, as a table."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.support.audit_log import KEY, OTHER_KEY, MemoryLedger, row, sealed

from audit_sink.checkpoint import Checkpoint, PublicKey, new_key, sign
from audit_sink.folder import Folder
from audit_sink.record import record_problem
from audit_sink.tiles import bundle, split_bundle
from audit_sink.tree import Edge, leaf_hash
from audit_sink.verify import BadEvidenceError, CutBackError, Finding, Report, verify

SIZES = (100, 300, 700)


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, MemoryLedger]:
    folder = tmp_path_factory.mktemp("original") / "log"
    return folder, sealed(folder, *SIZES)


@pytest.fixture
def log(original: tuple[Path, MemoryLedger], tmp_path: Path) -> Path:
    shutil.copytree(original[0], tmp_path / "log")
    return tmp_path / "log"


def check(
    path: Path, ledger: MemoryLedger | None = None, key: PublicKey = KEY.public
) -> Report | Finding:
    folder = Folder(path)
    try:
        return verify(folder, key, ledger)
    except BadEvidenceError as error:
        return error.finding
    finally:
        folder.close()


def finding(path: Path, ledger: MemoryLedger | None = None) -> Finding:
    found = check(path, ledger)
    assert isinstance(found, Finding), "nothing was found"
    return found


def test_an_untouched_copy_verifies_without_any_database(log: Path) -> None:
    report = check(log)
    assert isinstance(report, Report)
    assert (report.size, report.origin, report.heads) == (700, KEY.name, None)


def test_with_the_ledger_every_head_is_checked(
    log: Path, original: tuple[Path, MemoryLedger]
) -> None:
    report = check(log, original[1])
    assert isinstance(report, Report)
    assert report.heads == 3


def _flip(path: Path, at: int, bit: int = 0) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1 << bit
    path.write_bytes(bytes(data))


def _rewrite_entries(path: Path, change: Callable[[list[bytes]], list[bytes]]) -> None:
    path.write_bytes(bundle(change(split_bundle(path.read_bytes(), 256)[0])))


def test_a_flipped_byte_names_the_record(log: Path) -> None:
    path = log / "tile/entries/001"
    entries = split_bundle(path.read_bytes(), 256)[0]
    start = sum(2 + len(entry) for entry in entries[:44]) + 2
    _flip(path, start + entries[44].index(b'"PAUSED"') + 2)
    found = finding(log)
    assert (found.sequence, found.file, found.type) == (300, "tile/entries/001", "Control")
    assert found.event_id == str(row(300).event_id)
    assert "record 300 (Control" in str(found)


def test_a_flipped_hash_names_the_tile_and_clears_the_record(log: Path) -> None:
    _flip(log / "tile/0/001", 32 * 44)
    found = finding(log)
    assert (found.sequence, found.file) == (None, "tile/0/001")
    assert "record 300 itself is as it was sealed" in found.problem


def test_the_last_tile_is_told_apart_from_the_last_bundle_by_the_root(log: Path) -> None:
    _flip(log / "tile/0/002.p/188", 5)
    assert finding(log).file == "tile/0/002.p/188"


def _delete_record(entries: list[bytes]) -> list[bytes]:
    return entries[:10] + entries[11:]


def _swap_records(entries: list[bytes]) -> list[bytes]:
    return [*entries[:10], entries[11], entries[10], *entries[12:]]


def _insert_record(entries: list[bytes]) -> list[bytes]:
    return [*entries[:10], entries[10], *entries[10:]]


@pytest.mark.parametrize("change", [_delete_record, _swap_records, _insert_record])
def test_rows_that_were_moved_name_the_first(
    log: Path, change: Callable[[list[bytes]], list[bytes]]
) -> None:
    _rewrite_entries(log / "tile/entries/000", change)
    found = finding(log)
    assert found.sequence == (11 if change is _insert_record else 10)


def _remake(log: Path, size: int, change: dict[int, bytes]) -> Edge:
    """Write every file anew over changed records, as somebody with all our code could."""
    edge = Edge()
    for at in range(0, size, 256):
        entries = [change.get(n, row(n).record) for n in range(at, min(size, at + 256))]
        width = len(entries)
        suffix = "" if width == 256 else f".p/{width}"
        (log / f"tile/entries/{at // 256:03}{suffix}").write_bytes(bundle(entries))
        for name, data in edge.extend(leaf_hash(entry) for entry in entries):
            (log / name.path).write_bytes(data)
    for name, data in edge.partial_tiles():
        (log / name.path).write_bytes(data)
    return edge


def test_files_made_anew_without_the_key_fail_at_the_root(log: Path) -> None:
    _remake(log, 700, {300: row(300, word="forged").record})
    found = finding(log)
    assert found.file == "checkpoint"
    assert "root" in found.problem


def test_files_made_anew_with_the_stolen_key_fail_at_the_ledger(
    log: Path, original: tuple[Path, MemoryLedger]
) -> None:
    edge = _remake(log, 700, {350: row(350, word="forged").record})
    note = sign(Checkpoint(origin=KEY.name, size=700, root=edge.root()), KEY)
    (log / "checkpoint").write_bytes(note)
    assert isinstance(check(log), Report), "without the ledger nobody can know"
    found = finding(log, original[1])
    assert found.file == "ledger"
    assert "one of 300 to 699" in found.problem


def test_a_record_that_was_sealed_in_bad_form_is_named(log: Path) -> None:
    for bad in (b"{}", row(9).record, row(10).record + b" ", b"\xff", b"x" * 9_000):
        edge = _remake(log, 700, {10: bad})
        note = sign(Checkpoint(origin=KEY.name, size=700, root=edge.root()), KEY)
        (log / "checkpoint").write_bytes(note)
        assert finding(log).sequence == 10
        assert record_problem(bad, 10)


def test_a_log_that_was_cut_back_is_caught_by_the_ledger(
    tmp_path: Path, original: tuple[Path, MemoryLedger]
) -> None:
    sealed(tmp_path / "old", 100, 300)
    assert isinstance(check(tmp_path / "old"), Report), "without the ledger nobody can know"
    with pytest.raises(CutBackError, match=r"300 records, but the ledger's head has 700"):
        verify(Folder(tmp_path / "old"), KEY.public, original[1])


def test_a_head_the_ledger_never_saw_is_a_finding(log: Path) -> None:
    ledger = MemoryLedger()
    assert "knows no head of 700" in finding(log, ledger).problem
    other = sealed(log.parent / "other", 700, word="other")
    assert "another root" in finding(log, other).problem


@pytest.mark.parametrize(
    ("key", "says"),
    [
        (OTHER_KEY.public, "no signature by"),
        (new_key("placet.test/second", KEY.seed).public, "no signature by"),
    ],
)
def test_a_wrong_key_is_said_to_be_one(log: Path, key: PublicKey, says: str) -> None:
    found = check(log, key=key)
    assert isinstance(found, Finding)
    assert found.file == "checkpoint"
    assert says in found.problem


def _replace_by(data: bytes) -> Callable[[Path], None]:
    return lambda path: path.write_bytes(data) and None


def _remove(path: Path) -> None:
    path.unlink()


def _link(path: Path) -> None:
    copy = path.with_name("copy-elsewhere")
    outside = path.parents[3] / copy.name
    path.rename(outside)
    path.symlink_to(outside)


def _hole(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(5_000_000_000)


def _fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _folder_instead(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _unreadable(path: Path) -> None:
    path.write_bytes(os.urandom(300))


def _cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 1)


def _extend(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"\0")


FILES = (
    "checkpoint",
    "tile/0/000",
    "tile/0/002.p/188",
    "tile/1/000.p/2",
    "tile/entries/001",
    "tile/entries/002.p/188",
)
MEDDLING: dict[str, Callable[[Path], None]] = {
    "missing": _remove,
    "empty": _replace_by(b""),
    "cut": _cut,
    "longer": _extend,
    "5 GB": _hole,
    "noise": _unreadable,
    "a link": _link,
    "a pipe": _fifo,
    "a folder": _folder_instead,
}


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("meddle", MEDDLING.values(), ids=MEDDLING)
def test_whatever_lies_where_a_file_belongs_is_named_with_its_file(
    log: Path, meddle: Callable[[Path], None], file: str
) -> None:
    if meddle is _link and file == "checkpoint":
        (log / "checkpoint").rename(log.parent / "elsewhere")
        (log / "checkpoint").symlink_to(log.parent / "elsewhere")
    else:
        meddle(log / file)
    assert finding(log).file == file


def test_a_linked_folder_is_not_followed(log: Path) -> None:
    (log / "tile/0").rename(log.parent / "tiles")
    (log / "tile/0").symlink_to(log.parent / "tiles")
    assert "link" in finding(log).problem


def test_swapped_files_are_found(log: Path) -> None:
    one, other = log / "tile/entries/000", log / "tile/entries/001"
    one.rename(log.parent / "x")
    other.rename(one)
    (log.parent / "x").rename(other)
    assert finding(log).sequence == 0


STRAYS = {
    "a text": ("notes.txt", b"hello"),
    "no tile's name": ("tile/0/1", b""),
    "a second name": ("tile/0/x000/001", bytes(8192)),
    "a temporary file": ("tile/0/000.tmp", b""),
    "a tile after a hole": ("tile/0/009", bytes(8192)),
    "a level nobody needs": ("tile/5/001", bytes(8192)),
    "another width": ("tile/0/002.p/187", bytes(187 * 32)),
    "another length": ("tile/0/002.p/3", b""),
    "more than its width": ("tile/entries/002.p/1", bundle([row(512).record, row(513).record])),
    "other entries": ("tile/entries/002.p/2", bundle([row(512).record, row(512).record])),
    "a wider one that differs": ("tile/0/002.p/200", bytes(200 * 32)),
}


@pytest.mark.parametrize(("path", "data"), STRAYS.values(), ids=STRAYS)
def test_nothing_unexplained_may_lie_in_the_folder(log: Path, path: str, data: bytes) -> None:
    (log / path).parent.mkdir(parents=True, exist_ok=True)
    (log / path).write_bytes(data)
    assert finding(log).file == path


def test_a_publication_under_way_is_no_finding(log: Path, tmp_path: Path) -> None:
    sealed(tmp_path / "later", 1_100)
    for path in sorted((tmp_path / "later/tile").rglob("*")):
        target = log / path.relative_to(tmp_path / "later")
        if path.is_file() and not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    report = check(log)
    assert isinstance(report, Report)
    assert report.ahead == 7


def test_full_tiles_stand_in_for_the_partial_ones_they_replaced(tmp_path: Path) -> None:
    sealed(tmp_path / "log", 700, 1_100)
    sealed(tmp_path / "old", 700)
    (tmp_path / "log/checkpoint").write_bytes((tmp_path / "old/checkpoint").read_bytes())
    report = check(tmp_path / "log")
    assert isinstance(report, Report)
    assert report.size == 700


def test_dotted_names_are_let_be(log: Path) -> None:
    (log / ".DS_Store").write_bytes(b"x")
    (log / "tile/.nfs0001").write_bytes(b"x")
    assert isinstance(check(log), Report)


def test_an_empty_log_is_a_log(tmp_path: Path) -> None:
    ledger = sealed(tmp_path, 0)
    report = check(tmp_path, ledger)
    assert isinstance(report, Report)
    assert report.size == 0


def test_the_files_are_what_the_specification_says(log: Path) -> None:
    assert (log / "tile/0/000").stat().st_size == 8_192
    data = (log / "tile/entries/000").read_bytes()
    first = data[2 : 2 + int.from_bytes(data[:2])]
    assert json.loads(first)["sequence"] == 0
    assert (log / "tile/0/000").read_bytes()[:32] == leaf_hash(first)
