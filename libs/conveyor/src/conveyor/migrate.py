"""Migrations: numbered SQL files, each once, each in a transaction.

A file is `NNNN_pre_name.sql` (expand: run before the new code starts) or `NNNN_post_name.sql`
(contract: run when no old code is left). Every service runs its own at start; an advisory lock
makes replicas wait for one another.
"""

import re
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, Final, LiteralString

import psycopg
import structlog
from psycopg import sql

from conveyor.database import connect

log = structlog.get_logger()

_NAME: Final = re.compile(r"\d{4}_(pre|post)_[a-z0-9_]+\.sql")
_TABLE: LiteralString = """
CREATE TABLE IF NOT EXISTS migration (
    name text PRIMARY KEY,
    applied_at timestamptz NOT NULL DEFAULT now()
)
"""


class MigrationError(Exception):
    """The migration files are not usable: a name of another form. Fix the release."""


def migrate(dsn: str, schema: str, folder: Path | Traversable) -> list[str]:
    """Bring `schema` up to date and return the names of the files that were applied.

    The schema must exist and belong to the connecting role. Each file is durable on its own.

    Raises:
        MigrationError: a file in `folder` is not named as a migration is.
        psycopg.Error: the database is away, or refuses a statement.
    """
    files = sorted(
        (entry for entry in folder.iterdir() if entry.name.endswith(".sql")),
        key=lambda entry: entry.name,
    )
    for entry in files:
        if not _NAME.fullmatch(entry.name):
            raise MigrationError(f"{entry.name}: migrations are NNNN_pre_name.sql or NNNN_post_…")
    with connect(dsn, f"migrate {schema}") as connection:
        connection.execute(sql.SQL("SET search_path = {}").format(sql.Identifier(schema)))
        connection.execute(
            "SELECT pg_advisory_lock(hashtextextended(%s, 0))", (f"migrate:{schema}",)
        )
        connection.execute(_TABLE)
        return [entry.name for entry in files if _apply(connection, entry)]


def _apply(connection: psycopg.Connection[Any], entry: Path | Traversable) -> bool:
    with connection.transaction():
        done = connection.execute("SELECT 1 FROM migration WHERE name = %s", (entry.name,))
        if done.fetchone():
            return False
        # The files are part of the release; psycopg asks for literal SQL to keep input out of it.
        connection.execute(sql.SQL(entry.read_text("utf-8")))
        connection.execute("INSERT INTO migration (name) VALUES (%s)", (entry.name,))
    log.info("migrated", migration=entry.name)
    return True
