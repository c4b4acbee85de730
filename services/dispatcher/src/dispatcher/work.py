"""The engine: claims due steps, has the target do them, records what became of them.

Owns when something is attempted: due times, one batch at a time (or several records at once, for
targets that need it: `flights`), pause, waiting for a target that is away (`circuit`), and what is
let go when it is back. Refuses to know what an outcome means (`writeback`), how it is stored
(`ledger`) and how it is done (`targets`). Whatever is interrupted anywhere is simply claimed again:
recovery is this loop.

One process works for an instance: it holds a session lock on the connection that commits the
outcomes, so losing the lock is losing the power to record. Others stand by.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final, TypeGuard, cast

import structlog

from contract.statement import from_text
from conveyor import metrics
from conveyor.errors import UnavailableError
from dispatcher.circuit import FIRST_PAUSE, LONGEST_PAUSE, Circuit, Suspects
from dispatcher.flights import Attempt, Ended, Flights
from dispatcher.ledger import Claimed, Ledger
from dispatcher.ledger_controls import is_paused
from dispatcher.ledger_held import let_go, let_one_go
from dispatcher.ledger_rows import Move
from dispatcher.pace import Pace
from dispatcher.plan import write_back
from dispatcher.targets.target import StoppedError, Target, TwoPhase
from dispatcher.writeback import (
    AlreadyApplied,
    Applied,
    Conflict,
    Outcome,
    Retries,
    State,
    Unavailable,
    WriteBack,
    after_attempt,
)

log = structlog.get_logger()

_STANDBY: Final = 1.0
_SLICE: Final = 0.5  # how soon a waiting loop notices that it is to stop
_IDLE: Final = 30.0  # how often it looks without being woken, at least
_GRACE: Final = 6.0  # of the ten seconds in which a process ends


class LeadLostError(Exception):
    """Another dispatcher took over this instance. This process ends; restarted, it stands by."""


class Engine:
    """Works for one target instance, in one thread."""

    def __init__(
        self,
        *,
        instance: str,
        ledger: Ledger,
        target: Target,
        retries: Retries,
        gap: float,
        jitter: Callable[[], float],
        on_changed: Callable[[str], None],
        rate: float | None = None,
    ) -> None:
        """`jitter` draws from [-1, 1]; `on_changed` hears of every record that changed.

        `rate`: most attempts a second, for targets without `key_in_write`.
        """
        self._instance = instance
        self._ledger = ledger
        self._target = target
        self._retries = retries
        self._gap = gap
        self._idle = min(_IDLE, gap / 10)  # a gap is found at most a tenth late
        self._jitter = jitter
        self._on_changed = on_changed
        self._due = threading.Event()
        self._circuit = Circuit()
        self._suspects = Suspects()
        self._back = threading.Event()  # what waits for the target may go
        self._gaps_at = 0.0
        self._paused = threading.Event()
        self._flights: Flights | None = None
        self._asking: threading.Thread | None = None
        if not target.promises.key_in_write:
            self._flights = Flights(
                name=instance,
                ledger=ledger,
                target=cast("TwoPhase", target),
                decide=self._decide_flight,
                pace=Pace(rate),
                wake=self.wake,
            )
        self.ended = threading.Event()
        """Set when `run` is over: nothing of it is under way any more."""
        self.leading = threading.Event()
        """Set once this process works for the instance; never cleared (it ends instead)."""

    @property
    def target_answers(self) -> bool:
        """Tell whether the target answered last time. Does not ask."""
        return not self._circuit.open

    def wake(self) -> None:
        """Say that there may be work. From any thread."""
        self._due.set()

    @property
    def paused(self) -> bool:
        """Tell whether an operator paused the target."""
        return self._paused.is_set()

    def pause(self, paused: bool) -> None:  # noqa: FBT001 - a state, not an option
        """Begin nothing any more, or go on. From any thread; what was sent is still recorded."""
        if paused:
            self._paused.set()
        else:
            self._paused.clear()
            self._back.set()
        metrics.TARGET_PAUSED.labels(target=self._instance).set(paused)
        self.wake()

    def run(self, stop: threading.Event) -> None:
        """Work until `stop`. A ledger or target that is away is waited for.

        Raises:
            LeadLostError: another process works for the instance now.
        """
        try:
            self._run(stop)
        finally:
            self.ended.set()

    def _run(self, stop: threading.Event) -> None:
        pause = FIRST_PAUSE
        while not stop.is_set():
            try:
                self._lead(stop)
                pause = FIRST_PAUSE
                self._work(stop)
            except UnavailableError as error:
                log.warning("unavailable", dispatcher=self._instance, error=str(error))
                stop.wait(pause)
                pause = min(pause * 2, LONGEST_PAUSE)
            except StoppedError:
                # Nothing of the batch was recorded: it is due, and what it did has its keys.
                log.warning("handed_over", target=self._instance)
        self._finish()
        self._ledger.close()

    def _finish(self) -> None:
        """Record what was sent and ends soon; the rest is handed over as it is."""
        if self._flights is None or not self.leading.is_set():
            return
        try:
            self._observe_flights(self._flights.finish(_GRACE))
        except UnavailableError as error:
            log.warning("unavailable", dispatcher=self._instance, error=str(error))

    def _lead(self, stop: threading.Event) -> None:
        """Get the instance's lock, or stand by for it."""
        while not stop.is_set() and not self._ledger.lock_instance():
            if self.leading.is_set():
                raise LeadLostError(f"another dispatcher works for {self._instance}")
            stop.wait(_STANDBY)
        if stop.is_set():
            return
        self.pause(is_paused(self._ledger))
        if self._flights is not None and (found := self._flights.recover()):
            log.warning("interrupted_writes", target=self._instance, count=found)
            self._ledger.wake_relay()
        if not stop.is_set() and not self.leading.is_set():
            log.info("dispatcher_leads", target=self._instance)
            self.leading.set()

    def _work(self, stop: threading.Event) -> None:
        while not stop.is_set():
            self._due.clear()  # before looking, so that a wake-up after it is not lost
            allowed = self._may_go_on()
            if self._flights is not None:
                moved = self._fly(self._flights, allowed=allowed)
            else:
                moved = self._batch() if allowed else 0
            if moved:
                continue
            if not allowed:
                self._sleep(stop, self._forbidden(), woken=self.paused or self._flights is not None)
                continue
            self._look_for_gaps()
            due = self._ledger.next_due() if self._flights is None else self._flights.wait()
            self._sleep(stop, self._idle if due is None else min(due, self._idle), woken=True)

    def _may_go_on(self) -> bool:
        """Tell whether the target may be written to, and let go what waited for that."""
        allowed = self._may_attempt()
        if allowed:
            self._let_go()
        return allowed

    def _let_go(self) -> None:
        """Make due what met an outage and waits for the target: all of it once that is over."""
        busy = () if self._flights is None else self._flights.busy
        if self._circuit.trial:
            if not busy:
                let_one_go(self._ledger)
        elif self._back.is_set():
            self._back.clear()
            if count := let_go(self._ledger):
                log.info("waiting_writes_let_go", target=self._instance, count=count)

    def _forbidden(self) -> float:
        """Return seconds for which nothing may be attempted, unless something happens."""
        if self.paused:
            return self._idle
        return self._circuit.wait(time.monotonic()) or (_IDLE if self._asking else 0.0)

    def _sleep(self, stop: threading.Event, seconds: float, *, woken: bool = False) -> None:
        until = time.monotonic() + seconds
        while not stop.is_set() and (left := until - time.monotonic()) > 0:
            if not woken:
                stop.wait(min(left, _SLICE))
            elif self._due.wait(min(left, _SLICE)):
                return

    def _may_attempt(self) -> bool:
        """Tell whether the target may be written to."""
        if self.paused:
            return False
        if not self._circuit.open:
            return True
        if self._circuit.wait(time.monotonic()) > 0:
            return False
        if self._flights is None:
            self._heard(self._target.ready())
        elif self._asking is None:  # in a thread: while it asks, outcomes still come in
            self._asking = threading.Thread(target=self._ask, name="ready", daemon=True)
            self._asking.start()
        return not self._circuit.open

    def _ask(self) -> None:
        self._heard(self._target.ready())
        self._asking = None
        self.wake()

    def _heard(self, away: Unavailable | None) -> None:
        if away is None:
            log.info("target_answers", target=self._instance)
            self._circuit.answered()
        else:
            self._circuit.failed(time.monotonic(), away.retry_after or 0.0)
        metrics.TARGET_AWAY.labels(target=self._instance).set(self._circuit.open)

    def step(self) -> int:
        """Do what can be done now, and return how many steps moved."""
        if self._flights is None:
            return self._batch()
        return self._fly(self._flights, allowed=self._may_go_on())

    def _fly(self, flights: Flights, *, allowed: bool) -> int:
        moved, ended = flights.step(allowed=allowed, alone=self._circuit.trial)
        self._observe_flights(ended)
        return moved

    def _batch(self) -> int:
        """Attempt one batch of due steps, and return how many there were.

        One ordered protocol: what a crash leaves is said at each line.
        """
        with self._ledger.transaction() as transaction:
            most = 1 if self._circuit.trial else self._target.promises.batch
            claimed = self._ledger.claim(transaction, most)
            if not claimed:
                return 0
            # A crash here leaves the steps due: nothing was sent.
            started = time.monotonic()
            work = [write_back(from_text(one.statement), one.step) for one in claimed]
            outcomes = self._target.apply_batch(work)
            # A crash here leaves them due, and their keys in the target: AlreadyApplied next time.
            self._ledger.record(transaction, self._decide(claimed, work, outcomes))
        # A crash here loses the hint alone: the relay polls.
        self._ledger.wake_relay()
        self._observe(claimed, outcomes, time.monotonic() - started)
        return len(claimed)

    def _decide(
        self, claimed: Sequence[Claimed], work: Sequence[WriteBack], outcomes: Sequence[Outcome]
    ) -> list[Move]:
        alone = len(claimed) == 1  # one that is ill can take a whole batch along
        return [
            Move(
                write_back_id=one.write_back_id,
                identifier=one.identifier,
                transition=one.transition + 1,
                attempts=one.attempts + 1,
                next=after_attempt(
                    one.state,
                    outcome,
                    attempts=one.attempts + 1,
                    retries=self._retries,
                    jitter=self._jitter(),
                    fields=wanted.fields,
                    excused=one.excused,
                    suspect=alone and self._suspects.suspect(one.write_back_id),
                ),
            )
            for one, wanted, outcome in zip(claimed, work, outcomes, strict=True)
        ]

    def _decide_flight(self, attempt: Attempt, outcome: Outcome) -> Move:
        sent = attempt.state is State.SENDING  # then the intent counted the attempt
        attempts = attempt.attempts if sent else attempt.attempts + 1
        return Move(
            write_back_id=attempt.key,
            identifier=attempt.claimed.identifier,
            transition=attempt.transition + 1,
            attempts=attempts,
            next=after_attempt(
                attempt.state,
                outcome,
                attempts=attempts,
                retries=self._retries,
                jitter=self._jitter(),
                fields=attempt.wanted.fields,
                excused=attempt.claimed.excused,
                suspect=self._suspects.suspect(attempt.key),
            ),
        )

    def _observe_flights(self, ended: Sequence[Ended]) -> None:
        self._hear([one.claimed for one in ended], [one.outcome for one in ended])
        for one in ended:
            self._count([one.claimed], [one.outcome], one.seconds)

    def _observe(
        self, claimed: Sequence[Claimed], outcomes: Sequence[Outcome], seconds: float
    ) -> None:
        self._hear(claimed, outcomes)
        self._count(claimed, outcomes, seconds)

    def _hear(self, claimed: Sequence[Claimed], outcomes: Sequence[Outcome]) -> None:
        """Learn from outcomes whether the target is there."""
        if any(isinstance(one, Applied | AlreadyApplied | Conflict) for one in outcomes):
            self._suspects.written()
            if self._circuit.trial:
                self._circuit.worked()
                self._back.set()
        away = _away(outcomes)
        for one, outcome in zip(claimed, outcomes, strict=True):
            if _is_away(outcome):
                self._suspects.met(one.write_back_id)
            else:
                self._suspects.clear(one.write_back_id)
        # Requests that were under way when the circuit opened say nothing new.
        if away and self._circuit.wait(time.monotonic()) <= 0:
            self._went_away(away)

    def _went_away(self, away: Sequence[Unavailable]) -> None:
        log.warning("target_away", target=self._instance, code=away[0].code)
        longest = max(one.retry_after or 0.0 for one in away)
        self._circuit.failed(time.monotonic(), longest)
        metrics.TARGET_AWAY.labels(target=self._instance).set(1)

    def _count(
        self, claimed: Sequence[Claimed], outcomes: Sequence[Outcome], seconds: float
    ) -> None:
        for name, count in Counter(type(one).__name__ for one in outcomes).items():
            metrics.ATTEMPTS.labels(target=self._instance, outcome=name).inc(count)
        took = metrics.DECISION_TO_TARGET.labels(target=self._instance)
        for one, outcome in zip(claimed, outcomes, strict=True):
            if isinstance(outcome, Applied | AlreadyApplied | Conflict):
                self._on_changed(one.identifier)  # what was read before is not there any more
            if isinstance(outcome, Applied | AlreadyApplied):
                took.observe(max(0.0, one.since_due + seconds))

    def _look_for_gaps(self) -> None:
        now = time.monotonic()
        if now < self._gaps_at:
            return
        self._gaps_at = now + self._idle
        found = self._ledger.find_gaps(self._gap)
        if found:
            log.warning("order_gap", target=self._instance, count=found)
            self._ledger.wake_relay()
        metrics.STUCK.labels(target=self._instance).set(self._ledger.count_stuck())


def _away(outcomes: Sequence[Outcome]) -> list[Unavailable]:
    return [one for one in outcomes if _is_away(one)]


def _is_away(outcome: Outcome) -> TypeGuard[Unavailable]:
    return isinstance(outcome, Unavailable) and outcome.whole_target
