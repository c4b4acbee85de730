"""Several at once: each its own decision, what moved on is passed over, approving is refused."""

import html
import re
import uuid
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from tests.support.review import INSTANCE, Desk, desk, fresh_database, review_item

from contract.codec import decode
from contract.events import ReviewDecision, Risk
from contract.statement import from_text
from conveyor.keys import Verifier
from review_api.commands.bulk import MOST, Bulk


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


def queued(placet_desk: Desk, many: int, **changes: Any) -> list[str]:
    items = [review_item(number, **changes) for number in range(many)]
    placet_desk.ingest(items)
    return [one.item_id for one in items]


def picked(items: Sequence[str], revision: int = 1) -> list[dict[str, Any]]:
    return [{"item_id": one, "revision": revision} for one in items]


def bulk(
    placet_desk: Desk,
    items: Sequence[str],
    action: str = "REJECT",
    *,
    key: str = "",
    who: str = "reviewer",
    **more: Any,
) -> httpx.Response:
    body = {"action": action, "items": picked(items), "reason_code": "WRONG"} | more
    headers = {"Idempotency-Key": key or uuid.uuid4().hex}
    return placet_desk.person(who).http.post("/api/decisions/bulk", json=body, headers=headers)


def results(answer: httpx.Response) -> dict[str, Mapping[str, Any]]:
    assert answer.status_code == 200, answer.text
    return {one["item_id"]: one for one in answer.json()["results"]}


def count(placet_desk: Desk) -> int:
    ((found,),) = placet_desk.query("SELECT count(*) FROM review.decision")
    return int(found)


@pytest.mark.parametrize(("action", "state"), [("REJECT", "REJECTED"), ("NEED_INFO", "NEEDS_INFO")])
def test_each_is_a_signed_decision_of_its_own(placet_desk: Desk, action: str, state: str) -> None:
    items = queued(placet_desk, 3)
    answer = bulk(placet_desk, items, action, comment="All of one kind.")
    told = answer.json()
    assert (told["decided"], told["skipped"], told["unsure"]) == (3, 0, 0)
    assert [one["item_id"] for one in told["results"]] == items
    assert {one["state"] for one in told["results"]} == {state}
    rows = placet_desk.query(
        "SELECT payload FROM review.outbox WHERE type = 'ReviewDecision' ORDER BY seq"
    )
    verifier = Verifier.load(placet_desk.folder / "public")
    events = [decode(row[0]) for row in rows]
    assert len(events) == 3
    for event in events:
        assert isinstance(event, ReviewDecision)
        (signature,) = event.signatures
        assert verifier.verify(signature.key_id, signature.signature, event.statement.encode())
        statement = from_text(event.statement)
        assert (statement.reason_code, statement.comment) == ("WRONG", "All of one kind.")
        assert statement.steps == []
        assert placet_desk.person().item(event.item_id)["state"] == state
    assert {one["decision_id"] for one in told["results"]} == {e.decision_id for e in events}
    assert placet_desk.query("SELECT count(*) FROM review.outbox WHERE type = 'Outcome'") == [(3,)]


def test_the_statement_says_that_nobody_saw_the_target(placet_desk: Desk) -> None:
    (item,) = queued(placet_desk, 1)
    shown = placet_desk.person().item(item)  # the target has been read, and is known here
    assert shown["change"]["fields"]["answer"]["readable"]
    bulk(placet_desk, [item])
    ((text,),) = placet_desk.query("SELECT statement FROM review.decision")
    statement = from_text(text)
    assert [one.seen for one in statement.fields] == [None]
    assert statement.seen_digest != shown["seen_digest"]
    assert len(bytes.fromhex(statement.seen_digest)) == 32


