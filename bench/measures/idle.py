"""What all dispatchers together cost while nothing happens: table, Jira and SharePoint, one each.

Processor time of the processes themselves, as a share of one core. What their waiting costs the
broker and PostgreSQL is theirs; the last line of a run tells it with everything else.
"""

from time import monotonic, sleep

from bench import machine
from bench.ours import Ours
from bench.probe import OursOnly, Values
from bench.result import Measure, at_most
from bench.size import Size

IDLE = Measure(name="all dispatchers, idle", unit="% of a core", goal=at_most(3))


def take(side: Ours, size: Size) -> Values:
    with side.all_dispatchers():
        side.settle()
        pids = list(side.dispatchers().values())
        used, began = machine.seconds_of(pids), monotonic()
        sleep(size.idle)  # this is what is measured
        return {IDLE: 100 * (machine.seconds_of(pids) - used) / (monotonic() - began)}


PROBE = OursOnly(name="idle dispatchers, those over HTTP too", measures=(IDLE,), take=take)
