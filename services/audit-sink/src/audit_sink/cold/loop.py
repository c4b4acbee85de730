"""The loop that archives while the audit sink runs. Nothing waits for it.

Owns when it works: it rests longer than it works while records arrive, and after trouble. Trouble
never ends the process: appending and publishing go on, and a metric and one log line say why
nothing is archived.
"""

import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from typing import Final

import structlog

from audit_sink.checkpoint import CheckpointError
from audit_sink.cold.archive import Archiver
from audit_sink.cold.store import ColdConflictError, ColdRefusedError
from audit_sink.folder import FileProblemError
from audit_sink.store import LogDamagedError
from audit_sink.tlog_proof import ProofError
from audit_sink.verify import BadEvidenceError
from conveyor import metrics
from conveyor.errors import UnavailableError

log = structlog.get_logger()

_INTERVAL: Final = 30.0
_YIELD: Final = 3.0  # times as long at rest as at work while records arrive
STOPPED: Final = (
    BadEvidenceError,
    CheckpointError,
    ColdConflictError,
    ColdRefusedError,
    FileProblemError,
    LogDamagedError,
    LookupError,
    ProofError,
)
"""What an operator has to look at. No try by itself will do better."""


class ArchiveLoop:
    """Archives, and lets old payloads go. `wake` may be called from any thread."""

    def __init__(
        self,
        opened: Callable[[], AbstractContextManager[Archiver]] | None,
        *,
        after: timedelta,
        hot: timedelta,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """`opened` opens log and store for a while (None: there is no store, and nothing to do).

        `after` and `hot` are ages of records.
        """
        self._opened = opened
        self._after = after
        self._hot = hot
        self._clock = clock
        self._is_busy = False
        self.stopped: str | None = None
        """Why nothing is archived, or None."""

    def wake(self) -> None:
        """Say that records arrive: they come first."""
        self._is_busy = True

    def run(self, stop: threading.Event) -> None:
        """Archive until `stop` is set."""
        while not stop.is_set():
            self.round(stop)
            stop.wait(_INTERVAL)

    def round(self, stop: threading.Event) -> None:
        """Do what there is to do; trouble is told and left for the next round."""
        if self._opened is None:
            return
        try:
            with self._opened() as archiver, archiver.rows.alone() as alone:
                last = archiver.rows.last_archive()
                metrics.AUDIT_ARCHIVE_SIZE.set(0 if last is None else last.end)
                while alone and not stop.is_set():
                    began = time.monotonic()
                    if not self._step(archiver):
                        break
                    rest = _YIELD * (time.monotonic() - began) if self._is_busy else 0.0
                    self._is_busy = False
                    stop.wait(rest)
        except (UnavailableError, OSError) as error:
            log.warning("archiving_waits", error=str(error))
            return
        except STOPPED as error:
            if self.stopped != str(error):
                log.exception("archiving_stopped")
            self.stopped = str(error)
            metrics.AUDIT_ARCHIVE_STOPPED.set(1)
            return
        self.stopped = None
        metrics.AUDIT_ARCHIVE_STOPPED.set(0)

    def _step(self, archiver: Archiver) -> bool:
        now = self._clock()
        archived = archiver.step(now - self._after)
        if archived is not None:
            metrics.AUDIT_ARCHIVE_SIZE.set(archived.end)
            log.info("archived", first=archived.first, end=archived.end, bytes=archived.size)
        dropped = archiver.drop(now - self._hot)
        if dropped is not None:
            log.info("payloads_left_hot_store", count=dropped)
        return archived is not None or dropped is not None
