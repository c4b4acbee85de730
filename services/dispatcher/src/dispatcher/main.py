"""Wires a dispatcher: decisions in, work, relay, snapshots; one process per target instance.

Exit codes: 0 told to stop · 1 something ended unexpectedly (start again) · 2 this must not be run
as it is configured (the log says what to change).
"""

import os
import random
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from importlib.resources import files

import structlog
from pydantic import ValidationError

from contract.targets import ConfigError, TargetConfig
from contract.topics import CONTROLS, DECISIONS
from conveyor import health, logs
from conveyor.consumer import Consumer
from conveyor.database import unavailable_database
from conveyor.errors import UnavailableError
from conveyor.keys import KeyFileError, Verifier
from conveyor.migrate import migrate
from conveyor.parking import Parking
from conveyor.process import run_together, stop_on_signals
from conveyor.producer import Producer
from conveyor.record import Parked, Record
from conveyor.relay import Relay
from dispatcher.consume import Intake
from dispatcher.ledger import CHANNEL, OUTBOX, Ledger
from dispatcher.operate import Operators
from dispatcher.settings import DispatcherSettings
from dispatcher.snapshot import Snapshots, application, serve
from dispatcher.status import Status
from dispatcher.targets.target import StartRefusedError, Target
from dispatcher.wiring import make_target
from dispatcher.work import Engine
from dispatcher.writeback import Retries

log = structlog.get_logger()

_REFUSED = 2
_PATIENCE = 2.0
"""Seconds of the ten in which a process ends that a target is given to answer by itself."""


def main() -> None:
    """Run until SIGTERM or SIGINT; the exit code says how it ended."""
    logs.configure("dispatcher", os.environ.get("PLACET_LOG_LEVEL", "info"))
    try:
        code = run(DispatcherSettings(), stop_on_signals())  # type: ignore[call-arg]
    except StartRefusedError as refused:
        log.critical("start_refused", code=refused.code, detail=str(refused))
        code = _REFUSED
    except (ConfigError, KeyFileError, ValidationError, OSError) as error:
        log.critical("start_refused", code="BAD_CONFIGURATION", detail=str(error))
        code = _REFUSED
    sys.exit(code)


def run(settings: DispatcherSettings, stop: threading.Event) -> int:
    """Wire the process and run it until `stop`.

    Raises:
        StartRefusedError, ConfigError, KeyFileError: it must not run as it is configured.
    """
    config, digester = settings.target_config(), settings.digester()
    verifier, token = Verifier.load(settings.decision_public_keys), settings.service_token()
    target = make_target(settings, config)
    if not _inspect(target, config, stop) or not _migrate(settings, stop):
        return 0

    def ledger() -> Ledger:
        return Ledger(
            settings.database, system=config.system, instance=config.name, digester=digester
        )

    snapshots = Snapshots(target)
    engine = Engine(
        instance=config.name,
        ledger=ledger(),
        target=target,
        retries=Retries(schedule=config.retry, settle=target.promises.settle),
        gap=settings.order_gap,
        jitter=lambda: random.uniform(-1, 1),  # noqa: S311 - spreads retries, guards nothing
        on_changed=snapshots.forget,
        rate=config.rate,
    )
    producer = Producer(settings.kafka, f"dispatcher-{config.name}")
    group, incoming, looking = f"dispatcher-{config.name}", ledger(), ledger()
    status = Status(config=config, engine=engine, ledger=looking)
    intake = Intake(
        config=config,
        ledger=incoming,
        verify=verifier.verify,
        digester=digester,
        wake=engine.wake,
    )
    operators = Operators(
        instance=config.name, ledger=incoming, pause=engine.pause, wake=engine.wake
    )

    def handle(records: Sequence[Record]) -> list[Parked]:
        """Controls first: what is paused begins none of this batch's decisions."""
        controls = [one for one in records if one.topic == CONTROLS]
        rest = [one for one in records if one.topic != CONTROLS]
        return operators.handle(controls) + intake.handle(rest)

    relay = Relay(dsn=settings.database, table=OUTBOX, channel=CHANNEL, producer=producer)

    def decisions(stop: threading.Event) -> None:
        """Consume once this process leads: what stands by must not take partitions away."""
        while not stop.is_set():
            if engine.leading.wait(0.5):
                Consumer(
                    bootstrap=settings.kafka,
                    group=group,
                    topics=[DECISIONS, CONTROLS],
                    handle=handle,
                    parking=Parking(consumer=group, digester=digester, producer=producer),
                ).run(stop)

    def interrupt(stop: threading.Event) -> None:
        """End what the target does not answer to: it stays due, for whoever comes next."""
        stop.wait()
        if not engine.ended.wait(_PATIENCE):
            log.warning("target_interrupted", target=config.name)
        target.interrupt()

    ops = health.serve(
        settings.ops_host,
        settings.ops_port,
        lambda: {"ledger": engine.leading.is_set(), "target": engine.target_answers},
    )
    try:
        return run_together(
            stop,
            {
                "decisions": decisions,
                "work": engine.run,
                "interrupt": interrupt,
                "relay": relay.run,
                "snapshots": lambda stop: serve(
                    application(config.name, snapshots, token, status.read),
                    settings.host,
                    settings.port,
                    stop,
                ),
            },
        )
    finally:
        ops.shutdown()
        target.close()
        incoming.close()
        looking.close()
        producer.close()


def _inspect(target: Target, config: TargetConfig, stop: threading.Event) -> bool:
    """Refuse a target that must not be worked with; one that is merely away is waited for.

    Returns False when told to stop meanwhile: a target may take its time to answer.
    """
    asking: Future[None] = Future()

    def ask() -> None:
        try:
            target.inspect()
        except BaseException as error:  # noqa: BLE001 - raised again below, in the main thread
            asking.set_exception(error)
        else:
            asking.set_result(None)

    threading.Thread(target=ask, name="inspect", daemon=True).start()
    while not stop.is_set():
        try:
            asking.result(0.2)
        except TimeoutError:
            if not asking.done():
                continue
            raise
        except UnavailableError as error:
            log.warning("target_away", target=config.name, error=str(error))
        return True
    target.interrupt()
    return False


def _migrate(settings: DispatcherSettings, stop: threading.Event) -> bool:
    """Bring the schema up to date, waiting for a database that is away. False: told to stop."""
    pause = 0.2
    while not stop.is_set():
        try:
            with unavailable_database():
                migrate(settings.database, "dispatch", files("dispatcher.migrations"))
        except UnavailableError as error:
            log.warning("unavailable", waiting_for="ledger", error=str(error))
            stop.wait(pause)
            pause = min(pause * 2, 10.0)
        else:
            return True
    return False


if __name__ == "__main__":
    main()
