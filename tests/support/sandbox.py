"""Runs a real stand-in process for a test and speaks to its panel."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

PATIENCE = 10  # seconds a stand-in may take to start or stop


@dataclass
class Sandbox:
    """One stand-in; `url` stays the same over `kill` and `start`."""

    arguments: tuple[str, ...]
    data: Path | None
    url: str = ""
    _process: "subprocess.Popen[str] | None" = field(default=None, repr=False)

    def start(self) -> None:
        port = self.url.rpartition(":")[2] or "0"
        command = [sys.executable, "-m", "sandbox.main", *self.arguments, "--port", port]
        if self.data is not None:
            command += ["--data", str(self.data)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().split()[-1]

    def stop(self, number: int = signal.SIGTERM) -> int:
        """The exit code."""
        assert self._process is not None
        self._process.send_signal(number)
        code = self._process.wait(PATIENCE)
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._process = None
        return code

    def kill(self) -> None:
        self.stop(signal.SIGKILL)

    @property
    def running(self) -> bool:
        return self._process is not None

    def get(self, path: str) -> Any:
        return self._call("GET", path)

    def post(self, path: str, /, **body: Any) -> Any:
        return self._call("POST", path, body)

    def break_next(self, kind: str, /, **rule: Any) -> None:
        self.post("faults", kind=kind, **rule)

    def effects(self, record: str | None = None) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.get("effects")["effects"]
        return [effect for effect in found if record in (None, effect["record"])]

    def requests(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.get("requests")
        return found

    def _call(self, method: str, path: str, body: Any = None) -> Any:
        content = None if body is None else json.dumps(body)
        headers = {"content-type": "application/json"}
        answer = httpx.request(
            method,
            f"{self.url}/_sandbox/{path}",
            content=content,
            headers=headers,
            timeout=PATIENCE,
        )
        answer.raise_for_status()
        return answer.json()


@contextmanager
def running(*arguments: str, data: Path | None = None) -> Iterator[Sandbox]:
    """`running("jira", "--deployment", "data-center")`: started, and stopped in the end."""
    sandbox = Sandbox(arguments=arguments, data=data)
    sandbox.start()
    try:
        yield sandbox
    finally:
        if sandbox.running:
            sandbox.stop()
