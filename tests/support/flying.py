"""One dispatcher for a target whose requests carry no transaction: a real ledger, a target double.

`Site` is what a business system behind HTTP is to the engine: looked at, then sent to, in several
threads; a request can be lost on the way there or back, held and land late, or be refused entry.
"""

import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.resources import files
from typing import Any

import psycopg
from tests.support.decisions import DIGESTER, Desk
from tests.support.dispatching import Lab
from tests.support.faq import Faq

from contract.codec import encode
from contract.events import Action, Control, ReviewDecision
from contract.identity import DecisionId, write_back_id
from contract.statement import Step
from contract.targets import STEPS, TargetConfig
from contract.topics import CONTROLS
from conveyor.migrate import migrate
from conveyor.record import Parked, Record
from dispatcher.consume import Intake
from dispatcher.ledger import Ledger
from dispatcher.operate import Operators
from dispatcher.targets.target import Promises, Repair, Snapshot
from dispatcher.work import Engine
from dispatcher.writeback import (
    Absent,
    AlreadyApplied,
    Applied,
    Code,
    Conflict,
    Images,
    Outcome,
    Probe,
    Refused,
    Retries,
    Unavailable,
    Unknown,
    WriteBack,
)

INSTANCE = "jira-demo"
CONFIG = TargetConfig(name=INSTANCE, kind="jira", dispatcher_url="http://127.0.0.1:1")
_AWAY = Unavailable(code=Code.TARGET_AWAY, detail="away", whole_target=True)
_MISSING = Refused(code=Code.RECORD_NOT_FOUND, detail="no such record")


@dataclass(frozen=True, kw_only=True)
class Request:
    write_back: WriteBack
    before: Images
    undo: bool = False

    @property
    def request(self) -> bytes:
        return repr(self.write_back).encode()


class Site:
    """Records by identifier. `effects`: (identifier, step, write-back id), as they happened."""

    def __init__(self, settle: float = 0.2, workers: int = 4) -> None:
        self.promises = Promises(
            batch=workers, key_in_write=False, settle=settle, comment=True, undo=True
        )
        self.records: dict[str, dict[str, str]] = {}
        self.keys: dict[str, Images] = {}
        self.effects: list[tuple[str, str, str]] = []
        self.sent: list[str] = []
        self.sent_at: list[float] = []
        self.probed: list[str] = []
        self.away: Unavailable | None = None
        self.sick: set[str] = set()  # records for which it says that it is away
        self.closed: Unavailable | None = None  # reads well, and refuses every write
        self.lose: list[str] = []  # "request" or "answer", for the next ones sent
        self.answers: list[Outcome] = []  # instead of doing what is sent
        self.found: list[Repair] = []  # what it says it has removed
        self.crash: set[str] = set()  # "prepare", "send", "sent", "probe"
        self.gate = threading.Event()
        self.gate.set()
        self.inside = 0
        self.most_inside = 0
        self._inside: dict[str, int] = {}
        self._lock = threading.Lock()

    def inspect(self) -> None:
        pass

    def ready(self) -> Unavailable | None:
        return self.away

    def interrupt(self) -> None:
        """Do nothing: whoever waits is a thread that may be left behind."""

    def close(self) -> None:
        pass

    def normalise(self, field: str, value: str) -> str:
        return value

    def read(self, identifier: str) -> Snapshot | Refused | Unavailable:
        if self.away:
            return self.away
        if identifier not in self.records:
            return _MISSING
        fields = dict(self.records[identifier])
        return Snapshot(
            identifier=identifier, fields=fields, version="1", read_at=datetime.now(UTC)
        )

    def prepare(self, write_back: WriteBack) -> Request | Outcome:
        self._crash("prepare")
        if self.away:
            return self.away
        if write_back.target.identifier in self.sick:
            return _AWAY
        with self._lock:
            done = self._done(write_back)
            if done is not None:
                return done
            record = self.records.get(write_back.target.identifier)
            if record is None:
                return _MISSING
            if write_back.step == "comment":
                return Request(write_back=write_back, before={"comment": "null"})
            before = {name: record[name] for name in write_back.fields}
            moved = tuple(n for n in before if before[n] != write_back.seen[n])
            if moved:
                return Conflict(current=before, version="1", fields=moved)
            return Request(write_back=write_back, before=before)

    def prepare_undo(
        self, write_back: WriteBack, before: Images, after: Images
    ) -> Request | Outcome:
        with self._lock:
            if not after:
                return Refused(code=Code.NOT_SUPPORTED, detail="nothing is known of it")
            done = self._done(write_back)
            return done or Request(write_back=write_back, before=before, undo=True)

    def send(self, request: Request) -> Outcome:
        self._crash("send")
        key, identifier = request.write_back.write_back_id, request.write_back.target.identifier
        with self._lock:
            self.sent.append(key)
            self.sent_at.append(time.monotonic())
            self.inside += 1
            self.most_inside = max(self.most_inside, self.inside)
            self._inside[identifier] = self._inside.get(identifier, 0) + 1
            assert self._inside[identifier] == 1, "two requests for one record"
        try:
            assert self.gate.wait(20)
            return self._send(request)
        finally:
            with self._lock:
                self.inside -= 1
                self._inside[identifier] -= 1

    def _send(self, request: Request) -> Outcome:
        with self._lock:
            if self.answers:
                return self.answers.pop(0)
            if self.closed:
                return self.closed
            loss = self.lose.pop(0) if self.lose else None
            if loss != "request":
                self._effect(request)
        self._crash("sent")
        if loss is not None:
            return Unknown(code=Code.COMMIT_ANSWER_LOST, detail="lost")
        return Applied(before=request.before, after=self._after(request), version="2")

    def _effect(self, request: Request) -> None:
        """What the target does. Twice is twice: nothing here hides a duplicate."""
        write_back = request.write_back
        identifier = write_back.target.identifier
        if write_back.step == "fields":
            self.records[identifier] |= write_back.fields
        step = f"undo {write_back.step}" if request.undo else write_back.step
        self.effects.append((identifier, step, write_back.write_back_id))
        self.keys[write_back.write_back_id] = request.before

    @staticmethod
    def _after(request: Request) -> Images:
        write_back = request.write_back
        return write_back.fields if write_back.step == "fields" else {"comment": '"1"'}

    def repairs(self) -> list[Repair]:
        found, self.found = self.found, []
        return found

    def apply(self, write_back: WriteBack) -> Outcome:
        raise NotImplementedError

    def apply_batch(self, write_backs: object) -> list[Outcome]:
        raise NotImplementedError

    def undo(self, write_back: WriteBack, before: Images, after: Images) -> Outcome:
        raise NotImplementedError

    def probe(self, write_back: WriteBack) -> Probe:
        self._crash("probe")
        self.probed.append(write_back.write_back_id)
        if self.away:
            return self.away
        with self._lock:
            return self._done(write_back) or Absent()

    def _done(self, write_back: WriteBack) -> AlreadyApplied | None:
        before = self.keys.get(write_back.write_back_id)
        return None if before is None else AlreadyApplied(version="2", before=before)

    def _crash(self, point: str) -> None:
        if point in self.crash:
            self.crash.discard(point)
            raise KeyboardInterrupt(point)


