"""Dispatchers of several targets on one ledger, as they run in an installation, and their desk.

Owns the processes (one a target, or two), what is decided and delivered, and what they told on
`placet.write-backs` and `placet.dead-letters`. Effects are not asked of here: the systems tell.
"""

import json
import random
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import psycopg
from confluent_kafka import Consumer as KafkaConsumer
from confluent_kafka import TopicPartition
from tests.support.business_systems import FIRST, Change, System, Table
from tests.support.decisions import Desk
from tests.support.dispatcher_process import Place, Started, dispatcher_place, free_port
from tests.support.flying import steps_of

from contract.codec import decode
from contract.events import DeadLetter, ReviewDecision, WriteBack, WriteBackState
from contract.topics import DEAD_LETTERS, DECISIONS, TOPICS, WRITE_BACKS
from conveyor.headers import message_of
from conveyor.producer import Producer
from conveyor.record import Message
from dispatcher.writeback import Code

_AT_ONCE = 2_000  # messages


@dataclass
class Ship:
    """One target: its system, its desk, and the places where its processes start."""

    system: System
    desk: Desk
    place: Place
    decided: list[ReviewDecision] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.place.instance

    def decide(self, ordinals: int, *, comments: int = 0) -> list[Change]:
        """Decide `ordinals` changes of each record, by rounds; returns what has to become of it.

        `comments`: of so many decisions one adds a comment, too (0: none does).
        """
        first = len(self.decided) // len(self.system.records) + 1
        wanted = []
        for ordinal in range(first, first + ordinals):
            for record in self.system.records:
                number = len(self.decided)
                with_comment = comments > 0 and number % comments == 0
                self.decided.append(self._decision(record, ordinal, comment=with_comment))
                wanted.append(Change(record, value_of(ordinal)))
        return wanted

    def _decision(self, record: str, ordinal: int, *, comment: bool) -> ReviewDecision:
        seen = FIRST if ordinal == 1 else value_of(ordinal - 1)
        decision = str(uuid.uuid4())
        statement = self.desk.statement(
            record,
            {self.system.changing: (json.dumps(value_of(ordinal)), json.dumps(seen))},
            decision_id=decision,
            steps=steps_of(self.desk, decision, record)[: 1 + comment],
        )
        return self.desk.decision(statement, ordinal)

    def message(self, event: ReviewDecision) -> Message:
        key = self.desk.record(event).key
        assert key is not None
        return message_of(event, topic=DECISIONS, key=key, source="review-api")

    def start(self, *, second: bool = False) -> Started:
        """Start a process; `second`: beside one that runs, so with an address of its own."""
        return self.place.start(**({"PLACET_PORT": str(free_port())} if second else {}))


def value_of(ordinal: int) -> str:
    return f"version {ordinal}"


@dataclass
class Fleet:
    ships: dict[str, Ship]
    kafka: str
    ledger: str
    producer: Producer

    def publish(self, messages: Sequence[Message]) -> None:
        for start in range(0, len(messages), _AT_ONCE):
            self.producer.send_all(messages[start : start + _AT_ONCE])

    def states(self, ship: Ship) -> Counter[str]:
        """How many write-backs of the ship are in each state, in the ledger."""
        with psycopg.connect(self.ledger, autocommit=True) as connection:
            if connection.execute("SELECT to_regclass('dispatch.write_back')").fetchone() == (
                None,
            ):
                return Counter()
            rows = connection.execute(
                "SELECT state, count(*)::int FROM dispatch.write_back WHERE instance = %s "
                "GROUP BY state",
                (ship.name,),
            ).fetchall()
        return Counter(dict(rows))

    def steps(self, ship: Ship) -> int:
        """How many write-backs there have to be."""
        return sum(one.statement.count('"write_back_id"') for one in ship.decided)

    def done(self, ship: Ship) -> bool:
        return self.states(ship) == {"APPLIED": self.steps(ship)}

    def relayed(self) -> bool:
        """Whether everything that was told is on Kafka."""
        with psycopg.connect(self.ledger, autocommit=True) as connection:
            return connection.execute("SELECT count(*) FROM dispatch.outbox").fetchone() == (0,)

    def cut_ledger(self) -> None:
        """End every session on the ledger, locks and open transactions with it."""
        with psycopg.connect(self.ledger, autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND usename LIKE 'dispatch\\_%'"
            )

    def histories(self) -> dict[str, list[WriteBackState]]:
        """What each write-back told on `placet.write-backs`, in order; each transition once.

        Without repairs of what somebody else's late request had done: those are `repaired`.
        """
        return {
            key: [one.state for one in events if one.reason_code != Code.DUPLICATE_REMOVED]
            for key, events in self._told().items()
        }

    def repaired(self) -> list[str]:
        """Of which write-backs it was told that a second copy was removed."""
        return [
            key
            for key, events in self._told().items()
            for one in events
            if one.reason_code == Code.DUPLICATE_REMOVED
        ]

    def _told(self) -> dict[str, list[WriteBack]]:
        names = {ship.name for ship in self.ships.values()}
        told: dict[str, dict[int, WriteBack]] = {}
        for event in read_all(self.kafka, WRITE_BACKS):
            if isinstance(event, WriteBack) and event.target.instance in names:
                transitions = told.setdefault(event.write_back_id, {})
                first = transitions.setdefault(event.transition, event)
                # The same event may be there twice.
                assert (first.event_id, first.state) == (event.event_id, event.state)
        return {
            key: [transitions[number] for number in range(1, len(transitions) + 1)]
            for key, transitions in told.items()
        }

    def dead_letters(self) -> list[DeadLetter]:
        consumers = {f"dispatcher-{ship.name}" for ship in self.ships.values()}
        return [
            event
            for event in read_all(self.kafka, DEAD_LETTERS)
            if isinstance(event, DeadLetter) and event.consumer in consumers
        ]


