"""The desk by keyboard, in a real browser: claims, keys, the next item, lost connections."""

import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect
from tests.browser.conftest import Desk
from tests.browser.test_review import _TAGS
from tests.support.desk import as_json, output, wait_for

from contract.identity import item_id


def propose_many(placet, reviewer, count: int) -> list[str]:
    """Items that come first in the queue, in this order."""
    names = [f"desk-{uuid.uuid4().hex[:10]}" for _ in range(count)]
    placet.add_records(names)
    # Later runs are due earlier: what an interrupted one has left behind comes after.
    first = datetime(2070, 1, 1, tzinfo=UTC) - timedelta(seconds=time.time())
    moments = [
        (first + timedelta(microseconds=number)).isoformat(timespec="microseconds")
        for number in range(count)
    ]
    placet.publish(
        [
            as_json(output(name, name, prompt=f"Which city? ({name})", due_at=due))
            for name, due in zip(names, moments, strict=True)
        ]
    )
    items = [item_id("e2e", name) for name in names]
    seen = "/api/items/{}".format
    wait_for("in the queue", lambda: all(reviewer.http.get(seen(one)).is_success for one in items))
    return items


@pytest.fixture
def queue(placet, reviewer) -> Iterator[list[str]]:
    """Five items before all others; whatever is left of them is rejected afterwards."""
    items = propose_many(placet, reviewer, 5)
    yield items
    for item in items:
        shown = reviewer.item(item)
        if shown["state"] == "PENDING":
            if shown["claim"] and (token := _token(reviewer, item)):
                reviewer.http.post(f"/api/items/{item}/release", json={"claim_token": token})
            reviewer.decide(shown, "REJECT")


def _token(person, item: str) -> int | None:
    answer = person.http.post(f"/api/items/{item}/claim", json={})
    return answer.json().get("claim_token")


def _state(reviewer, item: str) -> str:
    return reviewer.item(item)["state"]


def _on(page: Page, item: str) -> None:
    expect(page.locator(f"main[data-item='{item}']")).to_be_visible()


def test_a_shift_by_keyboard_alone(desk, placet, reviewer, queue):
    desk.sign_in(placet)
    desk.open(queue[0])
    page = desk.page
    page.keyboard.press("a")
    _on(page, queue[1])
    expect(page.locator("h1")).to_be_focused()
    page.keyboard.press("r")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("2")
    _on(page, queue[2])
    page.keyboard.press("i")
    page.keyboard.press("1")
    _on(page, queue[3])
    page.keyboard.press("k")  # passes over what is decided: there is nothing before it
    page.keyboard.press("j")
    _on(page, queue[4])
    page.keyboard.press("k")
    _on(page, queue[3])
    wait_for("approved", lambda: _state(reviewer, queue[0]) != "PENDING")
    wait_for("rejected", lambda: _state(reviewer, queue[1]) == "REJECTED")
    wait_for("asked", lambda: _state(reviewer, queue[2]) == "NEEDS_INFO")
    history = reviewer.item(queue[1])["history"]
    assert history[-1]["reason_code"] == "WRONG"
    assert _state(reviewer, queue[3]) == "PENDING"


def test_a_hundred_items_by_keyboard_alone(desk, placet, reviewer):
    """From the first to the last without a pointer, over the end of the list and on."""
    items = propose_many(placet, reviewer, 100)
    keys = {"APPROVED": "a", "REJECTED": "r2", "NEEDS_INFO": "i1"}
    wanted = {item: list(keys)[number % 3] for number, item in enumerate(items)}
    desk.sign_in(placet)
    page = desk.page
    page.keyboard.press("j")
    for item in items:
        _on(page, item)
        expect(page.locator("#claim")).to_contain_text("Yours until")
        for key in keys[wanted[item]]:
            page.keyboard.press(key)
        expect(page.locator(f"main[data-item='{item}']")).to_have_count(0)
        if page.locator("main[data-item]").count() == 0:  # the list ended, and begins anew
            page.keyboard.press("j")
    done = {"APPROVED", "IN_PROGRESS", "COMPLETED"}
    for item, state in wanted.items():
        allowed = done if state == "APPROVED" else {state}
        wait_for(state, lambda item=item, allowed=allowed: _state(reviewer, item) in allowed)
        events = [one["event"] for one in reviewer.item(item)["history"]]
        assert sum(events.count(one) for one in ("APPROVE", "REJECT", "NEED_INFO")) == 1, events


def test_z_takes_back_what_was_just_decided(desk, placet, reviewer, queue):
    desk.sign_in(placet)
    desk.open(queue[0])
    desk.page.keyboard.press("a")
    expect(desk.page.locator("#sent").get_by_role("button", name="Take back")).to_be_visible()
    desk.page.keyboard.press("z")
    _on(desk.page, queue[0])
    wait_for("taken back", lambda: _state(reviewer, queue[0]) == "PENDING")


