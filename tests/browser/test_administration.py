"""People and policy in a real browser: by keyboard, without scripts, at every width."""

import re
import time
import uuid

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect
from tests.browser.conftest import Desk
from tests.browser.test_review import _TAGS, NO_SCRIPT, propose
from tests.support.desk import wait_for

OWN = "a password of my own"
MARK = "\n# of a test\n"


def _tab_to(page: Page, name: str, *, most: int = 60) -> None:
    """Press Tab until what has that accessible name has the focus."""
    focused = page.locator(":focus")
    for _ in range(most):
        page.keyboard.press("Tab")
        if focused.count() and name in (_name_of(page) or ""):
            return
    pytest.fail(f"Tab never came to {name!r}")


def _name_of(page: Page) -> str | None:
    told: str | None = page.evaluate(
        "(() => { const e = document.activeElement;"
        " return (e.labels?.[0]?.textContent ?? e.textContent ?? '').trim(); })()"
    )
    return told


def _sign_in(page: Page, url: str, username: str, password: str) -> None:
    page.goto(f"{url}/review/sign-in")
    page.get_by_label("User name").fill(username)
    page.get_by_label("Password", exact=True).fill(password)
    page.get_by_role("button", name="Sign in").click()


def test_somebody_is_added_by_keyboard_alone_and_chooses_a_password(
    desk: Desk, chromium: Browser, placet
) -> None:
    username = f"kb-{uuid.uuid4().hex[:10]}"
    desk.sign_in(placet, "admin")
    page = desk.page
    page.goto(f"{desk.url}/people")
    _tab_to(page, "Name, as others see it")
    page.keyboard.type("Zoë Keys")
    page.keyboard.press("Tab")
    page.keyboard.type(username)
    _tab_to(page, "reviewer", most=3)
    page.keyboard.press("Space")
    _tab_to(page, "Why", most=6)
    page.keyboard.type("a new colleague")
    page.keyboard.press("Enter")
    secret = page.locator(".secret").inner_text()
    context = chromium.new_context(java_script_enabled=False)
    other = context.new_page()
    _sign_in(other, desk.url, username, secret)
    expect(other.get_by_role("alert")).to_contain_text("Choose a password of your own")
    other.get_by_label("Password", exact=True).fill(secret)
    other.get_by_label("Your new password").fill(OWN)
    other.get_by_role("button", name="Change it and sign in").click()
    other.wait_for_url("**/review*")
    page.get_by_role("link", name="All people").click()
    expect(page.get_by_role("link", name=username)).to_be_visible()
    context.close()


@pytest.mark.parametrize("desk", [NO_SCRIPT], indirect=True, ids=["no-script"])
def test_account_is_changed_and_closed_without_scripts(
    desk: Desk, chromium: Browser, placet
) -> None:
    username = f"ns-{uuid.uuid4().hex[:10]}"
    admin = placet.person("admin")
    body = {"username": username, "name": "No Script", "roles": ["reviewer"], "password": OWN}
    made = admin.http.post("/api/people", json=body)
    assert made.status_code == 201, made.text
    context = chromium.new_context()
    other = context.new_page()
    _sign_in(other, desk.url, username, OWN)
    other.wait_for_url("**/review*")
    desk.sign_in(placet, "admin")
    page = desk.page
    page.goto(f"{desk.url}/people/{made.json()['actor_id']}")
    roles = page.get_by_role("region", name="Roles")
    roles.get_by_label("approver").check()
    roles.get_by_label("reviewer").uncheck()
    page.get_by_role("button", name="Change roles").click()
    expect(page.get_by_role("status")).to_contain_text("The roles were changed")
    other.reload()
    expect(other.locator(".who")).to_contain_text("approver")
    page.get_by_role("button", name="Disable the account").click()
    expect(page.locator(".facts")).to_contain_text("no, since")
    other.reload()
    expect(other.get_by_role("heading", name="Sign in")).to_be_visible()
    page.get_by_role("button", name="Enable the account").click()
    expect(page.locator(".facts")).to_contain_text("yes")
    context.close()


