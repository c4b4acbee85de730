"""The stop switch in a real browser: an approver presses it, everybody sees it, an SRE lets go."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, expect
from tests.browser.conftest import Desk
from tests.browser.test_desk import queue  # noqa: F401 - a fixture
from tests.browser.test_review import _TAGS
from tests.support.desk import wait_for

SAID = "Writing is stopped by"


@pytest.fixture
def let_go(placet):
    """Whatever happens, writing goes on afterwards."""
    yield
    sre = placet.person("sre")
    stops = sre.http.get("/api/stops").json()["stops"]
    for stop in sorted(stops, key=lambda one: not one["all"]):  # everything goes first
        meant = {"all": True} if stop["all"] else {"target": stop["target"]}
        sre.http.post("/api/resume", json=meant | {"reason": "the test is over"}).raise_for_status()


def _stop(placet, **meant) -> None:
    approver = placet.person("approver")
    asked = meant | {"reason": "wrong prices"}
    approver.http.post("/api/stop", json=asked).raise_for_status()


@pytest.mark.parametrize(
    "desk", [{}, {"java_script_enabled": False}], indirect=True, ids=["script", "no-script"]
)
def test_an_approver_stops_and_an_sre_lets_go(desk, chromium, placet, let_go):
    desk.sign_in(placet, "approver")
    page = desk.page
    page.get_by_role("link", name="Stop", exact=True).click()
    page.get_by_label("What").select_option("Everything")
    page.get_by_label("Why").fill("Prices are wrong")
    page.get_by_role("button", name="Stop writing").click()
    expect(page.locator("#stopped")).to_contain_text(SAID)
    expect(page.locator("#stopped")).to_contain_text("Prices are wrong")
    expect(page.get_by_role("button", name="Let")).to_have_count(0)
    context = chromium.new_context()
    other = Desk(context.new_page(), desk.url).sign_in(placet, "sre")
    other.page.goto(f"{desk.url}/stop")
    other.page.get_by_label("Why it may go on").fill("Mended")
    other.page.get_by_role("button", name="Let everything go").click()
    expect(other.page.locator("#stopped")).not_to_contain_text(SAID)
    context.close()


def test_it_is_seen_on_the_way_from_item_to_item(desk, placet, reviewer, queue, let_go):  # noqa: F811
    desk.sign_in(placet)
    desk.open(queue[0])
    page = desk.page
    expect(page.locator("#claim")).to_contain_text("Yours until")
    expect(page.locator("#stopped")).not_to_contain_text(SAID)
    _stop(placet, all=True)
    page.evaluate("document.body.dataset.same = 'page'")
    # What was fetched ahead is from before; by the last one the page has been asked for anew.
    for item in queue[1:]:
        page.keyboard.press("j")
        expect(page.locator(f"main[data-item='{item}']")).to_be_visible()
    expect(page.locator("#stopped")).to_contain_text(SAID)
    assert page.evaluate("document.body.dataset.same") == "page"
    page.keyboard.press("a")  # decisions are taken, and wait
    wait_for("approved", lambda: reviewer.item(queue[4])["state"] == "APPROVED")


@pytest.mark.parametrize("look", [(320, "light"), (320, "dark"), (1440, "light"), (1440, "dark")])
def test_banner_and_switch_are_accessible(chromium: Browser, placet, let_go, look):
    width, scheme = look
    context = chromium.new_context(
        color_scheme=scheme, viewport={"width": width, "height": 800}, bypass_csp=True
    )
    desk = Desk(context.new_page(), placet.status()["review"]["url"]).sign_in(placet, "admin")
    page, rules = desk.page, {"runOnly": {"type": "tag", "values": _TAGS}}
    _stop(placet, target="support-faq")
    _stop(placet, all=True)
    for path in ("/stop", "/review", "/insight"):
        page.goto(desk.url + path)
        expect(page.locator("#stopped")).to_contain_text(SAID)
        found = Axe().run(page, options=rules)
        assert found.violations_count == 0, f"{path}: {found.generate_report()}"
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    context.close()
