"""Write-backs to targets that cannot hold our key in a transaction: look, intent, send, outcome.

Owns the order that leaves nothing unknown to us: a request leaves only after its intent is
committed, and every later word about it is guarded by the transition it was read at. One thread
(the engine's) speaks with the ledger, many at once in a transaction; `Hands` speak with the target,
one record each. Refuses to know what an outcome means (`writeback`) and when the target may be
written to (`work`).
"""

import queue
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import structlog

from contract.events import Action
from contract.statement import from_text
from conveyor.errors import UnavailableError
from dispatcher.hands import Hands
from dispatcher.ledger import Claimed, Ledger, Transaction
from dispatcher.ledger_intents import Intent, hold, images_of, intend, interrupt
from dispatcher.ledger_repairs import tell_repairs
from dispatcher.ledger_rows import Move
from dispatcher.pace import Pace
from dispatcher.plan import write_back
from dispatcher.targets.target import Repair, TwoPhase
from dispatcher.writeback import (
    Absent,
    AlreadyApplied,
    Applied,
    Code,
    Conflict,
    Images,
    Outcome,
    Refused,
    State,
    Unavailable,
    Unknown,
    WriteBack,
)

log = structlog.get_logger()

LEASE: Final = 10.0
_SHORTEST_LEASE: Final = 1.0
AHEAD: Final = 2
"""Steps under way for each hand: while one is being committed, its hand has another to work on."""
_FIELDS: Final = "fields"
_OUTCOMES: Final = (Applied, AlreadyApplied, Conflict, Refused, Unavailable, Unknown)
_TOO_LATE: Final = Unavailable(
    code=Code.TARGET_BUSY, detail="the request was not sent in time, and so not at all"
)


@dataclass(slots=True, kw_only=True)
class Attempt:
    """A step under way. `undone`: the images of the step that this one undoes."""

    claimed: Claimed
    wanted: WriteBack
    undone: tuple[Images, Images] | None
    begun: float
    state: State
    transition: int
    attempts: int
    prepared: Any = None
    intended: float = 0.0

    @property
    def key(self) -> str:
        """Return the write-back's id."""
        return self.claimed.write_back_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """What an attempt came to, recorded. `seconds` since it was begun."""

    claimed: Claimed
    outcome: Outcome
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Came:
    """What a hand brought: something prepared, an outcome, or a bug."""

    attempt: Attempt
    result: Any


Decide = Callable[[Attempt, Outcome], Move]


def lease(settle: float) -> float:
    """Return seconds for which an intent may be sent: whoever wakes up later sends nothing.

    At most half of the target's `settle`, after which a successor may have probed and sent it
    itself: the other half is for a request that leaves in the last moment.
    """
    return min(LEASE, max(settle / 2, _SHORTEST_LEASE))


