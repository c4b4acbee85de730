"""Decisions leave as labelled data: what is a label, in which order, who may, how much at once."""

import asyncio
import json
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import psycopg
import pytest
from psycopg import sql
from tests.support.review import DIGESTER, Desk, desk, fresh_database, review_item

from contract.codec import decode
from contract.events import Control, Retrieval, Risk
from review_api.commands.labels import AT_A_TIME, Labels, Wanted
from review_api.hint import Hint
from review_api.queries import QUERIES
from review_api.roles import Role
from review_api.store import Actor, Row, Store

NAMES = ("Reviewer", "Reviewer2", "Approver")


@pytest.fixture(scope="module")
def running(postgres_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with (
        fresh_database(postgres_server) as dsn,
        desk(dsn, tmp_path_factory.mktemp("desk")) as made,
    ):
        yield made


@pytest.fixture
def placet_desk(running: Desk) -> Desk:
    return running.empty()


def age(placet_desk: Desk, seconds: float = 3600) -> None:
    """Let time pass: what was decided, was decided so long ago."""
    placet_desk.query(
        "UPDATE review.decision SET decided_at = decided_at - %s * interval '1 second',"
        " not_before = not_before - %s * interval '1 second' RETURNING 1",
        seconds,
        seconds,
    )


def lines(answer: httpx.Response) -> list[dict[str, Any]]:
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/jsonl"
    found = answer.content.split(b"\n")
    assert found.pop() == b""  # the last line is whole as well
    return [json.loads(one) for one in found]


def export(placet_desk: Desk, who: str = "auditor", **asked: str) -> list[dict[str, Any]]:
    return lines(placet_desk.person(who).http.get("/api/labels", params=asked))


def decide(placet_desk: Desk, number: int | str, action: str, **body: Any) -> dict[str, Any]:
    person = placet_desk.person()
    answer = person.decide(person.item(review_item(number).item_id), action, **body)
    assert answer.status_code == 201, answer.text
    told: dict[str, Any] = answer.json()
    return told


def test_a_label_holds_what_was_given_said_and_decided(placet_desk: Desk) -> None:
    fields = {"answer": '"Delhi\\u2028."', "count": "1.10", "same": '{"a": 1}'}
    retrieval = [Retrieval(doc_id="kb-1", snippet="Delhi\u2028is it.", score=0.5)]
    the_item = review_item(1, fields=fields, retrieval=retrieval, confidence=0.75)
    placet_desk.ingest([the_item])
    decision = decide(
        placet_desk, 1, "APPROVE", fields={"count": 2.50, "answer": "New Delhi"}, comment="Ask Rosa"
    )
    age(placet_desk)
    answer = placet_desk.person("auditor").http.get("/api/labels")
    [label] = lines(answer)
    assert label["decision_id"] == decision["decision_id"]
    assert (label["decision"], label["reason_code"], label["roles"]) == (
        "APPROVE",
        None,
        ["reviewer"],
    )
    assert (label["prompt"], label["output"]) == (the_item.prompt, the_item.output)
    assert label["retrieval"][0]["snippet"] == "Delhi\u2028is it."
    assert label["edited_fields"] == {
        "answer": {"proposed": "Delhi\u2028.", "final": "New Delhi"},
        "count": {"proposed": 1.10, "final": 2.50},
    }
    # As the pipeline wrote it: an escape stays an escape, a digit stays a digit.
    assert b'"proposed":"Delhi\\u2028."' in answer.content
    assert b'"count":{"proposed":1.10,"final":2.5}' in answer.content
    assert label["undone"] is label["undoes"] is None
    assert (label["source"], label["confidence"]) == ("support-rag", 0.75)


def test_nobody_is_named_and_no_comment_leaves(placet_desk: Desk) -> None:
    placet_desk.ingest([review_item(1)])
    decide(placet_desk, 1, "REJECT", reason_code="UNSUPPORTED", comment="Rosa's patient says so")
    age(placet_desk)
    answer = placet_desk.person("auditor").http.get("/api/labels")
    [label] = lines(answer)
    assert (label["decision"], label["reason_code"]) == ("REJECT", "UNSUPPORTED")
    assert "Rosa" not in answer.text
    assert "person_id" not in answer.text
    assert not any(name in answer.text for name in NAMES)
    people = placet_desk.query("SELECT person_id::text, account_id::text FROM review.account")
    assert not any(one in answer.text for row in people for one in row)


def test_what_is_taken_back_and_what_still_can_be_is_no_label(placet_desk: Desk) -> None:
    placet_desk.ingest([review_item(1), review_item(2)])
    taken = decide(placet_desk, 1, "REJECT")
    # This desk has no hold: give the decision one, so that it can be taken back.
    for table, column in (("decision", "decision_id"), ("outbox", "id")):
        placet_desk.query(
            f"UPDATE review.{table} SET not_before = now() + interval '1 hour'"
            f" WHERE {column} = %s RETURNING 1",
            taken["decision_id"],
        )
    path = f"/api/decisions/{taken['decision_id']}/take-back"
    assert placet_desk.person().http.post(path).status_code == 200
    age(placet_desk)
    decide(placet_desk, 2, "REJECT")  # a moment ago
    assert export(placet_desk) == []
    age(placet_desk, 29)
    assert export(placet_desk) == []
    age(placet_desk, 5)
    [label] = export(placet_desk)
    assert label["external_id"] == "q-2"


def test_the_first_approval_of_two_is_no_label_of_its_own(placet_desk: Desk) -> None:
    the_item = review_item(1, risk=Risk(score=0.95))
    placet_desk.ingest([the_item])
    for username in ("reviewer", "approver"):
        person = placet_desk.person(username)
        edit = {"fields": {"answer": "Both"}} if username == "reviewer" else {}
        answer = person.decide(person.item(the_item.item_id), comment=f"of {username}", **edit)
        assert answer.status_code == 201, answer.text
    age(placet_desk)
    [label] = export(placet_desk)
    assert label["roles"] == ["reviewer", "approver"]
    assert label["lane"] == "critical"
    assert label["edited_fields"]["answer"]["final"] == "Both"


def test_an_undo_is_told_and_marks_what_it_undoes(placet_desk: Desk) -> None:
    the_item = review_item(1)
    placet_desk.ingest([the_item])
    decision = decide(placet_desk, 1, "APPROVE")
    placet_desk.query("UPDATE review.item SET state = 'COMPLETED' RETURNING 1")
    approver = placet_desk.person("approver")
    undo = approver.decide(approver.item(the_item.item_id), "UNDO")
    assert undo.status_code == 201, undo.text
    age(placet_desk)
    approved, undone = export(placet_desk)
    assert approved["undone"]["role"] == "approver"
    assert (undone["decision"], undone["undoes"]) == ("UNDO", decision["decision_id"])
    assert undone["edited_fields"] == {}


def rejected(placet_desk: Desk, many: int) -> list[str]:
    """Items that are rejected, a minute apart, two at each moment: their decisions, in order."""
    placet_desk.ingest([review_item(number) for number in range(many)])
    for number in range(many):
        decide(placet_desk, number, "REJECT")
    placet_desk.query(
        "UPDATE review.decision SET decided_at = '2026-01-01Z'::timestamptz"
        " + (SELECT substr(external_id, 3)::integer / 2 FROM review.item"
        "     WHERE item.item_id = decision.item_id) * interval '1 minute' RETURNING 1"
    )
    rows = placet_desk.query(
        "SELECT decision_id::text FROM review.decision ORDER BY decided_at, decision_id"
    )
    return [row[0] for row in rows]


def test_pages_follow_time_and_pass_over_nothing_decided_at_the_same_moment(
    placet_desk: Desk,
) -> None:
    decisions = rejected(placet_desk, 8)
    found: list[str] = []
    cursor = ""
    while page := export(placet_desk, limit="3", cursor=cursor):
        found += [one["decision_id"] for one in page]
        cursor = page[-1]["cursor"]
    assert found == decisions
    everything = export(placet_desk)
    assert [one["decision_id"] for one in everything] == decisions
    since = everything[2]["decided_at"]
    assert [one["decision_id"] for one in export(placet_desk, since=since)] == decisions[2:]
    until = everything[4]["decided_at"]
    part = export(placet_desk, since=since, until=until)
    assert [one["decision_id"] for one in part] == decisions[2:4]
    day = export(placet_desk, since="2026-01-02")
    assert day == []


def test_of_a_source_only_its_own(placet_desk: Desk) -> None:
    placet_desk.ingest([review_item(1), review_item(2, source="triage")])
    for the_item in (review_item(1), review_item(2, source="triage")):
        person = placet_desk.person()
        assert person.decide(person.item(the_item.item_id), "REJECT").status_code == 201
    age(placet_desk)
    assert [one["source"] for one in export(placet_desk, source="triage")] == ["triage"]
    assert export(placet_desk, source="nobody") == []
    assert len(export(placet_desk)) == 2


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({"since": "yesterday"}, "BAD_VALUE"),
        ({"until": "0001-01-01T00:00:00+14:00"}, "BAD_VALUE"),
        ({"limit": "0"}, "BAD_VALUE"),
        ({"limit": "²"}, "BAD_VALUE"),
        ({"cursor": "nonsense"}, "BAD_CURSOR"),
        ({"cursor": "WyJ4Il0"}, "BAD_CURSOR"),
        ({"source": "a\0"}, "BAD_TEXT"),
    ],
)
def test_what_cannot_be_asked_is_refused_and_nothing_is_on_record(
    placet_desk: Desk, asked: dict[str, str], code: str
) -> None:
    answer = placet_desk.person("auditor").http.get("/api/labels", params=asked)
    assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert exports(placet_desk) == []


