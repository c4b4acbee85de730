"""What a write waits for, and what people are told of it: what, until when, what goes first."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from review_api.pages.render import clock
from review_api.pages.waiting import words
from review_api.waiting import Cause, due, wait_of

NOW = datetime.now(UTC)
LATER = NOW + timedelta(minutes=5)


def write_back(state: str, **values: Any) -> dict[str, Any]:
    return {
        "state": state,
        "instance": "jira-demo",
        "next_attempt_at": None,
        "reason": None,
    } | values


def before(ahead: int = 0, **values: Any) -> dict[str, Any]:
    return {"ahead": ahead, "stopped_by": None, "stop_reason": None} | values


def decision(**values: Any) -> dict[str, Any]:
    return {"taken_back_by": None, "not_before": NOW, "now": NOW} | values


def told(row: dict[str, Any], state: str, stands: dict[str, Any]) -> str:
    wait = wait_of(row, state=state, before=stands, now=NOW)
    assert wait is not None
    _, head, rest = words(wait)
    return f"{head} | {rest}"


@pytest.mark.parametrize(
    ("states", "found"),
    [
        (["APPLIED"], None),
        (["WAITING", "SENDING"], "WAITING"),
        (["WAITING", "RETRYING"], "RETRYING"),
        (["WAITING", "UNKNOWN"], "UNKNOWN"),
        (["APPLIED", "WAITING"], "WAITING"),
        (["CONFLICT", "CANCELLED"], None),
    ],
)
def test_the_write_that_failed_speaks_for_those_that_follow_it(states, found):
    row = due(decision(), [write_back(state) for state in states])
    assert (None if row is None else row["state"]) == found


@pytest.mark.parametrize("change", [{"not_before": LATER}, {"taken_back_by": "somebody"}])
def test_within_the_hold_or_taken_back_nothing_waits(change):
    assert due(decision(**change), [write_back("WAITING")]) is None


@pytest.mark.parametrize(
    ("state", "target", "ahead", "cause"),
    [
        ("WAITING", "running", 0, None),
        ("WAITING", "running", 2, Cause.TURN),
        ("WAITING", "paused", 2, Cause.PAUSED),
        ("WAITING", "away", 0, Cause.AWAY),
        ("WAITING", "unknown", 0, Cause.SILENT),
        ("WAITING", "standby", 1, Cause.SILENT),
        ("RETRYING", "running", 0, Cause.RETRY),
        ("RETRYING", "away", 0, Cause.AWAY),
        ("RETRYING", "paused", 0, Cause.PAUSED),
        ("UNKNOWN", "running", 0, Cause.PROBE),
    ],
)
def test_one_cause_is_told(state, target, ahead, cause):
    wait = wait_of(write_back(state), state=target, before=before(ahead), now=NOW)
    assert (None if wait is None else wait.cause) == cause


def test_a_pause_says_who_why_and_until_when():
    stopped = before(2, stopped_by="Sam Ortiz", stop_reason="maintenance")
    text = told(write_back("WAITING", next_attempt_at=LATER), "paused", stopped)
    assert text == (
        "Waiting: jira-demo is paused | Written once somebody resumes it. 2 earlier decisions on "
        "this record go first. Paused by Sam Ortiz: maintenance"
    )


def test_a_target_that_is_away_says_when_it_is_tried_again():
    row = write_back("RETRYING", next_attempt_at=LATER, reason="HTTP 503")
    assert told(row, "away", before()) == (
        f"Waiting: jira-demo does not answer | Next try at {clock(LATER)} UTC, or as soon as it "
        "answers. HTTP 503"
    )
    assert told(write_back("WAITING", next_attempt_at=NOW), "away", before()) == (
        "Waiting: jira-demo does not answer | Written once it answers."
    )


def test_a_failed_attempt_says_when_the_next_one_is():
    row = write_back("RETRYING", next_attempt_at=LATER)
    assert f"it is tried again | Next try at {clock(LATER)} UTC." in told(row, "running", before())
    past = write_back("RETRYING", next_attempt_at=NOW - timedelta(seconds=1))
    assert "Next try" not in told(past, "running", before())


def test_one_earlier_decision_goes_first():
    assert told(write_back("WAITING"), "running", before(1)) == (
        "Waiting for its turn at the target | An earlier decision on this record goes first."
    )
