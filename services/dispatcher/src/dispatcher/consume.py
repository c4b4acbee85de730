"""Decisions in: from records of `placet.decisions` to steps in the ledger.

Owns which records are this dispatcher's, and what happens to those that cannot be believed. The
ledger commits before the offsets do (conveyor's order), so a crash repeats and never loses.

Whose a record is, its Kafka key says: the dispatcher of the instance named there looks at it, the
others skip it unread. A key that lies is found by that one dispatcher, because the key is compared
with the signed target. A record without a readable key is looked at by all, and handled by the one
that its target names.
"""

from collections.abc import Callable, Sequence
from urllib.parse import unquote

import structlog

from contract.codec import CodecError, UnknownSchemaError, decode
from contract.events import ReviewDecision
from contract.identity import Digester
from contract.reasons import Reason
from contract.targets import TargetConfig
from conveyor import metrics
from conveyor.record import Parked, Record
from dispatcher.ledger import Ledger
from dispatcher.ledger_rows import Verdict
from dispatcher.plan import Nothing, Plan, Problem, TakeBack, Verify, check, plan

log = structlog.get_logger()

_KEY_PARTS = 3


def named_instance(key: bytes | None) -> str | None:
    """Return the target instance a decision's Kafka key names, None where it names none."""
    if key is None:
        return None
    try:
        parts = key.decode("ascii").split("/")
    except UnicodeDecodeError:
        return None
    return unquote(parts[1]) if len(parts) == _KEY_PARTS else None


class Intake:
    """Handles batches of decisions for one target instance."""

    def __init__(
        self,
        *,
        config: TargetConfig,
        ledger: Ledger,
        verify: Verify,
        digester: Digester,
        wake: Callable[[], None],
    ) -> None:
        """`wake` is called after new steps are durable: there is work."""
        self._config = config
        self._ledger = ledger
        self._verify = verify
        self._digester = digester
        self._wake = wake

    def handle(self, records: Sequence[Record]) -> list[Parked]:
        """Make every step of these decisions durable, and return what cannot be believed.

        Raises:
            UnknownSchemaError: a newer release wrote one: upgrade this service first. Nothing of
                the batch may be committed.
            UnavailableError: the ledger is away.
        """
        parked: list[Parked] = []
        plans: list[tuple[Record, Plan]] = []
        take_backs: list[tuple[Record, TakeBack]] = []
        for record in records:
            match self._judge(record):
                case Plan() as one:
                    plans.append((record, one))
                case TakeBack() as one:
                    take_backs.append((record, one))
                case Problem(reason=reason, message=message):
                    parked.append(Parked(record=record, reason=reason, message=message))
                case Nothing() | None:
                    pass
        # Take-backs first: a decision of this batch that is taken back in it is never due.
        parked += [_reused(record) for record, one in take_backs if not self._take_back(one)]
        parked += self._accept(plans)
        return parked

    def _judge(self, record: Record) -> Plan | TakeBack | Nothing | Problem | None:
        """Return what the record asks of us; None when it is another dispatcher's."""
        named = named_instance(record.key)
        if named is not None and named != self._config.name:
            metrics.FOREIGN_DECISIONS.labels(target=self._config.name).inc()
            return None
        decision = _decision(record)
        if isinstance(decision, Problem):
            return decision
        if named is None and decision.target.instance != self._config.name:
            return None
        statement = check(decision, record.key, verify=self._verify, digest=self._digester.of_bytes)
        if isinstance(statement, Problem):
            return statement
        return plan(decision, statement, system=self._config.system, names=self._config.names)

    def _take_back(self, one: TakeBack) -> bool:
        """Return False where its id or its ordinal belongs to something else."""
        with self._ledger.transaction() as transaction:
            verdict, late = self._ledger.take_back(transaction, one)
        if late:
            # The API lets nobody take back what was sent, so this is a replay or a race lost.
            log.warning("take_back_too_late", decision_id=one.taken, write_backs=late)
        if verdict is Verdict.DUPLICATE:
            metrics.DUPLICATES.labels(consumer="dispatcher").inc()
        if verdict is Verdict.NEW:
            self._ledger.wake_relay()
            self._wake()
        return verdict is not Verdict.REUSED

    def _accept(self, plans: Sequence[tuple[Record, Plan]]) -> list[Parked]:
        if not plans:
            return []
        with self._ledger.transaction() as transaction:
            verdicts = self._ledger.accept(transaction, [one for _, one in plans])
        # A crash here repeats the batch: all of it is recognised as a duplicate.
        self._wake()
        if any(step.refusal for _, one in plans for step in one.steps):
            self._ledger.wake_relay()
        duplicates = sum(verdict is Verdict.DUPLICATE for verdict in verdicts)
        metrics.DUPLICATES.labels(consumer="dispatcher").inc(duplicates)
        return [
            _reused(record)
            for (record, _), verdict in zip(plans, verdicts, strict=True)
            if verdict is Verdict.REUSED
        ]


def _decision(record: Record) -> ReviewDecision | Problem:
    if record.value is None:
        return Problem(reason=Reason.UNREADABLE, message="a record without a value")
    try:
        event = decode(record.value)
    except UnknownSchemaError:
        raise
    except CodecError as error:
        return Problem(reason=error.reason, message=str(error))
    if not isinstance(event, ReviewDecision):
        return Problem(
            reason=Reason.UNREADABLE, message=f"a {type(event).__name__}, not a ReviewDecision"
        )
    return event


def _reused(record: Record) -> Parked:
    return Parked(
        record=record,
        reason=Reason.KEY_REUSED,
        message="the decision's key or its ordinal belongs to another decision",
    )