def exports(placet_desk: Desk) -> list[Control]:
    rows = placet_desk.query(
        "SELECT payload FROM review.outbox WHERE aggregatetype = 'placet.controls' ORDER BY seq"
    )
    found = [decode(row[0]) for row in rows]
    return [one for one in found if isinstance(one, Control) and one.control == "EXPORTED"]


@pytest.mark.parametrize("username", ["reviewer", "approver", "sre"])
def test_others_take_nothing_away(placet_desk: Desk, username: str) -> None:
    answer = placet_desk.person(username).http.get("/api/labels")
    assert (answer.status_code, answer.json()["code"]) == (403, "WRONG_ROLE")
    assert exports(placet_desk) == []


@pytest.mark.parametrize("username", ["admin", "auditor"])
def test_an_export_is_on_record_even_where_there_was_nothing(
    placet_desk: Desk, username: str
) -> None:
    assert export(placet_desk, username, since="2026-01-01", source="triage") == []
    [told] = exports(placet_desk)
    assert (told.scope, told.role) == ("labels", username)
    assert told.detail == {"since": "2026-01-01T00:00:00.000000Z", "source": "triage"}


class Counting(Store):
    """A store that knows how much it gave at once."""

    most = 0
    asked = 0

    async def all(self, query: Any, values: Any = None) -> list[Row]:
        rows = await super().all(query, values)
        self.most, self.asked = max(self.most, len(rows)), self.asked + 1
        return rows


