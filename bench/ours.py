"""Our side: the whole stack, as `placet up` brings it up, with a target of the bench's own.

Owns what the desk's people do (sign in, read, decide) and looking at the services' own tables from
outside, as the superuser, to learn when something was committed. Changes nothing in them but where
`lengthen` says so.
"""

import secrets
import shutil
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from time import time
from typing import Any, Final, LiteralString
from urllib.parse import urlsplit
from uuid import uuid4

import httpx
import orjson
import psycopg

from bench import clones
from bench.audit_log import AuditLog
from bench.broker import Broker
from bench.driver import Address, Driver, expect, request
from bench.errors import BenchError
from bench.records import INSTANCE, SOURCE, Record, elsewhere, record
from bench.side import Approval
from bench.systems import System
from bench.target import Target
from bench.waiting import wait_for
from contract.identity import item_id
from contract.topics import DECISIONS, MODEL_OUTPUTS, REVIEW_ITEMS, WRITE_BACKS
from placet.databases import with_database
from placet.stack import Stack
from placet.supervision import Supervision

GROUPS: Final = {
    "intake": MODEL_OUTPUTS,
    "review-items": REVIEW_ITEMS,
    f"dispatcher-{INSTANCE}": DECISIONS,
    "review-write-backs": WRITE_BACKS,
}
"""What each consumer group reads, in the order of the path."""
CLIENTS: Final = 16
_ARRIVE_SECONDS: Final = 90.0
_SETTLE_SECONDS: Final = 60.0
_QUEUED: Final[LiteralString] = "SELECT count(*) FROM review.item"
_LAST_QUEUED: Final[LiteralString] = """
SELECT extract(epoch FROM max(pg_xact_commit_timestamp(xmin)))::float8
  FROM review.item WHERE created_at >= to_timestamp(%s)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """Somebody signed in: the headers every request of theirs carries."""

    headers: dict[str, str]


class Ours:
    """One running stack."""

    name = "ours"
    accepted_status = 201

    def __init__(
        self,
        *,
        stack: Stack,
        superuser: str,
        target: Target,
        driver: Driver,
        systems: Sequence[System] = (),
    ) -> None:
        """Take a stack that is up, and sign nobody in yet."""
        status = stack.status()
        url = urlsplit(status["review"]["url"])
        assert url.hostname is not None
        assert url.port is not None
        self.address: Address = (url.hostname, url.port)
        self.driver = driver
        self.target = target
        self.broker = Broker(status["kafka"]["bootstrap"])
        self.stack = stack
        self.systems = systems
        self.database = _connect(superuser, "placet")
        self.log = AuditLog(self.database, _connect(superuser, "ledger"), self.broker)
        self._supervision = Supervision(stack.home)
        self._sessions: list[Session] = []
        self._next = 0
        self.proposed_at = 0.0
        self._pending: deque[Record] = deque()

    def close(self) -> None:
        self.log.close()
        self.database.close()

    def sign_in(self, people: int) -> None:
        """Have the admin make `people` reviewers, and sign each of them in."""
        url = f"http://{self.address[0]}:{self.address[1]}"
        accounts = {one["username"]: one["password"] for one in self.stack.status()["accounts"]}
        with _signed_in(url, "admin", accounts["admin"]) as admin:
            for number in range(people):
                name = f"bench-{number}"
                person = {"username": name, "name": name, "roles": ["reviewer"]}
                made = admin.post("/api/people", json=person).raise_for_status().json()
                # A password that was made for somebody is exchanged for their own.
                own = {"new_password": secrets.token_hex(16)}
                with _signed_in(url, name, made["password"], **own) as reviewer:
                    self._sessions.append(_session(reviewer))

    def propose(self, count: int) -> Sequence[Record]:
        """Publish `count` new records at full speed; return once Kafka has them all."""
        records = [record(number) for number in range(self._next, self._next + count)]
        self.target.add([one.identifier for one in records])
        self._next += count
        self.proposed_at = time()
        self.broker.publish(
            MODEL_OUTPUTS, ((one.identifier.encode(), one.value, []) for one in records)
        )
        self._pending += records
        return records

    def queued(self) -> int:
        (count,) = self.database.execute(_QUEUED).fetchone() or (0,)
        return int(count)

    def create(self, count: int) -> float:
        before = self.queued()
        self.propose(count)
        began = self.proposed_at
        wait_for(
            f"{count} items in the queue",
            lambda: self.queued() >= before + count,
            seconds=_ARRIVE_SECONDS,
            pause=0.2,
        )
        (last,) = self.database.execute(_LAST_QUEUED, (began,)).fetchone() or (None,)
        if last is None:
            raise BenchError("no item was created")
        return float(last) - began

    def approvals(self, count: int) -> Sequence[Approval]:
        return self._approvals([self._pending.popleft() for _ in range(count)])

    def write(self, system: System, count: int) -> float:
        """Have `count` records of `system` approved; return how many were written a second."""
        identifiers = system.take(count)
        records = [
            elsewhere(number, system.stand_in.system, system.instance, identifier, system.changing)
            for number, identifier in enumerate(identifiers)
        ]
        before, written = self.queued(), system.log_end()
        self.broker.publish(
            MODEL_OUTPUTS, ((one.identifier.encode(), one.value, []) for one in records)
        )
        wait_for(
            f"{count} items in the queue",
            lambda: self.queued() >= before + count,
            seconds=_ARRIVE_SECONDS,
        )
        approvals = self._approvals(records)
        with system.slow():
            answers = self.driver.send(
                self.address, [approval.request for approval in approvals], clients=CLIENTS
            )
            expect(answers, self.accepted_status)
            rate = system.await_written(written, identifiers, seconds=_SETTLE_SECONDS)
        system.learn(identifiers)
        return rate

    def _approvals(self, records: Sequence[Record]) -> Sequence[Approval]:
        count = len(records)
        items = [item_id(SOURCE, one.identifier) for one in records]
        sessions = list(islice(cycle(self._sessions), count))
        reads = [
            request("GET", f"/api/items/{item}", session.headers)
            for item, session in zip(items, sessions, strict=True)
        ]
        answers = self.driver.send(self.address, reads, clients=8)
        expect(answers, 200)
        return [
            Approval(identifier=one.identifier, request=_approval(answer.body, session))
            for one, answer, session in zip(records, answers, sessions, strict=True)
        ]

    def first_page(self) -> bytes:
        return request("GET", "/api/items?limit=50", self._sessions[0].headers)

    def lengthen(self, length: int) -> None:
        clones.lengthen(self.database, length)

    def settle(self) -> None:
        for group in GROUPS:
            wait_for(f"{group} done", partial(self._done, group), seconds=_SETTLE_SECONDS)
        self.log.await_sealed(seconds=_SETTLE_SECONDS)

    def lag(self, group: str) -> int:
        """Return how many records the group has not handled yet."""
        return self.broker.lag(group, GROUPS[group])

    def _done(self, group: str) -> bool:
        return self.lag(group) == 0

    def stop(self, name: str) -> None:
        """Stop one process and wait until it is gone."""
        self._supervision.stop_process(name)
        wait_for(f"{name} stopped", lambda: self._state(name) == "stopped", seconds=20)

    def start(self, name: str) -> None:
        """Start one process again, without waiting."""
        self._supervision.start_process(name)

    def pids(self) -> Sequence[int]:
        """Return every process of the stack; PostgreSQL, which both sides use, is none of them."""
        return [one.pid for one in self._supervision.processes() if one.pid]

    def keep_logs(self, folder: Path) -> None:
        """Copy what the processes logged to `folder`, in place of an earlier run's."""
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(self.stack.home.logs, folder)

    def dispatchers(self) -> Mapping[str, int]:
        """Return the pid of every dispatcher that runs, by its name."""
        found = {one.name: one.pid for one in self._supervision.processes()}
        return {n: pid for n, pid in found.items() if pid and n.startswith("dispatcher-")}

    @contextmanager
    def all_dispatchers(self) -> Iterator[None]:
        """Run the dispatchers of all systems, and not only the table's, for the block."""
        names = [f"dispatcher-{system.instance}" for system in self.systems]
        for name in names:
            self.start(name)
        try:
            for name in names:
                wait_for(f"{name} at work", partial(self._at_work, name), seconds=_SETTLE_SECONDS)
            yield
        finally:
            for name in names:
                self.stop(name)

    def _at_work(self, group: str) -> bool:
        return self.broker.members(group) == 1 and self.broker.lag(group, DECISIONS) == 0

    def _state(self, name: str) -> str:
        states = {one.name: one.state for one in self._supervision.processes() if not one.pid}
        return states.get(name, "running")


def _connect(superuser: str, database: str) -> psycopg.Connection[Any]:
    return psycopg.connect(with_database(superuser, database), autocommit=True)


@contextmanager
def _signed_in(url: str, username: str, password: str, **chosen: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=url, timeout=30) as client:
        person = {"username": username, "password": password, **chosen}
        answer = client.post("/api/session", json=person).raise_for_status()
        client.headers["X-CSRF-Token"] = answer.json()["csrf_token"]
        yield client


def _session(client: httpx.Client) -> Session:
    cookies = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
    return Session(headers={"Cookie": cookies, "X-CSRF-Token": client.headers["X-CSRF-Token"]})


def _approval(seen: bytes, session: Session) -> bytes:
    item = orjson.loads(seen)
    body = {
        "action": "APPROVE",
        "revision": item["revision"],
        "seen_digest": item["seen_digest"],
    }
    headers = {
        **session.headers,
        "Idempotency-Key": uuid4().hex,
        "Content-Type": "application/json",
    }
    path = f"/api/items/{item['item_id']}/decisions"
    return request("POST", path, headers, orjson.dumps(body))
