"""The process: one loop appends, one publishes, one indexes. Wires them and nothing else."""

import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TypeVar

import structlog

from audit_sink.append import FACTS, GROUP, Appender
from audit_sink.checkpoint import KeyTextError
from audit_sink.cold.archive import Archiver
from audit_sink.cold.loop import ArchiveLoop
from audit_sink.cold.opened import opened_archiver
from audit_sink.cold.payloads import PackReader
from audit_sink.desk_answers import Answers
from audit_sink.desk_http import application, serve
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
from conveyor.keys import KeyFileError, Verifier
from conveyor.parking import Parking
from conveyor.process import run_together, stop_on_signals
from conveyor.producer import Producer
from vault.keyring import Keyring

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
    vault = Keyring.open(settings.vault, settings.vault_key_file, GROUP)
    _check_if_there(vault)
    indexer = Indexer(HotStore(settings.database, "audit-sink index", vault), vault)
    archiving = _archiving(settings)

    def appended(_: int) -> None:
        publisher.wake()
        indexer.wake()
        archiving.wake()

    appender = Appender(
        log=writer, letters=parking, digester=digester, vault=vault, appended=appended
    )

    def offsets(places: Sequence[Place]) -> Mapping[Place, int]:
        known = _until_there(stop, writer.offsets)
        return {place: known[place] for place in places if place in known}

    def append(stop: threading.Event) -> None:
        _until_there(stop, writer.migrate)
        _until_there(stop, vault.check)
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

    def archive(stop: threading.Event) -> None:
        _until_there(stop, writer.migrate)
        archiving.run(stop)

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
    loops: dict[str, Callable[[threading.Event], None]]
    loops = {"append": append, "publish": publish, "index": index, "archive": archive}
    loops["stopper"] = wake_to_stop
    if settings.port:
        loops["desk"] = _desk(settings, publisher, vault)
    code = run_together(stop, loops)
    producer.close()
    writer.close()
    vault.close()
    files.close()
    return code


def _archiving(settings: Settings) -> ArchiveLoop:
    """Return what archives; it rests where no cold store is named."""
    key = settings.signing_key()

    def opened() -> AbstractContextManager[Archiver]:
        return opened_archiver(
            database=settings.database,
            folder=settings.audit_dir,
            cold=lambda: settings.open_cold(create=True),
            key=key,
            batch=settings.archive_batch,
        )

    return ArchiveLoop(
        opened if settings.cold else None, after=settings.archive_after, hot=settings.hot_period
    )


def _desk(
    settings: Settings, publisher: Publisher, vault: Keyring
) -> Callable[[threading.Event], None]:
    """Return the loop that the desk's pages read the log from."""
    signers = settings.decision_public_keys
    answers = Answers(
        database=settings.database,
        ledger=settings.ledger,
        vault=vault,
        folder=settings.audit_dir,
        key=settings.signing_key().public,
        signers=None if signers is None else Verifier.load(signers),
        frozen=lambda: publisher.frozen,
        cold=(lambda: PackReader(settings.open_cold)) if settings.cold else None,
    )
    app = application(answers, settings.service_token())

    def desk(stop: threading.Event) -> None:
        try:
            serve(app, settings.host, settings.port, stop)
        finally:
            answers.close()

    return desk


def _check_if_there(vault: Keyring) -> None:
    """Find out before anything runs that the key file is not the vault's, if the vault answers."""
    try:
        vault.check()
    except UnavailableError as error:
        log.warning("waiting", error=str(error))


def _until_there(stop: threading.Event, ask: Callable[[], _T]) -> _T:
    """Ask until the answer comes, or give up when the process is told to stop."""
    while True:
        try:
            return ask()
        except UnavailableError as error:
            log.warning("waiting", error=str(error))
            if stop.wait(_PAUSE):
                raise
