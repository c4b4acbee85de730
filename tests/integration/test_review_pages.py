"""The pages without JavaScript, over HTTP: what a browser would send and get."""

import html
import re
from collections.abc import Iterator

import httpx
import pytest
from tests.support.review import Desk, desk, fresh_database, review_item

from contract.events import Evidence
from contract.statement import from_text


@pytest.fixture(scope="module")
def running(postgres_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with (
        fresh_database(postgres_server) as dsn,
        desk(dsn, tmp_path_factory.mktemp("desk"), hold=30) as made,
    ):
        yield made


@pytest.fixture
def placet_desk(running: Desk) -> Desk:
    return running.empty()


@pytest.fixture
def browser(placet_desk: Desk) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=placet_desk.url, follow_redirects=True) as http:
        http.cookies = httpx.Cookies(placet_desk.person().http.cookies)
        yield http


def _hidden(page: str) -> dict[str, str]:
    form = page[page.index('<form id="decide"') :]
    pairs = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', form)
    return {name: html.unescape(value) for name, value in pairs}


def test_signing_in_leads_where_one_wanted(placet_desk: Desk) -> None:
    with httpx.Client(base_url=placet_desk.url, follow_redirects=True) as http:
        page = http.get("/review?tab=done")
        assert page.url.path == "/review/sign-in"
        assert page.status_code == 200
        wrong = http.post(
            "/review/sign-in", data={"username": "approver", "password": "no", "next": "/review"}
        )
        assert wrong.status_code == 401
        assert "Wrong name or password" in wrong.text
        foreign = http.post(
            "/review/sign-in",
            data={"username": "approver", "password": "approver-secret"},
            headers={"Sec-Fetch-Site": "cross-site"},
        )
        assert foreign.status_code == 403
        inside = http.post(
            "/review/sign-in",
            data={
                "username": "approver",
                "password": "approver-secret",
                "next": "/review?tab=done",
            },
        )
        assert (inside.status_code, str(inside.url.query)) == (200, "b'tab=done'")
        csrf = re.search(r'name="csrf" value="([0-9a-f]+)"', inside.text)
        assert csrf is not None
        out = http.post("/review/sign-out", data={"csrf": csrf[1]})
        assert out.url.path == "/review/sign-in"
        assert http.get("/review").url.path == "/review/sign-in"


def test_a_person_decides_with_a_form_and_takes_it_back(
    placet_desk: Desk, browser: httpx.Client
) -> None:
    items = [review_item(1), review_item(2)]
    placet_desk.ingest(items)
    queue = browser.get("/")
    assert queue.url.path == "/review"
    assert items[0].item_id in queue.text
    url = f"/review/items/{items[0].item_id}"
    page = browser.get(url)
    assert "Not found" in page.text
    assert "Supported" in page.text
    form = _hidden(page.text) | {"action": "APPROVE", "comment": "fine\r\nindeed"}
    form["field:answer"] = "Delhi, edited.\r\nSecond line"
    decided = browser.post(f"{url}/decision", data=form)
    assert decided.history[0].status_code == 303
    assert "Written in" in decided.text
    assert "Take back" in decided.text
    assert '<noscript><meta http-equiv="refresh"' in decided.text
    again = browser.post(f"{url}/decision", data=form)  # the same form, sent twice
    assert again.status_code == 200
    ((text,),) = placet_desk.query("SELECT statement FROM review.decision")
    statement = from_text(text)
    assert statement.fields[0].value == '"Delhi, edited.\\nSecond line"'
    assert statement.comment == "fine\nindeed"
    action = re.search(r'action="(/review/decisions/[^"]+/take-back)', decided.text)
    assert action is not None
    back = browser.post(action[1], data={"csrf": form["csrf"]})
    assert back.status_code == 200
    assert "Taken back by" in back.text
    assert "to decide" in back.text


def test_line_ends_that_a_browser_changes_are_no_edit(
    placet_desk: Desk, browser: httpx.Client
) -> None:
    odd = '"\\nfirst\\r\\nsecond\\rthird\\u00e9"'
    the_item = review_item(1, fields={"answer": odd, "count": "1.10", "meta": '{"a": 1}'})
    placet_desk.ingest([the_item])
    url = f"/review/items/{the_item.item_id}"
    form = _hidden(browser.get(url).text) | {
        "action": "APPROVE",
        "field:answer": "\r\nfirst\r\nsecond\r\nthirdé",
        "field:count": "1.10",
        "field:meta": '{"a": 2.50}',
    }
    assert browser.post(f"{url}/decision", data=form).status_code == 200
    ((text,),) = placet_desk.query("SELECT statement FROM review.decision")
    values = {change.name: change.value for change in from_text(text).fields}
    assert values == {"answer": odd, "count": "1.10", "meta": '{"a":2.50}'}