def test_what_moved_on_is_passed_over_and_said_why(placet_desk: Desk) -> None:
    fine, decided, claimed, revised = queued(placet_desk, 4)
    other = placet_desk.person("reviewer2")
    assert other.decide(other.item(decided)).status_code == 201
    assert other.http.post(f"/api/items/{claimed}/claim", json={}).status_code == 200
    placet_desk.ingest([review_item(3, revision=2, output="Better.")])
    unknown = str(uuid.uuid4())
    found = results(bulk(placet_desk, [fine, decided, claimed, revised, unknown]))
    assert found[fine]["result"] == "DECIDED"
    codes = {item: found[item].get("code") for item in (decided, claimed, revised, unknown)}
    assert codes == {
        decided: "ALREADY_DECIDED",
        claimed: "CLAIMED",
        revised: "REVISION_SUPERSEDED",
        unknown: "NOT_FOUND",
    }
    assert found[decided]["by"] == "Reviewer2"
    assert found[decided]["action"] == "APPROVE"
    assert found[claimed]["by"] == "Reviewer2"
    assert found[revised]["revision"] == 2
    assert count(placet_desk) == 2
    assert placet_desk.person().item(revised)["state"] == "PENDING"


def test_an_own_claim_is_no_obstacle_and_ends(placet_desk: Desk) -> None:
    (item,) = queued(placet_desk, 1)
    me = placet_desk.person()
    assert me.http.post(f"/api/items/{item}/claim", json={}).status_code == 200
    assert results(bulk(placet_desk, [item]))[item]["result"] == "DECIDED"
    assert me.item(item)["claim"] is None


def test_sent_again_is_answered_again_and_decides_nothing(placet_desk: Desk) -> None:
    items = queued(placet_desk, 5)
    first = bulk(placet_desk, items[:4], key="k")
    other = placet_desk.person("reviewer2")
    assert other.decide(other.item(items[4]), "REJECT").status_code == 201
    again = bulk(placet_desk, items[:4], key="k")
    assert again.content == first.content
    assert again.headers["idempotency-replayed"] == "true"
    assert count(placet_desk) == 5
    changed = bulk(placet_desk, items[:3], key="k")
    assert (changed.status_code, changed.json()["code"]) == (422, "IDEMPOTENCY_KEY_REUSED")
    stranger = bulk(placet_desk, items[:4], key="k", who="reviewer2")
    assert {one["code"] for one in results(stranger).values()} == {"ALREADY_DECIDED"}
    assert count(placet_desk) == 5


def test_an_answer_that_was_never_kept_is_found_again_item_by_item(placet_desk: Desk) -> None:
    """As after a crash between the last item and the answer: also where items were revised."""
    items = queued(placet_desk, 3)
    first = bulk(placet_desk, items, "NEED_INFO", key="k")
    placet_desk.query("DELETE FROM review.idempotency WHERE key = 'k' RETURNING 1")
    placet_desk.ingest([review_item(0, revision=2, output="Better.")])
    again = bulk(placet_desk, items, "NEED_INFO", key="k")
    assert again.json() == first.json()
    assert count(placet_desk) == 3


def test_twice_at_once_is_once(placet_desk: Desk) -> None:
    items = queued(placet_desk, 30)
    placet_desk.person()
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: bulk(placet_desk, items, key="k"), range(4)))
    assert {answer.status_code for answer in answers} <= {200, 409}
    for answer in answers:
        if answer.status_code == 409:
            assert answer.json()["code"] == "IDEMPOTENCY_KEY_IN_USE"
        else:
            assert answer.json()["decided"] == 30
    assert any(answer.status_code == 200 for answer in answers)
    assert count(placet_desk) == 30


def test_two_people_at_once_share_the_items_and_nobody_decides_twice(placet_desk: Desk) -> None:
    items = queued(placet_desk, 40)
    people = ("reviewer", "reviewer2", "approver")
    for username in people:
        placet_desk.person(username)
    with ThreadPoolExecutor(3) as pool:
        answers = list(pool.map(lambda who: bulk(placet_desk, items, who=who), people))
    assert sum(answer.json()["decided"] for answer in answers) == 40
    assert sum(answer.json()["skipped"] for answer in answers) == 80
    assert count(placet_desk) == 40