@pytest.mark.parametrize("how", ["typing", "modifier", "switched off", "repeat"])
def test_keys_are_ignored(desk, placet, reviewer, queue, how):
    desk.sign_in(placet)
    desk.open(queue[0])
    page = desk.page
    if how == "typing":
        page.keyboard.press("c")
        expect(page.get_by_label("Comment")).to_be_focused()
        page.keyboard.type("a r i j")
        expect(page.get_by_label("Comment")).to_have_value("a r i j")
    elif how == "modifier":
        page.keyboard.press("Alt+a")
    elif how == "repeat":
        page.evaluate("dispatchEvent(new KeyboardEvent('keydown', {key: 'a', repeat: true}))")
    else:
        page.keyboard.press("?")
        _switch(page, on=False)
        page.keyboard.press("Escape")
        page.keyboard.press("a")
    page.wait_for_timeout(200)
    _on(page, queue[0])
    assert _state(reviewer, queue[0]) == "PENDING"
    if how == "switched off":  # for good: it is this person's, on every machine
        page.reload()
        page.get_by_role("button", name="Keys").click()
        _switch(page, on=True)


def _switch(page, *, on):
    with page.expect_response("**/review/settings"):
        page.get_by_label("Single keys are on").set_checked(on)


def test_two_people_at_one_item_are_told_of_each_other(desk, chromium, placet, reviewer, queue):
    desk.sign_in(placet)
    desk.open(queue[0])
    expect(desk.page.locator("#claim")).to_contain_text("Yours until")
    context = chromium.new_context()
    other = Desk(context.new_page(), desk.url).sign_in(placet, "reviewer2")
    other.open(queue[0])
    expect(other.page.locator("#claim")).to_contain_text("Claimed by")
    expect(other.page.locator(".rows .row").first).to_contain_text("Rosa Lind")
    other.page.keyboard.press("a")
    expect(other.page.locator("#sent")).to_contain_text("Somebody else is at it")
    assert _state(reviewer, queue[0]) == "PENDING"
    desk.page.goto(f"{desk.url}/review?tab=done")  # leaving gives it back
    wait_for("released", lambda: reviewer.item(queue[0])["claim"] is None)
    context.close()


def test_what_is_decided_offline_is_sent_once_when_the_network_is_back(
    desk, placet, reviewer, queue
):
    desk.sign_in(placet)
    desk.open(queue[0])
    expect(desk.page.locator("#claim")).to_contain_text("Yours until")
    page = desk.page
    page.wait_for_timeout(600)  # the next items are fetched ahead
    page.context.set_offline(True)
    page.keyboard.press("a")
    _on(page, queue[1])
    expect(page.locator("#sent")).to_contain_text("Not sent yet")
    assert _state(reviewer, queue[0]) == "PENDING"
    page.context.set_offline(False)
    wait_for("sent", lambda: _state(reviewer, queue[0]) != "PENDING")
    decided = [one for one in reviewer.item(queue[0])["history"] if one["event"] == "APPROVE"]
    assert len(decided) == 1


def test_a_tab_closed_before_a_decision_is_sent_sends_it_when_it_is_back(
    desk, placet, reviewer, queue
):
    desk.sign_in(placet)
    desk.open(queue[0])
    expect(desk.page.locator("#claim")).to_contain_text("Yours until")
    context = desk.page.context
    context.set_offline(True)
    desk.page.keyboard.press("a")
    expect(desk.page.locator("#sent")).to_contain_text("Not sent yet")
    desk.page.close()
    context.set_offline(False)
    assert _state(reviewer, queue[0]) == "PENDING"
    desk.page = context.new_page()
    desk.open(queue[1])
    wait_for("sent", lambda: _state(reviewer, queue[0]) != "PENDING")
    decided = [one for one in reviewer.item(queue[0])["history"] if one["event"] == "APPROVE"]
    assert len(decided) == 1
    wait_for("forgotten", lambda: desk.page.evaluate("Object.keys(localStorage).length") == 0)


def test_a_browser_that_keeps_nothing_decides_all_the_same(desk, placet, reviewer, queue):
    desk.sign_in(placet)
    desk.page.add_init_script(
        "Object.defineProperty(window, 'localStorage', { get() { throw new Error('blocked'); } })"
    )
    desk.open(queue[0])
    expect(desk.page.locator("#claim")).to_contain_text("Yours until")
    desk.page.get_by_label("Reason", exact=True).select_option("WRONG")
    desk.page.get_by_role("button", name="Reject").click()
    _on(desk.page, queue[1])
    wait_for("rejected", lambda: _state(reviewer, queue[0]) == "REJECTED")
    expect(desk.page.locator("#sent")).to_contain_text("Rejected")


