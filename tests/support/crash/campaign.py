"""Rounds of work in which processes die, one after the other and several at once.

Owns the order of a round: arm, decide, die, restart, drain, count. Its two waves are for speed: the
dispatchers come back while API and worker die.
"""

import json
import os
import re
import signal
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from tests.support.crash.learning import Learned, Passed, learned
from tests.support.crash.places import AFTER
from tests.support.crash.plan import Plan, Point
from tests.support.crash.trigger import Side
from tests.support.crash.work import Work
from tests.support.desk import Placet, wait_for

API, WORKER = "review-api", "review-worker"
SQL, JIRA = "dispatcher-support-faq", "dispatcher-jira-demo"
SHAREPOINT = "dispatcher-sharepoint-demo"
DISPATCHERS: Final = (SQL, JIRA, SHAREPOINT)
PROCESSES: Final = (API, WORKER, *DISPATCHERS)
RELAYING: Final = "dispatcher-*"
"""Whichever dispatcher leads the relay of their outbox."""
_AT_ONCE: Final = 4
"""Points armed in one process in one round: the second strikes what the first made it repeat."""
_CONSUMING: Final = ("conveyor.consumer:Consumer._read:self._client.poll:1", AFTER)
"""Where every process but the API has come to the end of its start."""
_SECOND: Final = (API, WORKER)
"""Struck while the dispatchers come back."""
_TRIES: Final = 3
_AHEAD: Final = 2
_RESTARTED: Final = 120
_PASSED: Final = 30
_REST: Final = 3.0
_LOOK: Final = 0.2


def quicken(placet: Placet) -> None:
    """Shorten what the demonstration's targets wait for, as an operator would, in `targets.toml`.

    The stand-ins answer in milliseconds: nothing of a dead dispatcher's request lives for seconds.
    """
    file = placet.home / "config" / "targets.toml"
    text = re.sub(r"(?m)^settle = .*$", "settle = 2", file.read_text("utf-8"))
    text = re.sub(r"(?m)^retry = .*$", "retry = [1, 2, 5, 15]", text)
    file.write_text(text, "utf-8")


