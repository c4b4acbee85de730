"""The real audit sink: its databases, its files, and the process itself."""

import base64
import os
import socket
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql
from tests.support.audit_log import KEY
from tests.support.dispatcher_process import Started

from audit_sink.folder import Folder
from audit_sink.ledger import PostgresLedger
from audit_sink.verify import Report, verify
from vault.keyring import Keyring
from vault.keys import KeyFile
from vault.store import prepare


@dataclass
class Place:
    """Where one audit log lives."""

    database: str
    ledger: str
    vault: str
    vault_key_file: Path
    folder: Path

    def keyring(self) -> Keyring:
        return Keyring.open(self.vault, self.vault_key_file, "test")

    def verify(self) -> Report:
        folder, ledger = Folder(self.folder), PostgresLedger(self.ledger, KEY.name, "test")
        try:
            return verify(folder, KEY.public, ledger)
        finally:
            folder.close()
            ledger.close()

    def column(self, statement: str) -> list[object]:
        with psycopg.connect(self.database) as connection:
            return [row[0] for row in connection.execute(statement).fetchall()]


@contextmanager
def audit_place(superuser: str, folder: Path) -> Iterator[Place]:
    """Two databases: the log's, in which `superuser` is connected, and a new one for all else.

    The vault is beside the ledger there; `tests.support.vault` has one as it is in earnest.
    """
    name = f"ledger_{uuid.uuid4().hex[:12]}"
    ledger = psycopg.conninfo.make_conninfo(superuser, dbname=name)
    with psycopg.connect(superuser, autocommit=True) as connection:
        connection.execute("CREATE SCHEMA audit")
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    with psycopg.connect(ledger, autocommit=True) as connection:
        connection.execute("CREATE SCHEMA ledger")
        connection.execute("CREATE SCHEMA vault")
    prepare(ledger)
    key_file = folder.with_name("vault.key")
    KeyFile.make(key_file)
    yield Place(
        database=superuser, ledger=ledger, vault=ledger, vault_key_file=key_file, folder=folder
    )
    with psycopg.connect(superuser, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@contextmanager
def audit_sink(place: Place, kafka: str, files: Path) -> Iterator[Started]:
    """Run the process; it is killed at the end if it still lives."""
    files.mkdir(exist_ok=True)
    (files / "audit.key").write_text(KEY.text + "\n")
    (files / "installation.key").write_text(base64.b64encode(bytes(32)).decode())
    port = _free_port()
    log = files / f"audit-sink-{port}.log"
    environment = os.environ | {
        "PLACET_KAFKA": kafka,
        "PLACET_DATABASE": place.database,
        "PLACET_LEDGER": place.ledger,
        "PLACET_VAULT": place.vault,
        "PLACET_VAULT_KEY_FILE": str(place.vault_key_file),
        "PLACET_AUDIT_DIR": str(place.folder),
        "PLACET_AUDIT_KEY_FILE": str(files / "audit.key"),
        "PLACET_AUDIT_ORIGIN": KEY.name,
        "PLACET_INSTALLATION_KEY_FILE": str(files / "installation.key"),
        "PLACET_OPS_PORT": str(port),
    }
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-c", "from audit_sink.main import main; main()"],
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    started = Started(process=process, log=log, ops=f"http://127.0.0.1:{port}")
    try:
        yield started
    finally:
        if process.poll() is None:
            started.kill()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
