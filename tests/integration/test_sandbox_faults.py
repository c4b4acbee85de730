"""Faults happen at the socket: what the client sees, and what was done all the same."""

import json
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import requests
from jira import JIRA
from tests.support.sandbox import Sandbox, running

ISSUE = "/rest/api/3/issue/SUP-1"
AUTH = ("placet@example.test", "jira-sandbox-token")


@pytest.fixture(scope="module")
def process() -> Iterator[Sandbox]:
    with running("jira") as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(process: Sandbox) -> Sandbox:
    process.post("reset")
    return process


def put(sandbox: Sandbox, summary: str = "new", timeout: float = 5) -> requests.Response:
    url = sandbox.url + ISSUE
    body = {"fields": {"summary": summary}}
    return requests.put(url, json=body, auth=AUTH, timeout=timeout)


def get(sandbox: Sandbox, timeout: float = 5) -> requests.Response:
    return requests.get(sandbox.url + ISSUE, auth=AUTH, timeout=timeout)


def summary(sandbox: Sandbox) -> str:
    found: str = get(sandbox).json()["fields"]["summary"]
    return found


def raw_answer(sandbox: Sandbox) -> bytes:
    """Everything the server sends for a GET. Raises ConnectionResetError."""
    address = sandbox.url.removeprefix("http://")
    host, port = address.split(":")
    credentials = requests.Request("GET", sandbox.url, auth=AUTH).prepare().headers["Authorization"]
    lines = [f"GET {ISSUE} HTTP/1.1", f"Host: {address}", f"Authorization: {credentials}", "", ""]
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        connection.sendall("\r\n".join(lines).encode())
        return b"".join(iter(lambda: connection.recv(65536), b""))


def until(condition: Callable[[], Any]) -> Any:
    """Asks again and again; the asking is a request, so it does not spin."""
    for _ in range(2000):
        if found := condition():
            return found
    raise AssertionError("it never happened")


def test_a_dropped_answer_was_work_done(sandbox: Sandbox) -> None:
    sandbox.break_next("drop", method="PUT")
    with pytest.raises(requests.ConnectionError, match="without response"):
        put(sandbox)
    assert summary(sandbox) == "new"
    assert len(sandbox.effects()) == 1


def test_a_connection_dropped_before_the_work_did_nothing(sandbox: Sandbox) -> None:
    sandbox.break_next("drop", method="PUT", when="before")
    with pytest.raises(requests.ConnectionError):
        put(sandbox)
    assert sandbox.effects() == []


def test_a_drop_sends_not_one_byte(sandbox: Sandbox) -> None:
    sandbox.break_next("drop")
    assert raw_answer(sandbox) == b""


def test_a_reset_is_a_reset(sandbox: Sandbox) -> None:
    sandbox.break_next("drop", reset=True)
    with pytest.raises(ConnectionResetError):
        raw_answer(sandbox)


def test_a_cut_ends_in_the_middle_of_the_body(sandbox: Sandbox) -> None:
    whole = len(get(sandbox).content)
    sandbox.break_next("cut")
    with pytest.raises(requests.exceptions.ChunkedEncodingError, match="IncompleteRead"):
        get(sandbox)
    sandbox.break_next("cut")
    head, _, body = raw_answer(sandbox).partition(b"\r\n\r\n")
    assert f"content-length: {whole}".encode() in head
    assert 0 < len(body) < whole


def test_an_empty_answer_is_cut_too(sandbox: Sandbox) -> None:
    sandbox.break_next("cut", method="PUT")
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        put(sandbox)
    assert len(sandbox.effects()) == 1


def test_half_a_json_document_arrives_whole(sandbox: Sandbox) -> None:
    sandbox.break_next("truncate")
    answer = get(sandbox)
    assert answer.status_code == 200
    with pytest.raises(json.JSONDecodeError):
        json.loads(answer.text)


