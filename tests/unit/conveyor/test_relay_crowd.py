"""When a relay waits for more rows: in a rush, and never because two happened to be close."""

import pytest

from conveyor.relay import crowded


@pytest.mark.parametrize(
    ("sent", "seconds", "waits"),
    [
        pytest.param(1, 0.001, False, id="one row at once"),
        pytest.param(7, 0.001, False, id="seven rows at once"),
        pytest.param(8, 0.01, True, id="a rush"),
        pytest.param(20, 0.06, True, id="a rush that goes on"),
        pytest.param(16, 0.06, False, id="a rush that is over"),
        pytest.param(2_000, 0.1, False, id="a full batch: there is more already"),
    ],
)
def test_a_relay_waits_for_more_only_in_a_rush(sent: int, seconds: float, *, waits: bool) -> None:
    assert crowded(sent, seconds) is waits
