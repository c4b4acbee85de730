"""The local stack on real servers: comes up, notices crashes, leaves nothing behind."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from placet import leftovers
from placet.servers.kafka import answers
from placet.stack import AlreadyUpError, Stack

SERVERS = ("kafka", "postgres")


def until(ask: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not ask():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.1)


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    made = Stack(tmp_path / "home", roles=SERVERS)
    yield made
    made.reset()
    assert not made.home.folder.exists()


def pids(stack: Stack) -> dict[str, int | None]:
    return {process.name: process.pid for process in stack.processes()}


def test_up_gives_every_address_and_down_leaves_no_process(stack: Stack) -> None:
    status = stack.up()
    assert [(p["name"], p["state"]) for p in status["processes"]] == [
        ("kafka", "running"),
        ("postgres", "running"),
    ]
    assert answers(status["kafka"]["bootstrap"])
    with psycopg.connect(status["postgres"]["dsn"]) as connection:
        found = connection.execute("SELECT schema_name FROM information_schema.schemata")
        assert {"review", "dispatch", "audit"} <= {row[0] for row in found}
    first = pids(stack)
    with pytest.raises(AlreadyUpError):
        stack.up()
    assert pids(stack) == first

    assert stack.down()
    assert not any(psutil.pid_exists(pid) for pid in first.values() if pid)
    assert leftovers.find(stack.home.stack_id or "") == []
    assert {p["state"] for p in stack.status()["processes"]} == {"stopped"}

    again = stack.up()
    assert again["kafka"] == status["kafka"]
    assert again["postgres"] == status["postgres"]


def test_a_killed_process_comes_back_by_itself(stack: Stack) -> None:
    status = stack.up()
    before = pids(stack)
    assert before["kafka"]
    os.kill(before["kafka"], signal.SIGKILL)
    until(lambda: pids(stack)["kafka"] not in (None, before["kafka"]))
    until(lambda: answers(status["kafka"]["bootstrap"]))
    assert pids(stack)["postgres"] == before["postgres"]


def test_what_a_killed_supervisor_left_is_stopped_by_the_next_up(stack: Stack) -> None:
    stack.up()
    orphans = pids(stack)
    os.kill(stack._supervision.pid(), signal.SIGKILL)
    until(lambda: not stack.running())
    stack.up()
    now = pids(stack)
    assert not set(orphans.values()) & set(now.values())
    assert {process.state for process in stack.processes()} == {"running"}


def test_own_servers_are_used_and_not_started(tmp_path: Path, kafka: str, postgres: str) -> None:
    own = {**os.environ, "PLACET_KAFKA": kafka, "PLACET_POSTGRES": postgres}
    stack = Stack(tmp_path / "own", roles=SERVERS, environment=own)
    try:
        status = stack.up()
        assert status["processes"] == []
        assert status["kafka"]["bootstrap"] == kafka
        with psycopg.connect(status["postgres"]["dsn"]) as connection:
            assert connection.info.dbname == "placet"
    finally:
        stack.reset()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_the_foreground_and_leaves_nothing(
    stack: Stack, number: signal.Signals
) -> None:
    command = [sys.executable, "-m", "placet.main", "up", "--roles", ",".join(SERVERS)]
    environment = {**os.environ, "PLACET_HOME": str(stack.home.folder)}
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as up:
        try:
            until(lambda: stack.running() or up.poll() is not None, 90)
        finally:
            up.send_signal(number)
            _, said = up.communicate(timeout=60)
    assert "Stopped" in said
    assert not stack.running()
    assert leftovers.find(stack.home.stack_id or "") == []


def test_a_server_that_cannot_start_shows_its_log_and_leaves_nothing(stack: Stack) -> None:
    stack.up()
    stack.down()
    identity = json.loads((stack.home.postgres / "server.json").read_text())
    (Path(identity["data"]) / "global" / "pg_control").unlink()
    with pytest.raises(Exception, match=r"(?s)postgres does not stay up.*pg_control"):
        stack.up()
    assert leftovers.find(stack.home.stack_id or "") == []
