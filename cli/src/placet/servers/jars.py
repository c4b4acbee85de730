"""The jars of the Kafka broker: fetched once, checked against `kafka.lock` every time.

Owns the lock file's grammar and the cache. Refuses to resolve versions: what is not in
the lock file is not downloaded, and a jar with another SHA-256 is never put on a class path.
"""

import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Final

Progress = Callable[[int, int], None]
"""Called with (bytes present and checked, bytes in all); from several threads."""

_DOWNLOADS_AT_ONCE: Final = 8
_TRIES: Final = 3


class LockFileError(ValueError):
    """`kafka.lock` cannot be read; the message names the line."""


class JarError(Exception):
    """A jar could not be had, or is not the one that was locked; nothing was kept of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Jar:
    """One line of the lock file; `size` in bytes."""

    group: str
    artifact: str
    version: str
    size: int
    sha256: str

    @property
    def filename(self) -> str:
        return f"{self.artifact}-{self.version}.jar"


def parse_lock(text: str) -> tuple[Jar, ...]:
    """Read `group:artifact:version bytes sha256:hex` lines; '#' starts a comment line."""
    jars = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        jars.append(_parse_line(number, line))
    if len({jar.filename for jar in jars}) != len(jars):
        raise LockFileError("kafka.lock names a jar twice")
    return tuple(jars)


def _parse_line(number: int, line: str) -> Jar:
    try:
        coordinate, size, checksum = line.split()
        group, artifact, version = coordinate.split(":")
        algorithm, digest = checksum.split(":")
        if algorithm != "sha256" or len(bytes.fromhex(digest)) != hashlib.sha256().digest_size:
            raise ValueError(checksum)
        return Jar(
            group=group, artifact=artifact, version=version, size=int(size), sha256=digest.lower()
        )
    except ValueError as error:
        raise LockFileError(f"kafka.lock, line {number}: cannot read {line!r}") from error


def locked_jars() -> tuple[Jar, ...]:
    return parse_lock(files("placet").joinpath("kafka.lock").read_text("utf-8"))


def cache_folder() -> Path:
    """`PLACET_CACHE`, else the user's cache folder. Safe to delete."""
    if named := os.environ.get("PLACET_CACHE"):
        return Path(named).expanduser().absolute()
    root = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(root).expanduser().absolute() / "placet"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the folder's file lock: one process at a time fills the cache. Blocks."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def ensure_jars(
    progress: Progress | None = None, *, cache: Path | None = None, jars: Sequence[Jar] = ()
) -> list[Path]:
    """Return the path of every locked jar, downloading what the cache lacks.

    Every jar is hashed on every call. Raises JarError.
    """
    wanted = tuple(jars) or locked_jars()
    folder = (cache or cache_folder()) / "jars"
    total = sum(jar.size for jar in wanted)
    done = 0

    def report(jar: Jar) -> None:
        nonlocal done
        done += jar.size
        if progress:
            progress(done, total)

    with locked(folder):
        missing = []
        for jar in wanted:
            if _matches(folder / jar.filename, jar):
                report(jar)
            else:
                missing.append(jar)
        if missing:
            _download_all(missing, folder, report)
    return [folder / jar.filename for jar in wanted]


def _matches(path: Path, jar: Jar) -> bool:
    if not path.is_file() or path.stat().st_size != jar.size:
        return False
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest() == jar.sha256


def _download_all(jars: Sequence[Jar], folder: Path, report: Callable[[Jar], None]) -> None:
    # Inside the cache, so that os.replace never crosses file systems. A crash leaves the
    # scratch folder, which the next download removes; never half a jar under a jar's name.
    for left_over in folder.glob("scratch-*"):
        shutil.rmtree(left_over, ignore_errors=True)
    scratch = Path(tempfile.mkdtemp(prefix="scratch-", dir=folder))
    try:
        with ThreadPoolExecutor(_DOWNLOADS_AT_ONCE) as pool:
            jobs = [(jar, pool.submit(_download, jar, scratch, folder)) for jar in jars]
            for jar, job in jobs:
                job.result()
                report(jar)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _download(jar: Jar, scratch: Path, folder: Path) -> None:
    failure: Exception | None = None
    for attempt in range(_TRIES):
        try:
            fetched = _fetch(jar, scratch / str(attempt))
        except Exception as error:  # noqa: BLE001 - jgo raises RuntimeError and anything of requests
            failure = error
            continue
        install(fetched, jar, folder)
        return
    raise JarError(
        f"{jar.group}:{jar.artifact}:{jar.version} could not be downloaded: {failure}\n"
        "Check the network; behind a proxy that inspects TLS set REQUESTS_CA_BUNDLE."
    ) from failure


def _fetch(jar: Jar, repository: Path) -> Path:
    # Here, not above: jgo takes a quarter of a second to import and is rarely needed.
    from jgo.maven import MavenContext  # noqa: PLC0415

    context = MavenContext(repo_cache=repository, timeout=60)
    artifact = context.project(jar.group, jar.artifact).at_version(jar.version).artifact()
    return Path(artifact.resolve())


def install(fetched: Path, jar: Jar, folder: Path) -> None:
    """Move a fetched file into the cache if it is the locked one; else JarError, nothing kept."""
    if not _matches(fetched, jar):
        fetched.unlink(missing_ok=True)
        raise JarError(
            f"{jar.filename} is not the jar that kafka.lock names (SHA-256 differs). It was "
            "thrown away. Try again; if it happens twice, somebody changed it on the way."
        )
    os.replace(fetched, folder / jar.filename)  # noqa: PTH105 - atomic within the cache
