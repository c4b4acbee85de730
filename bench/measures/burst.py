"""A burst of approvals: how fast they are accepted, and how fast the rows have changed.

16 connections, each with one request under way; ours are 16 people signed in, each item was read
before (unmeasured), the hold is 0. Both rates start with the first request: accepted ends with the
last answer, applied with the commit of the last row. Every row must have changed exactly once.
Everything runs meanwhile, ours and the floor's: relay, dispatcher, audit.
"""

from bench.driver import expect
from bench.probe import Both, Values
from bench.result import Measure, at_least, of_the_floor
from bench.side import Side
from bench.size import Size

ACCEPTED = Measure(name="decisions accepted, 16 clients", unit="/s", goal=of_the_floor(1.0))
APPLIED = Measure(name="decisions applied end to end", unit="/s", goal=of_the_floor(0.8))
DURABLE = Measure(name="the same, beside LangGraph's 266", unit="/s", goal=at_least(2 * 266))
"""The fastest durable product measured (docs/adr/0008), on a machine of this kind, in process."""
_SECONDS = 120.0


def take(side: Side, size: Size) -> Values:
    approvals = side.approvals(size.decisions)
    requests = [approval.request for approval in approvals]
    answers = side.driver.send(side.address, requests, clients=size.clients)
    expect(answers, side.accepted_status)
    committed = side.target.await_changes(
        [approval.identifier for approval in approvals], seconds=_SECONDS
    )
    began = min(answer.sent for answer in answers)
    answered = max(answer.answered for answer in answers)
    applied = len(approvals) / (max(committed.values()) - began)
    return {
        ACCEPTED: len(approvals) / (answered - began),
        APPLIED: applied,
        DURABLE: applied,
    }


PROBE = Both(name="burst of decisions", measures=(ACCEPTED, APPLIED, DURABLE), take=take)
