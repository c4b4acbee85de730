"""Divergence and overrides by model, prompt template, source and week: numbers into bars.

Owns what the forensics page reads (rows that `tally` keeps, a bounded window) and says. Refuses to
count: the page must cost the same however many decisions there are.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from review_api.charts import HEIGHT, WIDTH, Bar, Chart, share
from review_api.store import Row, Store

WINDOWS: Final = (4, 12, 26)
MOST_VALUES: Final = 12
MOST_OUTLIERS: Final = 20
BAR: Final = 200
"""Width of a bar that is as long as there is."""
_GAP: Final = 2
DIMENSIONS: Final[Mapping[str, str]] = {
    "model": "Model version",
    "template": "Prompt template",
    "source": "Retrieval source",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """One model, template or source."""

    name: str
    decided: int
    overridden: float
    divergence: float

    @property
    def over_width(self) -> float:
        """Return the width of its bar of overrides."""
        return round(BAR * self.overridden, 1)

    @property
    def stray_width(self) -> float:
        """Return the width of its bar of divergence."""
        return round(BAR * min(1.0, self.divergence), 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dimension:
    """One way to look at the same decisions. `others`: values that are not shown."""

    name: str
    title: str
    values: Sequence[Value]
    others: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """The page."""

    weeks: Sequence[Chart]
    dimensions: Sequence[Dimension]
    outliers: Sequence[Row]


class Forensics:
    """Reads the aggregates."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def read(self, weeks: int) -> Findings:
        """Return the last `weeks` weeks, this one included. Raises ProblemError."""
        since = monday(datetime.now(UTC).date()) - timedelta(weeks=weeks - 1)
        asked = {"since": since, "most": MOST_VALUES}
        by_week = await self._store.all("forensic_weeks", {"since": since})
        values = await self._store.all("forensic_values", asked)
        outliers = await self._store.all("forensic_outliers", asked | {"most": MOST_OUTLIERS})
        return Findings(
            weeks=week_charts(by_week, since, weeks),
            dimensions=dimensions(values),
            outliers=outliers,
        )


def monday(day: date) -> date:
    """Return the Monday of a day's week."""
    return day - timedelta(days=day.weekday())


def dimensions(rows: Sequence[Mapping[str, Any]]) -> list[Dimension]:
    """Return the dimensions with their values, the ones most decisions are about first."""
    made = []
    for name, title in DIMENSIONS.items():
        mine = [row for row in rows if row["dimension"] == name]
        values = [
            Value(
                name=row["value"],
                decided=row["decided"],
                overridden=row["overridden"] / row["decided"],
                divergence=row["divergence"] / row["decided"],
            )
            for row in mine
        ]
        others = max([0, *(row["others"] for row in mine)])
        made.append(Dimension(name=name, title=title, values=values, others=others))
    return made


def week_charts(rows: Sequence[Mapping[str, Any]], since: date, weeks: int) -> list[Chart]:
    """Return overrides and divergence week by week; a week without decisions has no bar."""
    known = {row["week"]: row for row in rows}
    days = [since + timedelta(weeks=number) for number in range(weeks)]
    return [
        _chart("overridden", "Overridden", _OVERRIDDEN, known, days),
        _chart("divergence", "Mean divergence", _DIVERGENCE, known, days),
    ]


_OVERRIDDEN: Final = "Share of decisions that reject, or approve another value than proposed."
_DIVERGENCE: Final = "How far outputs stray from what the model was given, 0 to 100 %."


def _chart(
    column: str,
    title: str,
    describes: str,
    known: Mapping[date, Mapping[str, Any]],
    days: Sequence[date],
) -> Chart:
    decided = sum(row["decided"] for row in known.values())
    total = sum(row[column] for row in known.values())
    step = WIDTH / len(days)
    bars = []
    highest = None
    for number, day in enumerate(days):
        row = known.get(day)
        value = None if row is None else row[column] / row["decided"]
        highest = value if highest is None or (value or 0.0) > highest else highest
        height = 0.0 if value is None else round(HEIGHT * min(1.0, value), 1)
        text = None if row is None else f"{share(value)} of {row['decided']:,}"
        bars.append(
            Bar(
                hour=f"{day:%Y-%m-%d}",
                text=text,
                x=round(number * step, 1),
                y=round(HEIGHT - height, 1),
                width=round(step - _GAP, 1),
                height=height,
            )
        )
    return Chart(
        name=f"week-{column}",
        title=title,
        now=share(total / decided if decided else None),
        describes=describes,
        highest=share(highest),
        bars=bars,
    )
