"""What audit-sink tells the desk over HTTP: real PostgreSQL, real files, the real application."""

import io
import json
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psycopg
import pytest
from msgspec.structs import replace
from tests.support.audit_log import KEY, read
from tests.support.audit_process import audit_place
from tests.support.audit_story import PROMPT, SNIPPET, Log, audit_log, keys_folder, story
from tests.support.decisions import Desk
from tests.support.review import fresh_database, served

from audit_sink.bundle_check import check_bundle
from audit_sink.desk_answers import Answers
from audit_sink.desk_http import application
from audit_sink.desk_shapes import MOST_TEXT
from audit_sink.tlog_proof import check_proof
from contract.codec import encode
from contract.controls import EXPORTED
from contract.events import Control
from contract.identity import derive
from contract.topics import CONTROLS
from conveyor.keys import Verifier

TOKEN = "a token of the desk's"
DESK = Desk()
STORIES = [story(number, desk=DESK) for number in range(1, 14)]
FIRST, SECOND = STORIES[:2]


@pytest.fixture(scope="module")
def log(postgres_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Log]:
    folder = tmp_path_factory.mktemp("log")
    with (
        fresh_database(postgres_server) as dsn,
        audit_place(dsn, folder) as place,
        audit_log(place) as made,
    ):
        for step in range(5):
            made.take(*(one.events[step] for one in STORIES))
        made.seal()
        made.index()
        yield made


def desk_of(log: Log, keys: Path | None = None, **changes: str) -> Answers:
    return Answers(
        database=changes.get("database", log.place.database),
        ledger=changes.get("ledger", log.place.ledger),
        vault=log.vault,
        folder=log.place.folder,
        key=KEY.public,
        signers=None if keys is None else Verifier.load(keys),
        frozen=lambda: None,
    )


@contextmanager
def asking(answers: Answers) -> Iterator[httpx.Client]:
    """Serve `answers`, and ask with the token."""
    headers = {"Authorization": f"Bearer {TOKEN}"}
    with (
        served(application(answers, TOKEN)) as url,
        httpx.Client(base_url=url, headers=headers, timeout=30) as client,
    ):
        yield client
    answers.close()


@pytest.fixture(scope="module")
def http(log: Log, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    with asking(desk_of(log, keys_folder(tmp_path_factory.mktemp("keys"), DESK))) as client:
        yield client


@pytest.mark.parametrize("presented", ["", "Bearer", "Bearer wrong", TOKEN, "Basic YTpi"])
def test_whoever_has_not_the_token_is_told_nothing(http: httpx.Client, presented: str) -> None:
    for path in ("status", "search", "story", "bundle", "part", "proof", "none"):
        answer = http.get(f"/internal/{path}", headers={"Authorization": presented})
        assert (answer.status_code, answer.json()["code"]) == (401, "NOT_SIGNED_IN"), path


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("search?limit=0", 422, "BAD_VALUE"),
        ("search?limit=101", 422, "BAD_VALUE"),
        ("search?before=-1", 422, "BAD_VALUE"),
        ("search?before=x", 422, "BAD_VALUE"),
        ("search?since=yesterday", 422, "BAD_VALUE"),
        ("search?words=a%00b", 422, "BAD_VALUE"),
        ("search?words=" + "w" * 1_001, 422, "BAD_VALUE"),
        ("search?itm=1", 422, "BAD_VALUE"),
        ("search?actor=a&actor=b", 422, "BAD_VALUE"),
        ("story", 422, "BAD_VALUE"),
        ("story?item=a&decision=b", 422, "BAD_VALUE"),
        ("story?item=a&limit=201", 422, "BAD_VALUE"),
        ("story?item=nobody-knows-it", 404, "NOT_FOUND"),
        ("story?name=99999999", 404, "NOT_FOUND"),
        ("bundle?item=00000000-0000-4000-8000-000000000000", 404, "NOT_FOUND"),
        ("part?sequence=0&part=nothing", 404, "NOT_FOUND"),
        ("part?part=prompt", 422, "BAD_VALUE"),
        ("proof?sequence=123456", 404, "NOT_FOUND"),
        ("proof?sequence=" + "9" * 19, 422, "BAD_VALUE"),
    ],
)
def test_what_cannot_be_used_is_refused_with_a_code(
    http: httpx.Client, path: str, status: int, code: str
) -> None:
    answer = http.get(f"/internal/{path}")
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.headers["content-type"] == "application/problem+json"


