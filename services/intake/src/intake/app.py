"""The faust application: reads `placet.model-outputs`, batch by batch. The only file with faust.

Owns when an offset may be committed: after the effects of its record are durable, never else. Faust
commits what was acknowledged, and acknowledges generously: `take` does so in a `finally`, so also
when its body raises or is cancelled, and an agent that raised goes on with the next record. Hence:

- `SettledStream.ack` lets nothing through that was not settled here before;
- what nobody foresaw ends the process at once, with everything of the batch unacknowledged;
- one agent, one batch at a time, so that acknowledgements are in order within each partition
  (faust would commit past a single missing one).
"""

import asyncio
import logging
import os
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import faust
import structlog
from mode.loop import use as use_loop

from contract.topics import MODEL_OUTPUTS
from conveyor.errors import UnavailableError
from conveyor.record import Headers, Record
from intake.effects import GROUP, Effects

log = structlog.get_logger()

BATCH: Final = 500
WITHIN: Final = 0.05
"""Seconds after which a batch that is not full is taken: half of it is latency on a quiet topic."""
_GRACE: Final = 5.0
"""Seconds that a batch under way may take to end after SIGTERM."""
_DEADLINE: Final = 9.0
"""Seconds after SIGTERM when the process ends, whatever hangs (a broker that is away)."""
_SELDOM: Final = 10.0
"""Seconds between two log lines of the same kind from the Kafka client."""
_KINDS: Final = 1_000
_FETCH_BYTES: Final = 1_048_576
"""Per partition. A larger record comes all the same (KIP-74), so this bounds memory only."""


class SettledStream(faust.Stream[Any]):
    """A stream that acknowledges only events whose effects are known to be durable."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.enable_acks = False  # the background reader of `take` must never acknowledge
        self._settled: set[tuple[str, int, int]] = set()

    def settle(self, events: Sequence[Any]) -> None:
        """Say that the effects of `events` are durable."""
        self._settled.update(_place(event.message) for event in events)

    async def ack(self, event: Any) -> bool:
        """Acknowledge `event` where it was settled; do nothing otherwise."""
        place = _place(event.message)
        if place not in self._settled:
            return False
        self._settled.discard(place)
        return bool(await super().ack(event))


class Intake:
    """One intake process: the faust application with its one agent."""

    def __init__(self, *, bootstrap: str, effects: Effects, stop: threading.Event) -> None:
        """Wire it. Nothing is read before `run`."""
        self._effects = effects
        self._stop = stop
        self._consuming = False
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="effects")
        self._app = _faust_app(bootstrap)
        self._app.on_partitions_assigned.connect(self._on_assigned)
        self._app.on_partitions_revoked.connect(self._on_revoked)
        topic = self._app.topic(MODEL_OUTPUTS, value_serializer="raw", key_serializer="raw")
        self._app.agent(topic, name=GROUP, concurrency=1)(self._read)

    def ready(self) -> Mapping[str, bool]:
        """Say whether records are being read, and whether their effects get through."""
        return {"consuming": self._consuming, "effects": self._effects.available}

    def run(self) -> int:
        """Read until SIGTERM or SIGINT, and return the exit code."""
        use_loop("uvloop")
        for handler in logging.root.handlers:
            handler.addFilter(_seldom())
        worker = _Worker(
            self._app, override_logging=False, quiet=True, redirect_stdouts=False, loglevel="WARN"
        )
        worker.spinner = None  # it writes terminal codes between the log lines
        try:
            worker.execute_from_commandline()
        except SystemExit as end:
            return end.code if isinstance(end.code, int) else 1

    async def _on_assigned(self, _: Any, assigned: set[Any], **__: Any) -> None:
        self._consuming = True
        log.info("partitions_assigned", group=GROUP, count=len(assigned))

    async def _on_revoked(self, _: Any, revoked: set[Any], **__: Any) -> None:
        self._consuming = False
        log.info("partitions_revoked", group=GROUP, count=len(revoked))

    async def _read(self, stream: SettledStream) -> None:
        if self._stop.is_set():  # told to stop before faust could hear it
            os._exit(0)
        async for events in stream.take_events(BATCH, within=WITHIN):
            await self._take(stream, events)

    async def _take(self, stream: SettledStream, events: Sequence[Any]) -> None:
        """Settle a batch, or leave it unacknowledged.

        The work is in a thread, because it computes and waits for Kafka; a cancelled task can't
        stop it, so this waits for its end, and a successor need not do it again.
        """
        loop = asyncio.get_running_loop()
        records = [_record(event.message) for event in events]
        work = loop.run_in_executor(self._thread, self._effects.settle, records)
        try:
            await asyncio.shield(work)
            stream.settle(events)
        except asyncio.CancelledError:
            self._stop.set()
            await asyncio.wait([work], timeout=_GRACE)
            if work.done() and work.exception() is None:
                stream.settle(events)
            elif work.done() and not isinstance(work.exception(), UnavailableError):
                _die(work.exception())
            raise
        except BaseException as error:  # noqa: BLE001 - faust would go on with the next record
            _die(error)


class _Worker(faust.Worker):
    """Faust's worker, which ends in time even if something in it hangs."""

    async def stop(self) -> None:
        deadline = threading.Timer(_DEADLINE, _die_late)
        deadline.daemon = True
        deadline.start()
        await super().stop()


