"""One supervisord per stack: its configuration, its socket, its answers.

Owns how processes are watched and restarted. Refuses to know what they are for
(`placet.programs`) and in which order they come up (`placet.stack`).
"""

import hashlib
import os
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import xmlrpc.client
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from supervisor.xmlrpc import SupervisorTransport

from placet.home import Home
from placet.servers.ports import write_atomically
from placet.servers.process import ServerError, tail, wait_until

_SOCKET_ROOM: Final = 90
"""A socket's path may have 107 characters; supervisord first binds one with its pid appended."""
_START_SECONDS: Final = 20.0

# supervisor.states.ProcessStates -> what `placet status` says. EXITED is the instant between a
# crash and the restart.
_STATES: Final[Mapping[str, str]] = {
    "STOPPED": "stopped",
    "STARTING": "starting",
    "RUNNING": "running",
    "BACKOFF": "backoff",
    "STOPPING": "stopped",
    "EXITED": "backoff",
    "FATAL": "failed",
    "UNKNOWN": "failed",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """One process to watch. `start_seconds`: running that long counts as started."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    user: str | None = None
    stop_signal: str = "TERM"
    start_seconds: int = 1
    stop_seconds: int = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """One process as it is now; `pid` is None while there is none."""

    name: str
    pid: int | None
    state: str


def socket_path(home: Home) -> Path:
    """In the home, or in a private folder of the temporary one where the home lies too deep."""
    inside = home.run / "supervisord.sock"
    if len(os.fsencode(inside)) <= _SOCKET_ROOM:
        return inside
    digest = hashlib.sha256(os.fsencode(home.folder)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"placet-{os.geteuid()}-{digest}" / "supervisord.sock"


def configuration(home: Home, programs: Sequence[Program]) -> str:
    """The text of supervisord.conf. Nothing starts by itself: the stack decides the order."""
    user = "user=root\n" if os.geteuid() == 0 else ""
    head = (
        f"[supervisord]\n{user}"
        f"directory={_plain(home.folder)}\n"
        f"logfile={_plain(home.log('supervisord'))}\n"
        f"pidfile={_plain(home.run / 'supervisord.pid')}\n"
        f"childlogdir={_plain(home.logs)}\n"
        "nocleanup=true\numask=077\n\n"
        f"[unix_http_server]\nfile={_plain(socket_path(home))}\nchmod=0700\n\n"
        "[rpcinterface:supervisor]\n"
        "supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface\n"
    )
    return head + "".join(_section(home, program) for program in programs)


def _section(home: Home, program: Program) -> str:
    settings = {
        "command": _plain(shlex.join(program.command)),
        "environment": ",".join(
            f'{name}="{_plain(value)}"' for name, value in sorted(program.environment.items())
        ),
        "directory": "/",
        "autostart": "false",
        "autorestart": "true",
        "startsecs": str(program.start_seconds),
        # 1 + 2 + … + 10 seconds of back-off before a process counts as failed.
        "startretries": "10",
        "stopsignal": program.stop_signal,
        "stopwaitsecs": str(program.stop_seconds),
        "redirect_stderr": "true",
        "stdout_logfile": _plain(home.log(program.name)),
        "stdout_logfile_maxbytes": "50MB",
        "stdout_logfile_backups": "1",
    }
    if program.user:
        settings["user"] = program.user
    lines = "".join(f"{name}={value}\n" for name, value in settings.items() if value)
    return f"\n[program:{program.name}]\n{lines}"


def _plain(value: str | Path) -> str:
    """Keep supervisor from expanding a percent sign; refuse what it cannot carry at all."""
    text = str(value)
    if "\n" in text or '"' in text:
        raise ServerError(f"a setting holds a quote or a line break: {text!r}")
    return text.replace("%", "%%")


class Supervision:
    """Talks to the supervisord of one home."""

    def __init__(self, home: Home) -> None:
        """Nothing is started or asked here."""
        self._home = home
        self._socket = socket_path(home)

    def alive(self) -> bool:
        """Does a supervisord answer on this home's socket?"""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            try:
                probe.connect(str(self._socket))
            except OSError:
                return False
            return True

    def start(self, programs: Sequence[Program], environment: Mapping[str, str]) -> None:
        """Start supervisord in the background; it outlives this process. No program runs yet."""
        self._socket.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self._socket.parent.stat().st_uid != os.geteuid():
            raise ServerError(f"{self._socket.parent} is somebody else's; delete it")
        self._socket.unlink(missing_ok=True)
        file = self._home.run / "supervisord.conf"
        write_atomically(file, configuration(self._home, programs))
        done = subprocess.run(  # noqa: S603
            [sys.executable, "-m", "supervisor.supervisord", "-c", str(file)],
            env=dict(environment),
            check=False,
            capture_output=True,
            text=True,
        )
        log = self._home.log("supervisord")
        if done.returncode != 0:
            raise ServerError(f"supervisord did not start:\n{done.stdout}{done.stderr}{tail(log)}")
        wait_until(
            self.alive, alive=lambda: True, what="supervisord", log=log, seconds=_START_SECONDS
        )

    def processes(self) -> list[Process]:
        """Every process, in the order of the configuration; empty when nobody answers."""
        try:
            answers: list[dict[str, Any]] = self._call("getAllProcessInfo")
        except OSError:
            return []
        return [
            Process(
                name=info["name"],
                pid=info["pid"] or None,
                state=_STATES.get(info["statename"], "failed"),
            )
            for info in answers
        ]

    def pid(self) -> int:
        return int(self._call("getPID"))

    def start_process(self, name: str) -> None:
        """Start a program without waiting for it; one that runs already is left alone."""
        self._call("startProcess", name, False, ignore="ALREADY_STARTED")

    def stop_process(self, name: str) -> None:
        """Ask a program to stop, without waiting."""
        self._call("stopProcess", name, False, ignore="NOT_RUNNING")

    def forget(self) -> None:
        """Remove the socket's own folder, where it lies outside the home."""
        if self._home.folder not in self._socket.parents:
            shutil.rmtree(self._socket.parent, ignore_errors=True)

    def shutdown(self) -> None:
        """End supervisord; processes that still run are stopped by it first."""
        self._call("shutdown", ignore="SHUTDOWN_STATE")

    def _call(self, method: str, *arguments: object, ignore: str | None = None) -> Any:
        transport = SupervisorTransport(serverurl=f"unix://{self._socket}")
        proxy = xmlrpc.client.ServerProxy("http://localhost", transport=transport)
        try:
            return getattr(proxy.supervisor, method)(*arguments)
        except xmlrpc.client.Fault as fault:
            if ignore and fault.faultString.startswith(ignore):
                return None
            raise ServerError(f"supervisord refused {method}: {fault.faultString}") from fault
        finally:
            transport.close()
