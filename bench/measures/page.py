"""The first page of 50, oldest first: one request after the other on one connection.

What a client sees on loopback, so HTTP and JSON are in it. The floor's page holds whole records;
ours holds what the list shows.
"""

from bench.driver import expect
from bench.probe import Both, Values
from bench.result import Measure, at_most, percentile
from bench.side import Side
from bench.size import LARGE, Size

PAGE = Measure(name="first page of 50, P50", unit="ms", goal=at_most(10))
LONG = {
    length: Measure(name=f"first page of 50, {length:,} items, P50", unit="ms", goal=at_most(10))
    for length in LARGE
}
_WARM_UP = 5


def take(side: Side, size: Size) -> Values:
    return {PAGE: _milliseconds(side, size.pages)}


def take_long(side: Side, size: Size) -> Values:
    values = {}
    for length in size.queues:
        side.lengthen(length)
        values[LONG[length]] = _milliseconds(side, size.pages)
    return values


def _milliseconds(side: Side, pages: int) -> float:
    requests = [side.first_page()] * (_WARM_UP + pages)
    answers = side.driver.send(side.address, requests, clients=1)
    expect(answers, 200)
    taken = [1000 * (answer.answered - answer.sent) for answer in answers[_WARM_UP:]]
    return percentile(taken, 0.50)


PROBE = Both(name="first page", measures=(PAGE,), take=take)
LONG_PROBE = Both(name="first page of long queues", measures=tuple(LONG.values()), take=take_long)
