"""The six measures as charts: what each says in words, and the place of every bar. Pure.

Owns numbers and words. How a chart looks is the template's: plain SVG, whose bars are also a table.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

WIDTH: Final = 240
HEIGHT: Final = 64
_GAP: Final = 2

Number = float | int | None
Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One hour. `text` is its value for people; None: nothing to measure."""

    hour: str
    text: str | None
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """One measure: its value of the last 24 hours, and hour by hour."""

    name: str
    title: str
    now: str
    describes: str
    highest: str
    bars: list[Bar]


def seconds(value: Number) -> str:
    """Return a length of time in at most three digits."""
    if value is None:
        return "none yet"
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if value >= size:
            return f"{value / size:.1f} {unit}"
    return f"{value:.1f} s"


def count(value: Number) -> str:
    """Return a count."""
    return "none yet" if value is None else f"{value:,.0f}"


def share(value: Number) -> str:
    """Return a share in per cent."""
    return "none yet" if value is None else f"{value * 100:.0f} %"


def _part(row: Row, part: str, *whole: str) -> float | None:
    total = sum(row[name] for name in whole)
    return row[part] / total if total else None


@dataclass(frozen=True, slots=True)
class _Measure:
    name: str
    title: str
    describes: str
    words: Callable[[Number], str]
    now: Callable[[Row], Number]
    hourly: Callable[[Row], Number]
    full: float | None = None  # the top of the chart; None: the highest hour


_MEASURES: Final = (
    _Measure(
        "waiting",
        "Waiting now",
        "Decisions taken per hour; the number is what waits for one now.",
        count,
        lambda all_: all_["pending"],
        lambda row: row["decided"],
    ),
    _Measure(
        "review",
        "Time to a decision",
        "Median time from arrival to decision.",
        seconds,
        lambda all_: all_["review_seconds"]["p50"],
        lambda row: row["review_p50"],
    ),
    _Measure(
        "approved",
        "Approved",
        "Share of decisions that approve.",
        share,
        lambda all_: all_["approval_rate"],
        lambda row: _part(row, "approved", "decided"),
        1.0,
    ),
    _Measure(
        "written",
        "Written as approved",
        "Share of finished writes that were written and read back.",
        share,
        lambda all_: all_["write_backs"]["success_rate"],
        lambda row: _part(row, "written", "written", "not_written"),
        1.0,
    ),
    _Measure(
        "retries",
        "Retries",
        "Attempts after the first, of all writes.",
        count,
        lambda all_: all_["write_backs"]["retries"],
        lambda row: row["retries"],
    ),
    _Measure(
        "delay",
        "Decision to written",
        "95 of 100 writes take no longer, from the end of the hold.",
        seconds,
        lambda all_: all_["write_backs"]["delay_seconds_p95"],
        lambda row: row["write_p95"],
    ),
)


def charts(all_: Row, hours: Sequence[Row]) -> list[Chart]:
    """Return the six charts of the last 24 hours: `all_` together, `hours` one by one."""
    return [_chart(measure, all_, hours) for measure in _MEASURES]


def _chart(measure: _Measure, all_: Row, hours: Sequence[Row]) -> Chart:
    values = [measure.hourly(row) for row in hours]
    known = [value for value in values if value is not None]
    highest = max(known, default=None)
    top = measure.full or highest or 1
    step = WIDTH / max(len(hours), 1)
    bars = []
    for number, (row, value) in enumerate(zip(hours, values, strict=True)):
        height = 0.0 if value is None else round(HEIGHT * value / top, 1)
        bars.append(
            Bar(
                hour=f"{row['hour']:%H:%M}",
                text=None if value is None else measure.words(value),
                x=round(number * step, 1),
                y=round(HEIGHT - height, 1),
                width=round(step - _GAP, 1),
                height=height,
            )
        )
    return Chart(
        name=measure.name,
        title=measure.title,
        now=measure.words(measure.now(all_)),
        describes=measure.describes,
        highest=measure.words(highest),
        bars=bars,
    )
