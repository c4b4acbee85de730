"""A vault for tests: in memory for those without servers, else a database as `prepare` makes it."""

import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql
from tests.support.audit_log import Trouble

from vault.keyring import Keyring
from vault.keys import KeyFile, Wrapped
from vault.store import prepare


class MemoryStore:
    """`vault.store.Store` in memory."""

    def __init__(self) -> None:
        self.keys: dict[str, Wrapped | None] = {}
        self.tombstones: list[str] = []
        self.asked = 0
        self.trouble = Trouble()

    def keys_for(
        self, subjects: Sequence[str], candidates: Sequence[Wrapped]
    ) -> dict[str, Wrapped | None]:
        self.asked += 1
        with self.trouble.around("keys_for"):
            for subject, candidate in zip(subjects, candidates, strict=True):
                self.keys.setdefault(subject, candidate)
            return {subject: self.keys[subject] for subject in subjects}

    def find_keys(self, subjects: Sequence[str]) -> dict[str, Wrapped | None]:
        self.asked += 1
        return {subject: self.keys[subject] for subject in subjects if subject in self.keys}

    def destroyed_after(self, position: int, most: int) -> list[tuple[int, str]]:
        return list(enumerate(self.tombstones, 1))[position : position + most]

    def destroy(self, subject: str, reason: str, actor: str) -> bool:
        self.keys[subject] = None
        first = subject not in self.tombstones
        if first:
            self.tombstones.append(subject)
        return first

    def keks(self) -> list[str]:
        return list(dict.fromkeys(one.kek_id for one in self.keys.values() if one))

    def close(self) -> None:
        pass


def memory_keyring(folder: Path, store: MemoryStore | None = None, **more: object) -> Keyring:
    """A keyring without a database; its key file is made in `folder`."""
    path = folder / "vault.key"
    keys = KeyFile(path) if path.exists() else KeyFile.make(path)
    return Keyring(store or MemoryStore(), keys, **more)  # type: ignore[arg-type]


@dataclass(frozen=True)
class VaultPlace:
    """A prepared vault: who owns it, who may use it, and its key file."""

    owner: str
    caller: str
    key_file: Path

    def keyring(self, name: str = "test") -> Keyring:
        return Keyring.open(self.caller, self.key_file, name)


@contextmanager
def vault_place(superuser: str, folder: Path) -> Iterator[VaultPlace]:
    """A database of its own with two roles: one owns the schema, one may call its functions."""
    name = f"vault_{uuid.uuid4().hex[:12]}"
    owner, caller = f"{name}_owner", f"{name}_caller"
    with psycopg.connect(superuser, autocommit=True) as server:
        for role in (owner, caller):
            server.execute(
                sql.SQL("CREATE ROLE {} LOGIN PASSWORD 'test'").format(sql.Identifier(role))
            )
        server.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    inside = psycopg.conninfo.make_conninfo(superuser, dbname=name)
    with psycopg.connect(inside, autocommit=True) as database:
        database.execute(
            sql.SQL("CREATE SCHEMA vault AUTHORIZATION {}").format(sql.Identifier(owner))
        )
    dsns = [
        psycopg.conninfo.make_conninfo(inside, user=role, password="test")
        for role in (owner, caller)
    ]
    prepare(dsns[0], [caller])
    folder.mkdir(parents=True, exist_ok=True)
    key_file = folder / "vault.key"
    if not key_file.exists():
        KeyFile.make(key_file)
    try:
        yield VaultPlace(owner=dsns[0], caller=dsns[1], key_file=key_file)
    finally:
        with psycopg.connect(superuser, autocommit=True) as server:
            drop = sql.SQL("DROP DATABASE {} WITH (FORCE)")
            server.execute(drop.format(sql.Identifier(name)))
            for role in (owner, caller):
                server.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(role)))
