"""Oversight in a browser: evidence, password in a critical lane, control items, keys of one's own.

On the desk alone (tests.support.review): nothing here needs a broker or a dispatcher.
"""

from collections.abc import Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect
from tests.support.review import Desk, desk, fresh_database, records, review_item

from contract.events import Risk
from review_api.ingest import Ingest
from review_api.policy import parse_policy

POLICY = """
[[rule]]
when = { risk_at_least = 0.9 }
lane = "critical"
[oversight]
control_rate = 1.0
"""
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]


@pytest.fixture(scope="module")
def running(postgres_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with (
        fresh_database(postgres_server) as dsn,
        desk(dsn, tmp_path_factory.mktemp("desk")) as made,
    ):
        yield made


@pytest.fixture
def placet_desk(running: Desk, chromium: Browser) -> Desk:
    """Made before the browser: while Playwright's loop runs, no account can be."""
    running.query("DELETE FROM review.sign_in_failure RETURNING 1")
    running.query("DELETE FROM review.preference RETURNING 1")
    return running.empty()


@pytest.fixture
def critical(placet_desk: Desk) -> list[str]:
    items = [review_item(number, risk=Risk(score=0.95)) for number in (1, 2)]
    placet_desk.ingest(items)
    return [item.item_id for item in items]


@pytest.fixture
def page(placet_desk: Desk, chromium: Browser, request: pytest.FixtureRequest) -> Iterator[Page]:
    context = chromium.new_context(**getattr(request, "param", {}))
    page = context.new_page()
    complaints: list[str] = []
    hosts: set[str] = set()
    page.on("request", lambda sent: hosts.add(sent.url.split("/")[2]))
    page.on("console", lambda said: complaints.append(said.text))
    page.goto(f"{placet_desk.url}/review/sign-in")
    page.get_by_label("User name").fill("reviewer")
    page.get_by_label("Password").fill("reviewer-secret")
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/review")
    yield page
    context.close()
    assert hosts == {placet_desk.url.split("/")[2]}
    assert [text for text in complaints if "Content Security Policy" in text] == []


def _open(page: Page, placet_desk: Desk, item: str) -> None:
    page.goto(f"{placet_desk.url}/review/items/{item}?tab=critical")


def _states(placet_desk: Desk) -> list[str]:
    return [row[0] for row in placet_desk.query("SELECT state FROM review.item ORDER BY state")]


def test_a_critical_item_by_keyboard(page: Page, placet_desk: Desk, critical: list[str]) -> None:
    _open(page, placet_desk, critical[0])
    approve = page.get_by_role("button", name="Approve first")
    expect(approve).to_be_disabled()
    page.keyboard.press("c")
    page.keyboard.type("typed before the evidence was open")
    page.keyboard.press("Tab")
    page.keyboard.press("Escape")
    page.locator("h1").focus()
    page.keyboard.press("o")
    expect(page.locator("#h-given + .card")).to_contain_text("and a city")
    expect(page.get_by_label("Comment")).to_have_value("typed before the evidence was open")
    page.keyboard.press("a")  # the browser asks for the password, and nothing is sent
    password = page.get_by_label("Critical: your password again")
    expect(password).to_be_focused()
    page.keyboard.type("not mine")
    page.keyboard.press("Enter")
    told = page.locator("#sent")
    expect(told).to_contain_text("That is not your password")
    assert _states(placet_desk) == ["PENDING", "PENDING"]
    told.get_by_role("button", name="Open it again").click()
    expect(page.get_by_label("Comment")).to_have_value("typed before the evidence was open")
    password.fill("reviewer-secret")
    page.keyboard.press("Enter")
    expect(told).to_contain_text("First approval given")
    assert _states(placet_desk) == ["PENDING", "SECOND_APPROVAL"]
    # For a while nobody asks again: not on the page that was fetched before either.
    expect(page.locator("h1")).to_contain_text("q-2")
    expect(password).to_have_count(0)
    page.keyboard.press("o")
    expect(page.locator("#h-given + .card")).to_contain_text("and a city")
    page.keyboard.press("a")
    expect(told).to_contain_text("First approval given")
    assert _states(placet_desk) == ["SECOND_APPROVAL"] * 2


@pytest.mark.parametrize("page", [{"java_script_enabled": False}], indirect=True)
def test_a_critical_item_without_scripts(
    page: Page, placet_desk: Desk, critical: list[str]
) -> None:
    _open(page, placet_desk, critical[0])
    page.get_by_label("Comment").fill("typed first")
    page.get_by_role("button", name="Open the evidence").click()
    expect(page.get_by_label("Comment")).to_have_value("typed first")
    password = page.get_by_label("Critical: your password again")
    password.fill("not mine")
    page.get_by_role("button", name="Approve first").click()
    expect(page.get_by_role("alert")).to_contain_text("That is not your password")
    expect(page.get_by_label("Comment")).to_have_value("typed first")
    password.fill("reviewer-secret")
    page.get_by_role("button", name="Approve first").click()
    expect(page.locator(".obstacle")).to_contain_text("You gave the first approval")
    assert _states(placet_desk) == ["PENDING", "SECOND_APPROVAL"]


def test_a_control_item_looks_like_any_and_says_what_it_was(page: Page, placet_desk: Desk) -> None:
    admin = placet_desk.person("admin")
    known = review_item("known")
    body = {"source": known.source, "external_id": known.external_id, "expected": "REJECT"}
    assert admin.http.post("/api/control-items", json=body).status_code == 201
    ingest = Ingest(placet_desk.dsn, parse_policy(POLICY))
    for one in (known, review_item("neighbour")):
        assert ingest.handle(records([one])) == []
    ingest.close()
    _open(page, placet_desk, known.item_id)
    assert "control" not in page.locator("main").inner_text().lower()
    page.keyboard.press("a")
    told = page.locator("#sent")
    expect(told).to_contain_text("It was a control item.")
    expect(told).to_contain_text("its known answer is REJECT")
    assert _states(placet_desk) == ["PENDING", "REJECTED"]


def test_keys_of_ones_own(page: Page, placet_desk: Desk) -> None:
    items = [review_item(number) for number in (1, 2)]
    placet_desk.ingest(items)
    page.goto(f"{placet_desk.url}/review/settings")
    page.get_by_label("Approve").fill("p")
    page.get_by_role("button", name="Keep these").click()
    expect(page.get_by_role("status")).to_have_text("Kept.")
    page.goto(f"{placet_desk.url}/review/items/{items[0].item_id}")
    approve = page.get_by_role("button", name="Approve")
    expect(approve.locator("kbd")).to_have_text("p")
    page.keyboard.press("?")
    expect(page.locator("dialog .keylist")).to_contain_text("p")
    page.keyboard.press("Escape")
    page.keyboard.press("a")
    expect(page.locator("h1")).to_contain_text("q-1")
    page.keyboard.press("p")
    expect(page.locator("h1")).to_contain_text("q-2")
    page.keyboard.press("?")
    with page.expect_response("**/review/settings"):
        page.get_by_label("Single keys are on").uncheck()
    page.reload()
    page.keyboard.press("p")
    expect(page.locator("h1")).to_contain_text("q-2")
    expect(page.get_by_role("button", name="Approve").locator("kbd")).to_be_hidden()
    assert _states(placet_desk).count("PENDING") == 1


@pytest.mark.parametrize(
    "page",
    [
        {"viewport": {"width": width, "height": 900}, "color_scheme": scheme}
        for width, scheme in ((320, "dark"), (1440, "light"))
    ],
    indirect=True,
    ids=["320 dark", "1440 light"],
)
def test_the_new_parts_can_be_read_by_everybody(
    page: Page, placet_desk: Desk, critical: list[str]
) -> None:
    closed = f"/review/items/{critical[0]}"
    reviewer = placet_desk.person()
    reviewer.http.post(f"/api/items/{critical[1]}/evidence")
    for path in (closed, f"/review/items/{critical[1]}", "/review/settings"):
        page.goto(f"{placet_desk.url}{path}")
        found = (
            Axe()
            .run(page, options={"runOnly": {"type": "tag", "values": TAGS}})
            .response["violations"]
        )
        assert found == [], (path, found)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
