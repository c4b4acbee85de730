"""Charts of the six measures: bars within their frame, words for what is not known."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from review_api.charts import HEIGHT, WIDTH, charts, seconds, share

ALL: dict[str, Any] = {
    "pending": 7,
    "review_seconds": {"p50": None},
    "approval_rate": None,
    "write_backs": {"success_rate": 0.5, "retries": 0, "delay_seconds_p95": 61.0},
}
COUNT = st.integers(0, 10**6)
SECONDS = st.none() | st.floats(0, 10**7)
HOUR = st.fixed_dictionaries(
    {
        "decided": COUNT,
        "review_p50": SECONDS,
        "written": COUNT,
        "not_written": COUNT,
        "retries": COUNT,
        "write_p95": SECONDS,
    }
)


@given(st.lists(HOUR, min_size=24, max_size=24))
def test_every_bar_is_inside_its_chart(hours: list[dict[str, Any]]) -> None:
    begin = datetime(2026, 11, 24, tzinfo=UTC)
    for number, hour in enumerate(hours):
        hour["hour"] = begin + timedelta(hours=number)
        hour["approved"] = hour["decided"] // 2
    drawn = charts(ALL, hours)
    assert len(drawn) == 6
    for chart in drawn:
        for bar in chart.bars:
            assert 0 <= bar.x < bar.x + bar.width <= WIDTH
            assert 0 <= bar.y <= HEIGHT
            assert bar.y + bar.height == pytest.approx(HEIGHT, abs=0.11)


def test_what_is_not_known_is_said_so() -> None:
    assert [chart.now for chart in charts(ALL, [])] == [
        "7",
        "none yet",
        "none yet",
        "50 %",
        "0",
        "1.0 min",
    ]


@pytest.mark.parametrize(
    ("value", "text"), [(0.04, "0.0 s"), (59.9, "59.9 s"), (3_600, "1.0 h"), (90_000, "1.0 d")]
)
def test_lengths_of_time_are_short(value: float, text: str) -> None:
    assert seconds(value) == text


def test_a_share_is_per_cent() -> None:
    assert share(0.996) == "100 %"
