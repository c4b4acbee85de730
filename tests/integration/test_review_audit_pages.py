"""`/audit`: what an auditor finds, takes along and is told when the log is away. Over HTTP."""

import io
import zipfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from tests.support.audit_desk import AuditedDesk, audited_desk
from tests.support.audit_log import KEY
from tests.support.review import Person, served, settings

from audit_sink.bundle_check import check_bundle
from contract.codec import decode, encode
from contract.controls import EXPORTED
from contract.events import Control
from conveyor.keys import Verifier
from review_api.app import create_app
from review_api.desk import build
from review_api.tally import Tally

OVERRIDE = "\u202eevil\u202c <script>alert(1)</script>"
LONG = "W" * 200_000
AWAY = "http://127.0.0.1:9"
_CONTROLS = "SELECT payload FROM review.outbox WHERE aggregatetype = 'placet.controls'"


@pytest.fixture(scope="module")
def both(postgres_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AuditedDesk]:
    with audited_desk(postgres_server, tmp_path_factory.mktemp("audited")) as made:
        yield made


@pytest.fixture(scope="module")
def auditor(both: AuditedDesk) -> httpx.Client:
    return both.desk.person("auditor").http


def page(http: httpx.Client, address: str, status: int = 200) -> str:
    answer = http.get(address, headers={"Accept": "text/html"})
    assert answer.status_code == status, answer.text
    assert "text/html" in answer.headers["content-type"]
    return answer.text


@pytest.fixture(scope="module")
def approved(both: AuditedDesk) -> tuple[str, str]:
    item = both.propose("approved")
    return item.item_id, both.approve(item)


def test_a_search_finds_the_decision_and_leads_to_its_chain(
    auditor: httpx.Client, approved: tuple[str, str]
) -> None:
    item, decision = approved
    found = page(auditor, f"/audit?kind=ReviewDecision&id={decision}")
    assert found.count(f'href="/audit/items/{item}#r') == 1
    assert "Sealed up to" in found
    assert "placet audit verify --from FOLDER --key" in found
    assert page(auditor, "/audit?q=nothing-has-this-word-in-it").count("No sealed record") == 1


def test_the_chain_tells_every_step_with_its_proof(
    auditor: httpx.Client, approved: tuple[str, str]
) -> None:
    item, decision = approved
    for name in (item, decision):
        told = page(auditor, f"/audit/items/{name}")
        for words in ("Model output", "Item, revision 1", "Approved", "Written and read back"):
            assert words in told
        assert ">written and read back<" in told
        assert "Signature verified" in told
        assert "proved in a tree of" in told
        assert "NOT VERIFIED" not in told


def test_pages_of_a_search_go_on_to_the_oldest(both: AuditedDesk, auditor: httpx.Client) -> None:
    for number in range(60):
        both.propose(f"many-{number}")
    both.carry()
    first = page(auditor, "/audit?kind=ReviewItem")
    (older,) = [part.split('"')[0] for part in first.split('href="')[1:] if "before=" in part]
    second = page(auditor, older.replace("&amp;", "&"))
    assert 'rel="next"' not in second or "before=" in second
    assert first.count('class="no num"') == 50
    assert second.count('class="no num"') >= 10


def test_evidence_is_on_record_before_it_leaves_and_checks_without_us(
    both: AuditedDesk, approved: tuple[str, str], tmp_path: Path
) -> None:
    person = both.desk.person("auditor")
    answer = person.http.post(
        f"/audit/items/{approved[0]}/evidence", data={"csrf": person.csrf}, headers={}
    )
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/zip"
    assert f"evidence-{approved[0]}.zip" in answer.headers["content-disposition"]
    file = tmp_path / "evidence.zip"
    file.write_bytes(answer.content)
    keys = Verifier.load(both.desk.folder / "public")
    report = check_bundle(file, KEY.public, keys)
    assert report.problems == []
    assert report.signatures == 1
    assert zipfile.ZipFile(io.BytesIO(answer.content)).testzip() is None
    both.carry()
    found = page(person.http, "/audit?q=EXPORTED")
    assert "Exported" in found
    assert found.count('class="no num"') == 1


def test_what_does_not_exist_is_not_exported(both: AuditedDesk) -> None:
    person = both.desk.person("auditor")
    before = both.desk.query("SELECT count(*) FROM review.outbox")
    gone = person.http.post("/audit/items/nothing/evidence", data={"csrf": person.csrf})
    assert gone.status_code == 404
    assert person.http.post("/audit/items/nothing/evidence").status_code in {403, 404}
    assert both.desk.query("SELECT count(*) FROM review.outbox") == before


def test_exact_bytes_and_proof_are_downloads(both: AuditedDesk, auditor: httpx.Client) -> None:
    item = both.propose("exact")
    both.carry()
    told = page(auditor, f"/audit/items/{item.item_id}")
    sequence = told.split('id="r')[1].split('"')[0]
    exact = auditor.get(f"/audit/records/{sequence}/parts/received")
    assert exact.content == encode(item)
    assert exact.headers["content-type"] == "application/octet-stream"
    assert "attachment" in exact.headers["content-disposition"]
    proof = auditor.get(f"/audit/records/{sequence}/proof")
    assert proof.content.startswith(b"c2sp.org/tlog-proof@v1\n")


