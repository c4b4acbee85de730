"""A policy, tried on what waits: which items would change lanes. Pure.

Owns the counting. An item's lane only rises: a stricter policy moves items, a laxer one moves none;
what it would have let be ordinary is told all the same.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from contract.codec import decode
from contract.events import ReviewItem
from review_api.policy import Lane, Policy

Row = Mapping[str, Any]


def lane_under(policy: Policy, row: Row) -> Lane:
    """Return the lane of a waiting item (a row with its event), were it new under `policy`."""
    item = decode(row["event"])
    assert isinstance(item, ReviewItem)
    return policy.lane(row["instance"], row["risk"], item.change.fields)


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A waiting item held against a policy: its lane, and the one it would have were it new."""

    item_id: UUID
    title: str
    instance: str
    identifier: str
    now: Lane
    new: Lane

    @property
    def then(self) -> Lane:
        """Return its lane after saving: the higher of the two."""
        return Lane.CRITICAL if Lane.CRITICAL in {self.now, self.new} else Lane.ORDINARY


def held(policy: Policy, rows: Iterable[Row]) -> list[Held]:
    """Return waiting items, held against `policy`."""
    return [
        Held(
            item_id=row["item_id"],
            title=row["title"] or row["external_id"],
            instance=row["instance"],
            identifier=row["identifier"],
            now=Lane(row["lane"]),
            new=lane_under(policy, row),
        )
        for row in rows
    ]


@dataclass(slots=True, kw_only=True)
class Trial:
    """What saving a policy would do. `complete`: everything that waits was looked at."""

    policy: Policy
    shown: int
    examined: int = 0
    complete: bool = True
    now: dict[Lane, int] = field(default_factory=lambda: dict.fromkeys(Lane, 0))
    then: dict[Lane, int] = field(default_factory=lambda: dict.fromkeys(Lane, 0))
    rising: int = 0
    staying: int = 0
    _rising: list[Held] = field(default_factory=list)
    _staying: list[Held] = field(default_factory=list)

    def add(self, items: Iterable[Held]) -> None:
        """Count items; the first `shown` that change, or would, are kept."""
        for one in items:
            self.examined += 1
            self.now[one.now] += 1
            self.then[one.then] += 1
            if one.now is one.new:
                continue
            rises = one.then is not one.now
            self.rising += rises
            self.staying += not rises
            kept = self._rising if rises else self._staying
            if len(kept) < self.shown:
                kept.append(one)

    @property
    def changing(self) -> list[Held]:
        """Return the first that rise, then those that stay where no new one would be."""
        return [*self._rising, *self._staying][: self.shown]
