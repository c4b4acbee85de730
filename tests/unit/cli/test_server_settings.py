"""Command lines and settings of the servers, without starting them."""

import uuid
from pathlib import Path

from contract.topics import TOPICS
from placet.servers import kafka, postgres
from placet.servers.kafka import Broker, server_properties
from placet.servers.ports import free_port, is_free, kept_ports
from placet.servers.topics import settings_of

BROKER = Broker(folder=Path("/x"), port=19092, controller_port=19093, cluster_id="c" * 22)


def properties() -> dict[str, str]:
    return dict(line.split("=", 1) for line in server_properties(BROKER).splitlines())


def test_broker_listens_on_loopback_only() -> None:
    listeners = properties()["listeners"]
    assert listeners == "PLAINTEXT://127.0.0.1:19092,CONTROLLER://127.0.0.1:19093"
    assert properties()["advertised.listeners"] == "PLAINTEXT://127.0.0.1:19092"


def test_a_cluster_id_never_looks_like_an_option() -> None:
    drawn = iter([uuid.UUID(bytes=b"\xf8" + bytes(15)), uuid.UUID(bytes=bytes(16))])
    assert kafka.cluster_id(lambda: next(drawn)) == "A" * 22


def test_broker_is_its_own_controller_and_makes_no_topics_by_itself() -> None:
    found = properties()
    assert found["process.roles"] == "broker,controller"
    assert found["controller.quorum.voters"] == "1@127.0.0.1:19093"
    assert found["auto.create.topics.enable"] == "false"


def test_broker_accepts_the_largest_topic_limit() -> None:
    largest = max(topic.max_message_bytes for topic in TOPICS.values())
    assert int(properties()["message.max.bytes"]) >= largest


def test_min_in_sync_is_never_above_the_copies_there_are() -> None:
    topic = TOPICS["placet.decisions"]
    assert settings_of(topic, 1)["min.insync.replicas"] == "1"
    assert settings_of(topic, 3)["min.insync.replicas"] == "2"
    assert settings_of(topic, 1)["message.timestamp.type"] == "LogAppendTime"


def test_java_is_run_without_a_shell() -> None:
    command = kafka.start_command(BROKER, [Path("/jars/a.jar"), Path("/jars/b.jar")])
    assert command[0].endswith("java")
    assert command[-2:] == ["kafka.Kafka", "/x/server.properties"]
    assert command[command.index("-cp") + 1] == "/jars/a.jar:/jars/b.jar"


def test_postgres_listens_on_loopback_without_a_socket_and_without_its_password() -> None:
    server = postgres.Server(
        folder=Path("/x"), data=Path("/x/data"), port=15432, password="s3cret", uid=None
    )
    command = postgres.start_command(server)
    assert "listen_addresses=127.0.0.1" in command
    assert "unix_socket_directories=" in command
    assert "s3cret" not in " ".join(command)
    assert server.dsn("placet") == "postgresql://postgres:s3cret@127.0.0.1:15432/placet"


def test_kept_ports_are_the_same_the_next_time_and_all_different(tmp_path: Path) -> None:
    file = tmp_path / "ports.json"
    first = kept_ports(file, ["a", "b"])
    again = kept_ports(file, ["a", "b", "c"])
    assert {name: again[name] for name in first} == first
    assert len(set(again.values())) == 3


def test_chosen_ports_lie_below_the_ephemeral_range() -> None:
    port = free_port()
    assert port < 32_768
    assert is_free(port)
