"""What was measured, and whether it is enough. Pure.

Owns medians, ratios and goals. Ratios are taken inside a round, where both sides had the same
machine; machines are noisy, so a figure without its spread says nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from statistics import median


class Bound(Enum):
    """What a goal bounds."""

    AT_LEAST = "≥"
    AT_MOST = "≤"
    RATIO_AT_LEAST = "≥ of the floor"


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """A value that the median should reach: ours, or its ratio to the floor's."""

    bound: Bound
    value: float

    def met(self, ours: float, ratio: float | None) -> bool | None:
        """Tell whether it is reached; None where there is nothing to compare."""
        if self.bound is Bound.AT_LEAST:
            return ours >= self.value
        if self.bound is Bound.AT_MOST:
            return ours <= self.value
        return None if ratio is None else ratio >= self.value

    def __str__(self) -> str:
        """Say it as the table does."""
        if self.bound is Bound.RATIO_AT_LEAST:
            return f"≥ {self.value:.1f} × floor"  # noqa: RUF001 - "times"
        return f"{self.bound.value} {self.value:,.0f}"


def at_least(value: float) -> Goal:
    return Goal(bound=Bound.AT_LEAST, value=value)


def at_most(value: float) -> Goal:
    return Goal(bound=Bound.AT_MOST, value=value)


def of_the_floor(value: float) -> Goal:
    return Goal(bound=Bound.RATIO_AT_LEAST, value=value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """One line of the table."""

    name: str
    unit: str
    goal: Goal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One value of one measure, by one side in one round."""

    measure: Measure
    side: str
    round: int
    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """A median with the least and the greatest of what it stands for."""

    median: float
    least: float
    greatest: float
    count: int

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread | None":
        if not values:
            return None
        return cls(
            median=median(values), least=min(values), greatest=max(values), count=len(values)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A measure over all rounds; `why` says why it has no value."""

    measure: Measure
    ours: Spread | None
    floor: Spread | None
    ratio: Spread | None
    met: bool | None
    why: str = ""


@dataclass(kw_only=True)
class Readings:
    """All that was measured, in the order of the table, and what could not be."""

    measures: Sequence[Measure]
    values: list[Reading] = field(default_factory=list)
    failures: dict[str, list[str]] = field(default_factory=dict)
    """By name of the measure."""
    warnings: list[str] = field(default_factory=list)

    def add(self, side: str, number: int, values: Mapping[Measure, float]) -> None:
        self.values += [
            Reading(measure=measure, side=side, round=number, value=value)
            for measure, value in values.items()
        ]

    def fail(self, measures: Sequence[Measure], why: str) -> None:
        for measure in measures:
            self.failures.setdefault(measure.name, []).append(why)

    def lines(self) -> list[Line]:
        return [self._line(measure) for measure in self.measures]

    def _line(self, measure: Measure) -> Line:
        ours, floor = self._by_round(measure, "ours"), self._by_round(measure, "floor")
        ratios = [ours[number] / floor[number] for number in ours if floor.get(number)]
        ratio, own = Spread.of(ratios), Spread.of(list(ours.values()))
        met = None
        if measure.goal and own:
            met = measure.goal.met(own.median, ratio.median if ratio else None)
        return Line(
            measure=measure,
            ours=own,
            floor=Spread.of(list(floor.values())),
            ratio=ratio,
            met=met,
            why="; ".join(dict.fromkeys(self.failures.get(measure.name, ()))),
        )

    def _by_round(self, measure: Measure, side: str) -> dict[int, float]:
        return {r.round: r.value for r in self.values if r.measure == measure and r.side == side}


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that `share` of `values` do not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, -int(-share * len(ordered) // 1) - 1)]
