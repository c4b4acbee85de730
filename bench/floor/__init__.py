"""The floor: the same work in plain SQL, on the same server.

Owns its database and its two processes. It keeps the guarantees that PostgreSQL alone can give
(durable, once, audited) and none of those that need Kafka, keys or a protocol.
"""

import os
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any, Final, LiteralString

import httpx
import orjson
import psycopg
from psycopg import sql

from bench.driver import Address, Driver, request
from bench.records import Record, record
from bench.side import Approval
from bench.systems import System
from bench.target import TABLE, Target
from bench.waiting import wait_for
from placet.databases import with_database
from placet.servers.ports import LOOPBACK, free_port
from placet.servers.process import running, wait_until

DATABASE: Final = "floor"
_BATCH: Final = 500
"""Items a transaction: what a consumer that commits its offsets would do."""
_ROOT: Final = Path(__file__).parents[2]
_START_SECONDS: Final = 30.0
_SETTLE_SECONDS: Final = 30.0
_COPY: Final[LiteralString] = "COPY item (id, record, body) FROM STDIN"
_CLONE: Final[LiteralString] = """
INSERT INTO item (id, record, body)
SELECT (SELECT max(id) FROM item) + place, record, body
  FROM generate_series(1, %s) AS place
  JOIN LATERAL (SELECT record, body FROM item WHERE id = %s + place %% %s) AS one ON true
"""


class Floor:
    """One running floor."""

    name = "floor"
    accepted_status = 200

    def __init__(
        self, *, dsn: str, address: Address, driver: Driver, systems: Sequence[System] = ()
    ) -> None:
        """Take what `floor` started."""
        self.systems = systems
        self.address = address
        self.driver = driver
        self.target = Target(dsn)
        self._connection: psycopg.Connection[Any] = psycopg.connect(dsn, autocommit=True)
        self._next = 0
        self._pending: deque[Record] = deque()

    def close(self) -> None:
        self.target.close()
        self._connection.close()

    def create(self, count: int) -> float:
        """Copy the records in, in batches: there is no Kafka here."""
        records = [record(number) for number in range(self._next, self._next + count)]
        self.target.add([one.identifier for one in records])
        began = _clock(self._connection)
        for start in range(0, count, _BATCH):
            with self._connection.cursor().copy(_COPY) as copy:
                for place, one in enumerate(records[start : start + _BATCH], self._next + start):
                    copy.write_row((place, one.identifier, one.value.decode()))
        seconds = _clock(self._connection) - began
        self._next += count
        self._pending += records
        self._connection.execute("VACUUM ANALYZE item")
        return seconds

    def approvals(self, count: int) -> Sequence[Approval]:
        return [_approval(self._pending.popleft()) for _ in range(count)]

    def write(self, system: System, count: int) -> float:
        """Send what ours sends, from a bare client: nothing is decided, kept or looked at."""
        identifiers, written = system.take(count), system.log_end()
        with system.slow():
            system.write(identifiers)
        return system.await_written(written, identifiers, seconds=_SETTLE_SECONDS)

    def first_page(self) -> bytes:
        return request("GET", "/items?limit=50", {})

    def lengthen(self, length: int) -> None:
        (have,) = self._connection.execute(
            "SELECT count(*) FROM item WHERE status = 0"
        ).fetchone() or (0,)
        first = self._number(self._pending[0])
        self._connection.execute(_CLONE, (max(0, length - have), first, len(self._pending)))
        self._connection.execute("VACUUM ANALYZE item")

    def settle(self) -> None:
        wait_for("the floor's outbox empty", self._drained, seconds=_SETTLE_SECONDS)

    def _drained(self) -> bool:
        return self._connection.execute("SELECT 1 FROM outbox LIMIT 1").fetchone() is None

    @staticmethod
    def _number(one: Record) -> int:
        return int(one.identifier.removeprefix("b-"))


def _clock(connection: psycopg.Connection[Any]) -> float:
    (now,) = connection.execute("SELECT extract(epoch FROM clock_timestamp())").fetchone() or (0,)
    return float(now)


def _approval(one: Record) -> Approval:
    body = {
        "key": f"decision-{one.identifier}",
        "verdict": "approve",
        "answer": one.answer,
        "who": "reviewer",
    }
    path = f"/items/{Floor._number(one)}/decision"  # noqa: SLF001 - this module's own
    sent = request("POST", path, {"Content-Type": "application/json"}, orjson.dumps(body))
    return Approval(identifier=one.identifier, request=sent)


@contextmanager
def floor(
    folder: Path, superuser: str, driver: Driver, systems: Sequence[System] = ()
) -> Iterator[Floor]:
    """Run a floor on the server of `superuser` for the length of the block."""
    with psycopg.connect(superuser, autocommit=True) as server:
        server.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE)))
    dsn = with_database(superuser, DATABASE)
    with psycopg.connect(dsn, autocommit=True) as database:
        database.execute(sql.SQL(files("bench.floor").joinpath("schema.sql").read_text("utf-8")))
        database.execute(TABLE)
    port = free_port()
    environment = {**os.environ, "FLOOR_DSN": dsn, "PYTHONPATH": str(_ROOT)}
    api = [sys.executable, "-m", "bench.floor.api", str(port)]
    dispatch = [sys.executable, "-m", "bench.floor.dispatch"]
    log = folder / "floor.log"
    with (
        running(api, log=log, environment=environment) as process,
        running(dispatch, log=folder / "floor-dispatch.log", environment=environment),
    ):
        wait_until(
            lambda: _answers(port),
            alive=lambda: process.poll() is None,
            what="the floor's API",
            log=log,
            seconds=_START_SECONDS,
        )
        side = Floor(dsn=dsn, address=(LOOPBACK, port), driver=driver, systems=systems)
        try:
            yield side
        finally:
            side.close()


def _answers(port: int) -> bool:
    try:
        return httpx.get(f"http://{LOOPBACK}:{port}/items", timeout=2).is_success
    except httpx.TransportError:
        return False