REFUSED: dict[str, tuple[dict[str, Any], int, str]] = {
    "approve": ({"action": "APPROVE"}, 422, "NOT_SUPPORTED"),
    "undo": ({"action": "UNDO"}, 422, "BAD_VALUE"),
    "take back": ({"action": "TAKE_BACK"}, 422, "BAD_VALUE"),
    "no action": ({"action": ""}, 422, "BAD_VALUE"),
    "no reason": ({"reason_code": None}, 422, "REASON_REQUIRED"),
    "a reason of no policy": ({"reason_code": "MOOD"}, 422, "BAD_REASON"),
    "nothing": ({"items": []}, 422, "BAD_VALUE"),
    "no ids": ({"items": [{"item_id": "x", "revision": 1}]}, 422, "BAD_BODY"),
    "no revision": ({"items": [{"item_id": str(uuid.uuid4())}]}, 422, "BAD_BODY"),
    "zero byte": ({"comment": "a\0"}, 422, "BAD_TEXT"),
    "edits": ({"fields": {"answer": "x"}}, 422, "BAD_BODY"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_may_not_be_asked_of_many_decides_nothing(placet_desk: Desk, case: str) -> None:
    more, status, code = REFUSED[case]
    items = queued(placet_desk, 2)
    body = {"action": "REJECT", "items": picked(items), "reason_code": "WRONG"} | more
    headers = {"Idempotency-Key": "k"}
    http = placet_desk.person().http
    answer = http.post("/api/decisions/bulk", json=body, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert count(placet_desk) == 0


def test_an_item_named_twice_and_five_thousand_are_refused(placet_desk: Desk) -> None:
    items = queued(placet_desk, 2)
    twice = bulk(placet_desk, [*items, items[0]])
    assert (twice.status_code, twice.json()["code"]) == (422, "BAD_VALUE")
    many = items + [str(uuid.uuid4()) for _ in range(4_998)]
    answer = bulk(placet_desk, many)
    assert (answer.status_code, answer.json()["code"]) == (422, "TOO_MANY_ITEMS")
    assert "5,000" in answer.json()["detail"]
    assert answer.json()["most"] == MOST == 200
    assert count(placet_desk) == 0
    assert bulk(placet_desk, many[: MOST + 1]).status_code == 422


def test_two_hundred_are_decided_in_one_request(placet_desk: Desk) -> None:
    items = queued(placet_desk, MOST)
    told = bulk(placet_desk, items).json()
    assert (told["decided"], told["skipped"]) == (MOST, 0)
    assert count(placet_desk) == MOST


def test_without_a_key_nothing_is_decided(placet_desk: Desk) -> None:
    items = queued(placet_desk, 1)
    body = {"action": "REJECT", "items": picked(items), "reason_code": "WRONG"}
    answer = placet_desk.person().http.post("/api/decisions/bulk", json=body)
    assert (answer.status_code, answer.json()["code"]) == (400, "IDEMPOTENCY_KEY_REQUIRED")
    assert count(placet_desk) == 0


def test_a_critical_item_with_a_first_approval_can_be_rejected_with_others(
    placet_desk: Desk,
) -> None:
    critical, plain = review_item(1, risk=Risk(score=0.95)), review_item(2)
    placet_desk.ingest([critical, plain])
    first = placet_desk.person()
    edit = {"answer": "Edited"}
    assert first.decide(first.item(critical.item_id), fields=edit).json()["decision_id"] is None
    found = results(bulk(placet_desk, [critical.item_id, plain.item_id], who="reviewer2"))
    assert {one["result"] for one in found.values()} == {"DECIDED"}
    rows = placet_desk.query(
        "SELECT statement FROM review.decision WHERE item_id = %s", critical.item_id
    )
    statement = from_text(rows[0][0])
    assert statement.fields[0].value == '"Edited"'  # what was on the table


def test_what_is_unsure_is_not_kept_and_asking_again_finds_out(
    placet_desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    from review_api.problems import Code, ProblemError

    items = queued(placet_desk, 3)
    real = Bulk._one

    async def broken(self: Bulk, session: Any, admit: Any, key: str, order: Any) -> Any:
        result = await real(self, session, admit, key, order)
        if str(order.item_id) != items[1]:
            return result
        from review_api.commands.bulk import Result

        # It was decided, and the answer was lost on its way.
        return Result(picked=result.picked, problem=ProblemError(Code.UNAVAILABLE, "Away."))

    with monkeypatch.context() as patch:
        patch.setattr(Bulk, "_one", broken)
        first = bulk(placet_desk, items, key="k")
    assert (first.json()["decided"], first.json()["unsure"]) == (2, 1)
    assert results(first)[items[1]]["result"] == "UNSURE"
    again = bulk(placet_desk, items, key="k")
    assert (again.json()["decided"], again.json()["unsure"]) == (3, 0)
    assert "idempotency-replayed" not in again.headers
    assert count(placet_desk) == 3


# The pages.


@pytest.fixture
def pages(placet_desk: Desk) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=placet_desk.url, follow_redirects=True) as http:
        http.cookies = httpx.Cookies(placet_desk.person().http.cookies)
        yield http


def form_of(page: str, action: str) -> tuple[str, list[tuple[str, str]]]:
    """The address and the hidden fields of the form that posts to `action`."""
    form = re.search(rf'<form[^>]*action="({re.escape(action)}[^"]*)".*?</form>', page, re.DOTALL)
    assert form is not None, page
    found = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', form[0])
    return html.unescape(form[1]), [(name, html.unescape(value)) for name, value in found]


def boxes(page: str) -> list[str]:
    return re.findall(r'<input type="checkbox" form="bulk" name="item" value="([^"]+)"', page)


def encoded(fields: Sequence[tuple[str, str]]) -> dict[str, Any]:
    from urllib.parse import urlencode

    return {
        "content": urlencode(fields),
        "headers": {"Content-Type": "application/x-www-form-urlencoded"},
    }


def test_from_ticked_boxes_to_what_became_of_each(placet_desk: Desk, pages: httpx.Client) -> None:
    items = queued(placet_desk, 4)
    queue = pages.get("/review?tab=ordinary").text
    ticked = boxes(queue)
    assert sorted(ticked) == sorted(f"{item}:1" for item in items)
    place, hidden = form_of(queue, "/review/bulk")
    chosen = [f"{item}:1" for item in items[:3]]
    fields = [*hidden, ("action", "REJECT"), ("reason_code", ""), *(("item", c) for c in chosen)]
    page = pages.post(place, **encoded(fields))
    assert page.status_code == 200
    assert "<h1>Reject 3 items?</h1>" in page.text
    assert count(placet_desk) == 0  # asking decides nothing
    other = placet_desk.person("reviewer2")
    assert other.decide(other.item(items[0])).status_code == 201
    place, hidden = form_of(page.text, "/review/bulk/decisions")
    without = pages.post(place, **encoded([*hidden, ("reason_code", ""), ("comment", "hm")]))
    assert without.status_code == 422
    assert "A reason code is required" in without.text
    assert "hm</textarea>" in without.text
    assert count(placet_desk) == 1
    sending = encoded([*hidden, ("reason_code", "DUPLICATE"), ("comment", "one\r\ntwo")])
    done = pages.post(place, **sending)
    assert done.history[0].status_code == 303
    assert "<h1>2 of 3 rejected</h1>" in done.text
    assert "Reviewer2 has decided: APPROVE" in done.text
    assert "tab=ordinary" in done.text
    twice = pages.post(place, **sending)
    assert twice.url == done.url
    assert twice.text == done.text
    assert count(placet_desk) == 3
    # A key that no address can hold as it stands.
    odd = [(name, "a/b ?#%\0" if name == "key" else value) for name, value in hidden]
    other_key = pages.post(place, **encoded([*odd, ("reason_code", "DUPLICATE")]))
    assert other_key.status_code == 200
    assert "<h1>0 of 3 rejected</h1>" in other_key.text
    rows = placet_desk.query("SELECT statement FROM review.decision WHERE action = 'REJECT'")
    assert {from_text(row[0]).comment for row in rows} == {"one\ntwo"}
    assert placet_desk.person().item(items[3])["state"] == "PENDING"


def test_what_would_be_passed_over_is_said_before(placet_desk: Desk, pages: httpx.Client) -> None:
    decided, claimed, revised, fine = queued(placet_desk, 4)
    other = placet_desk.person("reviewer2")
    assert other.decide(other.item(decided), "REJECT").status_code == 201
    assert other.http.post(f"/api/items/{claimed}/claim", json={}).status_code == 200
    _, hidden = form_of(pages.get("/review").text, "/review/bulk")
    placet_desk.ingest([review_item(2, revision=2, output="Better.")])
    chosen = [("item", f"{one}:1") for one in (decided, claimed, revised, fine)]
    page = pages.post("/review/bulk", **encoded([*hidden, ("action", "NEED_INFO"), *chosen])).text
    assert "<h1>Ask about 4 items?</h1>" in page
    assert page.count("will be passed over") == 3
    assert "It is rejected by now." in page
    assert "Reviewer2 is at it." in page
    assert "Revision 2 has come since" in page


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ([("action", "REJECT")], "Nothing is selected"),
        ([("action", "APPROVE"), ("item", f"{uuid.UUID(int=1)}:1")], "at a time"),
        ([("action", "REJECT"), ("item", "nonsense")], "The body cannot be used"),
        (
            [("action", "REJECT"), *(("item", f"{uuid.UUID(int=n)}:1") for n in range(500))],
            "500 items were sent",
        ),
        (
            [("action", "REJECT"), *(("item", f"{uuid.UUID(int=n)}:1") for n in range(5_000))],
            "Too many fields",
        ),
    ],
    ids=["nothing", "approve", "nonsense", "five hundred", "five thousand"],
)
@pytest.mark.parametrize("door", ["/review/bulk", "/review/bulk/decisions"])
def test_forms_that_cannot_be_used(
    placet_desk: Desk,
    pages: httpx.Client,
    door: str,
    fields: list[tuple[str, str]],
    said: str,
) -> None:
    csrf = [("csrf", placet_desk.person().csrf), ("reason_code", "WRONG"), ("key", "k")]
    answer = pages.post(door, **encoded([*csrf, *fields]))
    assert answer.status_code == 422
    assert said in answer.text
    assert count(placet_desk) == 0


def test_an_answer_is_shown_to_whoever_asked_and_to_nobody_else(
    placet_desk: Desk, pages: httpx.Client
) -> None:
    items = queued(placet_desk, 1)
    bulk(placet_desk, items, key="mine")
    assert "1 of 1 rejected" in pages.get("/review/bulk/decisions/mine").text
    for nobodys in ("nobodys", "%00", "%C3%A9", "x" * 300):
        assert pages.get(f"/review/bulk/decisions/{nobodys}").status_code == 404
    other = placet_desk.person("reviewer2").http
    headers = {"Accept": "text/html"}
    assert other.get("/review/bulk/decisions/mine", headers=headers).status_code == 404
    single = placet_desk.person().decide  # the key of a single decision is no such answer
    one = queued(placet_desk, 1, source="else")
    assert single(placet_desk.person().item(one[0]), key="single").status_code == 201
    assert pages.get("/review/bulk/decisions/single").status_code == 404


def test_who_only_reads_has_nothing_to_tick(placet_desk: Desk) -> None:
    queued(placet_desk, 2)
    page = placet_desk.person("auditor").http.get("/review", headers={"Accept": "text/html"})
    assert INSTANCE in page.text
    assert boxes(page.text) == []
    assert 'id="bulk"' not in page.text


def test_what_is_documented_refers_to_nothing_that_is_not_there(placet_desk: Desk) -> None:
    document = httpx.get(f"{placet_desk.url}/api/openapi.json").json()
    body = document["paths"]["/api/decisions/bulk"]["post"]["requestBody"]
    schema = body["content"]["application/json"]["schema"]
    assert "$ref" not in str(schema)
    assert set(schema["properties"]["items"]["items"]["properties"]) == {"item_id", "revision"}
