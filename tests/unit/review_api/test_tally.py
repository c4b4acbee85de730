"""What counts as overridden, in which week and dimension, and what is worth a look."""

from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from review_api.charts import HEIGHT, WIDTH
from review_api.forensics import BAR, dimensions, monday, week_charts
from review_api.tally import NOT_NAMED, Finding, counts


def found(number: int = 1, **changes: Any) -> Finding:
    values: dict[str, Any] = {
        "decision_id": UUID(int=number),
        "item_id": str(UUID(int=number)),
        "decided_at": datetime(2026, 11, 25, 10, tzinfo=UTC),
        "model": "writer 1",
        "template": NOT_NAMED,
        "sources": frozenset({"wiki", "faq"}),
        "divergence": 0.25,
        "overridden": False,
    }
    return Finding(**values | changes)


def test_a_decision_counts_once_in_each_dimension_and_in_each_of_its_sources() -> None:
    week = date(2026, 11, 23)
    assert counts([found(1), found(2, overridden=True, sources=frozenset({"wiki"}))]) == {
        (week, "all", ""): [2, 1, 0.5],
        (week, "model", "writer 1"): [2, 1, 0.5],
        (week, "template", NOT_NAMED): [2, 1, 0.5],
        (week, "source", "wiki"): [2, 1, 0.5],
        (week, "source", "faq"): [1, 0, 0.25],
    }


@pytest.mark.parametrize(
    ("moment", "week"),
    [
        (datetime(2026, 11, 22, 23, 59, tzinfo=UTC), date(2026, 11, 16)),
        (datetime(2026, 11, 23, tzinfo=UTC), date(2026, 11, 23)),
        (datetime.fromisoformat("2026-11-23T00:30:00+02:00"), date(2026, 11, 16)),
    ],
)
def test_a_week_begins_on_monday_in_utc(moment: datetime, week: date) -> None:
    assert found(decided_at=moment).week == week


@pytest.mark.parametrize(
    ("divergence", "overridden", "surprise"), [(0, False, 0), (1, False, 1), (0.1, True, 0.9)]
)
def test_surprise_is_how_far_measure_and_person_are_apart(
    divergence: float,
    overridden: bool,  # noqa: FBT001 - a column of the table above
    surprise: float,
) -> None:
    assert found(divergence=divergence, overridden=overridden).surprise == pytest.approx(surprise)


@given(st.lists(st.tuples(st.integers(0, 11), st.integers(1, 10**6), st.floats(0, 1)), max_size=12))
def test_every_bar_of_a_week_is_inside_its_chart(made: list[tuple[int, int, float]]) -> None:
    since = monday(date(2026, 9, 10))
    rows = [
        {
            "week": since + timedelta(weeks=number),
            "decided": decided,
            "overridden": int(decided * part),
            "divergence": decided * part,
        }
        for number, decided, part in made
    ]
    drawn = week_charts(rows, since, 12)
    assert [len(chart.bars) for chart in drawn] == [12, 12]
    for chart in drawn:
        for bar in chart.bars:
            assert 0 <= bar.x < bar.x + bar.width <= WIDTH
            assert 0 <= bar.y <= HEIGHT
            assert bar.y + bar.height == pytest.approx(HEIGHT, abs=0.11)


def test_values_have_shares_and_bars_no_longer_than_there_is() -> None:
    row = {"dimension": "model", "value": "m", "decided": 4, "overridden": 1, "divergence": 8.0}
    model, template, _ = dimensions([row | {"others": -11}])
    assert (model.values[0].overridden, model.values[0].over_width) == (0.25, BAR * 0.25)
    assert model.values[0].stray_width == BAR
    assert (model.others, template.values) == (0, [])
