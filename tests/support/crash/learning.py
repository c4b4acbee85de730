"""From traces to crash points: what a process passes when it starts, at rest and at work. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from tests.support.crash.places import SIDES, Place
from tests.support.crash.plan import Hit, Point
from tests.support.crash.trigger import Side

_RELAYING: Final = ("conveyor.relay:", "conveyor.producer:")


@dataclass(frozen=True, slots=True, kw_only=True)
class Passed:
    """What a process passed while it started, at rest and at work."""

    starting: Sequence[Hit]
    resting: Sequence[Hit]
    working: Sequence[Hit]


@dataclass(frozen=True, slots=True, kw_only=True)
class Learned:
    """Points. Those of `starting` are passed by a process that starts, alone."""

    working: tuple[Point, ...]
    starting: tuple[Point, ...]


def learned(passed: Mapping[str, Passed], sharing: Mapping[str, str]) -> Learned:
    """Return the points of all processes: each side that was passed, once.

    `sharing`: by process, the pattern of those that share one outbox. One of them leads, and who
    that is changes with every death: points of relaying are for whoever does it.
    """
    working: dict[tuple[str, Side], Point] = {}
    starting: dict[tuple[str, Side], Point] = {}
    for process, one in passed.items():
        rest = {hit.side for hit in one.resting}
        worked = {hit.side for hit in one.working}
        behind = _behind(one.working, rest)
        for hit in one.working:
            name = _whose(process, hit.side, sharing)
            point = Point(process=name, side=hit.side, behind=behind.get(hit.side))
            working.setdefault((name, hit.side), point)
        for hit in one.starting:
            if hit.side not in worked and hit.side not in rest:
                name = _whose(process, hit.side, sharing)
                starting.setdefault((name, hit.side), Point(process=name, side=hit.side))
    return Learned(working=tuple(working.values()), starting=tuple(starting.values()))


def _whose(process: str, side: Side, sharing: Mapping[str, str]) -> str:
    return sharing.get(process, process) if side[0].startswith(_RELAYING) else process


def _behind(working: Iterable[Hit], rest: set[Side]) -> dict[Side, Side]:
    """For sides passed at rest too: the last one before, in that thread, that only work reaches."""
    last: dict[tuple[str, str], Side] = {}
    found: dict[Side, Side] = {}
    for hit in working:
        if hit.side not in rest:
            last[hit.thread] = hit.side
        elif hit.thread in last:
            found.setdefault(hit.side, last[hit.thread])
    return found


def not_reached(places: Sequence[Place], points: Learned) -> tuple[list[Side], list[Side]]:
    """Return all sides, and those that no process passed."""
    reached = {point.side for point in (*points.working, *points.starting)}
    everything = [(place.id, side) for place in places for side in SIDES]
    return everything, [side for side in everything if side not in reached]