def _seldom() -> Callable[[logging.LogRecord], bool]:
    """Let each kind of message of the Kafka client through once in ten seconds.

    While a broker is away it repeats itself fifty times a second.
    """
    last: dict[str, float] = {}

    def passes(record: logging.LogRecord) -> bool:
        if not record.name.startswith("aiokafka"):
            return True
        kind = str(record.msg)  # the text before its arguments are filled in
        if record.created - last.get(kind, 0.0) < _SELDOM:
            return False
        if len(last) >= _KINDS:
            last.clear()
        last[kind] = record.created
        return True

    return passes


def _die(error: BaseException | None) -> None:
    """End the process now: nothing is acknowledged, flushed or tidied up on the way out."""
    log.error("unforeseen", group=GROUP, exc_info=error)
    os._exit(1)


def _die_late() -> None:
    log.error("stopped_late", group=GROUP, after_seconds=_DEADLINE)
    os._exit(1)


def _faust_app(bootstrap: str) -> Any:
    """Configure faust; each setting here was found to matter."""
    return faust.App(
        GROUP,
        broker=[f"kafka://{address.strip()}" for address in bootstrap.split(",")],
        Stream=SettledStream,
        store="memory://",
        datadir=Path(tempfile.gettempdir()) / f"placet-intake-{os.getpid()}",
        autodiscover=False,
        web_enabled=False,
        key_serializer="raw",
        value_serializer="raw",
        topic_disable_leader=True,
        topic_allow_declare=False,  # topics come from the contract, not from whoever reads first
        consumer_auto_offset_reset="earliest",
        consumer_max_fetch_size=_FETCH_BYTES,
        broker_commit_interval=1.0,
        broker_session_timeout=6.0,
        broker_heartbeat_interval=1.5,
        broker_rebalance_timeout=10.0,
        broker_request_timeout=15.0,
        stream_buffer_maxsize=BATCH,
        stream_wait_empty=False,  # waiting can hang on SIGTERM; unsettled records are read again
    )


def _place(message: Any) -> tuple[str, int, int]:
    return message.topic, message.partition, message.offset


def _record(message: Any) -> Record:
    return Record(
        topic=message.topic,
        partition=message.partition,
        offset=message.offset,
        timestamp=datetime.fromtimestamp(max(message.timestamp or 0.0, 0.0), UTC),
        key=message.key,
        value=message.value,
        headers=_headers(message.headers),
    )


def _headers(headers: Any) -> Headers:
    pairs = headers.items() if isinstance(headers, Mapping) else headers or ()
    return tuple((str(name), value) for name, value in pairs)
