"""Connections to PostgreSQL: how they plan, and what it means when one breaks."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import psycopg
from psycopg.conninfo import conninfo_to_dict

from conveyor.errors import UnavailableError

_CONNECT_TIMEOUT: Final = 5
BY_KEY: Final = "-c enable_seqscan=off -c enable_hashjoin=off -c enable_mergejoin=off"
"""Planner options for sessions that ask by key: look each key up, whatever the statistics say.

A prepared statement is planned once, while tables are small or not analysed yet, and that plan is
kept: at 8,000 rows each decision then read five tables whole (measured: docs/adr/0008).
"""


def connect(dsn: str, name: str, *, by_key: bool = True, **options: Any) -> psycopg.Connection[Any]:
    """Open an autocommit connection that shows as `name` in pg_stat_activity.

    Without `by_key` the server is told nothing when it connects: somebody else's may be behind a
    pooler, which refuses that.

    Raises:
        psycopg.OperationalError: nobody answers (see `unavailable_database`).
    """
    if by_key:
        options["options"] = f"{conninfo_to_dict(dsn).get('options', '')} {BY_KEY}".strip()
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
