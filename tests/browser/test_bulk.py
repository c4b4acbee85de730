"""Several items at once in a real browser: by keyboard, without scripts, for everybody."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, expect
from tests.browser.conftest import Desk
from tests.browser.test_desk import queue  # noqa: F401 - a fixture
from tests.browser.test_review import _TAGS
from tests.support.desk import wait_for

NO_SCRIPT = {"java_script_enabled": False}


def _states(reviewer, items: list[str]) -> list[str]:
    return [reviewer.item(one)["state"] for one in items]


def _box(desk: Desk, item: str):
    return desk.page.locator(f".pick input[value='{item}:1']")


def test_two_are_rejected_by_keyboard_alone(desk, placet, reviewer, queue):  # noqa: F811
    desk.sign_in(placet)
    desk.open(queue[0])
    page = desk.page
    expect(page.locator("#bulk")).to_be_hidden()
    page.keyboard.press("x")
    page.keyboard.press("j")
    expect(page.locator(f"main[data-item='{queue[1]}']")).to_be_visible()
    page.keyboard.press("x")
    expect(page.locator("#picked")).to_have_text("2 selected")
    page.keyboard.press("b")
    expect(page.get_by_role("heading", name="Reject 2 items?")).to_be_visible()
    assert _states(reviewer, queue) == ["PENDING"] * 5
    expect(page.get_by_label("Reason, for all of them")).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")  # without a reason the browser sends nothing
    expect(page.get_by_role("heading", name="Reject 2 items?")).to_be_visible()
    page.get_by_label("Reason, for all of them").focus()
    page.keyboard.type("WRO")
    expect(page.get_by_label("Reason, for all of them")).to_have_value("WRONG")
    page.keyboard.press("Tab")
    page.keyboard.type("Both of one kind.")
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Reject 2 items")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="2 of 2 rejected")).to_be_visible()
    assert _states(reviewer, queue) == ["REJECTED"] * 2 + ["PENDING"] * 3
    page.reload()  # shows the answer, and decides nothing
    expect(page.get_by_role("heading", name="2 of 2 rejected")).to_be_visible()
    history = reviewer.item(queue[0])["history"]
    assert [one["event"] for one in history].count("REJECT") == 1


@pytest.mark.parametrize("desk", [NO_SCRIPT], indirect=True, ids=["no-script"])
def test_it_needs_no_script_and_passes_over_what_moved_on(
    desk,
    placet,
    reviewer,
    queue,  # noqa: F811
):
    desk.sign_in(placet)
    page = desk.page
    expect(page.locator("#bulk")).to_be_hidden()
    for item in queue[:3]:
        _box(desk, item).check()
    expect(page.locator("#bulk")).to_be_visible()
    page.get_by_label("Reason for all of them").select_option("INCOMPLETE")
    page.get_by_role("button", name="Ask…").click()
    expect(page.get_by_role("heading", name="Ask about 3 items?")).to_be_visible()
    other = placet.person("reviewer2")
    assert other.decide(other.item(queue[1]), "REJECT").status_code == 201
    page.get_by_role("button", name="Ask about 3 items").click()
    expect(page.get_by_role("heading", name="2 of 3 asked about")).to_be_visible()
    first = page.locator(".picked li").first
    expect(first).to_contain_text("passed over")
    expect(first).to_contain_text("has decided: REJECT")
    expected = ["NEEDS_INFO", "REJECTED", "NEEDS_INFO", "PENDING", "PENDING"]
    assert _states(reviewer, queue) == expected
    page.get_by_role("link", name="Back to the queue").click()
    expect(page.locator(".rows .row").first).to_be_visible()


def test_a_selection_can_be_cleared_and_what_is_decided_leaves_it(
    desk,
    placet,
    reviewer,
    queue,  # noqa: F811
):
    desk.sign_in(placet)
    desk.open(queue[0])
    page = desk.page
    page.keyboard.press("c")
    page.keyboard.type("x")  # typed, not pressed
    expect(page.get_by_label("Comment")).to_have_value("x")
    expect(page.locator("#bulk")).to_be_hidden()
    _box(desk, queue[2]).check()
    _box(desk, queue[3]).check()
    expect(page.locator("#picked")).to_have_text("2 selected")
    page.keyboard.press("x")  # the box that was clicked last has the focus: its row
    expect(page.locator("#picked")).to_have_text("1 selected")
    page.get_by_role("button", name="Clear").click()
    expect(page.locator("#bulk")).to_be_hidden()
    page.locator("h1").click()
    page.keyboard.press("x")
    expect(page.locator("#picked")).to_have_text("1 selected")
    page.keyboard.press("r")
    page.keyboard.press("2")  # decides the one that is open, and no other
    expect(page.locator(f"main[data-item='{queue[1]}']")).to_be_visible()
    expect(page.locator("#bulk")).to_be_hidden()
    wait_for("rejected", lambda: reviewer.item(queue[0])["state"] == "REJECTED")
    assert _states(reviewer, queue[1:]) == ["PENDING"] * 4


@pytest.mark.parametrize("look", [(320, "light"), (320, "dark"), (1440, "light"), (1440, "dark")])
def test_bar_question_and_answer_are_accessible(
    chromium: Browser,
    placet,
    queue,  # noqa: F811
    look,
):
    width, scheme = look
    context = chromium.new_context(
        color_scheme=scheme, viewport={"width": width, "height": 800}, bypass_csp=True
    )
    desk = Desk(context.new_page(), placet.status()["review"]["url"]).sign_in(placet)
    page, rules = desk.page, {"runOnly": {"type": "tag", "values": _TAGS}}

    def check(what: str) -> None:
        found = Axe().run(page, options=rules)
        assert found.violations_count == 0, f"{what}: {found.generate_report()}"
        assert page.evaluate("document.documentElement.scrollWidth") <= width

    for item in queue[:2]:
        _box(desk, item).check()
    expect(page.locator("#picked")).to_have_text("2 selected")
    bar = page.locator("#bulk").bounding_box()
    assert bar is not None
    assert bar["y"] + bar["height"] <= 800  # on screen, wherever one is in the list
    check("bar")
    # The last row comes into view above the bar, not behind it.
    last = page.locator(".rows .row").last
    last.focus()
    box = last.bounding_box()
    assert box is not None
    assert box["y"] + box["height"] <= bar["y"]
    page.get_by_role("button", name="Reject…").click()
    expect(page.get_by_role("heading", name="Reject 2 items?")).to_be_visible()
    check("question")
    page.get_by_label("Reason, for all of them").select_option("OTHER")
    page.get_by_role("button", name="Reject 2 items").click()
    expect(page.get_by_role("heading", name="2 of 2 rejected")).to_be_visible()
    check("answer")
    context.close()
