"""The real dispatcher process on a stand-in: killed, paused, stopped while requests are out."""

import json
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
from tests.support import issues
from tests.support.decisions import Desk
from tests.support.dispatcher_process import TOKEN, Place, Started, dispatcher_place, fetch
from tests.support.flying import steps_of
from tests.support.sandbox import Sandbox, running

from contract.controls import PAUSED, RESUMED
from contract.events import Control, ReviewDecision
from contract.topics import CONTROLS, DECISIONS
from conveyor.headers import message_of
from conveyor.producer import Producer

RECORDS = tuple(f"SUP-{i}" for i in range(1, 9))
EDIT = {"method": "PUT", "path": r"/issue/SUP-\d+(\?|$)"}


@dataclass
class House:
    """A Jira stand-in, its dispatcher, and a desk that decides."""

    place: Place
    sandbox: Sandbox
    desk: Desk
    producer: Producer
    dsn: str

    def decide(self, record: str, value: str, seen: str, ordinal: int) -> ReviewDecision:
        decision = str(uuid.uuid4())
        statement = self.desk.statement(
            record,
            {"summary": (json.dumps(value), json.dumps(seen))},
            decision_id=decision,
            steps=steps_of(self.desk, decision, record),
        )
        return self.desk.decision(statement, ordinal)

    def series(self, count: int) -> list[ReviewDecision]:
        """`count` decisions on each record, each on top of the one before."""
        now = {one["record"]: one["title"] for one in self.sandbox.get("records")}
        return [
            self.decide(record, f"v{i}", now[record] if i == 1 else f"v{i - 1}", i)
            for record in RECORDS
            for i in range(1, count + 1)
        ]

    def publish(self, *events: ReviewDecision) -> None:
        self.producer.send_all(
            [
                message_of(
                    one,
                    topic=DECISIONS,
                    key=self.desk.record(one).key or b"",
                    source="review-api",
                )
                for one in events
            ]
        )

    def control(self, kind: str) -> None:
        event = Control(
            event_id=str(uuid.uuid4()),
            correlation_id="",
            timestamp=datetime.now(UTC),
            scope=self.place.instance,
            control=kind,
            actor_id="a1",
            role="sre",
            reason="because",
            content_digest=b"d" * 32,
        )
        key = self.place.instance.encode()
        self.producer.send_all([message_of(event, topic=CONTROLS, key=key, source="review-api")])

    def states(self) -> dict[str, int]:
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            if connection.execute("SELECT to_regclass('dispatch.write_back')").fetchone() == (
                None,
            ):
                return {}
            rows = connection.execute(
                "SELECT state, count(*)::int FROM dispatch.write_back GROUP BY state"
            ).fetchall()
        return dict(rows)

    def done(self, count: int) -> Callable[[], bool]:
        return lambda: self.states() == {"APPLIED": count}

    def written(self, record: str) -> list[str]:
        return [
            one["fields"]["summary"]["after"]
            for one in self.sandbox.effects(record)
            if one["via"] == "api" and "summary" in one["fields"]
        ]

    def comments(self) -> list[int]:
        """How many comments there are of each write-back that is one."""
        with psycopg.connect(self.dsn) as connection:
            keys = connection.execute(
                "SELECT write_back_id::text FROM dispatch.write_back WHERE step = 'comment'"
            ).fetchall()
        texts = [
            json.dumps(comment)
            for one in self.sandbox.get("records")
            for comment in one["comments"]
        ]
        return [sum(key in text for text in texts) for (key,) in keys]


@pytest.fixture
def house(postgres: str, kafka: str, tmp_path: Path) -> Iterator[House]:
    instance = f"jira-{uuid.uuid4().hex[:8]}"
    desk = Desk(instance, "jira")
    producer = Producer(kafka, "test")
    with running("jira") as sandbox:
        issues.write_secret(tmp_path)
        entry = f"""
kind = "jira"
url = "{sandbox.url}"
secret_file = "jira.secret"
columns = ["summary"]
identifier_pattern = "SUP-[0-9]+"
retry = [{", ".join(["0.2"] * 20)}]
concurrency = 4
timeout = 5
settle = 1
"""
        with dispatcher_place(
            tmp_path,
            server=postgres,
            kafka=kafka,
            target_dsn="",
            desk=desk,
            instance=instance,
            entry=entry,
        ) as place:
            yield House(place, sandbox, desk, producer, postgres)
    producer.close()


def test_a_process_killed_again_and_again_writes_once(house: House) -> None:
    house.publish(*house.series(3))
    for least in (3, 12, 25):
        process = house.place.start()
        process.until(lambda least=least: house.states().get("APPLIED", 0) >= least)  # type: ignore[misc]
        process.kill()
    process = house.place.start()
    process.until(house.done(48), 60)
    assert [house.written(one) for one in RECORDS] == [["v1", "v2", "v3"]] * len(RECORDS)
    assert house.comments() == [1] * 24
    assert process.stop() == 0


def state(house: House) -> str:
    status, text = fetch(house.place.snapshots.replace("snapshot", "status"), TOKEN)
    return str(json.loads(text)["state"]) if status == 200 else "nobody"


def test_pause_and_resume_hold_within_five_seconds_and_over_a_restart(house: House) -> None:
    process = house.place.start()
    process.until(lambda: state(house) == "running")
    house.sandbox.break_next("delay", seconds=0.3, times=None, **EDIT)
    house.publish(*house.series(4))
    process.until(lambda: house.states().get("APPLIED", 0) > 3)
    began = time.monotonic()
    house.control(PAUSED)
    process.until(lambda: state(house) == "paused")
    process.until(lambda: "SENDING" not in house.states())
    assert time.monotonic() - began < 5
    edits = len(house.sandbox.effects())
    assert process.stop() == 0
    process = house.place.start()
    process.until(lambda: state(house) == "paused")
    house.publish(house.decide("SUP-9", "v1", "not what it is", 1))
    process.until(lambda: house.states().get("WAITING", 0) > 10)
    assert len(house.sandbox.effects()) == edits
    began = time.monotonic()
    house.control(RESUMED)
    process.until(lambda: len(house.sandbox.effects()) > edits)
    assert time.monotonic() - began < 5
    process.until(lambda: house.states().get("APPLIED") == 64, 60)
    assert [house.written(one) for one in RECORDS] == [["v1", "v2", "v3", "v4"]] * len(RECORDS)
    process.stop()


def test_a_stop_with_a_request_out_ends_in_ten_seconds_and_hands_over(house: House) -> None:
    process: Started = house.place.start()
    house.sandbox.break_next("hold", **EDIT)
    house.publish(*house.series(1))
    process.until(lambda: house.states().get("SENDING", 0) == 1)
    process.until(lambda: house.states().get("APPLIED", 0) == 14)
    began = time.monotonic()
    assert process.stop() == 0
    assert time.monotonic() - began < 10
    house.sandbox.post("release")
    process = house.place.start()
    process.until(house.done(16), 60)
    assert [house.written(one) for one in RECORDS] == [["v1"]] * len(RECORDS)
    assert house.comments() == [1] * 8
    assert process.stop() == 0
