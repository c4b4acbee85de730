"""One dispatcher without Kafka: ledger, engine and a support desk's database, all real."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.resources import files

from tests.support.decisions import DIGESTER, INSTANCE, Desk
from tests.support.faq import Faq, config, faq

from contract.codec import decode
from contract.events import ReviewDecision, WriteBack
from conveyor.migrate import migrate
from conveyor.record import Parked
from dispatcher.consume import Intake
from dispatcher.ledger import Ledger
from dispatcher.targets.sql import SqlTarget
from dispatcher.work import Engine
from dispatcher.writeback import Retries


@dataclass
class Lab:
    """`accept` is what the consumer does, `settle` lets the engine work until nothing is due."""

    faq: Faq
    dsn: str
    dispatch_dsn: str
    desk: Desk = field(default_factory=Desk)
    retries: Retries = field(default_factory=lambda: Retries(schedule=(0.05, 0.1, 0.15)))
    gap: float = 300.0

    def __post_init__(self) -> None:
        self._ledgers: list[Ledger] = []
        self.target = SqlTarget(config(), self.dsn)
        self.engine = Engine(
            instance=INSTANCE,
            ledger=self.ledger(),
            target=self.target,
            retries=self.retries,
            gap=self.gap,
            jitter=lambda: 0.0,
            on_changed=lambda _: None,
        )
        self.intake = Intake(
            config=config(),
            ledger=self.ledger(),
            verify=self.desk.verifier.verify,
            digester=DIGESTER,
            wake=self.engine.wake,
        )

    def ledger(self) -> Ledger:
        self._ledgers.append(
            Ledger(self.dispatch_dsn, system="sql", instance=INSTANCE, digester=DIGESTER)
        )
        return self._ledgers[-1]

    def accept(self, *events: ReviewDecision) -> list[Parked]:
        return self.intake.handle([self.desk.record(event) for event in events])

    def steps(self) -> int:
        """Work through what is due now, without waiting."""
        done = 0
        while count := self.engine.step():
            done += count
        return done

    def run_until(self, condition: Callable[[], bool], seconds: float = 10.0) -> None:
        """Run the engine as the process does, until `condition`."""
        stop = threading.Event()
        worker = threading.Thread(target=self.engine.run, args=(stop,))
        worker.start()
        deadline = time.monotonic() + seconds
        try:
            while not condition():
                assert time.monotonic() < deadline, self.states()
                assert worker.is_alive()
                time.sleep(0.01)
        finally:
            stop.set()
            worker.join()

    @staticmethod
    def until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
        """Wait for `condition`."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def states(self) -> list[tuple[str, int, str, str | None]]:
        """(identifier, ordinal, state, reason code), in order."""
        return [
            (row[0], row[1], row[2], row[3])
            for row in self.faq.run(
                "SELECT identifier, ordinal, state, reason_code FROM dispatch.write_back "
                "ORDER BY identifier, ordinal"
            )
        ]

    def state(self, identifier: str, ordinal: int = 1) -> str:
        found = [row[2] for row in self.states() if row[:2] == (identifier, ordinal)]
        return found[0] if found else "nothing"

    def events(self) -> list[WriteBack]:
        """What was told, in order."""
        rows = self.faq.run("SELECT payload FROM dispatch.outbox ORDER BY seq")
        events = [decode(row[0]) for row in rows]
        return [event for event in events if isinstance(event, WriteBack)]

    def told(self, identifier: str, ordinal: int = 1) -> list[str]:
        """States told about one write, after checking that transitions have no gap."""
        events = [
            event
            for event in self.events()
            if (event.target.identifier, event.target_ordinal) == (identifier, ordinal)
        ]
        assert [event.transition for event in events] == list(range(1, len(events) + 1))
        return [event.state.value for event in events]

    def close(self) -> None:
        self.target.close()
        for ledger in self._ledgers:
            ledger.close()


@contextmanager
def dispatching(
    server: str,
    identifiers: Sequence[str] = ("a", "b", "c"),
    *,
    gap: float = 300.0,
    through: Callable[[str], str] = lambda dsn: dsn,
) -> Iterator[Lab]:
    """`through` turns the target's DSN into one that goes by way of something (a proxy)."""
    with faq(server, identifiers) as made:
        made.run("CREATE SCHEMA dispatch")
        migrate(server, "dispatch", files("dispatcher.migrations"))
        lab = Lab(faq=made, dsn=through(made.writer), dispatch_dsn=server, gap=gap)
        try:
            yield lab
        finally:
            lab.close()
