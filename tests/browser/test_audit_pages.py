"""An auditor's visit: search, the chain as a picture, the evidence in two clicks, forensics.

On the desk and a real log in this process (tests.support.audit_desk): nothing here needs a broker.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, expect
from tests.support.audit_desk import AuditedDesk, audited_desk
from tests.support.audit_log import KEY
from typer.testing import CliRunner

from audit_sink.cli import Defaults, build
from contract.events import Divergence, Model, Retrieval, Risk
from review_api.tally import Tally

TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
_RETRIEVAL = [
    Retrieval(doc_id="kb-1", source="wiki", snippet="Delhi is the capital of India.", score=0.92),
    Retrieval(doc_id="kb-7", source="faq", snippet="\u202eA snippet from right to left", score=0.4),
]


@dataclass(frozen=True)
class Shown:
    """What there is to see."""

    url: str
    item: str
    decision: str
    keys: Path


@pytest.fixture(scope="module")
def both(postgres_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AuditedDesk]:
    with audited_desk(postgres_server, tmp_path_factory.mktemp("audited")) as made:
        yield made


@pytest.fixture(scope="module")
def shown(both: AuditedDesk) -> Shown:
    """Made before the browser: while Playwright's loop runs, no account can be."""
    for number in range(8):
        item = both.propose(
            f"f-{number}",
            model=Model(name="answer-writer", version=f"3.{number % 3}"),
            retrieval=_RETRIEVAL[: 1 + number % 2],
            labels={"prompt_template": "capital@4" if number % 2 else "capital@5"},
            divergence=Divergence(score=0.1 + 0.1 * number, unsupported_ratio=0.5, sentences=[]),
        )
        person = both.desk.person("reviewer2")
        action = "REJECT" if number % 3 == 0 else "APPROVE"
        assert person.decide(person.item(item.item_id), action).status_code == 201
    both.desk.query(
        "UPDATE review.decision SET decided_at = decided_at - (ordinal * interval '2 minutes')"
        " RETURNING 1"
    )
    Tally(both.desk.dsn, timedelta(0)).now()
    item = both.propose(
        "shown",
        retrieval=_RETRIEVAL,
        model=Model(name="writer", version="4"),
        risk=Risk(score=0.95),
    )
    both.carry()
    reviewer = both.desk.person("reviewer")
    assert reviewer.decide(reviewer.item(item.item_id)).is_success
    decision = both.approve(item, "approver")
    return Shown(
        url=both.desk.url,
        item=item.item_id,
        decision=decision,
        keys=both.desk.folder / "public",
    )


def _signed_in(context: BrowserContext, url: str) -> Page:
    page = context.new_page()
    page.goto(f"{url}/review/sign-in")
    page.get_by_label("User name").fill("auditor")
    page.get_by_label("Password").fill("auditor-secret")
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/review")
    return page


@pytest.fixture
def page(shown: Shown, chromium: Browser, request: pytest.FixtureRequest) -> Iterator[Page]:
    context = chromium.new_context(**getattr(request, "param", {}))
    complaints: list[str] = []
    hosts: set[str] = set()
    context.on("request", lambda sent: hosts.add(sent.url.split("/")[2]))
    context.on("console", lambda said: complaints.append(said.text))
    yield _signed_in(context, shown.url)
    context.close()
    assert hosts == {shown.url.split("/")[2]}
    assert [text for text in complaints if "Content Security Policy" in text] == []


without_script = pytest.mark.parametrize(
    "page", [{}, {"java_script_enabled": False}], indirect=True, ids=["script", "no script"]
)


@without_script
def test_from_a_search_to_evidence_that_checks_without_us(
    page: Page, shown: Shown, tmp_path: Path
) -> None:
    page.get_by_role("link", name="Audit", exact=True).click()
    page.get_by_label("Item, decision, event").fill(shown.decision)
    page.get_by_label("Kind").select_option("ReviewDecision")
    page.get_by_role("button", name="Search").click()
    page.locator("ol.found a").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("The chain of one decision")
    picture = page.locator("svg.chain")
    for words in ("Model output", "Item, revision 1", "Approved", "Outcome"):
        expect(picture.get_by_text(words, exact=True)).to_have_count(1)
    picture.locator("a", has_text="Approved").click()
    record = page.locator(".record:target")
    expect(record).to_contain_text("Signature verified")
    expect(record).to_contain_text("proved in a tree of")
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Download evidence").click()
    file = tmp_path / "evidence.zip"
    waiting.value.save_as(file)
    check = ["check", str(file), "--key", KEY.public.text, "--decision-keys", str(shown.keys)]
    result = CliRunner().invoke(build(Defaults), check)
    assert result.exit_code == 0, result.output


def test_exact_bytes_and_proof_are_one_click_from_an_outlier(page: Page, shown: Shown) -> None:
    page.goto(f"{shown.url}/audit/forensics")
    page.locator("ul.found a").first.click()
    item = page.locator(".record").first
    for words in ("Prompt", "Retrieved snippets", "Output"):
        expect(item.locator("summary", has_text=words)).to_have_count(1)
    with page.expect_download() as waiting:
        item.locator("details", has_text="Prompt").get_by_role("link").first.click()
    assert waiting.value.path().read_bytes().startswith(b"Which city is the capital of India?")
    with page.expect_download() as proof:
        item.get_by_role("link", name="Download proof").click()
    assert proof.value.path().read_bytes().startswith(b"c2sp.org/tlog-proof@v1\n")


def _addresses(shown: Shown) -> list[str]:
    return ["/audit", f"/audit/items/{shown.item}", "/audit/forensics", "/audit/items/nobody"]


@pytest.mark.parametrize(
    ("scheme", "width"),
    [
        ("light", 320),
        ("dark", 1440),
        pytest.param("dark", 320, marks=pytest.mark.long),
        pytest.param("light", 1440, marks=pytest.mark.long),
    ],
)
def test_every_page_is_accessible_and_as_wide_as_its_window(
    shown: Shown, chromium: Browser, scheme: str, width: int
) -> None:
    context = chromium.new_context(
        bypass_csp=True,
        color_scheme=scheme,  # type: ignore[arg-type]
        viewport={"width": width, "height": 900},
    )
    page = _signed_in(context, shown.url)
    found = []
    for number, address in enumerate(_addresses(shown)):
        page.goto(shown.url + address)
        if folder := os.environ.get("PLACET_SCREENSHOTS"):
            page.screenshot(path=f"{folder}/{number}-{scheme}-{width}.png")
        page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
        seen = Axe().run(page, options={"runOnly": {"type": "tag", "values": TAGS}})
        if seen.violations_count:
            found.append(f"{address}: {seen.generate_report()}")
        over = page.evaluate("document.documentElement.scrollWidth")
        if over > width:
            found.append(f"{address}: {over} px wide, of {width}")
    context.close()
    assert not found, "\n".join(found)


def test_the_styles_of_a_page_are_small(page: Page, shown: Shown) -> None:
    page.goto(f"{shown.url}/audit")
    styles = page.evaluate(
        "[...document.querySelectorAll('link[rel=stylesheet]')].map(link => link.href)"
    )
    sizes = []
    for one in styles:
        answer = page.request.get(one, headers={"Accept-Encoding": "gzip"})
        assert answer.headers["content-encoding"] == "gzip"
        sizes.append(int(answer.headers["content-length"]))
    assert len(sizes) == 2  # the desk's, and these pages' own
    assert sum(sizes) < 20_000
