"""The stop switch on the whole stack: what is decided waits, and is written once when let go."""

import json
import uuid
from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest
from tests.support.desk import Placet, as_json, output, wait_for

from contract.identity import item_id

QUIET = timedelta(seconds=3)
moment = datetime.fromisoformat


@pytest.fixture
def let_go(placet: Placet) -> Iterator[None]:
    """Whatever happens, writing goes on afterwards."""
    yield
    stops = placet.person("sre").http.get("/api/stops").json()["stops"]
    for stop in sorted(stops, key=lambda one: not one["all"]):  # everything goes first
        meant = ["--all"] if stop["all"] else ["--target", stop["target"]]
        placet.run("resume", *meant, "--reason", "the test is over")


def states(placet: Placet) -> dict[str, str]:
    """How every target is, as its dispatcher says."""
    found = json.loads(placet.run("targets", "list", "--json").stdout)
    return {one["name"]: one["state"] for one in found}


def proposed(placet: Placet, reviewer) -> tuple[str, str]:
    record = f"stop-{uuid.uuid4().hex[:12]}"
    placet.add_records([record])
    placet.publish([as_json(output(record, record))])
    item = item_id("e2e", record)
    wait_for("in the queue", lambda: reviewer.http.get(f"/api/items/{item}").is_success)
    return record, item


@pytest.mark.usefixtures("let_go")
@pytest.mark.parametrize("meant", [["--all"], ["--target", "support-faq"]], ids=["all", "target"])
def test_what_is_decided_while_stopped_waits_and_is_written_once(
    placet: Placet, reviewer, meant: list[str]
) -> None:
    record, item = proposed(placet, reviewer)
    placet.run("stop", *meant, "--reason", "wrong prices")
    everywhere = set(states(placet)) if meant == ["--all"] else {"support-faq"}

    def stopped() -> set[str]:
        return {name for name, state in states(placet).items() if state == "paused"}

    wait_for("stopped", lambda: stopped() == everywhere)
    decision = reviewer.decide_surely(item)
    assert decision["state"] == "APPROVED"
    path = f"/api/decisions/{decision['decision_id']}"

    def waited() -> bool:
        """The hold has been over for a while in which others are written."""
        assert placet.effects([record]) == {}
        now = reviewer.http.get(path).json()
        return moment(now["now"]) > moment(now["not_before"]) + QUIET

    wait_for("time to pass", waited)
    (write,) = reviewer.http.get(path).json()["write_backs"]
    assert write["state"] == "WAITING"
    assert write["attempts"] == 0
    placet.run("resume", *meant, "--reason", "prices are mended")
    wait_for("written", lambda: reviewer.item(item)["state"] == "COMPLETED")
    assert placet.effects([record]) == {record: 1}
    assert set(states(placet).values()) == {"running"}


def test_the_command_says_who_may_and_what_is_missing(placet: Placet) -> None:
    for arguments, code in (
        (["stop", "--reason", "x"], 2),
        (["stop", "--all", "--target", "support-faq", "--reason", "x"], 2),
        (["stop", "--all", "--reason", "x", "--as", "reviewer"], 4),
        (["resume", "--all", "--reason", "x", "--as", "approver"], 4),
        (["resume", "--all", "--reason", "x"], 1),
        (["stop", "--target", "nobody", "--reason", "x"], 1),
    ):
        answer = placet.run(*arguments, check=False)
        assert answer.returncode == code, (arguments, answer.stderr)
        assert answer.stdout == ""
