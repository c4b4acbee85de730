"""The dispatcher as a process on real Kafka and PostgreSQL: killed, doubled, lied to, restarted."""

import json
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import LiteralString

import psycopg
import pytest
from confluent_kafka import Consumer as KafkaConsumer
from confluent_kafka import TopicPartition
from tests.support.decisions import Desk
from tests.support.dispatcher_process import TOKEN, Place, dispatcher_place, fetch, free_port
from tests.support.faq import Faq, faq
from tests.support.proxy import Proxy

from contract.codec import decode
from contract.events import DeadLetter, ReviewDecision, WriteBack
from contract.topics import DEAD_LETTERS, DECISIONS, WRITE_BACKS
from conveyor.headers import message_of
from conveyor.producer import Producer
from conveyor.record import Message


@dataclass
class House:
    place: Place
    faq: Faq
    desk: Desk
    kafka: str
    producer: Producer

    def publish(self, *events: ReviewDecision) -> None:
        self.producer.send_all([self.message(event) for event in events])

    def message(self, event: ReviewDecision) -> Message:
        key = self.desk.record(event).key
        assert key is not None
        return message_of(event, topic=DECISIONS, key=key, source="review-api")

    def everything(self, topic: str) -> list[DeadLetter | WriteBack]:
        """Every event of ours on a topic, in order per partition."""
        reader = KafkaConsumer({"bootstrap.servers": self.kafka, "group.id": str(uuid.uuid4())})
        ends: dict[int, int] = {}
        starts = []
        for partition in range(12):
            low, high = reader.get_watermark_offsets(TopicPartition(topic, partition), timeout=10)
            if low < high:
                ends[partition] = high
                starts.append(TopicPartition(topic, partition, low))
        reader.assign(starts)
        events: list[DeadLetter | WriteBack] = []
        while ends and (message := reader.poll(10)) is not None:
            partition, offset = message.partition() or 0, message.offset() or 0
            event = decode(bytes(message.value() or b""))
            assert isinstance(event, DeadLetter | WriteBack)
            if offset < ends.get(partition, 0) and self._ours(event):
                events.append(event)
            if offset + 1 >= ends.get(partition, 0):
                ends.pop(partition, None)
        reader.close()
        return events

    def _ours(self, event: DeadLetter | WriteBack) -> bool:
        if isinstance(event, DeadLetter):
            return event.consumer == f"dispatcher-{self.place.instance}"
        return event.target.instance == self.place.instance

    def states(self) -> dict[str, int]:
        if self.faq.run("SELECT to_regclass('dispatch.write_back')") == [(None,)]:
            return {}
        return dict(
            self.faq.run("SELECT state, count(*)::int FROM dispatch.write_back GROUP BY state")
        )


@pytest.fixture
def house(postgres: str, kafka: str, tmp_path: Path) -> Iterator[House]:
    instance = f"faq-{uuid.uuid4().hex[:8]}"
    desk = Desk(instance)
    producer = Producer(kafka, "test")
    with (
        faq(postgres, [f"q{i}" for i in range(500)]) as made,
        dispatcher_place(
            tmp_path,
            server=postgres,
            kafka=kafka,
            target_dsn=made.writer,
            desk=desk,
            instance=instance,
        ) as place,
    ):
        yield House(place, made, desk, kafka, producer)
    producer.close()


def approvals(
    house: House, count: int, ordinal: int = 1, *, hold: float = 0.0
) -> list[ReviewDecision]:
    old = '""' if ordinal == 1 else f'"v{ordinal - 1}"'
    return [
        house.desk.approve(f"q{i}", f'"v{ordinal}"', old, ordinal, hold=hold) for i in range(count)
    ]


def test_decisions_become_effects_and_events_and_a_replay_becomes_nothing(house: House) -> None:
    decisions = approvals(house, 50)
    stranger = Desk(house.place.instance).approve("q60", '"forged"', '""')
    other_target = Desk("somebody-else").approve("q61", '"theirs"', '""')
    house.publish(*decisions, stranger, other_target)
    house.producer.send_all(
        [Message(topic=DECISIONS, key=house.message(stranger).key, value=b"garbage")]
    )
    process = house.place.start()
    process.until(lambda: house.states() == {"APPLIED": 50})
    assert len(house.faq.effects()) == 50
    process.until(lambda: len(house.everything(WRITE_BACKS)) == 50)
    told = house.everything(WRITE_BACKS)
    assert {event.transition for event in told if isinstance(event, WriteBack)} == {1}
    letters = [one for one in house.everything(DEAD_LETTERS) if isinstance(one, DeadLetter)]
    assert sorted(one.reason_code for one in letters) == ["BAD_SIGNATURE", "UNREADABLE"]
    assert process.metric("placet_foreign_decisions_total") == 1

    house.publish(*decisions, *decisions)
    process.until(lambda: process.metric("placet_duplicates_total") == 100)
    assert len(house.faq.effects()) == 50
    assert process.get("/healthz")[0] == process.get("/readyz")[0] == 200
    assert process.stop() == 0


