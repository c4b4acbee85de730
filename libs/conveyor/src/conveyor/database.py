"""Connections to PostgreSQL, and what it means when one breaks."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import psycopg

from conveyor.errors import UnavailableError

_CONNECT_TIMEOUT: Final = 5


def connect(dsn: str, name: str, **options: Any) -> psycopg.Connection[Any]:
    """Open an autocommit connection that shows as `name` in pg_stat_activity.

    Raises:
        psycopg.OperationalError: nobody answers (see `unavailable_database`).
    """
    return psycopg.connect(
        dsn,
        autocommit=True,
        application_name=name,
        connect_timeout=_CONNECT_TIMEOUT,
        keepalives_idle=5,
        keepalives_interval=2,
        keepalives_count=3,
        **options,
    )


@contextmanager
def unavailable_database() -> Iterator[None]:
    """Turn a lost connection or a server that is away into UnavailableError.

    What the server itself refuses (a constraint, a type, a right) is not that, and passes.
    """
    try:
        yield
    except (psycopg.OperationalError, psycopg.InterfaceError) as error:
        raise UnavailableError(f"PostgreSQL is away: {str(error).strip()}") from error
