"""Wrapped keys in PostgreSQL, schema `vault` of a database of its own.

Owns the SQL, the one session, and who may call what. Refuses to know data keys: what passes here is
wrapped, and what wraps it never comes here.
"""

import re
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.resources import files
from types import MappingProxyType, TracebackType
from typing import Any, Final, LiteralString, Self, cast

import psycopg
from psycopg import sql

from conveyor.database import connect, unavailable_database
from conveyor.errors import UnavailableError
from conveyor.migrate import migrate
from vault.keys import RetiredKeyError, Wrapped

_NAME: Final = re.compile(r"^-- name: ([a-z_]+)$", re.MULTILINE)
_MAY_USE: Final = ("keys_for", "find_keys", "destroyed_after", "destroy", "keks")
"""What a service may call: its keys, and destroying them. Never a table."""


def _load() -> Mapping[str, LiteralString]:
    text = files("vault").joinpath("queries.sql").read_text("utf-8")
    _, *pieces = _NAME.split(text)
    # The file is part of the release, which is what LiteralString asks for.
    return MappingProxyType(
        {
            name: cast("LiteralString", body.strip())
            for name, body in zip(pieces[::2], pieces[1::2], strict=True)
        }
    )


_QUERIES: Final = _load()


def prepare(owner: str, callers: Iterable[str] = ()) -> None:
    """Bring schema `vault` up to date and let the roles `callers` use its functions.

    `owner` is the DSN of the role that owns the schema. Harmless when repeated.

    Raises:
        psycopg.Error: the database is away, or refuses.
    """
    migrate(owner, "vault", files("vault") / "migrations")
    with connect(owner, "vault prepare") as connection:
        for role in callers:
            name = sql.Identifier(role)
            connection.execute(sql.SQL("GRANT USAGE ON SCHEMA vault TO {}").format(name))
            for function in _MAY_USE:
                statement = sql.SQL("GRANT EXECUTE ON FUNCTION vault.{} TO {}")
                connection.execute(statement.format(sql.Identifier(function), name))


class Store:
    """The vault's database. Connects when first used; may be shared by threads.

    Every method raises UnavailableError where the database is away or was not prepared yet.
    """

    def __init__(self, dsn: str, name: str) -> None:
        """Take a DSN whose role may call the functions (the owner's may also rotate)."""
        self._dsn = dsn
        self._name = name
        self._lock = threading.Lock()
        self._connection: psycopg.Connection[Any] | None = None

    def __enter__(self) -> Self:
        """Close it at the end of the block."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        """End the session."""
        self.close()

    def keys_for(
        self, subjects: Sequence[str], candidates: Sequence[Wrapped]
    ) -> dict[str, Wrapped | None]:
        """Return the keys of `subjects`, which are the candidates where there were none before.

        None for a subject whose key was destroyed. Durable on return. All candidates are wrapped by
        one key-encryption key. Raises RetiredKeyError.
        """
        wrapped = [candidate.data for candidate in candidates]
        rows = self._ask("keys_for", list(subjects), wrapped, candidates[0].kek_id)
        return _wrapped(rows)

    def find_keys(self, subjects: Sequence[str]) -> dict[str, Wrapped | None]:
        """Return the keys that there are; None for those that were destroyed."""
        return _wrapped(self._ask("find_keys", list(subjects)))

    def destroyed_after(self, position: int, most: int) -> list[tuple[int, str]]:
        """Return number and subject of the destructions after `position`, in order."""
        return [
            (number, subject) for number, subject in self._ask("destroyed_after", position, most)
        ]

    def destroy(self, subject: str, reason: str, actor: str) -> bool:
        """Destroy a key, leave a tombstone; durable on return. False: it was destroyed before."""
        return bool(self._ask("destroy", subject, reason, actor)[0][0])

    def keks(self) -> list[str]:
        """Return the ids of the key-encryption keys that keys may be wrapped by, oldest first."""
        return [kek_id for (kek_id,) in self._ask("keks")]

    def wrapped_by_others(self, kek_id: str, after: str, most: int) -> list[tuple[str, Wrapped]]:
        """Return keys that another than `kek_id` wraps, in order of subject. The owner's."""
        return [
            (subject, Wrapped(kek_id=by, data=data))
            for subject, data, by in self._ask("read_wrapped", after, kek_id, most)
        ]

    def replace(self, changes: Sequence[tuple[str, Wrapped, Wrapped]]) -> None:
        """Replace wrapped keys (subject, old, new) that are still as they were. The owner's."""
        self._ask(
            "replace_wrapped",
            [subject for subject, _, _ in changes],
            [old.kek_id for _, old, _ in changes],
            [new.data for _, _, new in changes],
            [new.kek_id for _, _, new in changes],
        )

    def note_kek(self, kek_id: str) -> None:
        """Note that keys may be wrapped by it from now on. The owner's."""
        self._ask("note_kek", kek_id)

    def retire_keks(self, but: str) -> None:
        """Let no other key-encryption key wrap anything from now on. The owner's.

        Whoever tries is told (RetiredKeyError); what others wrapped before is committed on return.
        """
        self._ask("retire_keks", but)

    def counts(self, current: str) -> tuple[int, int, int]:
        """Return how many keys there are, were destroyed, and another than `current` wraps.

        The owner's. Reads the whole table.
        """
        there, destroyed, others = self._ask("count_keys", current)[0]
        return there, destroyed, others

    def close(self) -> None:
        """End the session."""
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def _ask(self, query: str, *parameters: Any) -> list[tuple[Any, ...]]:
        with self._lock, _unavailable_vault():
            if self._connection is None or self._connection.closed:
                self._connection = connect(self._dsn, self._name)
            try:
                cursor = self._connection.execute(_QUERIES[query], parameters)
                return cursor.fetchall() if cursor.description else []
            except psycopg.OperationalError:
                self.close()
                raise


@contextmanager
def _unavailable_vault() -> Iterator[None]:
    """Also a vault that `placet prepare` has not made yet is one to wait for."""
    try:
        with unavailable_database():
            yield
    except UnavailableError as error:
        raise UnavailableError(f"the vault: {error}") from error
    except (
        psycopg.errors.UndefinedFunction,
        psycopg.errors.UndefinedTable,
        psycopg.errors.InvalidSchemaName,
    ) as error:
        message = f"the vault is not prepared yet (`placet prepare`): {error.diag.message_primary}"
        raise UnavailableError(message) from error
    except psycopg.errors.RaiseException as error:
        raise RetiredKeyError(str(error.diag.message_primary)) from error


def _wrapped(rows: Iterable[tuple[str, bytes | None, str | None]]) -> dict[str, Wrapped | None]:
    return {
        subject: None if data is None or kek_id is None else Wrapped(kek_id=kek_id, data=data)
        for subject, data, kek_id in rows
    }
