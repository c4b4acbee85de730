"""What people, pipelines and scripts do from outside: the running stack as other people see it.

Knows the published interfaces only: `placet status --json`, the HTTP API, Kafka topics, and the
business table. Effects are counted in that table by a trigger of our own, never from Placet's word.
"""

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import httpx
import orjson
import psycopg
from confluent_kafka import Consumer, Message, Producer, TopicPartition

PLACET = str(Path(sys.executable).with_name("placet"))
_RUNNING = "IDEMPOTENCY_KEY_IN_USE"
_LOOK_AGAIN = {"SEEN_STALE", "BASELINE_UNKNOWN"}  # what was seen is not what is there
COUNT_EFFECTS = """
CREATE TABLE IF NOT EXISTS effect (
    id text NOT NULL, answer text, version bigint, at timestamptz DEFAULT clock_timestamp(),
    who text NOT NULL DEFAULT session_user);
CREATE OR REPLACE FUNCTION count_effect() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    INSERT INTO effect (id, answer, version) VALUES (NEW.id, NEW.answer, NEW.version);
    RETURN NEW;
END $$;
DROP TRIGGER IF EXISTS count_effect ON faq_answer;
CREATE TRIGGER count_effect AFTER UPDATE ON faq_answer FOR EACH ROW EXECUTE FUNCTION count_effect();
"""


T = TypeVar("T")


def wait_for(what: str, ask: Callable[[], T], *, seconds: float = 60) -> T:
    """Ask until the answer is true, and return it."""
    deadline = time.monotonic() + seconds
    while True:
        answer = ask()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {seconds:.0f} s; last answer {answer!r}")
        time.sleep(0.05)


_open: list[httpx.Client] = []


def close_all() -> None:
    """Close what `Person` opened: tests treat a forgotten socket as an error."""
    while _open:
        _open.pop().close()


class Anybody:
    """Somebody who has not signed in."""

    def __init__(self, url: str) -> None:
        self.http = httpx.Client(base_url=url, timeout=30)
        _open.append(self.http)


class Person(Anybody):
    """Somebody signed in. Sends what a script sends: cookie, CSRF token, Idempotency-Key."""

    def __init__(self, url: str, username: str, password: str, **chosen: str) -> None:
        """`chosen`: a `new_password`, in exchange for one that was made for them."""
        super().__init__(url)
        self.password = chosen.get("new_password", password)
        sent = {"username": username, "password": password, **chosen}
        answer = self.http.post("/api/session", json=sent)
        answer.raise_for_status()
        self.http.headers["X-CSRF-Token"] = answer.json()["csrf_token"]

    def item(self, item_id: str) -> dict[str, Any]:
        answer = self.http.get(f"/api/items/{item_id}")
        answer.raise_for_status()
        return answer.json()

    def decide(
        self,
        item: dict[str, Any],
        action: str = "APPROVE",
        *,
        key: str | None = None,
        **body: Any,
    ) -> httpx.Response:
        body = {
            "action": action,
            "revision": item["revision"],
            "seen_digest": item["seen_digest"],
        } | body
        if action in {"REJECT", "NEED_INFO"}:
            body.setdefault("reason_code", "WRONG")
        headers = {"Idempotency-Key": key or uuid.uuid4().hex}
        place = f"/api/items/{item['item_id']}/decisions"
        answer = self.http.post(place, json=body, headers=headers)
        if answer.status_code == 403 and answer.json()["code"] == "EVIDENCE_NOT_OPENED":
            self.http.post(answer.json()["open"]).raise_for_status()
            answer = self.http.post(place, json=body, headers=headers)
        if answer.status_code == 403 and answer.json()["code"] == "PASSWORD_NEEDED":
            body |= {"password": self.password}  # as somebody in a critical lane is asked to
            answer = self.http.post(place, json=body, headers=headers)
        return answer

    def decide_surely(
        self, item_id: str, action: str = "APPROVE", *, seconds: float = 90
    ) -> dict[str, Any]:
        """Decide as a patient person does: the same request again until there is an answer."""
        seen: dict[str, Any] = {}
        key = uuid.uuid4().hex

        def attempt() -> dict[str, Any] | None:
            nonlocal seen, key
            try:
                seen = seen or self.item(item_id)
                answer = self.decide(seen, action, key=key)
            except httpx.TransportError:
                return None
            except httpx.HTTPStatusError as error:
                if error.response.status_code >= 500:
                    return None
                raise
            if answer.status_code == 201:
                return answer.json()
            if answer.json().get("code") in _LOOK_AGAIN:
                seen, key = {}, uuid.uuid4().hex
                return None
            if answer.status_code >= 500 or answer.json().get("code") == _RUNNING:
                return None
            raise AssertionError(f"{answer.status_code}: {answer.text}")

        return wait_for(f"a decision on {item_id}", attempt, seconds=seconds)


