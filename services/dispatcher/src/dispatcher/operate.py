"""Controls in: from records of `placet.controls` to a paused target or an unstuck write.

Owns which records are this dispatcher's business. As with decisions, the ledger commits before the
offsets do, and what is delivered again changes nothing.
"""

from collections.abc import Callable, Sequence

import structlog

from contract.codec import CodecError, UnknownSchemaError, decode
from contract.events import Control
from contract.reasons import Reason
from conveyor import metrics
from conveyor.inbox import Verdict
from conveyor.record import Parked, Record
from dispatcher.controls import ControlError, Unstick, asked
from dispatcher.ledger import Ledger
from dispatcher.ledger_controls import is_paused, operate

log = structlog.get_logger()


class Operators:
    """Handles batches of controls for one target instance."""

    def __init__(
        self,
        *,
        instance: str,
        ledger: Ledger,
        pause: Callable[[bool], None],
        wake: Callable[[], None],
    ) -> None:
        """`pause` hears whether the target is paused, `wake` that there may be work."""
        self._instance = instance
        self._ledger = ledger
        self._pause = pause
        self._wake = wake

    def handle(self, records: Sequence[Record]) -> list[Parked]:
        """Carry out what these controls ask of this dispatcher; return what cannot be understood.

        Raises:
            UnknownSchemaError: a newer release wrote one: upgrade this service first.
            UnavailableError: the ledger is away.
        """
        return [one for record in records if (one := self._take(record)) is not None]

    def _take(self, record: Record) -> Parked | None:
        try:
            control = decode(record.value or b"")
        except UnknownSchemaError:
            raise
        except CodecError as error:
            return Parked(record=record, reason=error.reason, message=str(error))
        if not isinstance(control, Control):
            name = type(control).__name__
            return Parked(record=record, reason=Reason.UNREADABLE, message=f"a {name}, no Control")
        try:
            what = asked(control, self._instance)
        except ControlError as error:
            return Parked(record=record, reason=Reason.BAD_VALUE, message=str(error))
        if what is None:
            return None
        with self._ledger.transaction() as transaction:
            verdict, changed = operate(self._ledger, transaction, control, what)
        # A crash here repeats the control: the inbox knows it.
        self._pause(is_paused(self._ledger))
        if verdict is Verdict.REUSED:
            message = "the control's id belongs to another control"
            return Parked(record=record, reason=Reason.KEY_REUSED, message=message)
        if verdict is Verdict.DUPLICATE:
            metrics.DUPLICATES.labels(consumer="dispatcher").inc()
        elif isinstance(what, Unstick):
            log.info("unstuck", write_back_id=what.write_back_id, changed=changed,
                     resolution=what.resolution)  # fmt: skip
            self._ledger.wake_relay()
        self._wake()
        return None
