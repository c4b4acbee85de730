"""A shift in which something breaks at every item: nothing typed is lost, nothing decided twice.

Each run takes the next item, types, and has one thing go wrong while typing or just after deciding.
The schedule comes from the run's number, so a failing run is run again alone.
"""

import os
import random
import signal
import string
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from playwright.sync_api import Error as BrowserError
from playwright.sync_api import Page, expect
from tests.browser.conftest import Desk
from tests.browser.test_desk import propose_many
from tests.support.desk import Person, Placet, wait_for

SHORT, LONG = 20, 500
BATCH = 20  # the queue shows no more than a page: runs come in batches


class Shift:
    """One person's browser that outlives its tabs."""

    def __init__(self, desk: Desk, placet: Placet) -> None:
        self.desk = desk
        self.placet = placet
        self.context = desk.page.context
        self.password = next(
            one["password"] for one in placet.status()["accounts"] if one["username"] == "reviewer"
        )

    @property
    def page(self) -> Page:
        return self.desk.page

    def kill_server(self) -> None:
        os.kill(self.placet.processes()["review-api"]["pid"], signal.SIGKILL)

    def end_session(self) -> None:
        self.context.clear_cookies()

    def lose_network(self) -> None:
        self.context.set_offline(True)

    def close_tab(self) -> None:
        self.page.close()
        self.desk.page = self.context.new_page()

    def mend(self, item: str) -> None:
        """Do what a person does until the desk works again: wait, sign in, open the tab anew."""
        self.context.set_offline(False)
        if self.page.url == "about:blank":
            wait_for("the desk", lambda: self.opens(item))
        dialog = self.page.get_by_role("dialog")
        if dialog.count() and "session has ended" in dialog.inner_text():
            dialog.get_by_label("Password").fill(self.password)
            dialog.get_by_role("button", name="Sign in").click()
            expect(dialog).to_have_count(0)

    def opens(self, item: str) -> bool:
        try:
            self.desk.open(item)
        except BrowserError:  # the server is away
            return False
        if self.page.get_by_role("heading", name="Sign in").count():
            self.desk.sign_in(self.placet)
            self.desk.open(item)
        return True


FAULTS: dict[str, Callable[[Shift], None]] = {
    "server killed": Shift.kill_server,
    "session over": Shift.end_session,
    "offline": Shift.lose_network,
    "tab closed": Shift.close_tab,
}


def _decisions(person: Person, item: str) -> list[dict[str, Any]]:
    history = person.item(item)["history"]
    return [one for one in history if one["event"] in {"APPROVE", "REJECT", "NEED_INFO"}]


def _run(shift: Shift, reviewer: Person, item: str, number: int) -> None:
    chance = random.Random(number)
    fault, typing = chance.choice(sorted(FAULTS)), chance.random() < 0.5
    text = "".join(chance.choices(string.ascii_letters + " äß漢", k=30)).strip()
    what = f"run {number}: {fault} while {'typing' if typing else 'deciding'}"
    wait_for(what, lambda: shift.opens(item))
    comment = shift.page.get_by_label("Comment")
    expect(shift.page.locator("#claim"), what).to_contain_text("Yours until", timeout=30_000)
    comment.fill(text)
    if typing:
        FAULTS[fault](shift)
        shift.page.wait_for_timeout(chance.random() * 500)
        wait_for(what, lambda: _typed(shift, item) == text)
        expect(shift.page.locator("#claim"), what).to_contain_text("Yours until", timeout=30_000)
    wait_for(what, lambda: _rejects(shift, item))
    if not typing:
        FAULTS[fault](shift)
    try:
        wait_for(what, lambda: _decided(shift, reviewer, item), seconds=120)
    except AssertionError as error:
        raise AssertionError(f"{error}\n{shift.page.locator('body').aria_snapshot()}") from error
    made = _decisions(reviewer, item)
    assert [one["event"] for one in made] == ["REJECT"], what
    assert made[0]["comment"] == text, what


def _typed(shift: Shift, item: str) -> str:
    shift.mend(item)
    comment = shift.page.get_by_label("Comment")
    return comment.input_value() if comment.count() else ""


def _rejects(shift: Shift, item: str) -> bool:
    """Press it, unless a dialog has just come up: then deal with that first."""
    shift.mend(item)
    try:
        shift.page.get_by_label("Reason", exact=True).select_option("WRONG", timeout=2_000)
        shift.page.get_by_role("button", name="Reject").click(timeout=2_000)
    except BrowserError:
        return False
    return True


def _decided(shift: Shift, reviewer: Person, item: str) -> bool:
    shift.mend(item)
    try:
        answer = reviewer.http.get(f"/api/items/{item}")
    except httpx.TransportError:  # the server is away
        return False
    return answer.is_success and answer.json()["state"] == "REJECTED"


@pytest.mark.parametrize("runs", [SHORT, pytest.param(LONG, marks=pytest.mark.long)])
def test_nothing_typed_is_lost_and_nothing_is_decided_twice(
    desk: Desk, placet: Placet, reviewer: Person, runs: int
) -> None:
    shift = Shift(desk.sign_in(placet), placet)
    for start in range(0, runs, BATCH):
        for number, item in enumerate(propose_many(placet, reviewer, BATCH), start):
            _run(shift, reviewer, item, number)
