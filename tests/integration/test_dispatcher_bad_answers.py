"""Hosts that are not what the configuration says: every answer has a name, nothing is sent on."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from tests.support import articles, issues

from dispatcher.targets.jira import JiraTarget
from dispatcher.targets.sharepoint import SharePointTarget
from dispatcher.writeback import Code, Unavailable

ERRORS = {"errorMessages": ["broken inside"], "odata.error": {"code": "-1, Microsoft.Broken"}}
TOKEN = {"access_token": "t", "expires_in": 3600}
ANSWERS = {
    "an error inside a 200": (200, "application/json", json.dumps(ERRORS).encode()),
    "half a JSON body": (200, "application/json", b'{"id": "10001", "fields": {"summ'),
    "JSON of another kind": (200, "application/json", b'{"hello": "world"}'),
    "a list": (200, "application/json", b"[]"),
    "null": (200, "application/json", b"null"),
    "text that says it is JSON": (200, "application/json", b"\xff\xfe\x00"),
    "JSON that is nested too deep": (200, "application/json", b"[" * 100_000),
    "a page": (200, "text/html", b"<h1>Sign in</h1>"),
    "an empty body": (200, "application/json", b""),
    "a success that is no answer": (204, "application/json", b""),
    "a page that is not there": (404, "text/html", b"<h1>Not Found</h1>"),
}


@contextmanager
def answering(status: int, kind: str, body: bytes) -> Iterator[tuple[str, list[str]]]:
    """A host that answers everything but a token request alike; its URL, and what it was asked."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(status, kind, body)

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", "0")))
            token = "token" in self.path
            self._answer(*((200, kind_json, json.dumps(TOKEN).encode()) if token else answer))

        do_PUT = do_POST  # noqa: N815 - their name

        def _answer(self, status: int, kind: str, body: bytes) -> None:
            asked.append(f"{self.command} {self.path}")
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *_: object) -> None:  # noqa: A002 - their name
            """Say nothing."""

    kind_json, answer = "application/json", (status, kind, body)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()


def jira(url: str, folder: Path) -> JiraTarget:
    return JiraTarget(issues.config(url), issues.write_secret(folder), limit=5)


def sharepoint(url: str, folder: Path) -> SharePointTarget:
    return SharePointTarget(articles.config(url), articles.write_secret(folder, url), limit=5)


@pytest.mark.parametrize("what", ANSWERS)
@pytest.mark.parametrize("system", ["jira", "sharepoint"])
def test_what_answers_and_is_not_the_target_is_named_and_not_written_to(
    tmp_path: Path, system: str, what: str
) -> None:
    with answering(*ANSWERS[what]) as (url, asked):
        if system == "jira":
            target: JiraTarget | SharePointTarget = jira(url, tmp_path)
            one = issues.change("SUP-1", summary=("x", "y"))
        else:
            target = sharepoint(url, tmp_path)
            one = articles.change("2", Title=("x", "y"))
        identifier = one.target.identifier
        for outcome in (target.apply(one), target.read(identifier), target.probe(one)):
            assert isinstance(outcome, Unavailable), outcome
            assert outcome.code in {Code.TARGET_CHANGED, Code.TARGET_AWAY}
            assert outcome.whole_target
        assert target.ready() is not None
        assert [line for line in asked if not line.startswith("GET") and "token" not in line] == []
        assert len(asked) < 25  # nothing is asked again and again
        target.close()


@pytest.mark.parametrize("system", ["jira", "sharepoint"])
def test_a_host_that_has_no_address_is_the_targets_absence(tmp_path: Path, system: str) -> None:
    url = "https://no-such-host.invalid"
    if system == "jira":
        target: JiraTarget | SharePointTarget = jira(url, tmp_path)
        one = issues.change("SUP-1", summary=("x", "y"))
    else:
        target = sharepoint(url, tmp_path)
        one = articles.change("2", Title=("x", "y"))
    outcome = target.apply(one)
    assert isinstance(outcome, Unavailable)
    assert (outcome.code, outcome.whole_target) == (Code.TARGET_AWAY, True)
    target.close()
