"""The engine: claims due steps, has the target do them, records what became of them.

Owns when something is attempted: due times, one batch at a time, the circuit of a target that is
away. Refuses to know what an outcome means (`writeback`), how it is stored (`ledger`) and how it is
done (`targets`). Whatever is interrupted anywhere is simply claimed again: recovery is this loop.

One process works for an instance: it holds a session lock on the connection that commits the
outcomes, so losing the lock is losing the power to record. Others stand by.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final

import structlog

from contract.statement import from_text
from conveyor import metrics
from conveyor.errors import UnavailableError
from dispatcher.ledger import Claimed, Ledger
from dispatcher.ledger_rows import Move
from dispatcher.plan import write_back
from dispatcher.targets.target import Target
from dispatcher.writeback import (
    AlreadyApplied,
    Applied,
    Outcome,
    Retries,
    Unavailable,
    WriteBack,
    after_attempt,
)

log = structlog.get_logger()

_STANDBY: Final = 1.0
_SLICE: Final = 0.5  # how soon a waiting loop notices that it is to stop
_IDLE: Final = 30.0  # how often it looks without being woken, at least
_FIRST_PAUSE: Final = 0.5
_LONGEST_PAUSE: Final = 30.0


class LeadLostError(Exception):
    """Another dispatcher took over this instance. This process ends; restarted, it stands by."""


class Circuit:
    """Open while the target is away: attempts stop, so an outage spends nobody's retries."""

    def __init__(self) -> None:
        self._pause = _FIRST_PAUSE
        self._until: float | None = None

    @property
    def open(self) -> bool:
        """Tell whether attempts have to wait."""
        return self._until is not None

    def wait(self, now: float) -> float:
        """Return seconds until the target may be asked again; 0 when the circuit is closed."""
        return 0.0 if self._until is None else max(0.0, self._until - now)

    def failed(self, now: float) -> None:
        """Open, for twice as long as last time."""
        self._until = now + self._pause
        self._pause = min(self._pause * 2, _LONGEST_PAUSE)

    def worked(self) -> None:
        """Close."""
        self._until = None
        self._pause = _FIRST_PAUSE


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
        on_written: Callable[[str], None],
    ) -> None:
        """`jitter` draws from [-1, 1]; `on_written` hears of every record that changed."""
        self._instance = instance
        self._ledger = ledger
        self._target = target
        self._retries = retries
        self._gap = gap
        self._idle = min(_IDLE, gap / 10)  # a gap is found at most a tenth late
        self._jitter = jitter
        self._on_written = on_written
        self._due = threading.Event()
        self._circuit = Circuit()
        self._gaps_at = 0.0
        self.leading = threading.Event()
        """Set once this process works for the instance; never cleared (it ends instead)."""

    @property
    def target_answers(self) -> bool:
        """Tell whether the target answered last time. Does not ask."""
        return not self._circuit.open

    def wake(self) -> None:
        """Say that there may be work. From any thread."""
        self._due.set()

    def run(self, stop: threading.Event) -> None:
        """Work until `stop`. A ledger or target that is away is waited for.

        Raises:
            LeadLostError: another process works for the instance now.
        """
        pause = _FIRST_PAUSE
        while not stop.is_set():
            try:
                self._lead(stop)
                pause = _FIRST_PAUSE
                self._work(stop)
            except UnavailableError as error:
                log.warning("unavailable", dispatcher=self._instance, error=str(error))
                stop.wait(pause)
                pause = min(pause * 2, _LONGEST_PAUSE)
        self._ledger.close()

    def _lead(self, stop: threading.Event) -> None:
        """Get the instance's lock, or stand by for it."""
        while not stop.is_set() and not self._ledger.lock_instance():
            if self.leading.is_set():
                raise LeadLostError(f"another dispatcher works for {self._instance}")
            stop.wait(_STANDBY)
        if not stop.is_set() and not self.leading.is_set():
            log.info("dispatcher_leads", target=self._instance)
            self.leading.set()

    def _work(self, stop: threading.Event) -> None:
        while not stop.is_set():
            self._due.clear()  # before looking, so that a wake-up after it is not lost
            if not self._may_attempt():
                self._sleep(stop, self._circuit.wait(time.monotonic()))
                continue
            if self.step():
                continue
            self._look_for_gaps()
            due = self._ledger.next_due()
            self._sleep(stop, self._idle if due is None else min(due, self._idle), woken=True)

    def _sleep(self, stop: threading.Event, seconds: float, *, woken: bool = False) -> None:
        until = time.monotonic() + seconds
        while not stop.is_set() and (left := until - time.monotonic()) > 0:
            if not woken:
                stop.wait(min(left, _SLICE))
            elif self._due.wait(min(left, _SLICE)):
                return

    def _may_attempt(self) -> bool:
        """Tell whether the target may be written to. (Pause and rate limits belong here.)"""
        if not self._circuit.open:
            return True
        if self._circuit.wait(time.monotonic()) > 0:
            return False
        away = self._target.ready()
        if away is None:
            log.info("target_answers", target=self._instance)
            self._circuit.worked()
        else:
            self._circuit.failed(time.monotonic())
        metrics.TARGET_AWAY.labels(target=self._instance).set(self._circuit.open)
        return away is None

    def step(self) -> int:
        """Attempt one batch of due steps, and return how many there were.

        One ordered protocol: what a crash leaves is said at each line.
        """
        with self._ledger.transaction() as transaction:
            claimed = self._ledger.claim(transaction, self._target.promises.batch)
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
                ),
            )
            for one, wanted, outcome in zip(claimed, work, outcomes, strict=True)
        ]

    def _observe(
        self, claimed: Sequence[Claimed], outcomes: Sequence[Outcome], seconds: float
    ) -> None:
        away = [one for one in outcomes if isinstance(one, Unavailable) and one.whole_target]
        if len(away) == len(outcomes):
            log.warning("target_away", target=self._instance, code=away[0].code)
            self._circuit.failed(time.monotonic())
            metrics.TARGET_AWAY.labels(target=self._instance).set(1)
        for name, count in Counter(type(one).__name__ for one in outcomes).items():
            metrics.ATTEMPTS.labels(target=self._instance, outcome=name).inc(count)
        took = metrics.DECISION_TO_TARGET.labels(target=self._instance)
        for one, outcome in zip(claimed, outcomes, strict=True):
            if isinstance(outcome, Applied | AlreadyApplied):
                self._on_written(one.identifier)
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
