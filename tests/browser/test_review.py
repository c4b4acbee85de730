"""What a reviewer does on `/review`, in a real browser, with scripts and without."""

import uuid

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect
from tests.support.desk import as_json, output, wait_for

from contract.identity import item_id

NO_SCRIPT = {"java_script_enabled": False}
_TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
WORD = 20_000


def propose(placet, reviewer, answer: str = "Delhi.", **changes) -> tuple[str, str]:
    record = f"page-{uuid.uuid4().hex[:12]}"
    placet.add_records([record])
    placet.publish([as_json(output(record, record, answer, **changes))])
    item = item_id("e2e", record)
    wait_for("in the queue", lambda: reviewer.http.get(f"/api/items/{item}").status_code == 200)
    return record, item


@pytest.mark.parametrize("desk", [{}, NO_SCRIPT], indirect=True, ids=["script", "no-script"])
def test_an_approval_counts_down_and_ends_written_and_read_back(desk, placet, reviewer):
    record, item = propose(placet, reviewer)
    desk.sign_in(placet)
    desk.open(item)
    expect(desk.page.locator("ins")).to_contain_text("Delhi.")
    expect(desk.page.locator("main")).to_contain_text("Supported")
    desk.page.get_by_role("button", name="Approve").click()
    expect(desk.page.get_by_role("button", name="Take back")).to_be_visible()
    expect(desk.page.locator("body")).to_contain_text(
        "written and read back", ignore_case=True, timeout=30_000
    )
    assert placet.effects([record]) == {record: 1}


@pytest.mark.parametrize("desk", [NO_SCRIPT], indirect=True, ids=["no-script"])
def test_a_rejection_needs_a_reason_and_keeps_what_was_typed(desk, placet, reviewer):
    record, item = propose(placet, reviewer, "Mumbai.")
    desk.sign_in(placet)
    desk.open(item)
    desk.page.get_by_label("Comment").fill("Not what the passage says.")
    desk.page.get_by_role("button", name="Reject").click()
    expect(desk.page.get_by_role("alert")).to_be_visible()
    expect(desk.page.get_by_label("Comment")).to_have_value("Not what the passage says.")
    desk.page.get_by_label("Reason", exact=True).select_option("WRONG")
    desk.page.get_by_role("button", name="Reject").click()
    expect(desk.page.locator("#history")).to_contain_text("Not what the passage says.")
    assert reviewer.item(item)["state"] == "REJECTED"
    assert placet.effects([record]) == {}


@pytest.mark.parametrize("desk", [{}, NO_SCRIPT], indirect=True, ids=["script", "no-script"])
def test_a_decision_taken_back_is_open_again(desk, placet, reviewer):
    record, item = propose(placet, reviewer)
    desk.sign_in(placet)
    desk.open(item)
    desk.page.get_by_role("button", name="Approve").click()
    desk.page.get_by_role("button", name="Take back").click()
    expect(desk.page.get_by_role("button", name="Approve")).to_be_visible()
    wait_for("taken back", lambda: reviewer.item(item)["state"] == "PENDING")
    assert placet.effects([record]) == {}


def test_an_edited_value_is_what_is_written(desk, placet, reviewer):
    record, item = propose(placet, reviewer)
    desk.sign_in(placet)
    desk.open(item)
    desk.page.get_by_text("Edit before approving").click()
    desk.page.get_by_label("Proposed value of answer").fill("New Delhi.")
    desk.page.get_by_role("button", name="Approve").click()
    wait_for("written", lambda: reviewer.item(item)["state"] == "COMPLETED")
    with placet.target() as target:
        row = target.execute("SELECT answer, version FROM faq_answer WHERE id = %s", (record,))
        assert row.fetchone() == ("New Delhi.", 2)


HOSTILE = {
    "script": "<script>document.title='owned'</script><img src=x onerror=alert(1)>",
    "bidi": "pay \u202e000,1 \u202c now \u200b\u200d",
    "one word": "w" * WORD,
    "markup": "</p></main>{{ 7*7 }} &amp; \"'><svg/onload=alert(1)>",
}


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("desk", [{"viewport": {"width": 320, "height": 700}}], indirect=True)
def test_hostile_text_is_shown_and_harmless(desk, placet, reviewer, name):
    evidence = [{"title": name, "uri": "javascript:alert(1)"}]
    _, item = propose(placet, reviewer, HOSTILE[name], prompt=HOSTILE[name], evidence=evidence)
    desk.page.on("dialog", lambda _: pytest.fail("a script ran"))
    desk.sign_in(placet)
    desk.open(item)
    assert desk.page.title() != "owned"
    assert desk.page.locator("a[href^='javascript:']").count() == 0
    assert desk.page.locator("main img, main svg").count() == 0
    assert desk.page.evaluate("document.documentElement.scrollWidth") <= 320


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 1440])
def test_pages_are_accessible_and_never_scroll_sideways(chromium, placet, reviewer, scheme, width):
    from tests.browser.conftest import Desk

    _, item = propose(placet, reviewer)
    context = chromium.new_context(
        color_scheme=scheme, viewport={"width": width, "height": 800}, bypass_csp=True
    )
    desk = Desk(context.new_page(), placet.status()["review"]["url"])
    axe = Axe()
    rules = {"runOnly": {"type": "tag", "values": _TAGS}}

    def check(page: str) -> None:
        found = axe.run(desk.page, options=rules)
        assert found.violations_count == 0, f"{page}: {found.generate_report()}"
        assert desk.page.evaluate("document.documentElement.scrollWidth") <= width

    desk.page.goto(f"{desk.url}/review")
    check("sign-in")
    desk.sign_in(placet)
    check("list")
    desk.open(item)
    check("item")
    desk.page.goto(f"{desk.url}/insight")
    desk.page.get_by_text("Show as table").first.click()
    check("insight")
    desk.open(str(uuid.uuid4()))
    check("not found")
    context.close()


def test_a_page_of_somebody_not_signed_in_leads_back_after_signing_in(desk, placet, reviewer):
    _, item = propose(placet, reviewer)
    desk.open(item)
    account = next(a for a in placet.status()["accounts"] if a["username"] == "reviewer")
    desk.page.get_by_label("User name").fill("reviewer")
    desk.page.get_by_label("Password").fill(account["password"])
    desk.page.get_by_role("button", name="Sign in").click()
    desk.page.wait_for_url(f"**/review/items/{item}*")


@pytest.mark.parametrize("username", ["sre"])
def test_who_may_not_read_proposals_is_told_so(desk, placet, reviewer, username):
    _, item = propose(placet, reviewer, "Delhi.")
    desk.sign_in(placet, username)
    desk.open(item)
    assert "Delhi." not in desk.page.content()
