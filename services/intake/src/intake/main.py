"""The intake process: what is wired to what."""

import os
import sys
import threading
import time

import structlog
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from contract.events import Divergence, Retrieval
from contract.topics import MODEL_OUTPUTS
from conveyor import health, logs, metrics
from conveyor.process import stop_on_signals
from conveyor.producer import Producer
from intake.app import Intake
from intake.divergence import measure
from intake.effects import GROUP, Effects
from intake.normalise import Rules
from intake.registry import Registry
from intake.settings import IntakeSettings

log = structlog.get_logger()


def main() -> None:
    """Run intake until it is told to stop."""
    settings = IntakeSettings()  # type: ignore[call-arg] # from the environment
    logs.configure(GROUP, settings.log_level)
    stop = stop_on_signals()
    registry = settings.schema_registry_url and Registry(settings.schema_registry_url)
    rules = Rules(
        targets=settings.read_targets(),
        digester=settings.digester(),
        resolve=registry.resolve if registry else None,
        measure=_timed_measure,
    )
    producer = Producer(settings.kafka, GROUP)
    effects = Effects(rules=rules, sender=producer, stop=stop)
    intake = Intake(bootstrap=settings.kafka, effects=effects, stop=stop)
    health.serve(settings.ops_host, settings.ops_port, intake.ready)
    log.info("starting", targets=sorted(rules.targets))
    code = intake.run() if _wait_for_topic(settings.kafka, stop) else 0
    log.info("stopped", code=code)
    sys.stdout.flush()
    os._exit(code)  # a thread that still waits for Kafka must not keep the process


def _timed_measure(output: str, retrieval: list[Retrieval], prompt: str) -> Divergence:
    start = time.perf_counter()
    divergence = measure(output, retrieval, prompt)
    metrics.DIVERGENCE_SECONDS.observe(time.perf_counter() - start)
    return divergence


def _wait_for_topic(bootstrap: str, stop: threading.Event) -> bool:
    """Wait until Kafka answers and has the topic; False when told to stop before that."""
    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 3})
    while not stop.is_set():
        try:
            if MODEL_OUTPUTS in admin.list_topics(timeout=2.0).topics:
                return True
            log.warning("waiting", topic=MODEL_OUTPUTS)
        except KafkaException as error:
            log.warning("waiting", kafka=str(error))
        stop.wait(0.5)
    return False
