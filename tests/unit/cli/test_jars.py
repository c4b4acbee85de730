"""Jars: only what the lock file names, and nothing that differs from it."""

import hashlib
from pathlib import Path

import pytest

from placet.servers import jars
from placet.servers.jars import Jar, JarError, LockFileError, locked_jars, parse_lock

DIGEST = hashlib.sha256(b"a jar").hexdigest()
LINE = f"org.example:thing:1.0 5 sha256:{DIGEST}\n"


def jar(content: bytes = b"a jar") -> Jar:
    return Jar(
        group="org.example",
        artifact="thing",
        version="1.0",
        size=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
    )


def test_lock_file_holds_kafka_with_all_it_needs_and_a_log_binding() -> None:
    names = {one.artifact for one in locked_jars()}
    assert len(locked_jars()) == 45
    assert {"kafka_2.13", "kafka-clients", "scala-library", "slf4j-simple"} <= names


def test_a_line_is_coordinate_size_and_checksum() -> None:
    assert parse_lock("# why\n\n" + LINE) == (jar(),)


@pytest.mark.parametrize(
    "line",
    [
        "org.example:thing 5 sha256:" + DIGEST,
        f"org.example:thing:1.0 five sha256:{DIGEST}",
        f"org.example:thing:1.0 5 md5:{DIGEST}",
        "org.example:thing:1.0 5 sha256:abcd",
        "org.example:thing:1.0 5",
    ],
)
def test_a_line_of_another_form_is_refused_by_its_number(line: str) -> None:
    with pytest.raises(LockFileError, match="line 2"):
        parse_lock("# first\n" + line)


def test_a_jar_named_twice_is_refused() -> None:
    with pytest.raises(LockFileError, match="twice"):
        parse_lock(LINE + LINE)


def test_another_checksum_is_refused_and_nothing_of_it_is_kept(tmp_path: Path) -> None:
    fetched = tmp_path / "fetched"
    fetched.write_bytes(b"a bar")
    cache = tmp_path / "cache"
    cache.mkdir()
    with pytest.raises(JarError, match="SHA-256"):
        jars.install(fetched, jar(), cache)
    assert not fetched.exists()
    assert list(cache.iterdir()) == []


def test_a_jar_changed_in_the_cache_is_fetched_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "jars"
    folder.mkdir()
    (folder / jar().filename).write_bytes(b"a bar")
    asked = []

    def fetch(wanted: Jar, repository: Path) -> Path:
        asked.append(wanted)
        repository.mkdir(parents=True)
        (repository / "x").write_bytes(b"a jar")
        return repository / "x"

    monkeypatch.setattr(jars, "_fetch", fetch)
    progress: list[tuple[int, int]] = []
    found = jars.ensure_jars(lambda *at: progress.append(at), cache=tmp_path, jars=[jar()])
    assert [path.read_bytes() for path in found] == [b"a jar"]
    assert asked == [jar()]
    assert progress == [(5, 5)]
    jars.ensure_jars(cache=tmp_path, jars=[jar()])
    assert asked == [jar()]


def test_a_jar_that_cannot_be_had_says_which_and_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fetch(_jar: Jar, _repository: Path) -> Path:
        raise RuntimeError("no route")

    monkeypatch.setattr(jars, "_fetch", fetch)
    with pytest.raises(JarError, match=r"org\.example:thing:1\.0.*no route"):
        jars.ensure_jars(cache=tmp_path, jars=[jar()])
    assert [path.name for path in (tmp_path / "jars").iterdir()] == [".lock"]
