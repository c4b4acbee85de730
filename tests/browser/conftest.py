"""A real Chromium, and a page that remembers every request it made."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright
from tests.support.desk import Placet

_FLAGS = [
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def _chromium(installed: str) -> str | None:
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if found := shutil.which(name):
            return found
    return installed if Path(installed).exists() else None


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Of one module: while Playwright's loop runs in this thread, asyncio.run() cannot."""
    with sync_playwright() as playwright:
        path = _chromium(playwright.chromium.executable_path)
        if path is None:
            words = "NOT RUN: no Chromium on PATH; `make browser` installs one"
            if os.environ.get("PLACET_NOT_RUN") == "fail":
                pytest.fail(words)
            pytest.skip(words)
        root = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=path, args=_FLAGS + root)
        yield browser
        browser.close()


class Desk:
    """One person's browser on the review pages."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.url = url
        self.hosts: set[str] = set()
        self.complaints: list[str] = []
        page.on("request", lambda request: self.hosts.add(request.url.split("/")[2]))
        page.on("console", lambda message: self._console(message.type, message.text))

    def _console(self, kind: str, text: str) -> None:
        if kind == "error":
            self.complaints.append(text)

    def sign_in(self, placet: Placet, username: str = "reviewer") -> "Desk":
        account = next(a for a in placet.status()["accounts"] if a["username"] == username)
        self.page.goto(f"{self.url}/review")
        self.page.get_by_label("User name").fill(username)
        self.page.get_by_label("Password").fill(account["password"])
        self.page.get_by_role("button", name="Sign in").click()
        self.page.wait_for_url("**/review*")
        return self

    def open(self, item: str) -> None:
        self.page.goto(f"{self.url}/review/items/{item}")


@pytest.fixture
def desk(chromium: Browser, placet: Placet, request: pytest.FixtureRequest) -> Iterator[Desk]:
    """Parametrize indirectly with options of `new_context`: `java_script_enabled`, `viewport` …"""
    options = getattr(request, "param", {})
    context = chromium.new_context(**options)
    desk = Desk(context.new_page(), placet.status()["review"]["url"])
    yield desk
    context.close()
    assert desk.hosts <= {desk.url.split("/")[2]}, "a page asked another host"
    refused = [text for text in desk.complaints if "Content Security Policy" in text]
    assert refused == []
