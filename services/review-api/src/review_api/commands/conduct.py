"""How people decide, for whoever oversees them: dwell, evidence, edits, control items.

Reads the newest decisions, a bounded number of them however many there are, and counts by person.
What of it looks like a rubber stamp is `oversight`'s. Tells it to whoever asks; does nothing.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from review_api.oversight import Conduct, Oversight, signals
from review_api.store import Row, Store

MOST: Final = 5_000
DAYS: Final = 30
_AGE: Final = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Reviewer:
    """A person who decided lately, and what of it looks like a rubber stamp."""

    person_id: UUID
    name: str
    conduct: Conduct
    signals: list[str]


class Watch:
    """The use case. What was counted is kept for a few seconds."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: tuple[float, list[Row]] = (-_AGE, [])

    async def reviewers(self, rules: Oversight) -> Sequence[Reviewer]:
        """Return everybody who decided lately; who should be looked at comes first."""
        at, rows = self._known
        if time.monotonic() - at >= _AGE:
            rows = await self._store.all("conduct", {"most": MOST, "days": DAYS})
            self._known = (time.monotonic(), rows)
        found = [_reviewer(row, rules) for row in rows]
        return sorted(found, key=lambda one: (not one.signals, one.name.casefold()))


def _reviewer(row: Row, rules: Oversight) -> Reviewer:
    conduct = Conduct(
        decided=row["decided"],
        approved=row["approved"],
        edited=row["edited"],
        dwell=row["dwell"],
        looked=row["looked"],
        controls=row["controls"],
        missed=row["missed"],
    )
    return Reviewer(
        person_id=row["person_id"],
        name=row["name"],
        conduct=conduct,
        signals=signals(rules, conduct),
    )
