"""Wires a dispatcher: decisions in, work, relay, snapshots; one process per target instance.

Exit codes: 0 told to stop · 1 something ended unexpectedly (start again) · 2 this must not be run
as it is configured (the log says what to change).
"""

import os
import random
import sys
import threading
from collections.abc import Sequence
from importlib.resources import files
from urllib.parse import urlsplit

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
    address = urlsplit(config.dispatcher_url)
    target = make_target(settings, config)
    _inspect(target, config)
    if not _migrate(settings, stop):
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
                "relay": relay.run,
                "snapshots": lambda stop: serve(
                    application(config.name, snapshots, token, status.read),
                    address.hostname or "127.0.0.1",
                    address.port or 80,
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


def _inspect(target: Target, config: TargetConfig) -> None:
    """Refuse a target that must not be worked with; one that is merely away is waited for."""
    try:
        target.inspect()
    except UnavailableError as error:
        log.warning("target_away", target=config.name, error=str(error))


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
