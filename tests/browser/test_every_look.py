"""Each page in the looks that people need: forced colours, text at 200 %, right to left.

Light and dark are tried where each page has its stories. Which pages there are, the routes say: one
without a way to it here fails.
"""

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page
from tests.browser.conftest import Desk
from tests.browser.test_review import _TAGS, propose
from tests.support.desk import Placet, wait_for

from review_api.api.guard import GuardedRoute
from review_api.app import ROUTERS

NO_PAGE = {
    "/",  # leads to /review
    "/healthz",
    "/readyz",
    "/metrics",
    "/review/oidc",  # these two only lead on
    "/review/oidc/callback",
    "/review/static/{release}/{name}",
    "/audit/records/{sequence}/parts/{part}",  # these two are downloads
    "/audit/records/{sequence}/proof",
    "/review/decisions/{decision_id}/state",  # a part, which the item's page shows
}
WIDTH = 1280
LOOKS: dict[str, tuple[dict[str, Any], Callable[[Page], None]]] = {
    "forced colours": ({"forced_colors": "active"}, lambda page: None),
    # What a browser's zoom does: half the width in CSS pixels, each twice as large.
    "zoom 200 %": (
        {"viewport": {"width": WIDTH // 2, "height": 400}, "device_scale_factor": 2},
        lambda page: None,
    ),
    "text 200 %": ({}, lambda page: page.add_style_tag(content="html { font-size: 200% }")),
    "right to left": ({}, lambda page: page.evaluate("document.documentElement.dir = 'rtl'")),
}


def _page_routes() -> set[str]:
    routes = [route for router in ROUTERS for route in router.routes]
    return {
        route.path
        for route in routes
        if isinstance(route, GuardedRoute)
        and "GET" in route.methods
        and not route.path.startswith("/api")
    } - NO_PAGE


@dataclass(frozen=True)
class Shown:
    """Things that pages show: an open item, one that is written, an account."""

    open_item: str
    written: str
    account: str


@pytest.fixture(scope="module")
def shown(placet: Placet) -> Iterator[Shown]:
    reviewer = placet.person("reviewer")
    _, waiting = propose(placet, reviewer, "Delhi. It has 99 gates, says nobody.")
    _, written = propose(placet, reviewer, "Delhi.")
    answer = reviewer.decide(reviewer.item(written), "APPROVE")
    assert answer.status_code == 201, answer.text
    wait_for("written", lambda: reviewer.item(written)["state"] == "COMPLETED")
    people = placet.person("admin").http.get("/api/people").json()["people"]
    yield Shown(
        open_item=waiting,
        written=written,
        account=people[0]["actor_id"],
    )
    reviewer.decide(reviewer.item(waiting), "REJECT")


def _ways(shown: Shown) -> dict[str, list[tuple[str, str]]]:
    """Route -> (who, address) of each page worth a look."""
    return {
        "/review": [
            ("reviewer", "/review"),
            ("reviewer", "/review?tab=done"),
            ("reviewer", "/review?q=nothing-holds-this-word"),
        ],
        "/review/items/{item_id}": [
            ("reviewer", f"/review/items/{shown.open_item}"),
            ("approver", f"/review/items/{shown.written}"),
            ("reviewer", f"/review/items/{uuid.uuid4()}"),
        ],
        "/review/bulk/decisions/{key}": [("reviewer", f"/review/bulk/decisions/{uuid.uuid4()}")],
        "/insight": [("reviewer", "/insight")],
        "/stop": [("sre", "/stop")],
        "/audit": [("auditor", "/audit"), ("auditor", "/audit?q=nothing-holds-this-word")],
        "/audit/items/{item_id}": [("auditor", f"/audit/items/{shown.written}")],
        "/audit/forensics": [("auditor", "/audit/forensics")],
        "/people": [("admin", "/people")],
        "/people/{account_id}": [("admin", f"/people/{shown.account}")],
        "/policy": [("admin", "/policy")],
        "/policy/{ordinal}": [("admin", "/policy/1")],
        "/review/settings": [("reviewer", "/review/settings")],
        "/review/sign-in": [("", "/review/sign-in?change=1")],
    }


def test_every_page_has_a_way_to_it(shown: Shown) -> None:
    assert set(_ways(shown)) == _page_routes()


@pytest.mark.parametrize("look", LOOKS)
def test_every_page_is_accessible_in_every_look(
    chromium: Browser, placet: Placet, shown: Shown, look: str
) -> None:
    options, put_on = LOOKS[look]
    url = placet.status()["review"]["url"]
    viewport = options.get("viewport", {"width": WIDTH, "height": 800})
    visits = sorted(visit for some in _ways(shown).values() for visit in some)
    found: list[str] = []
    who, context, desk = None, None, None
    for username, address in visits:
        if username != who:
            if context is not None:
                context.close()
            context = chromium.new_context(bypass_csp=True, **{"viewport": viewport, **options})
            desk, who = Desk(context.new_page(), url), username
            if username:
                desk.sign_in(placet, username)
        assert desk is not None
        desk.page.goto(url + address)
        put_on(desk.page)
        found += [f"{username} {address}: {one}" for one in _wrong(desk.page, viewport["width"])]
    if context is not None:
        context.close()
    assert not found, "\n".join(found)


def _wrong(page: Page, width: int) -> list[str]:
    rules = {"runOnly": {"type": "tag", "values": _TAGS}}
    seen = Axe().run(page, options=rules)
    wrong = [seen.generate_report()] if seen.violations_count else []
    over = page.evaluate("document.documentElement.scrollWidth")
    return wrong + ([f"{over} px wide, of {width}"] if over > width else [])
