"""The process: one loop appends, one publishes, one indexes. Wires them and nothing else."""

import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import structlog

from audit_sink.append import FACTS, GROUP, Appender
from audit_sink.checkpoint import KeyTextError
from audit_sink.index import Indexer
from audit_sink.ledger import PostgresLedger
from audit_sink.lookup import HotStore
from audit_sink.publish import Publisher
from audit_sink.settings import Settings
from audit_sink.store import Place, Reader, Writer
from audit_sink.tiles import FileStore, SecondPublisherError
from conveyor import health, logs
from conveyor.consumer import Consumer, Fetch
from conveyor.errors import UnavailableError
from conveyor.keys import KeyFileError
from conveyor.parking import Parking
from conveyor.process import run_together, stop_on_signals
from conveyor.producer import Producer

log = structlog.get_logger()

_T = TypeVar("_T")
_BATCH = 2_000
_LINGER = 0.1  # seconds: fewer, larger transactions; the head still follows within a second
_FETCH = Fetch(at_least=65_536, wait_ms=500)
_PAUSE = 1.0


def main() -> None:
    """Run until SIGTERM."""
    settings = Settings()  # type: ignore[call-arg]  # the environment gives them
    logs.configure(GROUP, settings.log_level)
    try:
        sys.exit(_run(settings, stop_on_signals()))
    except (SecondPublisherError, KeyTextError, KeyFileError) as error:
        log.error("cannot_start", error=f"{type(error).__name__}: {error}")  # noqa: TRY400 - told
        sys.exit(1)


def _run(settings: Settings, stop: threading.Event) -> int:
    key, digester = settings.signing_key(), settings.digester()
    writer = Writer(settings.database)
    ledger = PostgresLedger(settings.ledger, key.name)
    files = FileStore(settings.audit_dir)
    publisher = Publisher(rows=Reader(settings.database), files=files, ledger=ledger, key=key)
    producer = Producer(settings.kafka, GROUP)
    parking = Parking(consumer=GROUP, digester=digester, producer=producer)
    indexer = Indexer(HotStore(settings.database, "audit-sink index"))

    def appended(_: int) -> None:
        publisher.wake()
        indexer.wake()

    appender = Appender(log=writer, letters=parking, digester=digester, appended=appended)

    def offsets(places: Sequence[Place]) -> Mapping[Place, int]:
        known = _until_there(stop, writer.offsets)
        return {place: known[place] for place in places if place in known}

    def append(stop: threading.Event) -> None:
        _until_there(stop, writer.migrate)
        Consumer(
            bootstrap=settings.kafka,
            group=GROUP,
            topics=list(FACTS),
            handle=appender.handle,
            parking=parking,
            batch=_BATCH,
            linger=_LINGER,
            fetch=_FETCH,
            on_assign=offsets,
        ).run(stop)

    def publish(stop: threading.Event) -> None:
        _until_there(stop, writer.migrate)
        _until_there(stop, ledger.migrate)
        publisher.run(stop)

    def index(stop: threading.Event) -> None:
        _until_there(stop, writer.migrate)
        indexer.run(stop)

    def wake_to_stop(stop: threading.Event) -> None:
        stop.wait()
        publisher.wake()
        indexer.wake()

    health.serve(
        settings.ops_host,
        settings.ops_port,
        lambda: {
            "database": writer.is_connected,
            "publishing": publisher.is_reaching,
            "one_history": publisher.frozen is None,
        },
    )
    loops = {"append": append, "publish": publish, "index": index, "stopper": wake_to_stop}
    code = run_together(stop, loops)
    producer.close()
    writer.close()
    files.close()
    return code


def _until_there(stop: threading.Event, ask: Callable[[], _T]) -> _T:
    """Ask until the answer comes, or give up when the process is told to stop."""
    while True:
        try:
            return ask()
        except UnavailableError as error:
            log.warning("waiting", error=str(error))
            if stop.wait(_PAUSE):
                raise
