"""The desk's database, asked asynchronously. Owns connections and how rows become values.

Every call is a transaction of its own, in one round trip. Refuses to know what a row means.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

import orjson
import psycopg
from psycopg import AsyncConnection, sql
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from conveyor.database import BY_KEY
from review_api.problems import Code, ProblemError
from review_api.proposal import Baseline
from review_api.queries import QUERIES
from review_api.roles import Role

Row = DictRow
_WAIT: Final = 3.0
_STATEMENT_TIMEOUT_MS: Final = 5_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """Who is signed in. The person, whatever the account. `keymap`: as kept, for pages."""

    account_id: UUID
    person_id: UUID
    username: str
    name: str
    roles: tuple[Role, ...]
    keymap: str | None = None


def actor_of(row: Mapping[str, Any]) -> Actor:
    """Return the actor in a row that has the account's columns."""
    return Actor(
        account_id=row["account_id"],
        person_id=row["person_id"],
        username=row["username"],
        name=row["name"],
        roles=tuple(Role(role) for role in row["roles"]),
        keymap=row.get("keymap"),
    )


def baseline_of(row: Mapping[str, Any]) -> Baseline | None:
    """Return the baseline in a row that has its columns; None where none was ever read."""
    if row["read_at"] is None:
        return None
    return Baseline(
        fields=orjson.loads(row["fields"]),
        version=row["target_version"],
        read_at=row["read_at"],
        expires_at=row["expires_at"],
        missing=row["missing"],
    )


def away(error: Exception) -> ProblemError:
    """Return what to say while PostgreSQL does not answer."""
    if isinstance(error, psycopg.errors.QueryCanceled):
        detail = "The database took too long and was stopped. Nothing was changed."
    else:
        detail = "The database does not answer. What was committed is kept; nothing else happened."
    return ProblemError(Code.UNAVAILABLE, detail, retry_after=2)


class Store:
    """Asks by the names of `queries.sql`."""

    def __init__(self, dsn: str, size: int) -> None:
        """Take the address; nothing connects before `open`."""
        self._pool: AsyncConnectionPool[AsyncConnection[Row]] = AsyncConnectionPool(
            dsn,
            min_size=min(2, size),
            max_size=size,
            open=False,
            timeout=_WAIT,
            kwargs={
                "autocommit": True,
                "row_factory": dict_row,
                "prepare_threshold": 0,
                "application_name": "review-api",
                "connect_timeout": 5,
                "options": f"-c statement_timeout={_STATEMENT_TIMEOUT_MS} {BY_KEY}",
            },
        )

    async def open(self) -> None:
        """Begin to connect. A database that is away is not an error yet."""
        await self._pool.open(wait=False)

    async def close(self) -> None:
        """Close every connection."""
        await self._pool.close(timeout=2)

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[AsyncConnection[Row]]:
        """Lend a connection.

        Raises:
            ProblemError: UNAVAILABLE, nobody answers, or it takes too long.
        """
        try:
            async with self._pool.connection() as connection:
                yield connection
        except (psycopg.OperationalError, psycopg.InterfaceError, PoolTimeout) as error:
            if not isinstance(error, PoolTimeout | psycopg.errors.QueryCanceled):
                await self._pool.check()  # the server was restarted: the others are broken as well
            raise away(error) from error

    async def one(self, name: str, values: Mapping[str, Any] | None = None) -> Row | None:
        """Return the first row of query `name`, or None."""
        async with self.connection() as connection:
            cursor = await connection.execute(QUERIES[name], values, binary=True)
            return await cursor.fetchone()

    async def all(self, query: str | sql.SQL, values: Mapping[str, Any] | None = None) -> list[Row]:
        """Return every row of query `query` (a name, or a statement of `queries`)."""
        statement = QUERIES[query] if isinstance(query, str) else query
        async with self.connection() as connection:
            cursor = await connection.execute(statement, values, binary=True)
            return await cursor.fetchall()

    async def many(self, name: str, column: str, asked: Sequence[Any]) -> list[Row | None]:
        """Run query `name` for all of `asked` at once (JSON objects, in `column`, numbered `n`).

        Returns one row for each, in order; None where the query has none.
        """
        sent = orjson.dumps([{"n": n, **one} for n, one in enumerate(asked)]).decode()
        found = {row["n"]: row for row in await self.all(name, {column: sent})}
        return [found.get(n) for n in range(len(asked))]

    async def run(self, *steps: tuple[str, Mapping[str, Any]]) -> None:
        """Run statements that answer nothing, in one transaction."""
        async with self.connection() as connection, connection.transaction():
            for name, values in steps:
                await connection.execute(QUERIES[name], values)

    async def actor(self, token: bytes) -> Actor | None:
        """Return who owns the session whose hashed cookie is `token`."""
        row = await self.one("session", {"token": token})
        return None if row is None else actor_of(row)