def test_a_session_that_ends_asks_over_the_page_and_sends_what_was_decided(
    desk, placet, reviewer, queue
):
    desk.sign_in(placet)
    desk.open(queue[0])
    page = desk.page
    page.get_by_label("Comment").fill("Typed before the session ended.")
    page.context.clear_cookies()
    page.get_by_role("button", name="Approve").click()
    account = next(a for a in placet.status()["accounts"] if a["username"] == "reviewer")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Your session has ended")
    dialog.get_by_label("Password").fill(account["password"])
    dialog.get_by_role("button", name="Sign in").click()
    wait_for("sent", lambda: _state(reviewer, queue[0]) != "PENDING")
    assert "Typed before the session ended." in str(reviewer.item(queue[0])["history"])


@pytest.mark.long  # a reading of the target is kept for half a minute
def test_what_is_refused_comes_back_with_what_was_typed(desk, placet, reviewer, queue):
    desk.sign_in(placet)
    desk.open(queue[0])
    page = desk.page
    expect(page.locator("#claim")).to_contain_text("Yours until")
    page.get_by_label("Comment").fill("My opinion.")
    with placet.target() as target:
        target.execute(
            "UPDATE faq_answer SET answer = 'moved', version = version + 1 WHERE id = %s",
            (reviewer.item(queue[0])["target"]["identifier"],),
        )
    wait_for(
        "the new value",
        lambda: reviewer.item(queue[0])["change"]["fields"]["answer"]["current"] == "moved",
    )
    page.get_by_role("button", name="Approve").click()
    expect(page.locator("#sent")).to_contain_text("What you saw has changed")
    page.get_by_role("button", name="Open it again").click()
    _on(page, queue[0])
    expect(page.get_by_label("Comment")).to_have_value("My opinion.")
    expect(page.locator("main")).to_contain_text("moved")


@pytest.mark.parametrize("desk", [{"java_script_enabled": False}], indirect=True)
def test_skipping_needs_no_script(desk, placet, reviewer, queue):
    desk.sign_in(placet)
    desk.open(queue[0])
    desk.page.locator("summary", has_text="Skip").click()
    desk.page.get_by_role("button", name="Skip it").click()
    _on(desk.page, queue[1])
    expect(desk.page.locator(".rows .row").first).to_contain_text("skipped")


def test_what_is_sent_is_light(desk, placet, reviewer, queue):
    sizes = {"script": 0, "stylesheet": 0}

    def count(request) -> None:
        kind = request.resource_type
        if kind in sizes:
            sizes[kind] += request.sizes()["responseBodySize"]

    desk.sign_in(placet)
    desk.page.wait_for_load_state("networkidle")
    # With a route there is no cache: what comes from one has a size below zero here.
    desk.page.route("**/static/**", lambda route: route.continue_())
    desk.page.on("requestfinished", count)
    desk.open(queue[0])
    desk.page.wait_for_load_state("networkidle")
    assert 0 < sizes["script"] < 25_000
    assert 0 < sizes["stylesheet"] < 20_000


@pytest.mark.parametrize("look", [(320, "light"), (320, "dark"), (1440, "light"), (1440, "dark")])
def test_dialogs_and_the_strip_are_accessible(chromium: Browser, placet, queue, look):
    width, scheme = look
    context = chromium.new_context(
        color_scheme=scheme, viewport={"width": width, "height": 800}, bypass_csp=True
    )
    desk = Desk(context.new_page(), placet.status()["review"]["url"]).sign_in(placet)
    rules = {"runOnly": {"type": "tag", "values": _TAGS}}

    def check(what: str) -> None:
        found = Axe().run(desk.page, options=rules)
        assert found.violations_count == 0, f"{what}: {found.generate_report()}"
        assert desk.page.evaluate("document.documentElement.scrollWidth") <= width

    desk.open(queue[0])
    expect(desk.page.locator("#claim")).to_contain_text("Yours until")
    desk.page.keyboard.press("?")
    check("keys")
    desk.page.keyboard.press("Escape")
    desk.page.keyboard.press("s")
    expect(desk.page.get_by_label("Why does it not go to you?")).to_be_focused()
    check("skip")
    desk.page.locator("summary", has_text="Skip").click()
    desk.page.keyboard.press("r")
    check("reasons")
    desk.page.keyboard.press("2")
    _on(desk.page, queue[1])
    check("strip")
    context.close()


def test_what_is_typed_is_on_the_server_within_a_second(desk, placet, reviewer, queue):
    desk.sign_in(placet)
    desk.open(queue[0])
    page = desk.page
    page.get_by_label("Comment").fill("Half a thou")
    expect(page.locator("#draft")).to_have_text("Saved", timeout=1000)
    page.locator("h1").click()
    page.keyboard.press("j")
    _on(page, queue[1])
    desk.open(queue[0])
    expect(page.get_by_label("Comment")).to_have_value("Half a thou")


def test_a_tab_closed_while_typing_loses_nothing(desk, placet, reviewer, queue):
    desk.sign_in(placet)
    desk.open(queue[0])
    desk.page.get_by_label("Comment").fill("Typed and gone.")
    context = desk.page.context
    desk.page.goto("about:blank")
    desk.page = context.new_page()
    desk.open(queue[0])
    expect(desk.page.get_by_label("Comment")).to_have_value("Typed and gone.")
