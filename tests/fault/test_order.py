"""Two hundred decisions on twenty records of a system that keeps failing: applied as decided.

Everything a system can do wrong happens to a share of all requests, reads among them, and the
dispatcher is killed once in the middle. The order is read in the system's own log.
"""

from collections import defaultdict
from pathlib import Path

import pytest
from tests.support.business_systems import systems
from tests.support.fleet import deliveries, fleet, value_of

RECORDS = 20
ORDINALS = 10


@pytest.mark.parametrize(
    "kind",
    [
        "sql",
        pytest.param("sharepoint", marks=pytest.mark.long),
        pytest.param("jira", marks=pytest.mark.long),
    ],
)
def test_each_record_takes_its_changes_in_the_order_in_which_they_were_decided(
    kind: str, postgres: str, kafka: str, tmp_path: Path
) -> None:
    with (
        systems(tmp_path, postgres, RECORDS, timeout=20, settle=1, kinds=(kind,)) as made,
        fleet(tmp_path, postgres, kafka, made) as ours,
    ):
        system, ship = made[kind], ours.ships[kind]
        ship.decide(ORDINALS)
        messages = [ship.message(one) for one in ship.decided]
        order = deliveries(len(messages), times=2, window=len(messages) // 2, seed=11)

        system.misbehave(seed=23)
        process = ship.start()
        ours.publish([messages[number] for number in order])
        process.until(lambda: ours.states(ship)["APPLIED"] >= len(messages) // 3, 240)
        process.kill()
        again = ship.start()
        again.until(lambda: ours.done(ship), 240)

        assert system.behave() > 0
        taken = defaultdict(list)
        for record, value in system.changes():
            taken[record].append(value)
        decided = [value_of(ordinal) for ordinal in range(1, ORDINALS + 1)]
        assert taken == dict.fromkeys(system.records, decided)
