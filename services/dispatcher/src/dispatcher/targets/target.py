"""What every business system has to promise to be written to exactly once.

Owns the port between the engine and the adapters. One conformance suite
(tests/integration/test_dispatcher_targets.py) runs on every implementation and on the in-memory
double, so what is promised here is what is tested.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from dispatcher.writeback import Images, Outcome, Probe, Refused, Unavailable, WriteBack


@dataclass(frozen=True, slots=True, kw_only=True)
class Promises:
    """What an adapter can and cannot do, as the engine uses it.

    What reviewers read about it before they approve is `contract.targets.LIMITS`.

    - `batch`: how many write-backs `apply_batch` takes at once.
    - `key_in_write`: effect and key are one atomic write, so that no intent need be committed
      before it, and `apply` answers its own probe.
    - `settle`: seconds a request of unknown outcome may still land after its connection ended.
    - `comment`: a decision's comment has a place in the target.
    - `undo`: a completed write-back can be reversed.
    """

    batch: int
    key_in_write: bool
    settle: float
    comment: bool
    undo: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """One record as it was at `read_at`: every configured field as JSON text, and its version."""

    identifier: str
    fields: Mapping[str, str]
    version: str
    read_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Repair:
    """A second copy of what a write-back had written, removed or marked. `detail` says which."""

    write_back_id: str
    detail: str


class StartRefusedError(Exception):
    """This target must not be worked with as it is configured: fix it and start again.

    `code` is stable; the message says what to change, with the statements to run where it can.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class StoppedError(Exception):
    """`interrupt` ended what was under way: no more is known of it than after a crash."""


class Target(Protocol):
    """One target instance. Used by one worker thread; `read` alone may be called from others.

    No method raises anything but bugs (and `inspect` what it says): whatever a target does is an
    outcome. No outcome holds a value of the record except in images and `current`.
    """

    @property
    def promises(self) -> Promises:
        """Return what this adapter can do. Constant; does not block."""

    def inspect(self) -> None:
        """Connect and check the configuration against the target: table, columns, rights.

        May block for the connection timeout. Changes nothing in the target.

        Raises:
            StartRefusedError: rights are broader than needed, or something is missing.
            conveyor.errors.UnavailableError: the target is away: work may start, and will wait.
        """

    def ready(self) -> Unavailable | None:
        """Say why nothing can be written now, or None. May block as `inspect`; changes nothing."""

    def read(self, identifier: str) -> Snapshot | Refused | Unavailable:
        """Return the record as it is now.

        May block for a few seconds; thread safe. Refused(RECORD_NOT_FOUND) where there is none.
        """

    def apply(self, write_back: WriteBack) -> Outcome:
        """Make the change, unless it has been made, or a field is not as the reviewer saw it.

        May block up to the target's request lifetime. On return:

        - `Applied`: effect and key are durable in the target and were read back.
        - `AlreadyApplied`: they were there before this call; this call changed nothing.
        - `Conflict`, `Refused`, `Unavailable`: this call changed nothing and never will.
        - `Unknown`: it may have happened or may still happen; do not send again before a probe
          (where `promises.key_in_write`, calling `apply` again is the probe).
        """

    def apply_batch(self, write_backs: Sequence[WriteBack]) -> list[Outcome]:
        """Do what `apply` does for each, and return the outcomes in the same order.

        At most `promises.batch` at a time, and never two for one record. They may share one
        transaction, but not one fate: the outcome of each is the one it would have had alone.

        Raises:
            ValueError: two of them are for one record. A bug of the caller.
            StoppedError: `interrupt` was called. What is done has its keys; nothing is to be
                recorded, so that all of it stays due.
        """

    def probe(self, write_back: WriteBack) -> Probe:
        """Ask the target whether this key's effect is there. Changes nothing; may block.

        `Absent` promises that it is not there and cannot arrive any more.
        """

    def undo(self, write_back: WriteBack, before: Images, after: Images) -> Outcome:
        """Write `before` back, where the fields are still `after`. Otherwise as `apply`.

        `write_back` is a new one with a key of its own: an undo is a decision too.
        """

    def normalise(self, field: str, value: str) -> str:
        """Return a text that is equal for two JSON values exactly if the target holds the same.

        Numeric scale, time zones, key order and the like are gone; nothing else is. Does not
        block; knows the fields once the target has answered to `inspect` or anything else. A value
        that the field cannot hold has a text of its own.
        """

    def interrupt(self) -> None:
        """End soon whatever call is under way, from another thread, and answer no later one.

        What may be ended so answers Unavailable, or raises StoppedError where its outcome must not
        be recorded. Returns within two seconds. A target whose calls are on threads that may be
        left behind has nothing to do here.
        """

    def close(self) -> None:
        """Let go of every connection. Safe to call twice."""


class Prepared(Protocol):
    """A write that may go ahead: read, compared, ready to be sent once. Nothing has changed yet."""

    @property
    def write_back(self) -> WriteBack:
        """Return what it carries out."""

    @property
    def before(self) -> Images:
        """Return what the changed fields hold."""

    @property
    def request(self) -> bytes:
        """Return what will be sent."""


class TwoPhase(Target, Protocol):
    """A target without `key_in_write`: `apply` in halves, for an intent to be committed between.

    All of it may be called from several threads, never two for one record.
    """

    def prepare(self, write_back: WriteBack) -> Prepared | Outcome:
        """Read and compare. Changes nothing; may block for a few requests.

        An Outcome ends the attempt: as of `apply`, but never Applied or Unknown.
        """

    def prepare_undo(
        self, write_back: WriteBack, before: Images, after: Images
    ) -> Prepared | Outcome:
        """Do what `prepare` does, for `undo`."""

    def send(self, prepared: Any) -> Outcome:
        """Send what `prepare` returned, once, and read it back. Outcomes as of `apply`."""

    def repairs(self) -> list[Repair]:
        """Return what was found twice and removed since the last call. Does not block."""
