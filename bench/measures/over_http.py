"""Jira and SharePoint: as many records written a second as the system itself and the line allow.

A stand-in answers each request after a tenth of a second, and `concurrency` records are worked on
at once, so what there is to reach is how fast a bare client gets the same requests answered with as
many under way. The rate is taken from the system's own log, from the first change to the last; the
records must be changed exactly once each. Reading before, signing in and holds are in neither.
"""

from bench.ours import Ours
from bench.probe import Both, Values
from bench.result import Measure, of_the_floor
from bench.side import Side
from bench.size import Size

MEASURES = {
    "bench-jira": Measure(name="Jira, records written", unit="/s", goal=of_the_floor(0.9)),
    "bench-sharepoint": Measure(
        name="SharePoint, records written", unit="/s", goal=of_the_floor(0.9)
    ),
}


def take(side: Side, size: Size) -> Values:
    if isinstance(side, Ours):
        with side.all_dispatchers():
            return _write(side, size)
    return _write(side, size)


def _write(side: Side, size: Size) -> Values:
    return {
        MEASURES[system.instance]: side.write(system, size.over_http) for system in side.systems
    }


PROBE = Both(name="systems over HTTP", measures=tuple(MEASURES.values()), take=take)
