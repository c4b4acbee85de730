"""From a decision to its row in the target, at a rate that leaves the machine mostly idle.

From the wall clock just before the request is written to the commit time of the changed row. With
200 samples a round the P99 is the second worst of them: it tells about hiccups, ours and the
machine's alike.
"""

from bench.driver import expect
from bench.probe import Both, Values
from bench.result import Measure, at_most, percentile
from bench.side import Side
from bench.size import Size

P50 = Measure(name="decision → target, 20/s, P50", unit="ms", goal=at_most(15))
P99 = Measure(name="decision → target, 20/s, P99", unit="ms", goal=at_most(50))
_SECONDS = 60.0


def take(side: Side, size: Size) -> Values:
    approvals = side.approvals(size.samples)
    requests = [approval.request for approval in approvals]
    answers = side.driver.send(side.address, requests, clients=size.clients, rate=size.rate)
    expect(answers, side.accepted_status)
    committed = side.target.await_changes(
        [approval.identifier for approval in approvals], seconds=_SECONDS
    )
    late = [
        1000 * (committed[approval.identifier] - answer.sent)
        for approval, answer in zip(approvals, answers, strict=True)
    ]
    return {P50: percentile(late, 0.50), P99: percentile(late, 0.99)}


PROBE = Both(name="decision to target", measures=(P50, P99), take=take)