@pytest.mark.parametrize("status", [412, 429, 500, 503])
def test_an_error_answer_before_the_work(sandbox: Sandbox, status: int) -> None:
    sandbox.break_next(str(status), method="PUT", retry_after=7)
    answer = put(sandbox)
    assert answer.status_code == status
    assert answer.headers["Retry-After"] == "7"
    assert answer.json()["errorMessages"]
    assert sandbox.effects() == []
    assert put(sandbox).status_code == 204


def test_an_error_answer_after_the_work_is_a_lie(sandbox: Sandbox) -> None:
    sandbox.break_next("500", method="PUT", when="after")
    assert put(sandbox).status_code == 500
    assert summary(sandbox) == "new"


def test_a_held_request_is_a_zombie(sandbox: Sandbox) -> None:
    """The client has given up and written again; then the first one arrives."""
    sandbox.break_next("hold", method="PUT")
    with pytest.raises(requests.ReadTimeout):
        put(sandbox, "first", timeout=0.2)
    assert sandbox.effects() == []
    [held] = sandbox.get("held")
    assert held["request"] == f"PUT {ISSUE}"
    assert put(sandbox, "second").status_code == 204
    assert sandbox.post("release", id=held["id"]) == {"released": 1}
    until(lambda: len(sandbox.effects()) == 2)
    assert summary(sandbox) == "first"


def test_a_held_answer_waits_after_the_work(sandbox: Sandbox) -> None:
    sandbox.break_next("hold", method="PUT", when="after")
    answers: list[requests.Response] = []
    thread = threading.Thread(target=lambda: answers.append(put(sandbox)))
    thread.start()
    until(lambda: sandbox.get("held"))
    assert len(sandbox.effects()) == 1
    assert answers == []
    sandbox.post("release")
    thread.join(5)
    assert answers[0].status_code == 204


def test_a_delay_is_longer_than_the_client_waits(sandbox: Sandbox) -> None:
    sandbox.break_next("delay", method="PUT", seconds=0.5)
    with pytest.raises(requests.ReadTimeout):
        put(sandbox, timeout=0.1)
    until(lambda: len(sandbox.effects()) == 1)


def test_a_page_comes_instead_of_an_answer(sandbox: Sandbox) -> None:
    sandbox.break_next("page")
    answer = get(sandbox)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")


def test_a_redirect_leads_elsewhere(sandbox: Sandbox) -> None:
    sandbox.break_next("redirect", location="http://127.0.0.1:9/elsewhere")
    answer = requests.get(sandbox.url + ISSUE, auth=AUTH, timeout=5, allow_redirects=False)
    assert answer.status_code == 307
    assert answer.headers["Location"] == "http://127.0.0.1:9/elsewhere"


def test_rules_choose_by_method_path_order_and_number(sandbox: Sandbox) -> None:
    sandbox.break_next("500", method="PUT", path="SUP-1$", times=2, skip=1)
    assert [put(sandbox).status_code for _ in range(4)] == [204, 500, 500, 204]
    [rule] = sandbox.get("faults")
    assert (rule["seen"], rule["struck"], rule["spent"]) == (3, 2, True)
    httpx.delete(f"{sandbox.url}/_sandbox/faults").raise_for_status()
    assert sandbox.get("faults") == []


def test_a_share_of_all_requests_is_the_same_every_time(sandbox: Sandbox) -> None:
    runs = []
    for _ in range(2):
        sandbox.post("reset")
        sandbox.break_next("500", method="GET", times=None, share=0.3, seed=7)
        runs.append([get(sandbox).status_code for _ in range(40)])
    assert runs[0] == runs[1]
    assert 4 <= runs[0].count(500) <= 20