def test_what_cannot_be_used_comes_back_with_what_was_typed(
    placet_desk: Desk, browser: httpx.Client
) -> None:
    the_item = review_item(1, fields={"answer": '"x"', "meta": "[1]"})
    placet_desk.ingest([the_item])
    url = f"/review/items/{the_item.item_id}"
    form = _hidden(browser.get(url).text) | {"comment": "do not lose <this>"}
    no_reason = browser.post(f"{url}/decision", data=form | {"action": "REJECT"})
    assert no_reason.status_code == 422
    assert "A reason code is required" in no_reason.text
    assert "do not lose &lt;this&gt;" in no_reason.text
    broken = browser.post(
        f"{url}/decision",
        data=form | {"action": "APPROVE", "field:answer": "mine", "field:meta": "[1,"},
    )
    assert broken.status_code == 422
    assert "mine</textarea>" in broken.text
    assert "[1,</textarea>" in broken.text
    placet_desk.person("reviewer2").decide(
        placet_desk.person("reviewer2").item(the_item.item_id), "REJECT"
    )
    lost = browser.post(f"{url}/decision", data=form | {"action": "APPROVE"})
    assert lost.status_code == 409
    assert "Reviewer2 has decided: REJECT" in lost.text
    assert placet_desk.query("SELECT count(*) FROM review.decision") == [(1,)]


def test_hostile_text_stays_text(placet_desk: Desk, browser: httpx.Client) -> None:
    evil = "<script>alert(1)</script>\u202e\"'&"
    the_item = review_item(
        1,
        prompt=evil,
        output=evil,
        source=evil,
        identifier="<b>id</b>",
        evidence=[
            Evidence(title=evil, uri="javascript:alert(1)"),
            Evidence(title="ok", uri="https://example.org/?a=1&b=2"),
        ],
        fields={"answer": '"</textarea><script>alert(1)</script>"'},
    )
    placet_desk.ingest([the_item])
    for url in ("/review", f"/review/items/{the_item.item_id}"):
        page = browser.get(url)
        assert "<script>alert" not in page.text
        assert "</textarea><script" not in page.text
        assert 'href="javascript' not in page.text
        assert "script-src 'self'" in page.headers["content-security-policy"]
        assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
        assert page.headers["x-content-type-options"] == "nosniff"
        assert page.headers["cache-control"] == "no-store"
    assert 'rel="noopener noreferrer nofollow"' in page.text
    assert "U+202E" in page.text


def test_errors_are_pages_too(placet_desk: Desk, browser: httpx.Client) -> None:
    missing = browser.get("/review/items/00000000-0000-5000-8000-000000000000")
    assert (missing.status_code, "What now?" in missing.text) == (404, True)
    nonsense = browser.get("/review/nowhere")
    assert (nonsense.status_code, "<h1>" in nonsense.text) == (404, True)
    with httpx.Client(base_url=placet_desk.url) as sre:
        sre.cookies = httpx.Cookies(placet_desk.person("sre").http.cookies)
        assert sre.get("/review").status_code == 403
    broad = browser.get("/review?cursor=nonsense")
    assert (broad.status_code, "Start again" in broad.text) == (200, True)


def test_auditor_reads_and_cannot_decide(placet_desk: Desk) -> None:
    the_item = review_item(1)
    placet_desk.ingest([the_item])
    with httpx.Client(base_url=placet_desk.url) as http:
        http.cookies = httpx.Cookies(placet_desk.person("auditor").http.cookies)
        page = http.get(f"/review/items/{the_item.item_id}")
        assert page.status_code == 200
        assert 'id="decide"' not in page.text
        assert "it does not decide" in page.text


def test_every_static_file_is_ours_and_kept(browser: httpx.Client) -> None:
    page = browser.get("/review/sign-in").text
    for address in re.findall(r'(?:href|src)="([^"]+)"', page):
        assert address.startswith(("/review", "#"))
        if "/static/" in address:
            answer = browser.get(html.unescape(address))
            assert answer.status_code == 200
            assert "immutable" in answer.headers["cache-control"]
    assert browser.get("/review/static/%2e%2e/main.py").status_code == 404
