"""A B A B: the order of a run.

Owns that both sides take turns, that nobody measures while the other still works, that a measure
which fails costs only itself, and that the run ends in time.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from time import monotonic
from typing import Final

import httpx
import psycopg
from confluent_kafka import KafkaException

from bench import machine
from bench.errors import BenchError
from bench.ours import Ours
from bench.probe import Both, Probe
from bench.result import Readings
from bench.side import Side
from bench.size import Size
from placet.servers.process import ServerError

# What a service that is missing, slow or wrong looks like from here. Anything else is our own bug.
_FAILURES: Final = (
    BenchError,
    ServerError,
    KafkaException,
    psycopg.Error,
    httpx.HTTPError,
    OSError,
)
Show = Callable[[str], AbstractContextManager[object]]


@dataclass(kw_only=True)
class Rounds:
    """One run over two sides that are up."""

    ours: Ours
    floor: Side
    size: Size
    readings: Readings
    show: Show
    rest: Callable[[], None]
    """Called before each side's turn."""
    idle: list[float] = field(default_factory=list)
    """Share of one core that our side used while the floor was measured, by round."""
    others: list[float] = field(default_factory=list)
    """Share of all cores that neither side nor the bench used, by round: noise."""
    _began: float = field(default_factory=monotonic)

    def run(self, probes: Sequence[Probe]) -> None:
        for number in range(1, self.size.rounds + 1):
            with self._noise():
                self._turn(self.ours, number, probes)
                with self._idle():
                    self._turn(self.floor, number, probes)

    @contextmanager
    def _idle(self) -> Iterator[None]:
        used, began = machine.seconds_of(self.ours.pids()), monotonic()
        yield
        used = machine.seconds_of(self.ours.pids()) - used
        self.idle.append(used / (monotonic() - began))

    @contextmanager
    def _noise(self) -> Iterator[None]:
        # PostgreSQL, the floor and the client are children of this process.
        pids = (os.getpid(), *self.ours.pids())
        used, ours, began = machine.seconds_of_all(), machine.seconds_of(pids), monotonic()
        yield
        # Processes that were stopped or started meanwhile make this a little wrong.
        pids = (os.getpid(), *self.ours.pids())
        used, ours = machine.seconds_of_all() - used, machine.seconds_of(pids) - ours
        self.others.append(max(0.0, used - ours) / machine.capacity(monotonic() - began))

    def finish(self, probes: Sequence[Probe]) -> None:
        """Take what leaves the queues too long for anything else."""
        for side in (self.ours, self.floor):
            self._turn(side, self.size.rounds, probes)

    def _turn(self, side: Side, number: int, probes: Sequence[Probe]) -> None:
        self.rest()
        for probe in probes:
            if side is self.ours or isinstance(probe, Both):
                self._take(side, number, probe)
        try:
            side.settle()
        except _FAILURES as error:
            self.readings.warnings.append(f"{side.name}, round {number}: {error}")

    def _take(self, side: Side, number: int, probe: Probe) -> None:
        if monotonic() - self._began > self.size.minutes * 60:
            self.readings.fail(probe.measures, "NOT RUN: out of time")
            return
        try:
            with self.show(f"round {number} of {self.size.rounds}, {side.name}: {probe.name}"):
                # A probe of our side alone is given ours: `_turn` sees to it.
                values = probe.take(side, self.size)  # type: ignore[arg-type]
        except _FAILURES as error:
            self.readings.fail(probe.measures, f"{side.name}, round {number}: {error}")
        else:
            self.readings.add(side.name, number, values)