def test_snapshots_are_for_the_service_alone_and_survive_the_targets_absence(
    house: House,
) -> None:
    proxy = Proxy(house.faq.writer)
    (house.place.folder / "dsn").write_text(proxy.dsn)
    process = house.place.start()
    process.until(lambda: process.get("/readyz")[0] == 200)
    url = f"{house.place.snapshots}?instance={house.place.instance}&identifier="
    process.until(lambda: fetch(url + "q1")[0] == 401)
    assert fetch(url + "q1", "wrong")[0] == 401
    status, text = fetch(url + "q1", TOKEN)
    assert status == 200
    body = json.loads(text)
    assert body["fields"] == {"answer": '""', "status": '"draft"'}
    assert (body["version"], body["stale"]) == ("1", False)
    assert fetch(url + "nobody", TOKEN)[0] == 404
    assert fetch(url + "../etc", TOKEN)[0] == 404
    assert fetch(url.replace(house.place.instance, "other") + "q1", TOKEN)[0] == 404
    house.publish(house.desk.approve("q1", '"v1"', '""'))
    process.until(lambda: "v1" in fetch(url + "q1", TOKEN)[1])
    proxy.cut()
    assert fetch(url + "q2", TOKEN)[0] == 503
    assert json.loads(fetch(url + "q1", TOKEN)[1])["fields"]["answer"] == '"v1"'
    assert process.stop() == 0
    proxy.close()


def test_a_process_killed_between_effect_and_outcome_writes_once(house: House) -> None:
    process = house.place.start()
    process.until(lambda: process.get("/readyz")[0] == 200)
    house.publish(house.desk.approve("q0", '"v0"', '""'))
    process.until(lambda: house.states() == {"APPLIED": 1})
    with psycopg.connect(house.faq.owner) as blocker:
        blocker.execute("LOCK TABLE dispatch.image IN ACCESS EXCLUSIVE MODE")
        house.publish(house.desk.approve("q1", '"v1"', '""'))
        process.until(lambda: len(house.faq.effects()) == 2)  # and the outcome cannot commit
        process.kill()
    assert house.faq.run("SELECT state FROM dispatch.write_back WHERE identifier = 'q1'") == [
        ("WAITING",)
    ]
    again = house.place.start()
    again.until(lambda: house.states() == {"APPLIED": 2})
    assert house.faq.effects() == [("q0", "v0"), ("q1", "v1")]
    assert again.metric('placet_write_back_attempts_total{outcome="AlreadyApplied"') == 1


@pytest.mark.long  # the short form is tests/fault/test_crash_points.py
def test_killed_again_and_again_it_writes_each_decision_once(house: House) -> None:
    for ordinal in (1, 2):
        house.publish(*approvals(house, 500, ordinal))
    for _ in range(3):
        process = house.place.start()
        before = len(house.faq.effects())
        process.until(lambda seen=before: len(house.faq.effects()) > seen)  # type: ignore[misc]
        process.kill()
    process = house.place.start()
    process.until(lambda: house.states() == {"APPLIED": 1000})
    effects = house.faq.effects()
    assert len(effects) == 1000
    for i in range(500):
        assert house.faq.answer(f"q{i}") == ("v2", 3)
    process.until(lambda: len({e.event_id for e in house.everything(WRITE_BACKS)}) == 1000)


def test_a_second_dispatcher_stands_by_and_takes_over(house: House) -> None:
    first = house.place.start()
    first.until(lambda: "dispatcher_leads" in first.events())
    second = house.place.start(PLACET_PORT=str(free_port()))
    second.until(lambda: second.get("/healthz")[0] == 200)
    house.publish(*approvals(house, 100))
    first.until(lambda: house.states() == {"APPLIED": 100})
    assert second.get("/readyz")[0] == 503
    assert "dispatcher_leads" not in second.events()
    first.kill()
    house.publish(*approvals(house, 100, 2))
    second.until(lambda: house.states() == {"APPLIED": 200})
    assert len(house.faq.effects()) == 200
    assert second.stop() == 0


def test_it_starts_while_the_target_is_away_and_goes_on_when_it_comes(house: House) -> None:
    proxy = Proxy(house.faq.writer)
    proxy.cut()
    (house.place.folder / "dsn").write_text(proxy.dsn)
    process = house.place.start()
    house.publish(*approvals(house, 3))
    process.until(lambda: sum(house.states().values()) == 3 and "RETRYING" in house.states())
    assert process.get("/readyz")[0] == 503
    proxy.down = False
    process.until(lambda: house.states() == {"APPLIED": 3})
    assert len(house.faq.effects()) == 3
    assert process.stop() == 0
    proxy.close()


def hang_on_a_locked_table(house: House, _: Proxy) -> AbstractContextManager[object]:
    return locked(house, "LOCK TABLE faq_answer IN ACCESS EXCLUSIVE MODE")


def hang_on_locked_rows(house: House, _: Proxy) -> AbstractContextManager[object]:
    return locked(house, "SELECT 1 FROM faq_answer FOR UPDATE")


