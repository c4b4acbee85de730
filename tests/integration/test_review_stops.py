"""The stop switch: everything at once, what a resume lets go, what every page says."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.support.desk import wait_for
from tests.support.review import (
    INSTANCE,
    ROLES,
    Desk,
    dispatcher,
    fresh_database,
    make_schema,
    review_item,
    served,
    settings,
)

from contract.codec import decode
from contract.events import Control
from review_api.app import create_app
from review_api.desk import build

TARGETS = ("one", "support-faq", "two")


@pytest.fixture(scope="module")
def running(postgres_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """A desk with three targets."""
    folder = tmp_path_factory.mktemp("desk")
    with fresh_database(postgres_server) as dsn, dispatcher() as told:
        make_schema(dsn)
        given = settings(dsn, folder, told.url)
        _three(folder)
        with served(create_app(build(given))) as url:
            made = Desk(url=url, dsn=dsn, dispatcher=told, folder=folder)
            for username, role in ROLES.items():
                made.account(username, role)
            yield made
            for person in made.signed_in.values():
                person.http.close()


def _three(folder: Path) -> None:
    path = folder / "targets.toml"
    one = path.read_text()
    assert one.count(INSTANCE) == 1
    path.write_text("".join(one.replace(INSTANCE, name) for name in TARGETS))


@pytest.fixture
def placet_desk(running: Desk) -> Desk:
    return running.empty()


def told(placet_desk: Desk) -> list[tuple[str, str]]:
    """What dispatchers hear, in order."""
    rows = placet_desk.query(
        "SELECT payload FROM review.outbox WHERE aggregatetype = 'placet.controls' ORDER BY seq"
    )
    found = [decode(row[0]) for row in rows]
    return [
        (one.control, one.scope)
        for one in found
        if isinstance(one, Control) and one.control in {"PAUSED", "RESUMED"}
    ]


def ask(placet_desk: Desk, what: str, who: str = "sre", **body: Any) -> httpx.Response:
    sent = {"reason": "wrong prices"} | body
    return placet_desk.person(who).http.post(f"/api/{what}", json=sent)


def stops(placet_desk: Desk, who: str = "reviewer") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = placet_desk.person(who).http.get("/api/stops").json()["stops"]
    return found


def test_everything_is_one_action_and_every_dispatcher_hears_of_it(placet_desk: Desk) -> None:
    assert ask(placet_desk, "stop", "approver", all=True).status_code == 202
    assert told(placet_desk) == [("PAUSED", name) for name in TARGETS]
    [stop] = stops(placet_desk)
    assert (stop["all"], stop["target"], stop["by"], stop["role"], stop["reason"]) == (
        True,
        None,
        "Approver",
        "approver",
        "wrong prices",
    )
    assert ask(placet_desk, "resume", all=True).status_code == 202
    assert told(placet_desk)[3:] == [("RESUMED", name) for name in TARGETS]
    assert stops(placet_desk) == []


def test_what_was_stopped_by_itself_stays_stopped(placet_desk: Desk) -> None:
    ask(placet_desk, "stop", target="one")
    ask(placet_desk, "stop", all=True)
    ask(placet_desk, "stop", target="two")
    refused = ask(placet_desk, "resume", target="one")
    assert (refused.status_code, refused.json()["code"]) == (409, "NOT_POSSIBLE")
    assert refused.json()["by"] == "Sre"
    ask(placet_desk, "resume", all=True)
    assert told(placet_desk)[5:] == [("RESUMED", "support-faq")]
    assert {one["target"] for one in stops(placet_desk)} == {"one", "two"}
    again = ask(placet_desk, "resume", all=True)
    assert (again.status_code, again.json()["code"]) == (409, "NOT_POSSIBLE")
    assert "one, two" in again.json()["detail"]
    ask(placet_desk, "resume", target="two")
    assert {one["target"] for one in stops(placet_desk)} == {"one"}


def test_a_second_stop_is_told_and_the_first_stays_in_its_name(placet_desk: Desk) -> None:
    ask(placet_desk, "stop", "sre", all=True)
    (first,) = stops(placet_desk)
    ask(placet_desk, "stop", "admin", all=True, reason="me too")
    assert stops(placet_desk) == [first]
    assert len(told(placet_desk)) == 6


def test_whoever_hurries_the_last_word_is_the_same_everywhere(placet_desk: Desk) -> None:
    placet_desk.person("sre")
    placet_desk.person("admin")

    def press(number: int) -> int:
        what, who = ("stop", "sre") if number % 2 else ("resume", "admin")
        return ask(placet_desk, what, who, all=True).status_code

    with ThreadPoolExecutor(6) as pool:
        assert set(pool.map(press, range(24))) <= {202, 409}
    last = {name: kind for kind, name in told(placet_desk)}
    assert len(set(last.values())) == 1
    assert (last["one"] == "PAUSED") == bool(stops(placet_desk))


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({}, 422, "BAD_VALUE"),
        ({"all": True, "target": "one"}, 422, "BAD_VALUE"),
        ({"target": "nobody"}, 404, "NOT_FOUND"),
        ({"target": "*"}, 404, "NOT_FOUND"),
        ({"target": ""}, 404, "NOT_FOUND"),
        ({"all": True, "reason": " "}, 422, "BAD_VALUE"),
        ({"all": True, "reason": "a\0"}, 422, "BAD_TEXT"),
        ({"source": "support-rag"}, 422, "NOT_SUPPORTED"),
    ],
)
@pytest.mark.parametrize("what", ["stop", "resume"])
def test_what_names_nothing_stops_nothing(
    placet_desk: Desk, what: str, body: dict[str, Any], status: int, code: str
) -> None:
    answer = ask(placet_desk, what, **body)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert told(placet_desk) == []
    assert stops(placet_desk) == []


def test_a_target_named_as_everything_has_no_door(placet_desk: Desk) -> None:
    answer = placet_desk.person("sre").http.post("/api/targets/*/pause", json={"reason": "x"})
    assert answer.status_code == 404
    assert told(placet_desk) == []


PAGES = {"reviewer": ["/review", "/insight"], "sre": ["/insight", "/stop"], "auditor": ["/review"]}


def test_every_page_says_who_stopped_it_and_why(placet_desk: Desk) -> None:
    the_item = review_item()
    placet_desk.ingest([the_item])
    ask(placet_desk, "stop", all=True, reason="<b>wrong</b> prices")

    def pages() -> dict[tuple[str, str], str]:
        headers = {"Accept": "text/html"}
        asked = [(who, path) for who, paths in PAGES.items() for path in paths]
        asked += [
            ("reviewer", f"/review/items/{the_item.item_id}"),
            ("reviewer", "/review/items/00000000-0000-5000-8000-000000000000"),
        ]
        return {
            (who, path): placet_desk.person(who).http.get(path, headers=headers).text
            for who, path in asked
        }

    for place, text in pages().items():
        assert "<b>Writing is stopped</b> by <bdi>Sre</bdi>" in text, place
        assert "&lt;b&gt;wrong&lt;/b&gt; prices" in text, place
    with httpx.Client(base_url=placet_desk.url) as nobody:
        assert "stopped" not in nobody.get("/review/sign-in").text.split("<main")[1]
        assert "prices" not in nobody.get("/review/sign-in").text
    me = placet_desk.person()
    assert me.decide(me.item(the_item.item_id)).status_code == 201  # decisions are taken
    ask(placet_desk, "resume", all=True)
    assert not any("is stopped</b> by" in text for text in pages().values())


def test_a_stop_by_another_process_is_seen_here(placet_desk: Desk) -> None:
    placet_desk.query(
        "INSERT INTO review.stop (scope, actor_id, name, role, reason)"
        " VALUES ('two', gen_random_uuid(), 'Otto', 'sre', 'maintenance') RETURNING 1"
    )
    http = placet_desk.person().http
    said = "<b>Writing to <bdi>two</bdi> is stopped</b> by <bdi>Otto</bdi>"
    wait_for("the banner", lambda: said in http.get("/review").text, seconds=10)


def form(placet_desk: Desk, who: str, path: str, **fields: str) -> httpx.Response:
    person = placet_desk.person(who)
    headers = {"Accept": "text/html"}
    sent = {"csrf": person.csrf} | fields
    return person.http.post(path, data=sent, headers=headers, follow_redirects=True)


def test_the_page_stops_and_lets_go(placet_desk: Desk) -> None:
    shown = form(placet_desk, "approver", "/stop", scope="*", reason="odd values")
    assert shown.history[0].status_code == 303
    assert "odd values" in shown.text
    assert "An administrator or an SRE lets it go." in shown.text
    assert told(placet_desk) == [("PAUSED", name) for name in TARGETS]
    assert form(placet_desk, "approver", "/stop/resume", scope="*", reason="x").status_code == 403
    without = form(placet_desk, "sre", "/stop/resume", scope="*", reason=" ")
    assert without.status_code == 422
    assert len(told(placet_desk)) == 3
    gone = form(placet_desk, "sre", "/stop/resume", scope="*", reason="mended")
    assert "is stopped" not in gone.text
    assert len(told(placet_desk)) == 6
    nothing = form(placet_desk, "sre", "/stop", scope="nobody", reason="x")
    assert nothing.status_code == 404
