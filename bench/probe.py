"""The shape of a measure's file: what it measures, and how. `bench.measures` lists them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from bench.ours import Ours
from bench.result import Measure
from bench.side import Side
from bench.size import Size

Values: TypeAlias = Mapping[Measure, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Both:
    """Taken on both sides, with the same code."""

    name: str
    measures: Sequence[Measure]
    take: Callable[[Side, Size], Values]


@dataclass(frozen=True, slots=True, kw_only=True)
class OursOnly:
    """Something the floor does not have."""

    name: str
    measures: Sequence[Measure]
    take: Callable[[Ours, Size], Values]


Probe: TypeAlias = Both | OursOnly
