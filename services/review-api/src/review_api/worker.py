"""The background half of the desk: ingest, outcomes, relay. Wires, and nothing else."""

import sys
import threading
from functools import partial

import structlog

from contract.topics import REVIEW_ITEMS, WRITE_BACKS
from conveyor import health, logs
from conveyor.consumer import Consumer, Fetch
from conveyor.parking import Parking
from conveyor.process import run_together, stop_on_signals
from conveyor.producer import Producer
from conveyor.relay import Relay
from review_api.commands.policy_file import install
from review_api.ingest import Ingest
from review_api.outcomes import CHANNEL, OUTBOX, Outcomes
from review_api.ready import migrate_when_there, when_there
from review_api.settings import WorkerSettings
from review_api.sweep import Sweep
from review_api.tally import Tally, longest_hold

log = structlog.get_logger()

ITEMS_GROUP = "review-items"
WRITE_BACKS_GROUP = "review-write-backs"
_LINGER = 0.02  # seconds: nobody sees it, and under load batches cost less than records
_WRITE_BACKS = Fetch(at_least=16_384, wait_ms=100)  # as good as at once, to somebody who waits


def main() -> None:
    """Run the worker until SIGTERM."""
    settings = WorkerSettings.model_validate({})
    logs.configure("review-worker", settings.log_level)
    stop = stop_on_signals()
    sys.exit(run(settings, stop))


def run(settings: WorkerSettings, stop: threading.Event) -> int:
    """Run the three loops until `stop`, and return the exit code."""
    policy, digester = settings.read_policy(), settings.digester()
    if not migrate_when_there(settings.database, stop):
        return 0
    if not when_there(partial(install, settings), stop):
        return 0
    producer = Producer(settings.kafka, "review-worker")
    items, write_backs = Ingest(settings.database, policy), Outcomes(settings.database)
    ingest = Consumer(
        bootstrap=settings.kafka,
        group=ITEMS_GROUP,
        topics=[REVIEW_ITEMS],
        handle=items.handle,
        parking=Parking(consumer=ITEMS_GROUP, digester=digester, producer=producer),
        batch=500,
        linger=_LINGER,
    )
    outcomes = Consumer(
        bootstrap=settings.kafka,
        group=WRITE_BACKS_GROUP,
        topics=[WRITE_BACKS],
        handle=write_backs.handle,
        parking=Parking(consumer=WRITE_BACKS_GROUP, digester=digester, producer=producer),
        batch=500,
        linger=_LINGER,
        fetch=_WRITE_BACKS,
    )
    relay = Relay(dsn=settings.database, table=OUTBOX, channel=CHANNEL, producer=producer)
    ops = health.serve(
        settings.ops_host,
        settings.ops_port,
        lambda: {"items": ingest.assigned.is_set(), "write_backs": outcomes.assigned.is_set()},
    )
    log.info("started", ops_port=ops.server_port)
    try:
        loops = {
            "ingest": ingest.run,
            "outcomes": outcomes.run,
            "relay": relay.run,
            "sweep": Sweep(settings.database).run,
            "tally": Tally(settings.database, longest_hold(settings.read_targets())).run,
        }
        return run_together(stop, loops)
    finally:
        items.close()
        write_backs.close()
        producer.close()
        ops.shutdown()
