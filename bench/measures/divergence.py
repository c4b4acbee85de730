"""What measuring one record's divergence costs: records of 2 KB, one core, no I/O.

Every call sees another record; the median of a round is reported, so a hiccup of the machine isn't.
"""

from time import perf_counter_ns

from bench.ours import Ours
from bench.probe import OursOnly, Values
from bench.records import record
from bench.result import Measure, at_most, percentile
from bench.size import Size
from contract.codec import decode_model_output
from intake.divergence import measure

MICRO = Measure(name="divergence of a 2 KB record, P50", unit="µs", goal=at_most(300))
_RECORDS = 2_000


def take(side: Ours, size: Size) -> Values:  # noqa: ARG001 - one shape for all probes
    taken = []
    for number in range(_RECORDS):
        output, _ = decode_model_output(record(number).value)
        began = perf_counter_ns()
        measure(output.output, output.retrieval, output.prompt)
        taken.append((perf_counter_ns() - began) / 1000)
    return {MICRO: percentile(taken, 0.50)}


PROBE = OursOnly(name="divergence", measures=(MICRO,), take=take)