@pytest.mark.parametrize("desk", [{}, NO_SCRIPT], indirect=True, ids=["script", "no-script"])
def test_policy_is_tried_and_saved_and_counts_in_every_process(
    desk: Desk, placet, reviewer
) -> None:
    """Its rule holds for numbers that nothing else of this stack has, and that of an earlier run,
    which is still in force, for larger ones."""
    number = 10**30 - time.time_ns()
    _, waiting = propose(placet, reviewer, str(number))
    desk.sign_in(placet, "admin")
    page = desk.page
    page.get_by_role("link", name="Policy").click()
    text = page.get_by_label("Text (TOML)")
    before = text.input_value().split(MARK)[0] + MARK  # without the rule of an earlier run
    amount = number - 1
    rule = f'[[rule]]\nwhen = {{ field = "answer", amount_over = {amount} }}\nlane = "critical"'
    text.fill(before + f"\n{rule.replace('critical', 'fast')}\n")
    page.get_by_role("button", name="Show what it would do").click()
    line = (before + "\n" + rule).count("\n") + 1
    expect(page.get_by_role("alert")).to_contain_text(f"Line {line}: ")
    text = page.get_by_label("Text (TOML)")
    text.fill(before + f"\n{rule}\n")
    page.get_by_role("button", name="Show what it would do").click()
    trial = page.get_by_role("region", name="If this were saved")
    expect(trial).to_contain_text("from ordinary to critical")
    expect(trial.locator(f"a[href='/review/items/{waiting}']")).to_have_count(1)
    page.get_by_role("button", name="Save and put in force").click()
    expect(page.get_by_role("alert")).to_contain_text("reason says why")
    page.get_by_label("Why").fill("a test")
    page.get_by_role("button", name="Save and put in force").click()
    expect(page.get_by_role("status")).to_contain_text("in force for everything from now on")
    _, new = propose(placet, reviewer, str(number + 1))
    assert reviewer.item(new)["lane"] == "critical"
    wait_for("raised", lambda: reviewer.item(waiting)["lane"] == "critical")
    page.reload()
    expect(page.locator(".past li").first).to_contain_text("a test")
    expect(page.locator(".past li").first).to_contain_text(re.compile(r"[1-9][0-9,]* raised"))
    for item in (new, waiting):
        assert reviewer.decide(reviewer.item(item), "REJECT").status_code == 201


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 1440])
def test_pages_are_accessible_and_never_scroll_sideways(
    chromium: Browser, placet, scheme: str, width: int
) -> None:
    context = chromium.new_context(
        color_scheme=scheme, viewport={"width": width, "height": 800}, bypass_csp=True
    )
    desk = Desk(context.new_page(), placet.status()["review"]["url"])
    page, axe = desk.page, Axe()
    rules = {"runOnly": {"type": "tag", "values": _TAGS}}

    def check(name: str) -> None:
        found = axe.run(page, options=rules)
        assert found.violations_count == 0, f"{name}: {found.generate_report()}"
        assert page.evaluate("document.documentElement.scrollWidth") <= width, name

    page.goto(f"{desk.url}/review/sign-in?change=1")
    check("another password")
    desk.sign_in(placet, "admin")
    page.goto(f"{desk.url}/people")
    check("people")
    page.get_by_label("Name, as others see it").fill("W" * 200)
    page.get_by_label("User name").fill(f"w{uuid.uuid4().hex}".ljust(63, "w"))
    page.get_by_role("button", name="Add").click()
    expect(page.get_by_role("alert")).to_be_visible()
    check("people, refused")
    page.get_by_label("sre").check()
    page.get_by_role("button", name="Add").click()
    expect(page.locator(".secret")).to_be_visible()
    page.get_by_text("Add another account for this person").click()
    check("account with its password")
    page.goto(f"{desk.url}/policy")
    check("policy")
    page.get_by_label("Text (TOML)").fill('[[rule]]\nlane = "' + "w" * 300 + '"')
    page.get_by_role("button", name="Show what it would do").click()
    expect(page.get_by_role("alert")).to_be_visible()
    check("policy, refused")
    page.get_by_label("Text (TOML)").fill(
        '[[rule]]\nlane = "critical"\nwhen = { target = "' + "w" * 300 + '" }\n'
        '[[rule]]\nlane = "critical"\nwhen = { risk_at_least = 0 }\n'
    )
    page.get_by_role("button", name="Show what it would do").click()
    page.get_by_role("region", name="If this were saved").locator("summary").click()
    check("policy, tried")
    page.goto(f"{desk.url}/policy/1")
    check("policy of before")
    context.close()
