"""Another policy: tried, saved, in force at once for what is decided and what comes.

What waits only rises.
"""

import re
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from tests.support.review import (
    POLICY,
    Desk,
    Person,
    desk,
    fresh_database,
    review_item,
    served,
    settings,
)

from contract.codec import decode
from contract.events import Control, Risk
from contract.identity import item_id
from contract.statement import from_text
from review_api.app import create_app
from review_api.commands.policy_file import install
from review_api.desk import build
from review_api.policy import parse_policy
from review_api.sweep import Sweep

STRICT = """
version = "strict"
reasons = ["WRONG", "BY_LAW"]
[[rule]]
when = { risk_at_least = 0.2 }
lane = "critical"
"""
LAX = 'version = "lax"\n'


@pytest.fixture(scope="module")
def made(postgres_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with (
        fresh_database(postgres_server) as dsn,
        desk(dsn, tmp_path_factory.mktemp("desk")) as one,
    ):
        _saved(one.person("admin"), LAX)
        yield one


@pytest.fixture
def placet_desk(made: Desk) -> Desk:
    """An empty desk with `POLICY` in force: history only grows, from test to test."""
    admin = made.person("admin")
    if _now(admin)["text"] != POLICY:
        _saved(admin, POLICY)
    return made.empty()


@pytest.fixture
def admin(placet_desk: Desk) -> Person:
    return placet_desk.person("admin")


def _now(admin: Person) -> dict[str, Any]:
    told: dict[str, Any] = admin.http.get("/api/policy").json()
    return told


def _again(placet_desk: Desk, person: Person) -> httpx.Client:
    """A client of one's own for a thread, in the same session."""
    return httpx.Client(
        base_url=placet_desk.url,
        cookies=person.http.cookies,
        headers=person.http.headers,
        timeout=60,
    )


def _save(admin: Person, text: str, reason: str = "because") -> httpx.Response:
    body = {"text": text, "base": _now(admin)["ordinal"], "reason": reason}
    return admin.http.post("/api/policy", json=body)


def _saved(admin: Person, text: str) -> int:
    answer = _save(admin, text)
    assert answer.status_code == 201, answer.text
    ordinal: int = answer.json()["ordinal"]
    return ordinal


def _lanes(placet_desk: Desk) -> dict[str, tuple[str, str]]:
    rows = placet_desk.query("SELECT external_id, lane, policy_version FROM review.item")
    return {name: (lane, version) for name, lane, version in rows}


def _told(placet_desk: Desk) -> list[Control]:
    rows = placet_desk.query("SELECT payload FROM review.outbox ORDER BY seq")
    events = [decode(row[0]) for row in rows]
    return [e for e in events if isinstance(e, Control) and e.control == "POLICY_CHANGED"]


def test_what_is_in_force_is_told_with_its_rules(placet_desk: Desk) -> None:
    told = _now(placet_desk.person("auditor"))
    assert told["version"] == parse_policy(POLICY).version
    assert told["text"] == POLICY
    assert told["rules"][1] == {
        "lane": "critical",
        "when": {"field": "answer", "amount_over": "1000"},
    }
    for name in ("reviewer", "approver", "sre"):
        assert placet_desk.person(name).http.get("/api/policy").status_code == 403
        assert placet_desk.person(name).http.get("/policy").status_code == 403


def test_preview_says_what_would_rise_and_what_would_stay_and_changes_nothing(
    placet_desk: Desk, admin: Person
) -> None:
    risks = {"low": 0.1, "middle": 0.5, "high": 0.95}
    placet_desk.ingest([review_item(n, risk=Risk(score=r)) for n, r in risks.items()])
    before = placet_desk.query("SELECT item_id, lane, version FROM review.item ORDER BY item_id")
    tried = admin.http.post("/api/policy/preview", json={"text": STRICT}).json()
    assert (tried["examined"], tried["complete"]) == (3, True)
    assert tried["lanes"] == {"ordinary": {"now": 2, "then": 1}, "critical": {"now": 1, "then": 2}}
    (moved,) = tried["items"]
    assert moved["item_id"] == item_id("support-rag", "q-middle")
    assert moved["lane"] == {"now": "ordinary", "then": "critical", "if_new": "critical"}
    lax = admin.http.post("/api/policy/preview", json={"text": LAX}).json()
    assert (lax["rising"], lax["staying"]) == (0, 1)
    assert lax["lanes"]["critical"] == {"now": 1, "then": 1}
    assert lax["items"][0]["lane"] == {"now": "critical", "then": "critical", "if_new": "ordinary"}
    after = placet_desk.query("SELECT item_id, lane, version FROM review.item ORDER BY item_id")
    assert after == before
    assert _told(placet_desk) == []


def test_preview_shows_fifty_and_counts_all(placet_desk: Desk, admin: Person) -> None:
    placet_desk.ingest([review_item(number) for number in range(510)])
    tried = admin.http.post("/api/policy/preview", json={"text": STRICT}).json()
    assert (tried["examined"], tried["rising"], len(tried["items"])) == (510, 510, 50)


def test_preview_names_targets_that_nobody_has_configured(placet_desk: Desk, admin: Person) -> None:
    text = '[[rule]]\nwhen = { target = "suport-faq" }\nlane = "critical"\n'
    tried = admin.http.post("/api/policy/preview", json={"text": text}).json()
    assert tried["unknown_targets"] == ["suport-faq"]


REFUSED = [
    ("not toml", "BAD_POLICY", 1),
    ('[[rule]]\nlane = "critical"\n\n[[rule]]\nlane = "fast"\n', "BAD_POLICY", 5),
    ('version = "x"\n[[rule]]\nwhen = { moon = 1 }\nlane = "critical"', "BAD_POLICY", 3),
    ("x" * 65_537, "TEXT_TOO_LONG", None),
]


@pytest.mark.parametrize(("text", "code", "line"), REFUSED, ids=["toml", "lane", "key", "long"])
def test_policy_that_cannot_be_used_is_refused_with_its_line(
    placet_desk: Desk, admin: Person, text: str, code: str, line: int | None
) -> None:
    before = _now(admin)
    for answer in (
        admin.http.post("/api/policy/preview", json={"text": text}),
        _save(admin, text),
    ):
        assert (answer.status_code, answer.json()["code"]) == (422, code)
        assert answer.json().get("line") == line
        assert line is None or answer.json()["detail"].startswith(f"Line {line}: ")
    assert _now(admin) == before


def test_saved_policy_is_history_and_told(placet_desk: Desk, admin: Person) -> None:
    base = _now(admin)["ordinal"]
    answer = _save(admin, STRICT, reason="the law of 1 December")
    assert answer.status_code == 201
    assert answer.json()["version"] == parse_policy(STRICT).version
    rows = placet_desk.query(
        "SELECT ordinal, text, name, reason, digest = sha256(convert_to(text, 'UTF8')),"
        " person_id IS NULL FROM review.policy WHERE ordinal > %s",
        base,
    )
    assert rows == [(base + 1, STRICT, "Admin", "the law of 1 December", True, False)]
    (told,) = _told(placet_desk)
    assert (told.scope, told.role, told.reason) == ("policy", "admin", "the law of 1 December")
    assert told.detail["version"] == parse_policy(STRICT).version
    assert told.detail["version_before"] == parse_policy(POLICY).version
    history = admin.http.get("/api/policy/history").json()["policies"]
    assert [one["ordinal"] for one in history][:2] == [base + 1, base]
    assert admin.http.get(f"/api/policy/{base + 1}").json()["text"] == STRICT
    for nothing in (str(base + 2), "0", "-1", str(2**40), "x"):
        assert admin.http.get(f"/api/policy/{nothing}").status_code == 404
    for change in ("UPDATE review.policy SET text = ''", "DELETE FROM review.policy"):
        with pytest.raises(psycopg.DatabaseError, match="append-only"):
            placet_desk.query(change)


def test_history_begins_with_the_file(
    postgres_server: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A desk that nobody has told of its file's policy decides by it, and keeps it when it goes."""
    with (
        fresh_database(postgres_server) as dsn,
        desk(dsn, tmp_path_factory.mktemp("desk")) as one,
    ):
        admin, item = one.person("admin"), review_item("first", risk=Risk(score=0.95))
        assert (_now(admin)["ordinal"], _now(admin)["text"]) == (0, POLICY)
        one.ingest([item])
        assert _lanes(one) == {"q-first": ("critical", parse_policy(POLICY).version)}
        reviewer = one.person()
        first = reviewer.decide(reviewer.item(item.item_id))
        assert first.json()["state"] == "SECOND_APPROVAL"
        assert _saved(admin, LAX) == 2
        rows = one.query("SELECT ordinal, text, person_id IS NULL FROM review.policy ORDER BY 1")
        assert rows == [(1, POLICY, True), (2, LAX, False)]


def test_saving_needs_a_reason_and_a_difference(placet_desk: Desk, admin: Person) -> None:
    before = _now(admin)
    for text, reason in ((STRICT, ""), (STRICT, "  "), (POLICY, "again")):
        answer = _save(admin, text, reason=reason)
        assert (answer.status_code, answer.json()["code"]) == (422, "BAD_VALUE")
    assert _now(admin) == before
    assert placet_desk.person("auditor").http.post("/api/policy", json={}).status_code == 403


def test_of_administrators_who_save_at_once_one_is_counted(
    placet_desk: Desk, admin: Person
) -> None:
    base = _saved(admin, LAX)

    def save(number: int) -> httpx.Response:
        with _again(placet_desk, admin) as http:
            text = STRICT + f"# {number}\n"
            return http.post("/api/policy", json={"text": text, "base": base, "reason": "race"})

    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(save, range(8)))
    assert sorted(one.status_code for one in answers) == [201] + [409] * 7
    lost = next(one for one in answers if one.status_code == 409).json()
    assert (lost["code"], lost["by"], lost["ordinal"]) == ("POLICY_CHANGED", "Admin", base + 1)
    assert len(_told(placet_desk)) == 2


def test_what_cannot_be_told_is_not_in_force(placet_desk: Desk, admin: Person) -> None:
    before = _now(admin)
    with psycopg.connect(placet_desk.dsn, autocommit=True) as connection:
        shut = "ADD CONSTRAINT shut CHECK (type <> 'Control') NOT VALID"
        connection.execute(f"ALTER TABLE review.outbox {shut}")
        try:
            assert _save(admin, STRICT).status_code == 500
        finally:
            connection.execute("ALTER TABLE review.outbox DROP CONSTRAINT shut")
    assert _now(admin) == before


def test_it_is_in_force_for_what_comes_and_in_every_process_at_once(
    placet_desk: Desk, admin: Person
) -> None:
    placet_desk.ingest([review_item("before")])
    app = create_app(
        build(settings(placet_desk.dsn, placet_desk.folder, placet_desk.dispatcher.url))
    )
    with served(app) as url:
        other = Person(url, "reviewer", "reviewer-secret")
        seen = other.item(review_item("before").item_id)
        assert _save(admin, STRICT).status_code == 201
        placet_desk.ingest([review_item("after")])
        version = parse_policy(STRICT).version
        assert _lanes(placet_desk)["q-after"] == ("critical", version)
        first = other.decide(seen)  # nobody has swept; the other process has asked nobody
        assert (first.status_code, first.json()["decision_id"]) == (201, None)
        assert first.json()["state"] == "SECOND_APPROVAL"
        assert _lanes(placet_desk)["q-before"] == ("critical", version)
        seen = other.item(review_item("after").item_id)
        old = other.decide(seen, "REJECT", reason_code="UNSUPPORTED")
        assert (old.status_code, old.json()["code"]) == (422, "BAD_REASON")
        assert other.decide(seen, "REJECT", reason_code="BY_LAW").status_code == 201
        other.http.close()
    statements = placet_desk.query("SELECT statement FROM review.decision")
    assert [from_text(row[0]).policy_version for row in statements] == [version]


@contextmanager
def _while_saving(placet_desk: Desk, text: str, do: Callable[[], Any]) -> Iterator[list[Any]]:
    """Have `do` wait for a policy that is being saved, and that it has not heard of; its answer."""
    policy, answer = parse_policy(text), []
    thread = threading.Thread(target=lambda: answer.append(do()))
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'advisory'"
    with psycopg.connect(placet_desk.dsn) as saving:
        saving.execute("SELECT pg_advisory_xact_lock(hashtextextended('review.policy', 0))")
        thread.start()
        for _ in range(3_000):
            if placet_desk.query(waiting) == [(1,)]:
                break
            thread.join(0.01)
        else:
            pytest.fail("nobody waited for the policy")
        saving.execute(
            "INSERT INTO review.policy (ordinal, version, digest, text, person_id)"
            " SELECT coalesce(max(ordinal), 0) + 1, %s, '', %s, gen_random_uuid()"
            "   FROM review.policy",
            (policy.version, text),
        )
    thread.join()
    yield answer


def test_decision_judged_by_the_policy_before_is_judged_again(placet_desk: Desk) -> None:
    item = review_item("race")
    placet_desk.ingest([item])
    reviewer = placet_desk.person()
    seen = reviewer.item(item.item_id)
    with _while_saving(placet_desk, STRICT, lambda: reviewer.decide(seen)) as (answer,):
        assert answer.status_code == 201, answer.text
        assert answer.json()["decision_id"] is None
    assert placet_desk.query("SELECT state, lane FROM review.item") == [
        ("SECOND_APPROVAL", "critical")
    ]
    assert placet_desk.query("SELECT count(*) FROM review.write_back") == [(0,)]


def test_first_approval_names_the_policy_that_is_in_force_when_it_counts(
    placet_desk: Desk,
) -> None:
    item = review_item("race", risk=Risk(score=0.95))
    placet_desk.ingest([item])
    reviewer = placet_desk.person()
    seen = reviewer.item(item.item_id)
    with _while_saving(placet_desk, STRICT, lambda: reviewer.decide(seen)) as (answer,):
        assert answer.json()["state"] == "SECOND_APPROVAL"
    ((statement,),) = placet_desk.query("SELECT statement FROM review.approval")
    assert from_text(statement).policy_version == parse_policy(STRICT).version


def test_batch_that_is_taken_in_while_a_policy_is_saved_is_under_it(placet_desk: Desk) -> None:
    items = [review_item("race")]
    with _while_saving(placet_desk, STRICT, lambda: placet_desk.ingest(items)) as (parked,):
        assert parked == []
    version = parse_policy(STRICT).version
    assert _lanes(placet_desk) == {"q-race": ("critical", version)}


def test_sweep_raises_what_waits_and_lowers_nothing(placet_desk: Desk, admin: Person) -> None:
    risks = {"low": 0.1, "middle": 0.5, "high": 0.95, "decided": 0.5, "held": 0.5, "asked": 0.5}
    placet_desk.ingest([review_item(n, risk=Risk(score=r)) for n, r in risks.items()])
    reviewer = placet_desk.person()
    ids = {name: item_id("support-rag", f"q-{name}") for name in risks}
    assert reviewer.decide(reviewer.item(ids["decided"])).status_code == 201
    assert reviewer.decide(reviewer.item(ids["asked"]), "NEED_INFO").status_code == 201
    claim = reviewer.http.post(f"/api/items/{ids['held']}/claim", json={}).json()
    old, new = parse_policy(POLICY).version, parse_policy(STRICT).version
    ordinal = _saved(admin, STRICT)
    assert _now(admin)["waiting"] is None
    sweep = Sweep(placet_desk.dsn)
    assert sweep.now() == 3
    assert _lanes(placet_desk) == {
        "q-low": ("ordinary", old),
        "q-middle": ("critical", new),
        "q-high": ("critical", old),
        "q-decided": ("ordinary", old),
        "q-held": ("critical", new),
        "q-asked": ("critical", new),
    }
    waiting = _now(admin)["waiting"]
    assert (waiting["examined"], waiting["raised"]) == (4, 3)  # critical ones are not looked at
    assert reviewer.http.get(f"/api/items/{ids['held']}").json()["claim"] is not None
    first = reviewer.decide(reviewer.item(ids["held"]), claim_token=claim["claim_token"])
    assert first.json()["state"] == "SECOND_APPROVAL"
    assert sweep.now() == 0
    assert _saved(admin, LAX) == ordinal + 1
    before = _lanes(placet_desk)
    assert sweep.now() == 0
    assert _lanes(placet_desk) == before
    assert _now(admin)["waiting"]["raised"] == 0


def test_sweep_goes_over_more_than_a_page_and_keys_that_are_alike(
    placet_desk: Desk, admin: Person
) -> None:
    placet_desk.ingest([review_item(number) for number in range(1_203)])
    _saved(admin, STRICT)
    assert Sweep(placet_desk.dsn).now() == 1_203
    assert {lane for lane, _ in _lanes(placet_desk).values()} == {"critical"}


def test_worker_sweeps_by_itself_and_one_worker_at_a_time(placet_desk: Desk, admin: Person) -> None:
    placet_desk.ingest([review_item(number) for number in range(3)])
    stop = threading.Event()
    threads = [threading.Thread(target=Sweep(placet_desk.dsn).run, args=(stop,)) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        _saved(admin, STRICT)
        for _ in range(3_000):
            if _now(admin)["waiting"]:
                break
            stop.wait(0.01)
        assert _now(admin)["waiting"]["raised"] == 3
        holding = placet_desk.query(
            "SELECT count(DISTINCT pid) FROM pg_locks JOIN pg_stat_activity USING (pid)"
            " WHERE locktype = 'advisory' AND application_name = 'review-sweep'"
        )
        assert holding == [(1,)]
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def test_file_is_the_policy_until_somebody_saves_one(placet_desk: Desk, tmp_path: Path) -> None:
    with fresh_database_like(placet_desk) as dsn:
        told = settings(dsn, tmp_path, "http://127.0.0.1:9")
        file = tmp_path / "policy.toml"

        def versions() -> list[str]:
            with psycopg.connect(dsn) as connection:
                found = connection.execute("SELECT version FROM review.policy ORDER BY ordinal")
                return [row[0] for row in found]

        def controls() -> int:
            with psycopg.connect(dsn) as connection:
                (row,) = connection.execute("SELECT count(*) FROM review.outbox")
                return int(row[0])

        install(told)
        install(told)
        assert versions() == [parse_policy(POLICY).version]
        file.write_text(LAX)
        install(told)
        assert versions() == [parse_policy(one).version for one in (POLICY, LAX)]
        assert controls() == 2
        with psycopg.connect(dsn) as connection:
            connection.execute(
                "INSERT INTO review.policy (ordinal, version, digest, text, person_id)"
                " VALUES (3, %s, sha256(%s), %s, gen_random_uuid())",
                (parse_policy(STRICT).version, STRICT.encode(), STRICT),
            )
        file.write_text(POLICY)
        install(told)
        assert versions()[2:] == [parse_policy(STRICT).version]
        assert controls() == 2


@contextmanager
def fresh_database_like(placet_desk: Desk) -> Iterator[str]:
    from tests.support.review import make_schema

    with fresh_database(psycopg.conninfo.make_conninfo(placet_desk.dsn, dbname="postgres")) as dsn:
        make_schema(dsn)
        yield dsn


def _form(admin: Person, path: str, **fields: Any) -> httpx.Response:
    return admin.http.post(path, data={"csrf": admin.csrf} | fields, follow_redirects=False)


def _hidden(page: httpx.Response, name: str) -> str:
    found = re.search(rf'name="{name}" value="([^"]*)"', page.text)
    assert found, page.text
    return found[1]


def test_page_tries_before_it_saves(placet_desk: Desk, admin: Person) -> None:
    placet_desk.ingest([review_item("<b>", risk=Risk(score=0.5))])
    first = admin.http.get("/policy")
    assert "the risk is at least 0.9" in first.text
    assert "answer becomes more than 1,000" in first.text
    text = STRICT.replace("\n", "\r\n")
    tried = _form(admin, "/policy/preview", text=text, base=_hidden(first, "base"))
    assert tried.status_code == 200
    assert "1 waiting item rises from ordinary to critical" in tried.text
    assert "(q-&lt;b&gt;)" in tried.text
    base = int(_hidden(first, "base"))
    sent = {"text": text, "base": base, "reason": "a test", "tried": _hidden(tried, "tried")}
    edited = _form(admin, "/policy", **(sent | {"text": text + "# more\r\n"}))
    assert edited.status_code == 200
    assert "changed the text since it was tried" in edited.text
    never = _form(admin, "/policy", **(sent | {"tried": ""}))
    assert (never.status_code, "If this were saved" in never.text) == (200, True)
    unreasoned = _form(admin, "/policy", **(sent | {"reason": " "}))
    assert unreasoned.status_code == 422
    assert _hidden(unreasoned, "tried") == sent["tried"]
    assert _now(admin)["ordinal"] == base
    saved = _form(admin, "/policy", **sent)
    assert (saved.status_code, saved.headers["location"]) == (303, "/policy?saved=1")
    shown = admin.http.get("/policy?saved=1").text
    assert "in force for everything from now on" in shown
    assert "a test" in shown
    assert _now(admin)["text"] == STRICT
    late = _form(admin, "/policy", **(sent | {"text": LAX, "tried": _tried(admin, LAX)}))
    assert late.status_code == 409
    assert (_hidden(late, "base"), _hidden(late, "tried")) == (str(_now(admin)["ordinal"]), "")
    past = placet_desk.person("auditor").http.get("/policy/1")
    assert past.status_code == 200
    assert "Number 1" in past.text
    assert "from policy.toml" in past.text


def _tried(admin: Person, text: str) -> str:
    return _hidden(_form(admin, "/policy/preview", text=text, base="0"), "tried")


def test_page_shows_the_line_that_is_wrong(placet_desk: Desk, admin: Person) -> None:
    text = '[[rule]]\nwhen = { risk_at_least = "<high>" }\nlane = "critical"'
    answer = _form(admin, "/policy/preview", text=text, base="0")
    assert answer.status_code == 422
    assert "Line 2: rule 1: risk_at_least is a number from 0 to 1" in answer.text
    assert "risk_at_least = &#34;&lt;high&gt;&#34;" in answer.text.split('role="alert"')[1]
    assert _hidden(answer, "tried") == ""
    assert placet_desk.person("auditor").http.get("/policy").text.count("<form") == 1


def test_openapi_tells_of_both_desks(placet_desk: Desk) -> None:
    paths = httpx.get(f"{placet_desk.url}/api/openapi.json", timeout=60).json()["paths"]
    wanted = {
        "/api/people/{account_id}/roles": {"roles", "version"},
        "/api/people/{account_id}/disable": {"version"},
        "/api/people/{account_id}/enable": {"version"},
        "/api/people/{account_id}/password": {"version"},
        "/api/policy": {"text", "base", "reason"},
        "/api/policy/preview": {"text"},
    }
    for path, fields in wanted.items():
        body = paths[path]["post"]["requestBody"]["content"]["application/json"]["schema"]
        assert set(body["required"]) == fields, path
