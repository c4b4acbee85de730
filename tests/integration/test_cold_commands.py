"""`placet audit archive`; `show` and `export` from the cold; `verify --cold` when tampered with."""

import json
import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from tests.support.audit_log import KEY, OTHER_KEY, MemoryLedger
from tests.support.audit_process import audit_place
from tests.support.audit_story import PROMPT, Log, audit_log, defaults, story
from tests.support.cold_log import cold_log
from tests.support.decisions import Desk
from tests.support.object_store import new_bucket, object_store
from typer.testing import CliRunner

from audit_sink.cli import Defaults, build
from audit_sink.cold.archive import Archiver
from audit_sink.cold.bucket import client
from audit_sink.cold.files import FolderCold
from audit_sink.cold.rows import ArchiveRows
from audit_sink.cold.whole import verify_cold
from audit_sink.folder import Folder
from audit_sink.ledger import Head
from audit_sink.source import FilesSource
from audit_sink.verify import BadEvidenceError

RUN = CliRunner()
DESK = Desk()
STORIES = [story(number, desk=DESK) for number in range(1, 53)]  # 260 records
FIRST = STORIES[0]


class Cold:
    """Where a test's commands look."""

    place: str | None = None
    signing_key: Path | None = None


def find_defaults() -> Defaults:
    return replace(defaults(), cold=Cold.place, signing_key=Cold.signing_key)


APP = build(find_defaults)


@pytest.fixture
def log(postgres: str, tmp_path: Path) -> Iterator[Log]:
    with audit_place(postgres, tmp_path / "log") as place, audit_log(place) as made:
        for one in STORIES:
            made.take(*one.events)
        made.seal()
        made.index()
        Cold.place = str(tmp_path / "cold")
        Cold.signing_key = tmp_path / "audit.key"
        Cold.signing_key.write_text(KEY.text)
        yield made


def run(*options: str, code: int = 0) -> str:
    result = RUN.invoke(APP, list(options))
    assert result.exit_code == code, result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result.stdout


def drop(log: Log) -> int | None:
    """Let the archived payloads leave, as the loop does ninety days later."""
    with (
        closing(ArchiveRows(log.place.database, "test")) as rows,
        closing(FolderCold(Path(Cold.place or ""))) as cold,
        closing(Folder(log.place.folder)) as folder,
    ):
        archiver = Archiver(rows=rows, cold=cold, source=FilesSource(folder), key=KEY, batch=4_096)
        return archiver.drop(datetime.now(UTC) + timedelta(days=1))