MANY = 4_000


def multiply(placet_desk: Desk) -> None:
    """Make one decision on one item into thousands, each on an item of its own."""
    placet_desk.ingest([review_item(1)])
    decide(placet_desk, 1, "REJECT")
    columns = {}
    for table in ("item", "item_revision", "decision"):
        names = placet_desk.query(
            "SELECT string_agg(quote_ident(column_name), ', ') FROM information_schema.columns"
            " WHERE table_schema = 'review' AND table_name = %s"
            " AND column_name NOT IN ('item_id', 'decision_id', 'decided_at', 'external_id')",
            table,
        )
        columns[table] = names[0][0]
    made = {
        "item": ("item_id, external_id", "md5(n::text)::uuid, n::text"),
        "item_revision": ("item_id", "md5(n::text)::uuid"),
        "decision": (
            "item_id, decision_id, decided_at",
            "md5(n::text)::uuid, md5('d' || n)::uuid, now() - n * interval '1 minute'",
        ),
    }
    for table, (names, values) in made.items():
        placet_desk.query(
            f"INSERT INTO review.{table} ({names}, {columns[table]})"
            f" SELECT {values}, {columns[table]} FROM review.{table},"
            f" generate_series(1, {MANY}) AS n RETURNING 1"
        )


def test_thousands_are_read_a_few_at_a_time(placet_desk: Desk) -> None:
    multiply(placet_desk)
    some, roles = uuid.uuid4(), (Role.AUDITOR,)
    actor = Actor(account_id=some, person_id=some, username="a", name="A", roles=roles)

    async def read() -> tuple[int, int, int, list[datetime]]:
        store, hint = Counting(placet_desk.dsn, 2), Hint(placet_desk.dsn)
        await store.open()
        await hint.open()
        labels = Labels(store=store, hint=hint, digester=DIGESTER, hold=timedelta(0))
        held, moments = 0, list[datetime]()
        try:
            async for some in await labels.export(actor, Wanted()):
                held = max(held, len(some))
                moments += [one.decided_at for one in some]
        finally:
            await hint.close()
            await store.close()
        return store.most, store.asked, held, moments

    most, asked, held, moments = asyncio.run(read())
    assert len(moments) == MANY  # the original is too young
    assert moments == sorted(moments)
    assert most == held == AT_A_TIME
    assert asked == MANY // AT_A_TIME + 1
    plan = explained(placet_desk)
    assert "decision_by_moment" in plan
    # Not sorted by time, so no page reads more than it shows.
    assert "Sort Key: decision.decided_at" not in plan
    assert "Seq Scan" not in plan


def explained(placet_desk: Desk) -> str:
    """How the database reads a page in the middle."""
    asked = {
        "after_at": datetime.now(UTC) - timedelta(minutes=MANY // 2),
        "after_id": uuid.UUID(int=0),
        "until": None,
        "settled": 30.0,
        "source": None,
        "limit": AT_A_TIME,
    }
    with psycopg.connect(placet_desk.dsn, options="-c enable_seqscan=off") as connection:
        rows = connection.execute(sql.SQL("EXPLAIN (COSTS OFF) ") + QUERIES["labels"], asked)
        return "\n".join(row[0] for row in rows.fetchall())


def test_an_answer_that_breaks_off_does_not_look_whole(placet_desk: Desk) -> None:
    multiply(placet_desk)
    half = "decision_id = md5('d2000')::uuid"
    ((kept,),) = placet_desk.query(f"SELECT statement FROM review.decision WHERE {half}")
    placet_desk.query(f"UPDATE review.decision SET statement = '?' WHERE {half} RETURNING 1")
    got = list[bytes]()
    with placet_desk.person("auditor").http.stream("GET", "/api/labels") as answer:
        with pytest.raises(httpx.RemoteProtocolError):
            got.extend(answer.iter_bytes())
    whole = b"".join(got).split(b"\n")[:-1]
    assert len(whole) == MANY // 2
    placet_desk.query(f"UPDATE review.decision SET statement = %s WHERE {half} RETURNING 1", kept)
    rest = export(placet_desk, cursor=json.loads(whole[-1])["cursor"])
    assert len(whole) + len(rest) == MANY