class Flights:
    """All that is under way to one target. Used by one thread."""

    def __init__(
        self,
        *,
        name: str,
        ledger: Ledger,
        target: TwoPhase,
        decide: Decide,
        pace: Pace,
        wake: Callable[[], None],
    ) -> None:
        """`wake` is called, from any thread, when there is something to take in."""
        self._ledger = ledger
        self._target = target
        self._decide = decide
        self._pace = pace
        self._wake = wake
        self._hands = Hands(target.promises.batch, f"placet {name}")
        self._most = AHEAD * target.promises.batch
        self._came: queue.SimpleQueue[_Came] = queue.SimpleQueue()
        self._unrecorded: list[_Came] = []
        self._under_way: dict[str, Attempt] = {}
        self._deferred = 0.0
        self._untold: list[Repair] = []

    @property
    def busy(self) -> list[str]:
        """Return the ids of what is under way."""
        return list(self._under_way)

    def recover(self) -> int:
        """Find intents whose sender is gone, and have them probed. Returns how many."""
        return interrupt(self._ledger, self.busy, self._target.promises.settle)

    def wait(self) -> float | None:
        """Return seconds until more may begin, None when a hand's return is what to wait for."""
        if len(self._under_way) >= self._most:
            return None
        due = self._ledger.next_due(self.busy)
        return None if due is None else max(due, self._deferred)

    def step(self, *, allowed: bool, alone: bool = False) -> tuple[int, list[Ended]]:
        """Record what came in, send what was prepared, begin what is due.

        Unless `allowed`, nothing is sent and nothing begun; `alone`: one at a time. Returns how
        many moved, and what ended.

        Raises:
            UnavailableError: the ledger is away. What it missed is kept for the next call.
        """
        moved, ended = self._take_in(allowed=allowed)
        self._tell_repairs()
        if allowed:
            moved += self._begin(1 if alone else self._most)
        return moved, ended

    def finish(self, seconds: float) -> list[Ended]:
        """Wait for what was sent, begin nothing. What does not end in time stays an intent."""
        deadline = time.monotonic() + seconds
        ended = self._take_in(allowed=False)[1]
        while self._sending() and (left := deadline - time.monotonic()) > 0:
            try:
                self._unrecorded.append(self._came.get(timeout=left))
            except queue.Empty:
                break
            ended += self._take_in(allowed=False)[1]
        if self._sending():
            log.warning("handed_over", write_backs=self._sending())
        return ended

    def _sending(self) -> list[str]:
        return [key for key, one in self._under_way.items() if one.state is State.SENDING]

    # In

    def _take_in(self, *, allowed: bool) -> tuple[int, list[Ended]]:
        """One ordered protocol: what a crash leaves is said at each line."""
        came = self._unrecorded
        while not self._came.empty():
            came.append(self._came.get())
        self._unrecorded = []
        if not came:
            return 0, []
        prepared, outcomes = self._sorted(came, allowed=allowed)
        try:
            with self._ledger.transaction() as transaction:
                held = hold(
                    self._ledger,
                    transaction,
                    {one.attempt.key: one.attempt.transition for one in [*prepared, *outcomes]},
                )
                outcomes = self._held(outcomes, held)
                self._ledger.record(
                    transaction, [self._decide(one.attempt, one.result) for one in outcomes]
                )
                # A crash here leaves what was prepared due, and what was sent SENDING: probed.
                self._intend(transaction, prepared, held)
        except UnavailableError:
            for one in prepared:  # it never left; should its intent be there, it is probed
                del self._under_way[one.attempt.key]
            self._unrecorded = outcomes
            raise
        # A crash here leaves intents whose request never left: probed, absent, sent then.
        for one in prepared:
            if one.attempt.key in held:
                self._launch(one)
            else:
                self._overtaken(one.attempt)
        self._ledger.wake_relay()
        return len(came), [self._landed(one) for one in outcomes]

    def _sorted(self, came: Sequence[_Came], *, allowed: bool) -> tuple[list[_Came], list[_Came]]:
        """Return what is ready to be sent, and what has ended."""
        prepared, outcomes = [], []
        for one in came:
            if isinstance(one.result, BaseException):
                raise one.result  # a bug: nothing is recorded, the process ends
            if isinstance(one.result, _OUTCOMES):
                outcomes.append(one)
            elif allowed:
                prepared.append(one)
            else:
                del self._under_way[one.attempt.key]  # nothing was sent: it stays due
        return prepared, outcomes

    def _held(self, outcomes: Sequence[_Came], held: set[str]) -> list[_Came]:
        """Leave out what another worker moved: its word counts, not ours."""
        for one in outcomes:
            if one.attempt.key not in held:
                self._overtaken(one.attempt)
        return [one for one in outcomes if one.attempt.key in held]

    def _overtaken(self, attempt: Attempt) -> None:
        log.warning("attempt_overtaken", write_back_id=attempt.key, state=attempt.state)
        self._under_way.pop(attempt.key, None)

    def _landed(self, one: _Came) -> Ended:
        attempt = self._under_way.pop(one.attempt.key)
        seconds = time.monotonic() - attempt.begun
        return Ended(claimed=attempt.claimed, outcome=one.result, seconds=seconds)

    def _intend(self, transaction: Transaction, prepared: Sequence[_Came], held: set[str]) -> None:
        intents = [
            Intent(
                write_back_id=one.attempt.key,
                identifier=one.attempt.claimed.identifier,
                state=one.attempt.state,
                transition=one.attempt.transition,
                attempts=one.attempt.attempts + 1,
                before=one.result.before,
                digest=self._ledger.digest(one.result.request),
            )
            for one in prepared
            if one.attempt.key in held
        ]
        intend(self._ledger, transaction, intents)

    def _tell_repairs(self) -> None:
        self._untold += self._target.repairs()
        if self._untold:
            self._untold = tell_repairs(self._ledger, self._untold)
            self._ledger.wake_relay()

    # Out

    def _launch(self, one: _Came) -> None:
        attempt = one.attempt
        attempt.prepared = one.result
        attempt.state = State.SENDING
        attempt.transition += 1
        attempt.attempts += 1
        attempt.intended = time.monotonic()
        self._hands.give(partial(self._do, self._send, attempt))

    def _begin(self, most_at_once: int) -> int:
        free = max(0, most_at_once - len(self._under_way))
        most = self._pace.allowed(time.monotonic(), free)
        self._deferred = 0.0 if most else self._pace.wait()
        if most <= 0:
            return 0
        with self._ledger.transaction() as transaction:
            begun = [
                self._attempt(transaction, one)
                for one in self._ledger.due(transaction, most, self.busy)
            ]
        # A crash here, or while a hand looks, leaves them due: nothing was sent.
        self._pace.begin(len(begun))
        for attempt in begun:
            self._under_way[attempt.key] = attempt
            self._hands.give(partial(self._do, self._look, attempt))
        return len(begun)

    def _attempt(self, transaction: Transaction, claimed: Claimed) -> Attempt:
        statement = from_text(claimed.statement)
        undone = None
        if statement.action is Action.UNDO and claimed.step != _FIELDS:
            # Fields carry their old values in the statement; anything else is found by its images.
            undone = images_of(
                self._ledger,
                transaction,
                identifier=claimed.identifier,
                decision_id=statement.undoes or "",
                step=claimed.step,
            )
        return Attempt(
            claimed=claimed,
            wanted=write_back(statement, claimed.step),
            undone=undone,
            begun=time.monotonic(),
            state=claimed.state,
            transition=claimed.transition,
            attempts=claimed.attempts,
        )

    # What hands do

    def _do(self, what: Callable[[Attempt], Any], attempt: Attempt) -> None:
        try:
            result = what(attempt)
        except BaseException as error:  # noqa: BLE001 - raised again in the engine's thread
            result = error
        self._came.put(_Came(attempt=attempt, result=result))
        self._wake()

    def _look(self, attempt: Attempt) -> Any:
        """Find out what there is to do: nothing, because it is done; or the request to send."""
        if attempt.undone is not None:  # looks for its own key itself
            return self._target.prepare_undo(attempt.wanted, *attempt.undone)
        if attempt.state is State.UNKNOWN:
            found = self._target.probe(attempt.wanted)
            if not isinstance(found, Absent):
                return found
        return self._target.prepare(attempt.wanted)

    def _send(self, attempt: Attempt) -> Any:
        if time.monotonic() - attempt.intended > lease(self._target.promises.settle):
            return _TOO_LATE
        return self._target.send(attempt.prepared)
