"""The review desk for tests: real PostgreSQL, the real application over HTTP, a dispatcher's
snapshot endpoint as a tiny real server. Knows the desk's settings and nothing of its inside.
"""

import base64
import json
import threading
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import msgspec
import psycopg
import uvicorn

from contract.codec import encode
from contract.events import (
    Change,
    Divergence,
    Evidence,
    Model,
    Origin,
    Passage,
    Retrieval,
    ReviewItem,
    Risk,
    Sentence,
    Target,
)
from contract.identity import Digester, ItemId, item_id, review_item_event_id
from conveyor import keys
from conveyor.migrate import migrate
from conveyor.record import Record
from review_api.app import create_app
from review_api.desk import build
from review_api.policy import parse_policy
from review_api.ready import SCHEMA
from review_api.settings import ApiSettings

INSTANCE = "support-faq"
TOKEN = "snapshot-token"
DIGESTER = Digester(bytes(range(32)))
POLICY = """
version = "test"
[[rule]]
when = { risk_at_least = 0.9 }
lane = "critical"
[[rule]]
when = { field = "answer", amount_over = 1000 }
lane = "critical"
"""
OUTPUT = "Delhi is the capital of India. It has 99 gates."
SNIPPET = "Delhi is the capital of India, and a city."


def review_item(number: int | str = 1, /, **changes: Any) -> ReviewItem:
    """A review item as intake writes it. `number` names it; changed content changes its digest."""
    name = f"q-{number}"
    identifier = str(changes.pop("identifier", name))
    fields = changes.pop("fields", {"answer": json.dumps(OUTPUT)})
    values: dict[str, Any] = {
        "correlation_id": f"req-{name}",
        "timestamp": datetime(2026, 11, 24, 10, tzinfo=UTC),
        "ingested_at": datetime(2026, 11, 24, 10, tzinfo=UTC),
        "source": "support-rag",
        "external_id": name,
        "revision": 1,
        "origin": Origin(topic="placet.model-outputs", partition=0, offset=1),
        "prompt": f"Which city is the capital of India? ({name})",
        "model": Model(name="answer-writer", version="3.2"),
        "retrieval": [Retrieval(doc_id="kb-1", snippet=SNIPPET, score=0.9)],
        "output": OUTPUT,
        "risk": Risk(score=0.2),
        "evidence": [Evidence(title="Wiki", uri="https://example.org/delhi")],
        "change": Change(
            target=Target(system="sql", instance=INSTANCE, identifier=identifier), fields=fields
        ),
        "divergence": Divergence(
            score=0.4,
            unsupported_ratio=0.5,
            sentences=[
                Sentence(start=0, end=30, support=0.95, best=Passage(retrieval=0, start=0, end=29)),
                Sentence(start=31, end=47, support=0.1),
            ],
            novel_numbers=["99"],
        ),
    }
    values |= changes
    the_item = item_id(values["source"], values["external_id"])
    content = msgspec.to_builtins({k: v for k, v in values.items() if k != "origin"})
    digest = DIGESTER.of_value(content)
    return ReviewItem(
        **values,
        item_id=the_item,
        content_digest=digest,
        event_id=review_item_event_id(ItemId(the_item), values["revision"], digest),
    )


def records(
    values: Sequence[ReviewItem | bytes], topic: str = "placet.review-items"
) -> list[Record]:
    """Events as records, as a consumer would hand them over."""
    return [
        Record(
            topic=topic,
            partition=0,
            offset=offset,
            timestamp=datetime.now(UTC),
            key=b"k",
            value=value if isinstance(value, bytes) else encode(value),
        )
        for offset, value in enumerate(values)
    ]


