"""A real process dies where it is told to, once, and is what it was otherwise."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.crash.learning import Passed, learned
from tests.support.crash.plan import Hit, Plan, Point
from tests.support.crash.trigger import Side

INSERT = "conveyor.outbox:insert:cursor.execute:1"
PROGRAM = """
import sys
from conveyor import outbox

class Cursor:
    def execute(self, statement, values):
        print("executed", flush=True)

row = outbox.OutboxRow(id="", topic="", key=b"", type="", payload=b"", headers=b"")
for _ in range(int(sys.argv[1])):
    outbox.insert(Cursor(), "review.outbox", [row])
print("done", outbox.__file__)
"""


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    return Plan(tmp_path / "plan", ["review-worker", "review-api"])


def run(plan: Plan, process: str = "review-worker", times: int = 1) -> tuple[int, list[str]]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(times)],
        env={**os.environ, **plan.environment, "PLACET_PROCESS": process},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
        timeout=60,
    )
    return done.returncode, [line.split()[0] for line in done.stdout.splitlines()]


def point(side: str, process: str = "review-worker", behind: Side | None = None) -> Point:
    return Point(process=process, side=(INSERT, side), behind=behind)


@pytest.mark.parametrize(("side", "executed"), [("before", []), ("after", ["executed"])])
def test_it_dies_on_the_side_that_is_armed_and_lives_the_next_time(
    plan: Plan, side: str, executed: list[str]
):
    armed = point(side)
    plan.arm([armed])
    assert run(plan) == (-9, executed)
    assert plan.untouched() == set()
    assert run(plan) == (0, ["executed", "done"])
    assert plan.disarm() == ([armed], [])


def test_several_points_take_one_life_each(plan: Plan):
    plan.arm([point("before"), point("after")])
    assert [run(plan) for _ in range(3)] == [
        (-9, []),
        (-9, ["executed"]),
        (0, ["executed", "done"]),
    ]


def test_what_lies_behind_something_waits_for_it(plan: Plan):
    plan.arm([point("before", behind=(INSERT, "after"))])
    assert run(plan, times=3) == (-9, ["executed"])


def test_what_is_armed_and_not_reached_is_told(plan: Plan):
    other = Point(process="review-worker", side=("conveyor.inbox:accept:cursor.execute:1", "after"))
    elsewhere = point("before", process="review-api")
    plan.arm([other, elsewhere])
    assert run(plan) == (0, ["executed", "done"])
    assert plan.untouched() == {"review-worker", "review-api"}
    assert plan.disarm() == ([], [other, elsewhere])
    assert run(plan, "review-api") == (0, ["executed", "done"])


def test_a_pattern_arms_whoever_gets_there_first_and_no_second_one(plan: Plan):
    plan.arm([point("before", process="review-*")])
    assert run(plan, "review-api") == (-9, [])
    assert run(plan, "review-worker") == (0, ["executed", "done"])


def test_a_process_that_is_not_to_be_crashed_has_no_points(plan: Plan):
    plan.arm([point("before", process="*")])
    assert run(plan, "audit-sink") == (0, ["executed", "done"])


def test_a_trace_tells_every_side_in_order(plan: Plan):
    run(plan, times=2)
    hits = plan.hits("review-worker", 0, plan.mark()["review-worker"])
    assert [hit.side for hit in hits] == [(INSERT, "before"), (INSERT, "after")] * 2
    assert len({hit.thread for hit in hits}) == 1


def test_no_bytecode_of_an_instrumented_module_is_kept(plan: Plan):
    run(plan)
    kept = [file.name.partition(".")[0] for file in (plan.folder / "bytecode").rglob("*.pyc")]
    assert "record" in kept  # of `conveyor`, which has no points
    assert "outbox" not in kept


A, B, IDLE = ("a", "after"), ("b", "after"), ("idle", "before")


def hits(*sides: Side, thread: str = "1") -> list[Hit]:
    return [Hit(("pid", thread), side) for side in sides]


def test_what_is_passed_at_rest_too_is_struck_behind_work():
    passed = Passed(starting=[], resting=hits(IDLE), working=hits(IDLE, A, IDLE, B, IDLE))
    found = learned({"review-worker": passed}, {})
    assert found.working == (
        Point(process="review-worker", side=IDLE, behind=A),
        Point(process="review-worker", side=A),
        Point(process="review-worker", side=B),
    )


def test_work_of_another_thread_is_nothing_to_lie_behind():
    working = [*hits(A, thread="1"), *hits(IDLE, thread="2")]
    passed = Passed(starting=[], resting=hits(IDLE, thread="2"), working=working)
    found = learned({"review-worker": passed}, {})
    assert Point(process="review-worker", side=IDLE) in found.working


def test_a_start_has_points_of_its_own():
    passed = Passed(starting=hits(B, IDLE, A), resting=hits(IDLE), working=hits(A, IDLE))
    found = learned({"review-worker": passed}, {})
    assert found.starting == (Point(process="review-worker", side=B),)


def test_relaying_is_struck_in_whoever_does_it():
    sent = ("conveyor.relay:Relay.drain_once:connection.execute:1", "after")
    passed = {
        name: Passed(starting=[], resting=[], working=hits(sent, A))
        for name in ("dispatcher-1", "dispatcher-2")
    }
    found = learned(passed, dict.fromkeys(passed, "dispatcher-*"))
    assert found.working == (
        Point(process="dispatcher-*", side=sent),
        Point(process="dispatcher-1", side=A),
        Point(process="dispatcher-2", side=A),
    )