def test_pages_of_a_search_hold_every_record_once_newest_first(http: httpx.Client) -> None:
    found: list[int] = []
    before: dict[str, int] = {}
    for _ in range(20):
        page = http.get("/internal/search", params={"limit": 7, **before}).json()
        found += [record["sequence"] for record in page["records"]]
        if page["next"] is None:
            break
        before = {"before": page["next"]}
    assert found == sorted(range(5 * len(STORIES)), reverse=True)


def test_a_search_takes_every_filter_and_says_what_is_not_indexed(http: httpx.Client) -> None:
    def found(**asked: str) -> list[str]:
        page = http.get("/internal/search", params=asked).json()
        assert page["not_indexed"] == 0
        return [record["event_id"] for record in page["records"]]

    mine = {event.event_id for event in SECOND.events}
    assert set(found(item=SECOND.item.item_id.upper())) == mine
    assert found(decision=SECOND.decision.decision_id, type="ReviewDecision") == [
        SECOND.decision.event_id
    ]
    assert set(found(correlation="trace-2")) == mine
    assert found(words="atlas -nothing", item=SECOND.item.item_id) == [SECOND.decision.event_id]
    assert found(words="APPLIED", item=SECOND.item.item_id) == [SECOND.write_backs[-1].event_id]
    assert found(since="2000-01-01", until="2001-01-01") == []


def test_a_story_tells_all_of_an_item_with_proof_parts_and_signature(http: httpx.Client) -> None:
    told = http.get("/internal/story", params={"item": SECOND.item.item_id}).json()
    assert [one["record"]["event_id"] for one in told["chapters"]] == [
        event.event_id for event in SECOND.events
    ]
    assert (told["total"], told["next"]) == (5, None)
    assert told["records"] == 5 * len(STORIES)
    assert all(one["proved_in"] == told["records"] for one in told["chapters"])
    assert all(one["problems"] == [] for one in told["chapters"])
    item, _, decision = told["chapters"][:3]
    assert item["parts"]["prompt"] == {
        "bytes": len(PROMPT.encode()),
        "text": PROMPT,
        "cut": False,
    }
    assert json.loads(item["parts"]["retrieval"]["text"])[0]["snippet"] == SNIPPET
    assert item["parts"]["received"]["text"] is None
    assert decision["signing"] == {
        "checked": True,
        "problem": None,
        "key_ids": [DESK.signer.key_id],
    }


def test_a_story_goes_on_where_its_page_ended(http: httpx.Client) -> None:
    found: list[str] = []
    asked: dict[str, str | int] = {"item": FIRST.item.item_id, "limit": 2}
    while True:
        told = http.get("/internal/story", params=asked).json()
        found += [one["record"]["event_id"] for one in told["chapters"]]
        if told["next"] is None:
            break
        asked["after"] = told["next"]
    assert found == [event.event_id for event in FIRST.events]


def test_a_part_is_given_byte_for_byte_and_a_proof_convinces(http: httpx.Client) -> None:
    place = http.get("/internal/search", params={"item": FIRST.item.item_id}).json()["records"]
    sequence = place[-1]["sequence"]
    asked = {"sequence": sequence, "part": "received"}
    assert http.get("/internal/part", params=asked).content == encode(FIRST.item)
    asked["part"] = "prompt"
    assert http.get("/internal/part", params=asked).content == PROMPT.encode()
    proof = http.get("/internal/proof", params={"sequence": sequence})
    assert check_proof(proof.content, KEY.public).index == sequence


def test_a_bundle_is_what_the_command_makes_and_checks(
    http: httpx.Client, tmp_path: Path, log: Log
) -> None:
    answer = http.get("/internal/bundle", params={"decision": SECOND.decision.decision_id})
    assert answer.headers["content-type"] == "application/zip"
    assert int(answer.headers["content-length"]) == len(answer.content)
    assert zipfile.ZipFile(io.BytesIO(answer.content)).testzip() is None
    file = tmp_path / "bundle.zip"
    file.write_bytes(answer.content)
    keys = Verifier.load(keys_folder(tmp_path / "keys", DESK))
    report = check_bundle(file, KEY.public, keys)
    assert (report.records, report.signatures, report.problems) == (5, 1, [])


def test_status_says_how_far_the_log_is_sealed_and_that_the_ledger_agrees(
    http: httpx.Client, log: Log
) -> None:
    told = http.get("/internal/status").json()
    assert told["head"]["size"] == told["records"] == 5 * len(STORIES)
    assert told["head"]["at"].startswith("20")
    assert (told["ledger"], told["frozen"], told["unsealed"]) == ("agrees", None, 0)
    assert told["key"] == KEY.public.text


