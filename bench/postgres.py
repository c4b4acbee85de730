"""The PostgreSQL server that both sides share. Owns the one setting the bench needs."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from placet.servers import postgres_server


@contextmanager
def postgres(folder: Path) -> Iterator[str]:
    """Run a server that remembers when each transaction was committed; yields the superuser's DSN.

    Everything else is as `placet up` starts it. Its data are deleted afterwards.
    """
    with (
        postgres_server(folder, keep=True) as dsn,
        psycopg.connect(dsn, autocommit=True) as connection,
    ):
        connection.execute("ALTER SYSTEM SET track_commit_timestamp = on")
    with postgres_server(folder) as dsn:
        yield dsn


def checkpoint(dsn: str) -> None:
    """Write what is dirty now, so that neither side pays for the other's."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("CHECKPOINT")