def test_hostile_text_is_text(both: AuditedDesk, auditor: httpx.Client) -> None:
    item = both.propose("hostile", prompt=OVERRIDE, output=LONG, source="</script>")
    both.carry()
    told = page(auditor, f"/audit/items/{item.item_id}")
    assert "<script>alert" not in told
    assert "\u202e" not in told
    assert "U+202E" in told
    assert "Only its beginning is shown." in told
    assert " style=" not in told


@pytest.mark.parametrize(
    ("address", "status"),
    [
        ("/audit?since=yesterday", 422),
        ("/audit?before=x", 422),
        ("/audit/items/nobody-knows-it", 404),
        ("/audit/records/0/parts/nothing", 404),
        ("/audit/records/99999999999/proof", 404),
        ("/audit/records/9999999999999999999999/proof", 404),
    ],
)
def test_what_cannot_be_asked_is_a_page_that_says_so(
    auditor: httpx.Client, address: str, status: int
) -> None:
    page(auditor, address, status)


def test_an_id_that_nothing_was_found_by_is_looked_up_as_an_event(
    auditor: httpx.Client,
) -> None:
    answer = auditor.get("/audit?id=nothing-at-all", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (
        303,
        "/audit/items/nothing-at-all",
    )


def test_who_may_sees_the_way_there(both: AuditedDesk, approved: tuple[str, str]) -> None:
    chain = f'href="/audit/items/{approved[0]}"'
    for username, may in {"auditor": True, "admin": True, "reviewer": False}.items():
        told = page(both.desk.person(username).http, f"/review/items/{approved[0]}")
        assert (chain in told) is may
        assert ('href="/audit"' in told) is may
        page(both.desk.person(username).http, "/audit", 200 if may else 403)


def test_forensics_counts_settled_decisions_once_and_shows_outliers(
    both: AuditedDesk, auditor: httpx.Client
) -> None:
    person = both.desk.person("reviewer2")
    for number, (source, action) in enumerate([("wiki", "APPROVE"), ("faq", "REJECT")]):
        item = both.propose(f"forensic-{number}")
        assert person.decide(person.item(item.item_id), action).status_code == 201, source
    both.desk.query("UPDATE review.decision SET decided_at = decided_at - interval '2 minutes'"
                    " RETURNING 1")  # fmt: skip
    tally = Tally(both.desk.dsn, timedelta(0))
    tally.now()
    tally.now()
    rows = both.desk.query(
        "SELECT decided, overridden FROM review.forensic_week WHERE dimension = 'all'"
    )
    (counted,) = both.desk.query(
        "SELECT count(*), count(*) FILTER (WHERE action = 'REJECT') FROM review.decision"
    )
    assert rows == [counted]
    told = page(auditor, "/audit/forensics?weeks=4")
    assert "answer-writer 3.2" in told
    assert "Overridden" in told
    assert page(auditor, "/audit/forensics?weeks=no-number")


def test_the_log_away_is_a_page_that_says_what_still_works(both: AuditedDesk) -> None:
    made = settings(both.desk.dsn, both.desk.folder, "http://127.0.0.1:9", audit_url=AWAY)
    before = _exports(both)
    with served(create_app(build(made))) as url:
        person = Person(url, "auditor", "auditor-secret")
        for address in ("/audit", "/audit/items/x", "/audit/records/1/proof"):
            told = page(person.http, address, 503)
            assert "The audit log is away" in told
            assert "AUDIT_AWAY · request" in told
            assert "placet audit verify" in told
        assert "Forensics" in page(person.http, "/audit/forensics")
        sent = person.http.post("/audit/items/x/evidence", data={"csrf": person.csrf})
        assert sent.status_code == 503
        person.http.close()
    assert _exports(both) == before


def _exports(both: AuditedDesk) -> int:
    events = [decode(bytes(row[0])) for row in both.desk.query(_CONTROLS)]
    return sum(isinstance(one, Control) and one.control == EXPORTED for one in events)


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (200, b"not JSON", "AUDIT_AWAY"),
        (200, b"[]", "AUDIT_AWAY"),
        (401, b'{"code": "NOT_SIGNED_IN"}', "AUDIT_AWAY"),
        (503, b'{"code": "BUSY"}', "AUDIT_AWAY"),
        (500, b'{"code": "NOT_VERIFIED"}', "NOT_VERIFIED"),
        (409, b'{"code": "NOT_SEALED_YET"}', "NOT_SEALED_YET"),
        (302, b"", "AUDIT_AWAY"),
    ],
)
def test_whatever_audit_sink_answers_is_told_in_the_desks_words(
    both: AuditedDesk, status: int, body: bytes, said: str
) -> None:
    from starlette.applications import Starlette
    from starlette.responses import Response
    from starlette.routing import Route

    async def answer(_: object) -> Response:
        return Response(body, status, {"Location": "http://127.0.0.1:9/"})

    double = Starlette(routes=[Route("/internal/{path:path}", answer)])
    with served(double) as url:
        log = _client(url)
        assert log() == said


def _client(url: str):
    import asyncio

    from review_api.audit_client import AuditLog
    from review_api.problems import ProblemError

    async def ask() -> str:
        log = AuditLog(url, "token")
        try:
            await log.status()
        except ProblemError as problem:
            return problem.code.value
        finally:
            await log.close()
        return "nothing"

    return lambda: asyncio.run(ask())
