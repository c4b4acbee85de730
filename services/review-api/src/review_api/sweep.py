"""Hold what waits against a policy that was just saved. Owns the way; the lane is `policy`'s.

A policy counts at once for what is taken in and for every decision. What waited before it is shown
in its lane of before until this loop, in the worker, has looked at it: page by page, raising lanes
and never lowering one. A crash before the last page begins again at the first, which finds raised
items raised. Nothing depends on it but what people see: a decision draws the lane anew.
"""

import threading
from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import Any, Final
from uuid import UUID

import structlog
from psycopg import Connection
from psycopg.rows import dict_row

from conveyor.database import connect, unavailable_database
from conveyor.errors import UnavailableError
from review_api.policy import Lane, Policy, parse_policy
from review_api.queries import QUERIES
from review_api.review import OPEN, State
from review_api.trial import lane_under

log = structlog.get_logger()

WAITING: Final = (State.PENDING, *sorted(OPEN - {State.PENDING}), State.NEEDS_INFO)
"""States in which a lane still matters, the most urgent first."""
FIRST: Final[Mapping[str, Any]] = {
    "due_key": "-infinity",
    "risk_key": "-infinity",
    "item": UUID(int=0),
}
"""The place before every item."""
_PAGE: Final = 500
_PAUSE: Final = 1.0
_LOCK: Final = "SELECT pg_try_advisory_lock(hashtextextended('review.sweep', 0)) AS mine"

Row = Mapping[str, Any]


def after(row: Row) -> dict[str, Any]:
    """Return the place of `row` in the order of `waiting_items`."""
    return {"due_key": row["due_key"], "risk_key": row["risk_key"], "item": row["item_id"]}


class Sweep:
    """The worker's loop."""

    def __init__(self, dsn: str) -> None:
        """Connect at the first turn."""
        self._dsn = dsn

    def run(self, stop: threading.Event) -> None:
        """Look once a second whether there is something to do, until `stop`."""
        while not stop.is_set():
            try:
                with unavailable_database(), closing(self._connect()) as connection:
                    while not stop.is_set():
                        if self._mine(connection):
                            self.once(connection)
                        stop.wait(_PAUSE)
            except UnavailableError as error:
                log.warning("unavailable", error=str(error))
                stop.wait(_PAUSE)

    def now(self) -> int:
        """Do what there is to do, and return how many lanes were raised."""
        with closing(self._connect()) as connection:
            return self.once(connection)

    def once(self, connection: Connection[Row]) -> int:
        """Hold what waits against the policy in force, unless that was done."""
        found = connection.execute(QUERIES["unswept_policy"]).fetchone()
        if found is None:
            return 0
        policy = parse_policy(found["text"])
        examined = raised = 0
        for rows in _pages(connection):
            with connection.transaction():
                now = connection.execute(QUERIES["policy_in_force"]).fetchone()
                if now is None or now["policy_in_force"] != found["ordinal"]:
                    return raised  # another one since: begin again, with that
                raised += _raise(connection, policy, rows)
            examined += len(rows)
        done = {"ordinal": found["ordinal"], "examined": examined, "raised": raised}
        connection.execute(QUERIES["add_sweep"], done)
        log.info("policy_swept", policy=policy.version, examined=examined, raised=raised)
        return raised

    def _connect(self) -> Connection[Row]:
        return connect(self._dsn, "review-sweep", row_factory=dict_row)

    def _mine(self, connection: Connection[Row]) -> bool:
        """Tell whether this worker is the one; the lock is the connection's."""
        row = connection.execute(_LOCK).fetchone()
        return row is not None and bool(row["mine"])


def _pages(connection: Connection[Row]) -> Iterator[list[Row]]:
    for state in WAITING:
        place = dict(FIRST)
        while True:
            asked = {"state": state.value, "all": False, "limit": _PAGE, **place}
            rows = connection.execute(QUERIES["waiting_items"], asked).fetchall()
            if rows:
                yield rows
            if len(rows) < _PAGE:
                break
            place = after(rows[-1])


def _raise(connection: Connection[Row], policy: Policy, rows: list[Row]) -> int:
    rising = [row for row in rows if lane_under(policy, row) is Lane.CRITICAL]
    if not rising:
        return 0
    values = {
        "policy_version": policy.version,
        "items": [row["item_id"] for row in rising],
        "versions": [row["version"] for row in rising],
    }
    return connection.execute(QUERIES["raise_lanes"], values).rowcount
