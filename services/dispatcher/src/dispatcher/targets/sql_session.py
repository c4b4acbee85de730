"""Connections to a SQL target: how they are opened, checked, watched and lost.

Owns session settings and the meaning of a connection that breaks. Nothing here writes.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final

import psycopg
import structlog
from psycopg.rows import dict_row

from contract.targets import TargetConfig
from conveyor.database import connect
from dispatcher.targets import catalogue
from dispatcher.targets.sql_errors import ServerError, is_login_refused, outcome_of
from dispatcher.targets.sql_text import Statements
from dispatcher.targets.target import StartRefusedError, StoppedError
from dispatcher.targets.watchdog import Watchdog
from dispatcher.writeback import Code, Unavailable

log = structlog.get_logger()

LIMIT: Final = 45.0
"""Seconds after which a connection that does not answer is cut."""
_UNANSWERED_MS: Final = 20_000
_CANCEL: Final = 1.0
_SLICE: Final = 0.05
_ENDING: Final = Unavailable(
    code=Code.TARGET_AWAY, detail="the dispatcher is ending", whole_target=True
)
_SETTINGS: Final = (
    b"SET statement_timeout = '15s'",
    b"SET lock_timeout = '2s'",
    b"SET idle_in_transaction_session_timeout = '60s'",
    b"SET timezone = 'UTC'",
    b"SET default_transaction_isolation = 'read committed'",
    b"SET synchronous_commit = 'on'",
    # Records are looked up by key, whatever the planner thinks of a table that has just grown.
    b"SET enable_seqscan = 'off'",
)


@dataclass(slots=True)
class Session:
    """A connection and what was learned about the table when it was opened."""

    connection: psycopg.Connection[Any]
    table: catalogue.Table
    statements: Statements


class LostError(Exception):
    """The connection is gone, or cannot be had; `outcome` says so. Nothing was committed."""

    def __init__(self, outcome: Unavailable) -> None:
        super().__init__(outcome.detail)
        self.outcome = outcome


class Sessions:
    """Opens and watches the sessions of one target."""

    def __init__(self, config: TargetConfig, dsn: str, limit: float = LIMIT) -> None:
        self._config = config
        self._dsn = dsn
        self.watchdog = Watchdog(limit)
        self._stopped = threading.Event()

    def connect(self, purpose: str) -> Session:
        """Open a session and check the table.

        Raises:
            StartRefusedError: the target must not be worked with.
            psycopg.Error: it is away.
        """
        connection = connect(
            self._dsn,
            f"placet {self._config.name} {purpose}",
            by_key=False,
            tcp_user_timeout=_UNANSWERED_MS,
        )
        try:
            with self.watchdog.over(connection):
                for setting in _SETTINGS:
                    connection.execute(setting)
                with connection.cursor(row_factory=dict_row) as cursor:
                    table = catalogue.inspect(cursor, self._config)
        except BaseException:
            connection.close()
            raise
        return Session(connection, table, Statements(table))

    def open(self, purpose: str) -> Session:
        """Do the same for work under way, where a target that may not be used waits too.

        Raises:
            LostError: there is no session to be had now.
        """
        if self._stopped.is_set():
            raise LostError(_ENDING)
        try:
            return self.connect(purpose)
        except StartRefusedError as refused:
            log.warning("target_refused", target=self._config.name, code=refused.code)
            outcome = Unavailable(
                code=Code.TARGET_CHANGED,
                detail=f"the target cannot be worked with: {refused.code}",
                whole_target=True,
            )
            raise LostError(outcome) from refused
        except psycopg.Error as error:
            log.warning("target_away", target=self._config.name, error=str(error).strip())
            raise LostError(_away(error)) from error

    def interrupt(self) -> None:
        """End what connections wait for, and open no other. Returns within two seconds.

        First by asking the server, so that it does not go on for somebody who has left; one that
        does not hear that either is cut off.
        """
        self._stopped.set()
        for connection in self.watchdog.watched():
            # A thread each, that may be left behind: older client libraries wait without a limit.
            threading.Thread(target=_cancel, args=(connection,), daemon=True).start()
        until = time.monotonic() + _CANCEL
        while self.watchdog.watched() and time.monotonic() < until:
            time.sleep(_SLICE)
        self.watchdog.cut()

    def go_on(self) -> None:
        """Do nothing, unless all of it is to end.

        Raises:
            StoppedError: it is. Whatever went wrong just now may be because of that.
        """
        if self._stopped.is_set():
            raise StoppedError

    @contextmanager
    def guard(self, session: Session) -> Iterator[Session]:
        """Turn a connection that broke, or that the watchdog cut, into LostError."""
        try:
            with self.watchdog.over(session.connection):
                yield session
        except psycopg.Error as error:
            if session.connection.broken or session.connection.closed:
                raise LostError(_away(error)) from error
            raise


def _cancel(connection: psycopg.Connection[Any]) -> None:
    with suppress(psycopg.Error):
        connection.cancel_safe(timeout=_CANCEL)


def server_error(error: psycopg.Error) -> ServerError:
    """Return what is kept of an error; one without an answer of the server is a lost connection."""
    return ServerError(
        sqlstate=error.sqlstate or "08006",
        constraint=error.diag.constraint_name,
        column=error.diag.column_name,
    )


def _away(error: psycopg.Error) -> Unavailable:
    """Return why there is no connection. The server's words are for the operator's log only."""
    if error.sqlstate is None and is_login_refused(str(error)):
        detail = "the target refused the login: see the dispatcher's log"
        return Unavailable(code=Code.LOGIN_REFUSED, detail=detail, whole_target=True)
    outcome = outcome_of(server_error(error))
    if isinstance(outcome, Unavailable) and outcome.whole_target:
        return outcome
    return Unavailable(code=Code.TARGET_AWAY, detail=outcome.detail, whole_target=True)