class Campaign:
    """One stack, and the points of its processes."""

    def __init__(self, placet: Placet, plan: Plan) -> None:
        self._placet = placet
        self._plan = plan
        self.work = Work(placet)
        self._number = 0
        self.fired: list[Point] = []
        self.missed: list[Point] = []
        for number in range(_AHEAD):
            self.work.publish(number)

    def close(self) -> None:
        """Sign off: nobody works here any more."""
        self.work.close()

    def learn(self) -> Learned:
        """Restart every process, let it rest, work two rounds, and return what each passed."""
        began = self._restart_all()
        started, rested = self._at_rest(began)
        for _ in range(2):
            self._work_through()
        worked = self._plan.mark()
        hits = self._plan.hits
        passed = {
            name: Passed(
                starting=hits(name, began[name], started[name]),
                resting=hits(name, started[name], rested[name]),
                working=hits(name, rested[name], worked[name]),
            )
            for name in PROCESSES
        }
        return learned(passed, dict.fromkeys(DISPATCHERS, RELAYING))

    def recovery(self, known: Learned) -> list[Point]:
        """Return the points that nothing but recovery has passed until now."""
        usual = {point.side for point in (*known.working, *known.starting)}
        passed = {
            Point(process=name, side=hit.side)
            for name, end in self._plan.mark().items()
            for hit in self._plan.hits(name, 0, end)
            if hit.side not in usual
        }
        return sorted(passed, key=str)

    def _at_rest(self, began: Mapping[str, int]) -> tuple[dict[str, int], dict[str, int]]:
        """Wait until nobody has passed anything new for a while; return when that while was."""
        seen: list[tuple[float, dict[str, int], list[set[Side]]]] = []

        def settled() -> tuple[dict[str, int], dict[str, int]] | None:
            time.sleep(_LOOK)  # traces are long: looking all the time would be work
            now, mark = time.monotonic(), self._plan.mark()
            passed = [
                {hit.side for hit in self._plan.hits(name, began[name], mark[name])}
                for name in PROCESSES
            ]
            seen.append((now, mark, passed))
            while seen[0][2] != passed:
                del seen[0]
            consuming = all(_CONSUMING in sides for sides in passed[1:])
            return (seen[0][1], mark) if consuming and now - seen[0][0] > _REST else None

        return wait_for("every process at rest", settled, seconds=_RESTARTED)

    def run(self, points: Sequence[Point], tell: Callable[[str], None]) -> None:
        """Strike every point; those that are not reached `_TRIES` times are `missed`.

        `tell` hears of every round.
        """
        left: defaultdict[str, deque[Point]] = defaultdict(deque)
        for point in points:
            left[point.process].append(point)
        tries: Counter[Point] = Counter()
        while any(left.values()):
            armed = [
                queue.popleft() for queue in left.values() for _ in range(min(_AT_ONCE, len(queue)))
            ]
            began = time.monotonic()
            not_reached = self._round(armed)
            struck, took = len(armed) - len(not_reached), time.monotonic() - began
            tell(f"round {self._number - 1}: {struck} of {len(armed)} struck in {took:.0f} s")
            for point in not_reached:
                tries[point] += 1
                if tries[point] < _TRIES:
                    left[point.process].append(point)
                else:
                    self.missed.append(point)

    def drained(self) -> None:
        """Wait until nothing is under way any more; then the audit log must be whole."""
        self._all_running()
        wait_for("no lag", lambda: self._placet.lag() == 0, seconds=_RESTARTED)
        checked = self._placet.verify("--json")
        assert checked.returncode == 0, checked.stdout + checked.stderr
        wait_for("no gaps", self._no_gaps, seconds=_RESTARTED)

    def _no_gaps(self) -> bool:
        """Whether every decision's chain is whole, without any time to become so."""
        found = self._placet.run("audit", "gaps", "--grace", "0s", "--json", check=False)
        judged = json.loads(found.stdout)
        return bool(judged["ok"] and judged["events"])

    def _round(self, armed: Sequence[Point]) -> list[Point]:
        """Return what was not reached."""
        first = [one for one in armed if one.process not in _SECOND]
        second = [one for one in armed if one.process in _SECOND]
        try:
            self._all_running()
            self._plan.arm(first)
            self._work_through(lambda: self._plan.arm(second))
            fired, left = self._plan.disarm()
            self.work.check(self._number - 1)
        except AssertionError as error:
            self._plan.disarm()
            error.add_note("armed in this round:\n" + "\n".join(map(str, armed)))
            raise
        self.fired += fired
        return left

    def _work_through(self, between: Callable[[], None] = lambda: None) -> None:
        number = self._number
        self.work.write(number)
        self._await_deaths(number)
        between()
        self.work.publish(number + _AHEAD)
        self.work.decide_otherwise(number)
        self.work.wait(number)
        self._number += 1

    def _await_deaths(self, number: int) -> None:
        """Wait until every armed process has died once, or has nothing left to do."""
        deadline = time.monotonic() + _PASSED
        while self._plan.untouched() and not self.work.written(number):
            if time.monotonic() > deadline:
                return
            time.sleep(_LOOK)

    def _restart_all(self) -> dict[str, int]:
        """Return where the traces of the new processes begin."""
        found = self._placet.processes()
        before = {name: found[name]["pid"] for name in PROCESSES}
        for pid in before.values():
            os.kill(pid, signal.SIGKILL)
        began = self._plan.mark()
        wait_for("new processes", lambda: self._runs(unlike=before), seconds=_RESTARTED)
        wait_for("the desk", self.work.answers, seconds=_RESTARTED)
        return began

    def _all_running(self) -> None:
        wait_for("every process running", lambda: self._runs(unlike={}), seconds=_RESTARTED)

    def _runs(self, *, unlike: Mapping[str, int]) -> bool:
        found = self._placet.processes()
        return all(
            found[name]["state"] == "running" and found[name]["pid"] != unlike.get(name)
            for name in PROCESSES
        )


def stack(folder: Path, plan: Plan) -> Placet:
    """A stack of its own, not yet up, whose processes take orders from `plan`."""
    policy = folder / "policy.toml"
    return Placet(folder / "home", env={**plan.environment, "PLACET_POLICY": str(policy)})