@pytest.mark.parametrize(
    "rule",
    [
        {"kind": "nonsense"},
        {"kind": "200"},
        {"kind": "drop", "path": "("},
        {"kind": "redirect"},
        {"kind": "cut", "when": "before"},
        {"kind": "drop", "typo": 1},
    ],
)
def test_a_rule_that_makes_no_sense_is_refused(sandbox: Sandbox, rule: dict[str, Any]) -> None:
    answer = httpx.post(f"{sandbox.url}/_sandbox/faults", json=rule)
    assert answer.status_code == 422


def test_the_library_itself_sends_once_when_told_not_to_retry(sandbox: Sandbox) -> None:
    client = JIRA(server=sandbox.url, basic_auth=AUTH, max_retries=0, timeout=5)
    sandbox.break_next("drop", method="PUT")
    url = client._get_url("issue/SUP-1")
    with pytest.raises(requests.ConnectionError):
        client._session.put(url, data='{"fields": {"summary": "once"}}')
    client.close()
    assert [r["fault"] for r in sandbox.requests() if r["method"] == "PUT"] == ["drop/after"]
    assert len(sandbox.effects()) == 1


def test_a_killed_stand_in_has_lost_nothing_acknowledged(tmp_path: Path) -> None:
    with running("jira", data=tmp_path) as sandbox:
        for number in range(20):
            assert put(sandbox, f"edit {number}").status_code == 204
        sandbox.break_next("500", method="DELETE", times=3)
        sandbox.post("settings", search_delay=9)
        sandbox.kill()
        with pytest.raises(requests.ConnectionError):
            get(sandbox)
        sandbox.start()
        assert summary(sandbox) == "edit 19"
        assert [e["sequence"] for e in sandbox.effects()] == list(range(1, 21))
        assert [rule["times"] for rule in sandbox.get("faults")] == [3]
        assert sandbox.get("settings")["search_delay"] == 9


def test_sharepoint_keeps_its_versions_over_a_kill(tmp_path: Path) -> None:
    with running("sharepoint", data=tmp_path) as sandbox:
        sandbox.post("edit", record="1", fields={"Title": "Kept"})
        sandbox.kill()
        sandbox.start()
        [first, *_] = sandbox.get("records")
        assert (first["title"], first["version"]) == ("Kept", "2.0")


def test_a_stop_lets_held_requests_go(tmp_path: Path) -> None:
    with running("jira", data=tmp_path) as sandbox:
        sandbox.break_next("hold", method="PUT")
        with pytest.raises(requests.ReadTimeout):
            put(sandbox, timeout=0.2)
        assert sandbox.stop() in {0, -signal.SIGTERM}
        sandbox.start()
        assert sandbox.effects() == []


def test_an_edit_by_hand_names_the_person_and_checks_the_value(sandbox: Sandbox) -> None:
    sandbox.post(
        "edit", record="SUP-2", fields={"Priority": "High", "Labels": "a b"}, by="Jira Admin"
    )
    [effect] = sandbox.effects()
    assert (effect["via"], effect["actor"]) == ("hand", "Jira Admin")
    for record, fields, status in [
        ("SUP-99", {}, 404),
        ("SUP-2", {"Nope": 1}, 422),
        ("SUP-2", {"Priority": "Nope"}, 422),
        ("SUP-2", {"Refund amount": "much"}, 422),
    ]:
        body = {"record": record, "fields": fields}
        assert httpx.post(f"{sandbox.url}/_sandbox/edit", json=body).status_code == status


@pytest.mark.parametrize("system", ["jira", "sharepoint"])
def test_the_page_shows_records_effects_and_the_fault_panel(system: str) -> None:
    with running(system) as sandbox:
        record = sandbox.get("records")[0]["record"]
        title = "Summary" if system == "jira" else "Title"
        sandbox.post("edit", record=record, fields={title: "<b>bold</b>"})
        sandbox.break_next("drop")
        page = httpx.get(f"{sandbox.url}/").text
        assert "&lt;b&gt;bold&lt;/b&gt;" in page
        assert "(by hand)" in page
        assert "drop, after" in page
        assert "prefers-color-scheme" in page or "light-dark(" in page
