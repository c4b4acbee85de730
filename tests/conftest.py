"""Real servers for tests: one Kafka and one PostgreSQL a session, emptied for each module or test.

`PLACET_TEST_SERVERS=containers` takes them from testcontainers instead of the packages;
`PLACET_TEST_KAFKA` and `PLACET_TEST_POSTGRES` name servers that run already, used by nobody else.
"""

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from tests.support import servers
from tests.support.desk import Person, Placet, close_all


@pytest.fixture(scope="session")
def kafka_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Bootstrap address of a real broker with all topics."""
    if running := os.environ.get("PLACET_TEST_KAFKA"):
        yield running
        return
    with servers.kafka(tmp_path_factory.mktemp("kafka"), _containers()) as bootstrap:
        yield bootstrap


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Superuser DSN of a real server."""
    if running := os.environ.get("PLACET_TEST_POSTGRES"):
        yield running
        return
    with servers.postgres(tmp_path_factory.mktemp("postgres"), _containers()) as dsn:
        yield dsn


def _containers() -> bool:
    return os.environ.get("PLACET_TEST_SERVERS") == "containers"


@pytest.fixture(scope="module")
def kafka(kafka_server: str) -> str:
    """Bootstrap address; every topic is empty when a module begins (groups keep their offsets)."""
    servers.empty_topics(kafka_server)
    return kafka_server


@pytest.fixture
def postgres(postgres_server: str) -> Iterator[str]:
    """Superuser DSN of a database made for this test."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    yield psycopg.conninfo.make_conninfo(postgres_server, dbname=name)
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture(scope="session")
def placet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Placet]:
    """The whole of Placet, started as `make demo` starts it, once for all tests that need it.

    `PLACET_TEST_HOME` names the folder of a stack that runs already, for quick rounds at a desk.
    """
    running = os.environ.get("PLACET_TEST_HOME")
    stack = Placet(Path(running) if running else tmp_path_factory.mktemp("stack") / "home")
    if not running:
        stack.run("up", "--demo", "--detach", timeout=300)
    try:
        stack.count_effects()
        yield stack
    finally:
        close_all()
        if not running:
            stack.run("down", timeout=120)


@pytest.fixture(scope="session")
def reviewer(placet: Placet) -> Person:
    return placet.person("reviewer")