@dataclass
class Placet:
    """One running stack."""

    home: Path
    env: dict[str, str] = field(default_factory=dict)
    _status: dict[str, Any] = field(default_factory=dict)

    def run(
        self, *arguments: str, check: bool = True, timeout: float = 300
    ) -> subprocess.CompletedProcess[str]:
        answer = subprocess.run(
            [PLACET, *arguments],
            env=os.environ | self.env | {"PLACET_HOME": str(self.home), "NO_COLOR": "1"},
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout,
            stdin=subprocess.DEVNULL,
        )
        if check and answer.returncode:
            raise AssertionError(
                f"placet {arguments}: {answer.returncode}\n{answer.stdout}\n{answer.stderr}"
            )
        return answer

    def status(self) -> dict[str, Any]:
        """Addresses and accounts: asked once, they stay."""
        if not self._status:
            self._status = json.loads(self.run("status", "--json").stdout)
        return self._status

    def processes(self) -> dict[str, dict[str, Any]]:
        """Processes as they are now."""
        status = json.loads(self.run("status", "--json").stdout)
        return {process["name"]: process for process in status["processes"]}

    def person(self, username: str = "reviewer") -> Person:
        status = self.status()
        account = next(a for a in status["accounts"] if a["username"] == username)
        return Person(status["review"]["url"], account["username"], account["password"])

    @contextmanager
    def target(self, name: str = "support-faq") -> Iterator[psycopg.Connection[Any]]:
        dsn = next(t["dsn"] for t in self.status()["targets"] if t["name"] == name)
        with psycopg.connect(dsn, autocommit=True) as connection:
            yield connection

    def count_effects(self) -> None:
        with self.target() as connection:
            connection.execute(COUNT_EFFECTS)

    def effects(self, ids: Sequence[str]) -> dict[str, int]:
        """How often each record was changed, as the business database itself counted."""
        with self.target() as connection:
            rows = connection.execute(
                "SELECT id, count(*) FROM effect WHERE id = ANY(%s) GROUP BY id", (list(ids),)
            ).fetchall()
        return dict(rows)

    def add_records(self, ids: Sequence[str]) -> None:
        with self.target() as connection:
            connection.cursor().executemany(
                "INSERT INTO faq_answer (id, question, answer, status, version)"
                " VALUES (%s, 'q', '', 'draft', 1)",
                [(one,) for one in ids],
            )

    def publish(self, values: Sequence[bytes], topic: str = "placet.model-outputs") -> None:
        """Publish as any pipeline would, and return when the broker has everything."""
        producer = Producer(
            {
                "bootstrap.servers": self.status()["kafka"]["bootstrap"],
                "acks": "all",
                "message.max.bytes": 4_000_000,
            }
        )
        errors: list[Any] = []
        for value in values:
            producer.produce(
                topic,
                value=value,
                on_delivery=lambda error, _: errors.append(error) if error else None,
            )
            producer.poll(0)
        assert producer.flush(60) == 0
        assert not errors

    def records(self, topic: str) -> list[Message]:
        """Every record that is in `topic` now."""
        bootstrap = self.status()["kafka"]["bootstrap"]
        consumer = Consumer(
            {
                "bootstrap.servers": bootstrap,
                "group.id": f"look-{uuid.uuid4().hex}",
                "enable.auto.commit": False,
            }
        )
        try:
            partitions = consumer.list_topics(topic=topic, timeout=10).topics[topic].partitions
            left = {}
            for partition in partitions:
                low, high = consumer.get_watermark_offsets(
                    TopicPartition(topic, partition), timeout=10
                )
                if high > low:
                    left[partition] = (low, high)
            consumer.assign([TopicPartition(topic, p, low) for p, (low, _) in left.items()])
            found: list[Message] = []
            while left:
                for message in consumer.consume(1000, 1.0):
                    assert message.error() is None
                    found.append(message)
                    if message.offset() + 1 >= left.get(message.partition(), (0, 0))[1]:
                        left.pop(message.partition(), None)
            return found
        finally:
            consumer.close()

    def kill(self, *names: str) -> None:
        """SIGKILL processes by their own pids, all at once, and wait until new ones run."""
        before = self.processes()
        for name in names:
            os.kill(before[name]["pid"], signal.SIGKILL)

        def again() -> bool:
            now = self.processes()
            pairs = [(now[name], before[name]["pid"]) for name in names]
            return all(one["state"] == "running" and one["pid"] != pid for one, pid in pairs)

        wait_for(f"{', '.join(names)} running again", again, seconds=60 * len(names))

    def lag(self) -> int:
        """All of Placet's consumers together: how many records are not handled yet."""
        rows = json.loads(self.run("lag", "--json").stdout)
        return sum(row["lag"] for row in rows)

    def verify(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.run("audit", "verify", *arguments, check=False)


def output(
    external_id: str, identifier: str, answer: str = "Delhi.", **changes: Any
) -> dict[str, Any]:
    """A model output as a pipeline writes it, in plain JSON."""
    return {
        "source": "e2e",
        "external_id": external_id,
        "correlation_id": f"req-{external_id}",
        "timestamp": "2026-11-24T10:00:00Z",
        "prompt": "Which city is the capital of India?",
        "model": {"name": "faq-writer", "version": "3"},
        "retrieval": [
            {"doc_id": "kb-1", "snippet": "Delhi is the capital of India.", "score": 0.9}
        ],
        "output": answer,
        "risk": {"score": 0.2},
        "change": {
            "target": {"system": "sql", "instance": "support-faq", "identifier": identifier},
            "fields": {"answer": json.dumps(answer)},
        },
    } | changes


def as_json(value: Any) -> bytes:
    return orjson.dumps(value)
