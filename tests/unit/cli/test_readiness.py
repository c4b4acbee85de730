"""Waiting: as long as there is hope, and not longer."""

import socket
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from placet import readiness
from placet.home import Home
from placet.progress import Silent
from placet.readiness import serves, wait_for
from placet.servers.process import ServerError, tail
from placet.supervision import Process


class Watched:
    """What supervisord would say, one answer after the other; the last one again and again."""

    def __init__(self, *states: tuple[int | None, str]) -> None:
        self._states = list(states)

    def processes(self) -> list[Process]:
        pid, state = self._states.pop(0) if len(self._states) > 1 else self._states[0]
        return [Process(name="intake-1", pid=pid, state=state)]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readiness, "_BETWEEN_QUESTIONS", 0.001)


def wait(home: Home, watched: Watched, *, answer: bool = False) -> None:
    with Silent().step("x") as step:
        wait_for({"intake-1": lambda: answer}, watched, home, step)  # type: ignore[arg-type]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    made = Home(tmp_path / "home")
    made.make()
    made.log("intake-1").write_text("first line\nno such topic\n")
    return made


def test_an_answer_counts_only_once_the_process_counts_as_running(home: Home) -> None:
    wait(home, Watched((1, "starting"), (1, "starting"), (1, "running")), answer=True)


@pytest.mark.parametrize(
    "watched",
    [
        Watched((None, "failed")),
        Watched((1, "starting"), (2, "starting"), (3, "backoff"), (4, "starting")),
    ],
)
def test_a_process_that_keeps_ending_is_given_up_with_its_log(home: Home, watched: Watched) -> None:
    with pytest.raises(ServerError, match=r"(?s)intake-1 does not stay up.*no such topic.*doctor"):
        wait(home, watched)


def test_patience_ends(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readiness, "_PATIENCE", 0.01)
    with pytest.raises(ServerError, match="did not answer"):
        wait(home, Watched((1, "running")))


@pytest.mark.parametrize(("status", "expected"), [(200, True), (503, False)])
def test_only_200_is_an_answer(status: int, *, expected: bool) -> None:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        assert serves("127.0.0.1", server.server_port, "/readyz") is expected
        thread.join()


def test_nobody_there_is_no_answer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    assert not serves("127.0.0.1", port, "/readyz")


def test_tail_is_the_end_of_a_log_however_long(tmp_path: Path) -> None:
    log = tmp_path / "x.log"
    assert tail(log) == "(no log)"
    log.write_bytes(b"x" * 100_000 + b"\none\n\xfftwo\n")
    assert tail(log, 2) == "one\n�two"