def read_all(kafka: str, topic: str) -> Iterator[object]:
    """Every event that is on a topic now."""
    reader = KafkaConsumer({"bootstrap.servers": kafka, "group.id": str(uuid.uuid4())})
    ends: dict[int, int] = {}
    starts = []
    for partition in range(TOPICS[topic].partitions):
        low, high = reader.get_watermark_offsets(TopicPartition(topic, partition), timeout=10)
        if low < high:
            ends[partition] = high
            starts.append(TopicPartition(topic, partition, low))
    reader.assign(starts)
    try:
        while ends:
            message = reader.poll(20)
            assert message is not None, f"{topic}: nothing more comes of {ends}"
            assert message.error() is None, message.error()
            partition, offset = message.partition() or 0, message.offset() or 0
            if offset < ends.get(partition, 0):
                yield decode(bytes(message.value() or b""))
            if offset + 1 >= ends.get(partition, 0):
                ends.pop(partition, None)
    finally:
        reader.close()


def deliveries(count: int, times: int, window: int, seed: int) -> list[int]:
    """The numbers below `count`, `times` each, none more than `window` numbers out of place."""
    chance = random.Random(seed)
    places = [
        (number + chance.uniform(0, window), number)
        for number in range(count)
        for _ in range(times)
    ]
    return [number for _, number in sorted(places)]


@contextmanager
def fleet(folder: Path, server: str, kafka: str, systems: Mapping[str, System]) -> Iterator[Fleet]:
    """`server`: a superuser's DSN of the database that gets the ledger. Nothing is started."""
    run = uuid.uuid4().hex[:8]
    desks = {kind: Desk(f"{kind}-{run}", kind) for kind in systems}
    first, *others = systems
    for kind in others:
        desks[kind].signer = desks[first].signer  # one desk signs for all targets
    ports = {kind: free_port() for kind in others}
    entry = systems[first].entry + "".join(
        f'[[target]]\nname = "{desks[kind].instance}"\n'
        f'dispatcher_url = "http://127.0.0.1:{ports[kind]}"\nhold = 0\n{systems[kind].entry}'
        for kind in others
    )
    table = systems.get("sql")
    with dispatcher_place(
        folder,
        server=server,
        kafka=kafka,
        target_dsn=table.proxy.dsn if isinstance(table, Table) else "",
        desk=desks[first],
        instance=desks[first].instance,
        entry=entry,
    ) as place:
        ports[first] = int(place.snapshots.split(":")[2].split("/")[0])
        ships = {
            kind: Ship(
                system=systems[kind],
                desk=desks[kind],
                place=_place(place, desks[kind].instance, ports[kind]),
            )
            for kind in systems
        }
        producer = Producer(kafka, "fleet")
        try:
            yield Fleet(ships, kafka, server, producer)
        finally:
            for one in [process for ship in ships.values() for process in ship.place.running]:
                if one.process.poll() is None:
                    one.kill()
            producer.close()


def _place(place: Place, instance: str, port: int) -> Place:
    """The same installation, another target of it."""
    logs = place.folder / instance
    logs.mkdir()
    own = {"PLACET_TARGET": instance, "PLACET_PORT": str(port)}
    environment = {**place.environment, **own}
    return replace(place, folder=logs, environment=environment, instance=instance, running=[])