@contextmanager
def locked(house: House, statement: LiteralString) -> Iterator[None]:
    with psycopg.connect(house.faq.owner) as blocker:
        blocker.execute(statement)
        yield


@contextmanager
def hang_in_a_trigger(house: House, _: Proxy) -> Iterator[None]:
    house.faq.run(
        "CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN PERFORM pg_sleep(60); RETURN new; END $$;"
        "CREATE TRIGGER dawdle BEFORE UPDATE ON faq_answer FOR EACH ROW EXECUTE FUNCTION dawdle()"
    )
    yield
    house.faq.run("DROP TRIGGER dawdle ON faq_answer")


@contextmanager
def hang_in_a_black_hole(_: House, proxy: Proxy) -> Iterator[None]:
    proxy.frozen = True
    yield
    proxy.frozen = False


HANGS = (hang_on_a_locked_table, hang_on_locked_rows, hang_in_a_trigger, hang_in_a_black_hole)


@pytest.mark.parametrize("hang", HANGS)
def test_a_stop_while_the_target_hangs_ends_in_ten_seconds_and_leaves_the_batch_due(
    house: House, hang: Callable[[House, Proxy], AbstractContextManager[object]]
) -> None:
    proxy = Proxy(house.faq.writer)
    (house.place.folder / "dsn").write_text(proxy.dsn)
    process = house.place.start()
    process.until(lambda: process.get("/readyz")[0] == 200)
    house.publish(*approvals(house, 59, hold=600))
    process.until(lambda: house.states() == {"WAITING": 59})
    with hang(house, proxy):
        house.faq.run("UPDATE dispatch.write_back SET next_attempt_at = now()")
        house.publish(house.desk.approve("q59", '"v1"', '""'))  # wakes it up: one batch of them all
        process.until(lambda: waits_for_its_target(house))
        began = time.monotonic()
        assert process.stop() == 0
        assert time.monotonic() - began < 10
        assert house.states() == {"WAITING": 60}
        assert "handed_over" in process.events()
        assert house.faq.effects() == []
    again = house.place.start()
    again.until(lambda: house.states() == {"APPLIED": 60})
    assert len(house.faq.effects()) == 60
    assert again.stop() == 0
    proxy.close()


def waits_for_its_target(house: House) -> bool:
    """Whether a batch is under way: the ledger's transaction is open meanwhile, and idle."""
    idle = (
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s "
        "AND state = 'idle in transaction' AND state_change < now() - interval '0.5 s'"
    )
    return house.faq.run(idle, f"placet dispatcher {house.place.instance}") == [(1,)]


def test_a_stop_while_it_starts_on_a_target_that_hangs_ends_in_ten_seconds(house: House) -> None:
    proxy = Proxy(house.faq.writer)
    proxy.frozen = True
    (house.place.folder / "dsn").write_text(proxy.dsn)
    process = house.place.start()
    process.until(lambda: proxy.accepted > 0)
    assert process.stop() == 0
    proxy.close()


def test_it_survives_the_loss_of_its_ledger(house: House) -> None:
    process = house.place.start()
    process.until(lambda: process.get("/readyz")[0] == 200)
    house.publish(*approvals(house, 500))
    process.until(lambda: len(house.faq.effects()) > 0)
    done = threading.Event()

    def harass() -> None:
        while not done.wait(0.3):
            house.faq.run(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND application_name LIKE 'placet%'"
            )

    thread = threading.Thread(target=harass)
    thread.start()
    house.publish(*approvals(house, 500, 2))
    try:
        process.until(lambda: sum(house.states().values()) == 1000)
    finally:
        done.set()
        thread.join()
    process.until(lambda: house.states() == {"APPLIED": 1000})
    assert len(house.faq.effects()) == 1000


@pytest.mark.parametrize(
    ("statement", "code"),
    [
        ('ALTER ROLE "{role}" SUPERUSER', "TOO_BROAD_RIGHTS"),
        ("DROP TABLE placet_write_back", "NO_KEY_TABLE"),
    ],
)
def test_a_target_it_must_not_work_with_ends_it_with_two(
    house: House, statement: str, code: str
) -> None:
    house.faq.run(statement.format(role=house.faq.role))
    process = house.place.start()
    assert process.process.wait(20) == 2
    lines = [json.loads(line) for line in process.log.read_text().splitlines()]
    assert lines[-1]["event"] == "start_refused"
    assert lines[-1]["code"] == code


def test_a_newer_writer_stops_it_before_the_commit(house: House) -> None:
    house.producer.send_all(
        [
            Message(
                topic=DECISIONS,
                key=f"sql/{house.place.instance}/q1".encode(),
                value=b"\xc3\x01" + b"\xff" * 8 + b"body",
            )
        ]
    )
    for _ in range(2):  # the second time too: nothing was committed
        process = house.place.start()
        assert process.process.wait(30) == 1
        assert "upgrade this service first" in process.log.read_text()
    assert house.everything(DEAD_LETTERS) == []
