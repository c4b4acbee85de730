"""`placet audit verify` over all that was sealed so far, as anybody would call it.

The whole command, with the start of its process (about a second): most of it, on a short log.
"""

import json
from time import monotonic
from typing import Final

from bench.errors import BenchError
from bench.ours import Ours
from bench.probe import OursOnly, Values
from bench.result import Measure, at_least
from bench.size import Size

VERIFIED = Measure(
    name="audit verify, process start included", unit="records/s", goal=at_least(100_000)
)
_SECONDS: Final = 120


def take(side: Ours, size: Size) -> Values:  # noqa: ARG001 - one shape for all probes
    began = monotonic()
    done = side.command("audit", "verify", "--json", seconds=_SECONDS)
    seconds = monotonic() - began
    if done.returncode:
        raise BenchError(f"audit verify ended with {done.returncode}: {done.stderr[-300:]}")
    records = int(json.loads(done.stdout)["records"])
    return {VERIFIED: records / seconds}


PROBE = OursOnly(name="audit verify", measures=(VERIFIED,), take=take)