def test_the_same_commands_tell_the_same_story_from_the_cold(log: Log, tmp_path: Path) -> None:
    name = FIRST.decision.decision_id
    assert "Nothing to archive" in run("archive", *log.options[:4])  # a day old, it says
    assert "Nothing to archive" in run("archive", "--older-than", "2h", *log.options[:4])
    before = run("show", name, *log.options, "--json")
    run("export", "--item", name, *log.options, "--out", str(tmp_path / "before.zip"))
    told = json.loads(run("archive", "--now", *log.options[:4], "--json"))
    assert (told["ok"], told["archives"], told["first"], told["end"]) == (True, 1, 0, 256)
    assert "Nothing to archive" in run("archive", "--now", *log.options[:4])
    assert drop(log) == 256
    assert len(log.place.column("SELECT 1 FROM audit.payload")) == 4
    assert run("show", name, *log.options, "--json") == before
    result = RUN.invoke(APP, ["show", FIRST.item.item_id, *log.options, "--part", "prompt"])
    assert result.stdout_bytes == PROMPT.encode()
    run("export", "--item", name, *log.options, "--out", str(tmp_path / "after.zip"))
    assert (tmp_path / "after.zip").read_bytes() == (tmp_path / "before.zip").read_bytes()
    told = json.loads(run("archive", "status", *log.options[2:4], "--json"))
    assert (told["records"], told["archived"], told["payloads_left_hot_store"]) == (260, 256, 256)
    assert "256 of 260 records in 1 archives" in run("archive", "status", *log.options[2:4])

    cold, Cold.place = Cold.place, None
    assert "in the cold store, which was not asked" in run("show", name, *log.options)
    run("export", "--item", name, *log.options, "--out", str(tmp_path / "no.zip"), code=1)
    Cold.place = cold

    (path,) = Path(cold or "").glob("batch/*/*.pack")
    data = bytearray(path.read_bytes())
    data[len(data) // 2 :] = bytes(len(data) - len(data) // 2)
    path.unlink()
    path.write_bytes(data)
    wrong = STORIES[-2].item.item_id
    assert "NOT VERIFIED" in run("show", wrong, *log.options, code=6)

    with closing(log.place.keyring()) as vault:
        rows = log.place.column("SELECT DISTINCT subject FROM audit.search WHERE sequence = 0")
        vault.destroy(str(rows[0]), "asked", "sre")
    assert "payload destroyed" in run("show", "0", *log.options)


def test_commands_say_what_is_missing(log: Log, tmp_path: Path) -> None:
    run("archive", "--now", code=2)
    run("archive", "--now", "--older-than", "1h", *log.options[:4], code=2)
    run("archive", "--older-than", "soon", *log.options[:4], code=2)
    Cold.signing_key = None
    run("archive", "--now", *log.options[:4], code=2)
    Cold.signing_key, Cold.place = tmp_path / "audit.key", None
    run("archive", "--now", *log.options[:4], code=2)
    Cold.signing_key.write_text(OTHER_KEY.text)
    Cold.place = str(tmp_path / "cold")
    run("archive", "--now", *log.options[:4], code=6)
    run("archive", "--now", "--cold", "ftp://x", *log.options[:4], code=1)
    run("verify", "--cold", str(tmp_path / "nowhere"), "--key", KEY.public.text, code=1)


@pytest.fixture(scope="module")
def archived(
    postgres_server: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Path, str]]:
    """A cold store with two archives of 256 records, and the ledger's DSN."""
    folder = tmp_path_factory.mktemp("archived")
    name = f"test_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    dsn = psycopg.conninfo.make_conninfo(postgres_server, dbname=name)
    with audit_place(dsn, folder / "log") as place, cold_log(place, folder / "cold") as log:
        log.batch = 256
        log.seal(300)
        log.seal(600)
        while log.archiver().step(datetime.now(UTC) + timedelta(days=9_000)):
            pass
        yield folder / "cold", place.ledger
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def verify(folder: Path | str, *more: str, code: int = 0, key: str = KEY.public.text) -> str:
    result = RUN.invoke(APP, ["verify", "--cold", str(folder), "--key", key, *more])
    assert result.exit_code == code, result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)
    assert "Traceback" not in result.output
    return result.output


def test_a_cold_store_verifies_with_and_without_the_ledger(archived: tuple[Path, str]) -> None:
    folder, ledger = archived
    assert "512 records of placet.test/log in 2 archives checked" in verify(folder)
    assert "ledger: NOT CHECKED" in verify(folder)
    assert "ledger: 1 heads lie on this history" in verify(folder, "--ledger", ledger)
    told = json.loads(verify(folder, "--json"))
    assert (told["ok"], told["archives"], told["records"]) == (True, 2, 512)


def _one(folder: Path, pattern: str) -> Path:
    return min(folder.glob(pattern))


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    path.write_bytes(data)


def _flip(pattern: str) -> Callable[[Path], None]:
    def tamper(folder: Path) -> None:
        path = _one(folder, pattern)
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        _write(path, bytes(data))

    return tamper


def _cut(pattern: str) -> Callable[[Path], None]:
    return lambda folder: _write(_one(folder, pattern), _one(folder, pattern).read_bytes()[:-1])


def _gone(pattern: str) -> Callable[[Path], None]:
    return lambda folder: _one(folder, pattern).unlink()


def _swap(pattern: str) -> Callable[[Path], None]:
    def tamper(folder: Path) -> None:
        one, other = sorted(folder.glob(pattern))[:2]
        data = one.read_bytes()
        _write(one, other.read_bytes())
        _write(other, data)

    return tamper


def _link(pattern: str) -> Callable[[Path], None]:
    def tamper(folder: Path) -> None:
        path = _one(folder, pattern)
        moved = folder.parent / "outside"
        path.rename(moved)
        path.symlink_to(moved)

    return tamper


def _huge(pattern: str) -> Callable[[Path], None]:
    def tamper(folder: Path) -> None:
        path = _one(folder, pattern)
        path.chmod(0o600)
        os.truncate(path, 2**40)  # sparse: whoever reads it whole never comes back

    return tamper


def _add(name: str, data: bytes = b"?") -> Callable[[Path], None]:
    return lambda folder: _write(folder / name, data)


def _pipe(folder: Path) -> None:
    path = _one(folder, "tile/0/*")
    path.unlink()
    os.mkfifo(path)


