"""What both sides can do, so that the same code measures them.

Two implementations: `bench.ours.Ours` (Kafka, four services) and `bench.floor.Floor` (plain SQL).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from bench.driver import Address, Driver
from bench.systems import System
from bench.target import Target


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """One decision, ready to be sent; `identifier` names the row it will change."""

    identifier: str
    request: bytes


class Side(Protocol):
    """A review queue in front of a business table."""

    name: str
    accepted_status: int
    """What a decision that counts is answered with."""
    driver: Driver
    target: Target
    systems: Sequence[System]
    """Business systems over HTTP, the same ones on both sides."""

    @property
    def address(self) -> Address:
        """Where its HTTP API listens."""

    def create(self, count: int) -> float:
        """Bring `count` new items into the queue; return the seconds until the last one was there.

        Raises BenchError when some of them never arrive.
        """

    def approvals(self, count: int) -> Sequence[Approval]:
        """Prepare decisions on the `count` oldest items nobody decided yet.

        What a person would have read by then is read here, and measured by nobody.
        """

    def write(self, system: System, count: int) -> float:
        """Write to `count` new records of `system`; return how many were written a second."""

    def first_page(self) -> bytes:
        """Return the request for the first 50 of the queue."""

    def lengthen(self, length: int) -> None:
        """Make the queue `length` items long by cloning rows in SQL. Takes minutes at a million."""

    def settle(self) -> None:
        """Block until nothing is under way any more, so that the other side has the machine."""
