"""The local stack: real Kafka, real PostgreSQL and our services, as processes of one supervisord.

Owns what may be done with it (up, down, status, reset) and that two of these never meet.
The order of coming up is `placet.bringup`'s.
"""

# ruff: noqa: PLC0415 - imported when the command runs, so that help is quick
# Imports inside functions: each command starts quickly and loads what it alone needs.

import fcntl
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from placet import accounts, programs
from placet.home import Home
from placet.keys import Keys
from placet.programs import ENDED_LAST, SERVERS, SERVICES
from placet.progress import Report, Silent
from placet.servers.process import ServerError, wait_until
from placet.state import State, Wanted
from placet.supervision import Process, Supervision

ROLES: Final = (*SERVERS, *SERVICES)
_DOWN_SECONDS: Final = 30.0


class BusyError(Exception):
    """Another `placet up`, `down` or `reset` is at work on this home; wait for it."""


class AlreadyUpError(Exception):
    """The stack runs. Stop it with `placet down` first if it should start anew."""


class Stack:
    """One local stack, known by its home. Any number of objects may stand for the same one."""

    def __init__(
        self,
        home: Path | str | None = None,
        *,
        roles: Sequence[str] = ROLES,
        demo: bool = False,
        publish: bool = True,
        hold: float | None = None,
        intakes: int = 1,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Say what `up` shall bring; nothing happens yet.

        Args:
            home: the folder; default `PLACET_HOME`, else `.placet`.
            roles: which processes to run, by role.
            demo: make the business database and its target, publish the sample outputs.
            publish: with `demo`: whether to publish.
            hold: seconds before a decision of the demo target is written (default 5).
            intakes: how many intake processes.
            environment: default `os.environ`; PLACET_KAFKA and PLACET_POSTGRES name own servers.
        """
        programs.names(roles, (), intakes)  # refuses roles nobody knows
        self.home = Home.of(home)
        self._wanted = Wanted(
            roles=tuple(roles),
            demo=demo,
            publish=publish,
            hold=hold,
            intakes=intakes,
            environment=dict(os.environ if environment is None else environment),
        )
        self._supervision = Supervision(self.home)

    def up(self, report: Report | None = None) -> dict[str, Any]:
        """Bring everything up and return the status. Blocks until every process answers.

        Whatever goes wrong, and on KeyboardInterrupt, everything is stopped again.

        Raises:
            AlreadyUpError, BusyError, HomeError, ServerError, JarError, psycopg.Error.
        """
        from placet.bringup import bring_up

        show = report or Silent()
        stack_id = self.home.make()
        with self._exclusive():
            if self.running():
                raise AlreadyUpError(f"the stack in {self.home.folder} is up already")
            self._clean(show)
            try:
                bring_up(self._wanted, self.home, stack_id, self._supervision, show)
            except BaseException:
                self._stop(show)
                raise
        return self.status()

    def down(self, report: Report | None = None) -> bool:
        """Stop everything; data stay. Returns whether anything ran. Blocks until it is gone."""
        if self.home.stack_id is None:
            return False
        with self._exclusive():
            return self._stop(report or Silent())

    def reset(self, report: Report | None = None) -> None:
        """Stop everything and delete its data, keys and accounts."""
        from placet.servers import postgres

        if self.home.stack_id is None:
            return
        with self._exclusive():
            self._stop(report or Silent())
            postgres.remove(self.home.postgres)
            self._supervision.forget()
            self.home.delete()

    def running(self) -> bool:
        """Did an `up` come to its end, and does its supervisord answer?"""
        state = State.load(self.home)
        return state is not None and state.complete and self._supervision.alive()

    def processes(self) -> list[Process]:
        """Every process as it is now; all stopped when the stack is down."""
        state = State.load(self.home)
        found = {process.name: process for process in self._supervision.processes()}
        return [
            found.get(name, Process(name=name, pid=None, state="stopped"))
            for name in (state.processes if state else ())
        ]

    def status(self) -> dict[str, Any]:
        """Every address and process, as `placet status --json` prints it.

        Raises:
            ServerError: no stack was ever brought up here.
        """
        state = State.load(self.home)
        if state is None:
            raise ServerError(f"there is no stack in {self.home.folder}; start one: placet up")
        vkey = Keys(self.home.keys).audit_public
        return {
            "kafka": {"bootstrap": state.kafka},
            "postgres": {"dsn": state.postgres},
            "review": {"url": state.review},
            "accounts": [
                {"role": one.role, "username": one.username, "password": one.password}
                for one in accounts.load(self.home.accounts_file)
            ],
            "targets": list(state.targets),
            "audit": {
                "log_dir": str(self.home.audit),
                "public_key": vkey.read_text("ascii").strip() if vkey.exists() else None,
            },
            "processes": [
                {"name": one.name, "pid": one.pid, "state": one.state} for one in self.processes()
            ],
        }

    def _clean(self, report: Report) -> None:
        """Remove what an interrupted `up` or a killed supervisord left."""
        from placet import leftovers

        if self._supervision.alive() or leftovers.find(self.home.make()):
            report.note("Stopping what an earlier run left behind.")
            self._stop(report)
        # Only now, when surely nobody runs: a stale file would keep PostgreSQL from starting.
        chosen = self.home.postgres / "server.json"
        if chosen.exists():
            data = Path(json.loads(chosen.read_text("utf-8"))["data"])
            (data / "postmaster.pid").unlink(missing_ok=True)

    def _stop(self, report: Report) -> bool:
        """Services first, then the servers, then supervisord, then whatever is left."""
        from placet import leftovers

        stack_id = self.home.stack_id
        alive = self._supervision.alive()
        if alive:
            with report.step("Stopping") as step:
                self._stop_supervised(step.say)
        ended = leftovers.end(stack_id) if stack_id else []
        return alive or bool(ended)

    def _stop_supervised(self, say: Any) -> None:
        import psutil

        names = [process.name for process in self._supervision.processes()]
        services = [name for name in names if name not in ENDED_LAST]
        servers = [name for name in names if name in ENDED_LAST]
        for wave in (services, servers):
            for name in wave:
                self._supervision.stop_process(name)
            wait_until(
                lambda wave=wave: not self._busy(wave, say),  # type: ignore[misc]
                alive=self._supervision.alive,
                what="supervisord",
                log=self.home.log("supervisord"),
                seconds=_DOWN_SECONDS,
            )
        watcher = psutil.Process(self._supervision.pid())
        self._supervision.shutdown()
        # As a child of an init that reaps nobody it stays as a zombie: that counts as gone.
        wait_until(
            lambda: not watcher.is_running() or watcher.status() == psutil.STATUS_ZOMBIE,
            alive=lambda: True,
            what="supervisord",
            log=self.home.log("supervisord"),
            seconds=_DOWN_SECONDS,
        )

    def _busy(self, names: Sequence[str], say: Any) -> bool:
        left = [p.name for p in self._supervision.processes() if p.name in names and p.pid]
        say(", ".join(left))
        return bool(left)

    @contextmanager
    def _exclusive(self) -> Iterator[None]:
        self.home.run.mkdir(parents=True, exist_ok=True, mode=0o700)
        with (self.home.run / "lock").open("w") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise BusyError(
                    f"another placet up, down or reset is at work on {self.home.folder}"
                ) from error
            yield