@dataclass
class Dispatcher:
    """What a target holds, as its dispatcher tells. `away` makes it answer 503."""

    url: str = ""
    fields: dict[str, dict[str, str]] = field(default_factory=dict)
    missing: set[str] = field(default_factory=set)
    away: bool = False
    asked: int = 0

    def answer(self, identifier: str, authorization: str | None) -> tuple[int, Mapping[str, Any]]:
        self.asked += 1
        if authorization != f"Bearer {TOKEN}":
            return 401, {"code": "UNAUTHORISED"}
        if self.away:
            return 503, {"code": "TARGET_UNAVAILABLE"}
        if identifier in self.missing:
            return 404, {"code": "RECORD_NOT_FOUND"}
        return 200, {
            "instance": INSTANCE,
            "identifier": identifier,
            "fields": self.fields.get(identifier, {"answer": '""'}),
            "version": "1",
            "read_at": datetime.now(UTC).isoformat(),
            "age_seconds": 0.0,
            "stale": False,
        }


@contextmanager
def dispatcher() -> Iterator[Dispatcher]:
    """A dispatcher's snapshot endpoint on loopback."""
    told = Dispatcher()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            identifier = parse_qs(parts.query).get("identifier", [""])[0]
            status, body = told.answer(identifier, self.headers.get("Authorization"))
            if parts.path == "/internal/status" and status != 401:
                status, body = 200, {"state": "paused", "open": {"WAITING": 2}}
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    told.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield told
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def make_schema(dsn: str) -> None:
    """Create the schema `review` in an empty database, as `placet up` does, and migrate it."""
    from importlib.resources import files

    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("CREATE SCHEMA IF NOT EXISTS review")
    migrate(dsn, SCHEMA, files("review_api").joinpath("migrations"))


def settings(
    dsn: str, folder: Path, dispatcher_url: str, *, hold: float = 0, **more: Any
) -> ApiSettings:
    """Keys and configuration in `folder`, as settings."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "decision.pem").exists():
        keys.generate(folder / "decision.pem", folder / "public" / "decision.pem")
    installation = base64.b64encode(bytes(range(32))).decode()
    texts = {
        "installation.key": installation,
        "service.token": TOKEN,
        "policy.toml": POLICY,
        "targets.toml": f"""
