"""The real dispatcher process, with its files and its environment."""

import base64
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from psycopg import sql
from tests.support.decisions import Desk

TOKEN = "service-token-of-the-tests"


_TABLE = """
kind = "postgresql"
dsn_file = "dsn"
table = "faq_answer"
key_column = "id"
version_column = "version"
columns = ["answer", "status"]
identifier_pattern = "[A-Za-z0-9_-]+"
retry = [0.2, 0.5, 1.0]
"""


@dataclass
class Started:
    """A running process. `log` is its standard output."""

    process: "subprocess.Popen[bytes]"
    log: Path
    ops: str

    def events(self) -> list[str]:
        lines = self.log.read_text().splitlines()
        return [json.loads(line)["event"] for line in lines if line.startswith("{")]

    def until(self, condition: Callable[[], Any], seconds: float = 40.0) -> None:
        """Wait for `condition`, while the process lives."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()[-3000:]
            time.sleep(0.02)

    def get(self, path: str) -> tuple[int, str]:
        return fetch(self.ops + path)

    def metric(self, name: str) -> float:
        _, text = self.get("/metrics")
        return sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith(name))

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """SIGTERM; the exit code. Ten seconds are allowed."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(10)


def fetch(url: str, token: str | None = None) -> tuple[int, str]:
    request = urllib.request.Request(url)
    if token is not None:
        request.add_header("Authorization", f"Bearer {token}")
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()
    except (urllib.error.URLError, ConnectionError):
        return 0, "nobody listens yet"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@dataclass
class Place:
    """Where a dispatcher is configured; `start` may be called more than once."""

    folder: Path
    environment: dict[str, str]
    instance: str
    snapshots: str
    running: list[Started]

    def start(self, **changes: str) -> Started:
        port = free_port()
        log = self.folder / f"log-{len(self.running)}"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "dispatcher.main"],
                env={
                    **os.environ,
                    **self.environment,
                    "PLACET_OPS_PORT": str(port),
                    **changes,
                },
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        started = Started(process, log, f"http://127.0.0.1:{port}")
        self.running.append(started)
        return started


def _dispatch_role(server: str) -> tuple[str, str]:
    """Make schema and role as `placet up` does; return the role and its DSN."""
    role = f"dispatch_{uuid.uuid4().hex[:10]}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(
            sql.SQL(
                "CREATE ROLE {role} LOGIN PASSWORD 'secret';"
                "CREATE SCHEMA dispatch AUTHORIZATION {role}"
            ).format(role=sql.Identifier(role))
        )
    return role, psycopg.conninfo.make_conninfo(server, user=role, password="secret")


@contextmanager
def dispatcher_place(
    folder: Path,
    *,
    server: str,
    kafka: str,
    target_dsn: str,
    desk: Desk,
    instance: str,
    entry: str | None = None,
) -> Iterator[Place]:
    """`entry`: the target in `targets.toml`, but for name and dispatcher; default: the table."""
    role, dsn = _dispatch_role(server)
    port = free_port()
    (folder / "keys").mkdir()
    public = Ed25519PublicKey.from_public_bytes(desk.signer.public_bytes)
    (folder / "keys" / "decisions.pem").write_bytes(
        public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )
    (folder / "installation.key").write_text(base64.b64encode(b"k" * 32).decode())
    (folder / "token").write_text(TOKEN)
    (folder / "dsn").write_text(target_dsn)
    (folder / "targets.toml").write_text(
        f"""
[[target]]
name = "{instance}"
dispatcher_url = "http://127.0.0.1:{port}"
hold = 0
{entry or _TABLE}
"""
    )
    place = Place(
        folder=folder,
        environment={
            "PLACET_KAFKA": kafka,
            "PLACET_DATABASE": dsn,
            "PLACET_INSTALLATION_KEY_FILE": str(folder / "installation.key"),
            "PLACET_TARGETS": str(folder / "targets.toml"),
            "PLACET_TARGET": instance,
            "PLACET_PORT": str(port),
            "PLACET_DECISION_PUBLIC_KEYS": str(folder / "keys"),
            "PLACET_SERVICE_TOKEN_FILE": str(folder / "token"),
        },
        instance=instance,
        snapshots=f"http://127.0.0.1:{port}/internal/snapshot",
        running=[],
    )
    try:
        yield place
    finally:
        for one in place.running:
            if one.process.poll() is None:
                one.kill()
        with (
            contextlib.suppress(psycopg.Error),
            psycopg.connect(server, autocommit=True) as connection,
        ):
            connection.execute(
                sql.SQL("DROP OWNED BY {role} CASCADE; DROP ROLE {role}").format(
                    role=sql.Identifier(role)
                )
            )