def steps_of(desk: Desk, decision: str, identifier: str) -> list[Step]:
    return [
        Step(
            step=step,
            write_back_id=write_back_id(
                DecisionId(decision), desk.system, desk.instance, identifier, step
            ),
        )
        for step in STEPS[desk.system]
    ]


@dataclass
class Flying(Lab):
    """`lab.target` is the Site. `restart` is a new process: whatever was under way is gone."""

    site: Any = field(default_factory=Site)
    config: TargetConfig = CONFIG
    changing: str = "summary"
    rate: float | None = None
    alone: bool = True
    retries: Retries = field(
        default_factory=lambda: Retries(schedule=(0.05, 0.1, 0.15), settle=0.2)
    )

    def __post_init__(self) -> None:
        self._ledgers = []
        self.operators: Operators
        self.restart()

    def restart(self) -> None:
        for one in self._ledgers:
            one.close()
        engine_ledger, incoming = self.ledger(), self.ledger()
        if self.alone:
            self.until(engine_ledger.lock_instance)
        self.engine = Engine(
            instance=self.config.name,
            ledger=engine_ledger,
            target=self.site,
            retries=self.retries,
            gap=self.gap,
            jitter=lambda: 0.0,
            on_changed=lambda _: None,
            rate=self.rate,
        )
        self.intake = Intake(
            config=self.config,
            ledger=incoming,
            verify=self.desk.verifier.verify,
            digester=DIGESTER,
            wake=self.engine.wake,
        )
        self.operators = Operators(
            instance=self.config.name,
            ledger=incoming,
            pause=self.engine.pause,
            wake=self.engine.wake,
        )

    def close(self) -> None:
        for ledger in self._ledgers:
            ledger.close()

    def approve(
        self, identifier: str, value: str, seen: str, ordinal: int = 1, *, comment: bool = False
    ) -> ReviewDecision:
        statement = self.desk.statement(identifier, {self.changing: (value, seen)})
        steps = steps_of(self.desk, statement.decision_id, identifier)[: 1 + comment]
        return self.desk.decision(
            self.desk.statement(
                identifier,
                {self.changing: (value, seen)},
                decision_id=statement.decision_id,
                steps=steps,
            ),
            ordinal,
        )

    def undo(
        self,
        identifier: str,
        of: ReviewDecision,
        fields: Mapping[str, tuple[str, str]],
        ordinal: int,
    ) -> ReviewDecision:
        """`fields`: name -> (old value, ours)."""
        decision = self.desk.statement(identifier, {}).decision_id
        return self.desk.decision(
            self.desk.statement(
                identifier,
                dict(fields),
                action=Action.UNDO,
                undoes=of.decision_id,
                decision_id=decision,
                steps=steps_of(self.desk, decision, identifier),
            ),
            ordinal,
        )

    def ledger(self) -> Ledger:
        self._ledgers.append(
            Ledger(
                self.dispatch_dsn,
                system=self.config.system,
                instance=self.config.name,
                digester=DIGESTER,
            )
        )
        return self._ledgers[-1]

    def drive(self, condition: Callable[[], bool], seconds: float = 10.0) -> None:
        """Let the engine work, here, until `condition`; a crash comes out."""

        def worked() -> bool:
            self.engine.step()
            return condition()

        self.until(worked, seconds)

    def recover(self) -> None:
        """What a process does when it begins to lead."""
        flights = self.engine._flights
        assert flights is not None
        flights.recover()

    def told_of(self, identifier: str, step: str = "fields", ordinal: int = 1) -> list[str]:
        """States told about one step, after checking that transitions have no gap."""
        events = [
            event
            for event in self.events()
            if (event.target.identifier, event.target_ordinal, event.step)
            == (identifier, ordinal, step)
        ]
        assert [event.transition for event in events] == list(range(1, len(events) + 1))
        return [event.state.value for event in events]

    def control(
        self, kind: str, scope: str = "", *, event_id: str | None = None, **detail: str
    ) -> Control:
        return Control(
            event_id=event_id or str(uuid.uuid4()),
            correlation_id="",
            timestamp=datetime.now(UTC),
            scope=scope or self.config.name,
            control=kind,
            actor_id="a1",
            role="sre",
            reason="because",
            detail=detail,
            content_digest=b"d" * 32,
        )

    def operate(self, *controls: Control) -> list[Parked]:
        return self.operators.handle(
            [
                Record(
                    topic=CONTROLS,
                    partition=0,
                    offset=i,
                    timestamp=datetime.now(UTC),
                    key=one.scope.encode(),
                    value=encode(one),
                )
                for i, one in enumerate(controls)
            ]
        )

    def keys(self, step: str) -> list[str]:
        """The ids of all write-backs of a step."""
        rows = self.faq.run(
            "SELECT write_back_id::text FROM dispatch.write_back WHERE step = %s", step
        )
        return [str(row[0]) for row in rows]

    def key(self, identifier: str, ordinal: int = 1, step: str = "fields") -> str:
        [(found,)] = self.faq.run(
            "SELECT write_back_id::text FROM dispatch.write_back "
            "WHERE identifier = %s AND ordinal = %s AND step = %s",
            identifier,
            ordinal,
            step,
        )
        return str(found)

    def step_states(self, identifier: str, ordinal: int = 1) -> dict[str, str]:
        rows = self.faq.run(
            "SELECT step, state FROM dispatch.write_back WHERE identifier = %s AND ordinal = %s",
            identifier,
            ordinal,
        )
        return {row[0]: row[1] for row in rows}

    def all_are(self, *states: str) -> bool:
        found = {row[2] for row in self.states()}
        return found <= set(states)


@contextmanager
def flying(
    server: str, *identifiers: str, config: TargetConfig = CONFIG, **options: Any
) -> Iterator[Flying]:
    """`identifiers` are made in a Site; another `site` (an adapter) has its own."""
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute("CREATE SCHEMA dispatch")
    migrate(server, "dispatch", files("dispatcher.migrations"))
    lab = Flying(
        faq=Faq(owner=server, writer="", role=""),
        dsn="",
        dispatch_dsn=server,
        desk=Desk(config.name, config.system),
        config=config,
        **options,
    )
    for one in identifiers:
        lab.site.records[one] = {"summary": '"old"'}
    try:
        yield lab
    finally:
        if isinstance(lab.site, Site):
            lab.site.gate.set()
        lab.close()