[[target]]
name = "{INSTANCE}"
kind = "postgresql"
dsn_file = "dsn"
table = "faq_answer"
key_column = "id"
version_column = "version"
columns = ["answer"]
dispatcher_url = "{dispatcher_url}"
hold = {hold}
""",
    }
    for name, text in texts.items():
        (folder / name).write_text(text)
    return ApiSettings(
        database=dsn,
        installation_key_file=folder / "installation.key",
        targets=folder / "targets.toml",
        policy=folder / "policy.toml",
        port=0,
        public_url="http://127.0.0.1",
        decision_key_file=folder / "decision.pem",
        service_token_file=folder / "service.token",
        **more,
    )


@contextmanager
def served(app: Any) -> Iterator[str]:
    """Serve an application on loopback in a thread, and give its address."""
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            host="127.0.0.1",
            port=0,
            log_config=None,
            access_log=False,
            ws="none",
            timeout_keep_alive=60,  # longer than a client keeps one: none meets a closing one
        )
    )
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined,method-assign]
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        if not thread.is_alive():
            raise RuntimeError("the application did not start")
        thread.join(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(10)


TEXTS = (
    "item item_revision decision write_back write_back_event idempotency target_order baseline"
    " outbox skip opening approval draft comment stop control_item"
)


@dataclass
class Desk:
    """The desk as tests see it: its address, its database, the dispatcher beside it."""

    url: str
    dsn: str
    dispatcher: Dispatcher
    folder: Path
    signed_in: "dict[str, Person]" = field(default_factory=dict)

    def empty(self) -> "Desk":
        """Forget all but people, for the next test."""
        tables = ", ".join(f"review.{name}" for name in TEXTS.split())
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            connection.execute(f"TRUNCATE {tables}")
        self.dispatcher.fields.clear()
        self.dispatcher.missing.clear()
        self.dispatcher.away = False
        return self

    def ingest(self, items: Sequence[ReviewItem | bytes]) -> Sequence[Any]:
        """Put items into the queue as the worker does; returns what was parked."""
        from review_api.ingest import Ingest

        with closing(Ingest(self.dsn, parse_policy(POLICY))) as ingest:
            return ingest.handle(records(items))

    def outcomes(self, events: Sequence[Any]) -> Sequence[Any]:
        """Take write-backs in as the worker does; returns what was parked."""
        from review_api.outcomes import Outcomes

        with closing(Outcomes(self.dsn)) as outcomes:
            return outcomes.handle(records(events, "placet.write-backs"))

    def account(self, username: str, *roles: str, person: str | None = None) -> None:
        """Make an account with the command's own code."""
        import asyncio

        from review_api.commands.people import People, new_account, person_named
        from review_api.store import Store

        async def ensure() -> None:
            store = Store(self.dsn, 1)
            await store.open()
            who = None if person is None else person_named(person)
            new = new_account(username, username.title(), roles, f"{username}-secret", who)
            await People(store=store, digester=DIGESTER).ensure(new)
            await store.close()

        asyncio.run(ensure())

    def person(self, username: str = "reviewer") -> "Person":
        if username not in self.signed_in:
            self.signed_in[username] = Person(self.url, username, f"{username}-secret")
        return self.signed_in[username]

    def query(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            return connection.execute(statement, values).fetchall()  # type: ignore[arg-type]


class Person:
    """Somebody signed in over HTTP."""

    def __init__(self, url: str, username: str, password: str) -> None:
        self.http = httpx.Client(base_url=url, timeout=30)
        answer = self.http.post("/api/session", json={"username": username, "password": password})
        assert answer.status_code == 200, answer.text
        self.csrf = answer.json()["csrf_token"]
        self.password = password
        self.http.headers["X-CSRF-Token"] = self.csrf

    def item(self, item_id: str) -> dict[str, Any]:
        answer = self.http.get(f"/api/items/{item_id}")
        assert answer.status_code == 200, answer.text
        shown: dict[str, Any] = answer.json()
        return shown

    def decide(
        self, item: Mapping[str, Any], action: str = "APPROVE", *, key: str = "", **body: Any
    ) -> httpx.Response:
        sent = {
            "action": action,
            "revision": item["revision"],
            "seen_digest": item["seen_digest"],
        } | body
        if action in {"REJECT", "NEED_INFO"}:
            sent.setdefault("reason_code", "WRONG")
        headers = {"Idempotency-Key": key or uuid.uuid4().hex}
        place = f"/api/items/{item['item_id']}/decisions"
        answer = self.http.post(place, json=sent, headers=headers)
        if answer.status_code == 403 and answer.json()["code"] == "EVIDENCE_NOT_OPENED":
            assert self.http.post(answer.json()["open"]).status_code == 200
            answer = self.http.post(place, json=sent, headers=headers)
        if answer.status_code == 403 and answer.json()["code"] == "PASSWORD_NEEDED":
            sent |= {"password": self.password}
            answer = self.http.post(place, json=sent, headers=headers)
        return answer


@contextmanager
def fresh_database(server: str) -> Iterator[str]:
    """A database of its own on `server` (a superuser's DSN), dropped afterwards."""
    name = f"review_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    try:
        yield psycopg.conninfo.make_conninfo(server, dbname=name)
    finally:
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@contextmanager
def desk(dsn: str, folder: Path, *, hold: float = 0, **more: Any) -> Iterator[Desk]:
    """A migrated desk that serves, with one account per role (`reviewer`, `reviewer2`, …)."""
    make_schema(dsn)
    with dispatcher() as told:
        app = create_app(build(settings(dsn, folder, told.url, hold=hold, **more)))
        with served(app) as url:
            made = Desk(url=url, dsn=dsn, dispatcher=told, folder=folder)
            for username, role in ROLES.items():
                made.account(username, role)
            yield made
            for person in made.signed_in.values():
                person.http.close()


ROLES = {
    "reviewer": "reviewer",
    "reviewer2": "reviewer",
    "approver": "approver",
    "admin": "admin",
    "auditor": "auditor",
    "sre": "sre",
}