def test_an_export_is_sealed_and_found_by_its_name(postgres: str, tmp_path: Path) -> None:
    """It was sealed, but no word of it was searchable: codes are in the record, not in a text."""
    with audit_place(postgres, tmp_path / "log") as place, audit_log(place) as log:
        exported = Control(
            event_id=derive("test-export", 1),
            correlation_id="",
            timestamp=FIRST.item.timestamp,
            scope="labels",
            control=EXPORTED,
            actor_id="somebody",
            role="auditor",
            detail={},
            content_digest=bytes(32),
        )
        log.appender.handle([read(exported, topic=CONTROLS, offset=1)])
        log.take(*FIRST.events)
        log.seal()
        log.index()
        with asking(desk_of(log)) as client:
            found = client.get("/internal/search", params={"words": EXPORTED}).json()["records"]
            assert [one["event_id"] for one in found] == [exported.event_id]
            whole = client.get("/internal/story", params={"name": exported.event_id}).json()
            assert whole["chapters"][0]["proved_in"] == 6


def test_what_is_not_sealed_yet_is_told_without_a_proof_and_not_bundled(
    postgres: str, tmp_path: Path
) -> None:
    with audit_place(postgres, tmp_path / "log") as place, audit_log(place) as log:
        with asking(desk_of(log)) as client:
            log.take(*FIRST.events[:2])
            nothing = client.get("/internal/story", params={"item": FIRST.item.item_id})
            assert (nothing.status_code, nothing.json()["code"]) == (409, "NOT_SEALED_YET")
            log.seal()
            log.take(FIRST.decision)
            told = client.get("/internal/story", params={"item": FIRST.item.item_id}).json()
            assert [one["proved_in"] for one in told["chapters"]] == [2, 2, None]
            refused = client.get("/internal/bundle", params={"item": FIRST.item.item_id})
            assert (refused.status_code, refused.json()["code"]) == (409, "NOT_SEALED_YET")
            status = client.get("/internal/status").json()
            assert (status["unsealed"], status["records"]) == (1, 3)
            assert status["unsealed_since"] is not None


def test_a_swapped_payload_is_a_problem_of_its_chapter_and_stops_a_bundle(
    postgres: str, tmp_path: Path
) -> None:
    with audit_place(postgres, tmp_path / "log") as place, audit_log(place) as log:
        log.take(*FIRST.events, *SECOND.events)
        log.seal()
        with psycopg.connect(place.database, autocommit=True) as connection:
            connection.execute("ALTER TABLE audit.payload DISABLE TRIGGER ALL")
            connection.execute(
                "UPDATE audit.payload p SET parts = o.parts FROM audit.payload o"
                " WHERE p.sequence = 0 AND o.sequence = 5"
            )
        with asking(desk_of(log)) as client:
            told = client.get("/internal/story", params={"item": FIRST.item.item_id}).json()
            assert told["chapters"][0]["problems"]
            refused = client.get("/internal/bundle", params={"item": FIRST.item.item_id})
            assert (refused.status_code, refused.json()["code"]) == (500, "NOT_VERIFIED")


def test_a_long_text_is_cut_and_its_part_is_whole(postgres: str, tmp_path: Path) -> None:
    long = "ß" * MOST_TEXT
    with audit_place(postgres, tmp_path / "log") as place, audit_log(place) as log:
        log.take(replace(FIRST.item, prompt=long))
        log.seal()
        answers = desk_of(log)
        told = answers.story(FIRST.item.item_id, -1, 10)["chapters"][0]["parts"]["prompt"]
        assert (told["bytes"], told["cut"]) == (2 * MOST_TEXT, True)
        assert told["text"] == long[: MOST_TEXT // 2]
        assert answers.part(0, "prompt").decode() == long
        answers.close()


def test_database_away_is_503(log: Log) -> None:
    with asking(desk_of(log, database="postgresql://nobody@127.0.0.1:9/none")) as client:
        for path in ("status", "search", "story?item=a", "bundle?item=a"):
            answer = client.get(f"/internal/{path}")
            assert (answer.status_code, answer.json()["code"]) == (503, "UNAVAILABLE")
            assert "127.0.0.1" not in answer.text
    beside = desk_of(log, ledger="postgresql://nobody@127.0.0.1:9/none")
    assert beside.status()["ledger"] == "away"
    beside.close()


def test_a_slow_question_is_stopped_and_the_session_serves_the_next(log: Log) -> None:
    with psycopg.connect(log.place.database) as lock:
        lock.execute("LOCK TABLE audit.search IN ACCESS EXCLUSIVE MODE")
        with asking(desk_of(log)) as client:
            answer = client.get("/internal/search")
            assert (answer.status_code, answer.json()["code"]) == (422, "SEARCH_TOO_BROAD")
            lock.rollback()
            assert client.get("/internal/search").status_code == 200