_MANIFEST = f"manifest/{0:015}-{256:015}"
_KINDS = {
    "tile": "tile/0/*",
    "entries": "tile/entries/*",
    "pack": "batch/*/*.pack",
    "table": "batch/*/*.parquet",
    "manifest": "manifest/*",
}
_TAMPERED = {
    **{
        f"{how.__name__.strip('_')} {kind}": (how(pattern), pattern.split("*")[0])
        for kind, pattern in _KINDS.items()
        for how in (_flip, _cut, _gone, _swap, _link, _huge)
    },
    "foreign": (_add("notes.txt"), "notes.txt"),
    "foreign tile": (_add("tile/0/001.p/3"), "tile/0/001.p/3"),
    "foreign tile far ahead": (_add("tile/0/x009/999"), "tile/0/x009/999"),
    "foreign manifest": (_add(f"manifest/{512:015}-{768:015}"), "manifest/"),
    "no name of a manifest": (_add("manifest/latest"), "manifest/latest"),
    "left-over that lies": (
        _add(f"batch/{0:015}-{256:015}/payloads-{'0' * 64}.pack"),
        "payloads-0000",
    ),
    "pipe": (_pipe, "tile/0/"),
    "all manifests gone": (lambda folder: shutil.rmtree(folder / "manifest"), "manifest/"),
    "older manifest again": (
        lambda folder: _write(
            folder / f"manifest/{256:015}-{512:015}", (folder / _MANIFEST).read_bytes()
        ),
        "manifest/",
    ),
}


@pytest.mark.parametrize("what", _TAMPERED)
def test_whatever_is_done_to_a_cold_store_is_found_and_named(
    archived: tuple[Path, str], tmp_path: Path, what: str
) -> None:
    tamper, where = _TAMPERED[what]
    folder = tmp_path / "cold"
    shutil.copytree(archived[0], folder)
    tamper(folder)
    said = verify(folder, code=6)
    assert "NOT VERIFIED" in said
    assert where in said


def test_another_key_and_another_history_are_found(archived: tuple[Path, str]) -> None:
    folder, _ = archived
    assert "no signature by" in verify(folder, code=6, key=OTHER_KEY.public.text)
    memory = MemoryLedger()
    memory.heads.append(Head(size=300, root=bytes(32), checkpoint=b""))
    with closing(FolderCold(folder)) as cold:
        with pytest.raises(BadEvidenceError, match="a fork"):
            verify_cold(cold, KEY.public, memory)


NOT_ENFORCED_BY_MINISTACK = [
    "a body that is not its SHA-256 is refused",
    "a body changed behind its signature is refused",
    "a wrong secret key is refused",
    "DELETE hides a locked object and leaves its version",
    "a range of a version is that range",
    "a lock that ends in the past is refused",
    "a lock without an end is refused",
    "versions cannot be suspended",
]


def test_lock_check_says_exactly_what_a_bucket_does_not_enforce(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with object_store(tmp_path / "s3") as account, closing(client(account)) as s3:
        (tmp_path / "secret").write_text(f"{account.secret}\n")
        monkeypatch.setenv("PLACET_COLD_ENDPOINT", account.endpoint or "")
        monkeypatch.setenv("PLACET_COLD_REGION", account.region or "")
        monkeypatch.setenv("PLACET_COLD_KEY_ID", account.key_id or "")
        monkeypatch.setenv("PLACET_COLD_SECRET_FILE", str(tmp_path / "secret"))
        bucket = new_bucket(s3)
        told = json.loads(run("lock-check", f"s3://{bucket}/a", "--json", code=6))
        assert len(told["probes"]) == 31
        broken = [one["claim"] for one in told["probes"] if not one["enforced"]]
        assert broken == NOT_ENFORCED_BY_MINISTACK
        text = run("lock-check", f"s3://{bucket}", code=6)
        assert text.count("NOT ENFORCED") == len(NOT_ENFORCED_BY_MINISTACK)
        open_bucket = new_bucket(s3, lock=False, versions=False)
        told = json.loads(run("lock-check", f"s3://{open_bucket}", "--json", code=6))
        broken = [one["claim"] for one in told["probes"] if not one["enforced"]]
        for claim in ("keeps versions", "has object lock"):
            assert f"the bucket {claim}" in broken
        assert "COMPLIANCE: the version is not deleted" in broken
    run("lock-check", "here", code=2)
    run("lock-check", f"s3://{bucket}", code=1)  # nobody answers any more
