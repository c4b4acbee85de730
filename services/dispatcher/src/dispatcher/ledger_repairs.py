"""Telling of repairs: a late request had made a second copy, and it was found and removed.

Owns the event that puts it on record: one more transition of a write-back that is closed. The word
about one that is still under way waits, because whoever works on it goes by its transition.
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Final

import orjson

from contract.events import CLOSING
from dispatcher.ledger import Ledger
from dispatcher.targets.target import Repair
from dispatcher.writeback import Code

_MOST: Final = 1_000


def tell_repairs(ledger: Ledger, repairs: Sequence[Repair]) -> list[Repair]:
    """Tell of those whose write-back is closed, and return the others: tell them later.

    What is told is durable on return. A copy whose write-back this ledger does not know is nobody's
    to tell of. A crash before this leaves the repair in the process's log alone.
    """
    details: defaultdict[str, list[str]] = defaultdict(list)
    for one in repairs[-_MOST:]:
        details[one.write_back_id].append(one.detail)
    with ledger.transaction() as transaction:
        states: dict[str, Any] = dict(
            ledger.run(transaction, "states_of", ids=list(details)).fetchall()
        )
        closed = [key for key in details if states.get(key) in CLOSING]
        rows = [
            {
                "write_back_id": key,
                "reason_code": Code.DUPLICATE_REMOVED,
                "reason": "; ".join(details[key]),
            }
            for key in closed
        ]
        if rows:
            ledger.run(transaction, "repaired", rows=orjson.dumps(rows).decode())
            ledger.tell_again(transaction, closed)
    told = set(closed)
    return [one for one in repairs if one.write_back_id in states and one.write_back_id not in told]
