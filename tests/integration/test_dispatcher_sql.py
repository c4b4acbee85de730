"""The PostgreSQL adapter where the conformance suite does not look: types, locks, rights."""

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import psycopg
import pytest
from tests.integration.test_dispatcher_targets import change
from tests.support.faq import Faq, config, faq

from conveyor.errors import UnavailableError
from dispatcher.targets.sql import SqlTarget
from dispatcher.targets.target import Snapshot, StartRefusedError
from dispatcher.writeback import (
    AlreadyApplied,
    Applied,
    Code,
    Conflict,
    Outcome,
    Refused,
    Unavailable,
)


@pytest.fixture
def made(postgres: str) -> Iterator[Faq]:
    with faq(postgres, [f"q{i}" for i in range(200)]) as one:
        yield one


@pytest.fixture
def target(made: Faq) -> Iterator[SqlTarget]:
    one = SqlTarget(config(), made.writer)
    yield one
    one.close()


VALUES = [
    ("question", '"a\\u00e9\\"\\\\ \\ud83d\\ude00\\n"'),
    ("price", "12345678.91"),
    ("price", "-0.10"),
    ("price", "1e3"),
    ("rank", "-2147483648"),
    ("rank", "7.0"),
    ("open", "true"),
    ("seen_at", '"2026-11-24T10:00:00.123456+05:30"'),
    ("seen_at", '"0001-01-01T00:00:00Z"'),
    ("day", '"2024-02-29"'),
    ("tag", '"B6E87070-6681-5338-B243-FDB88F23E92E"'),
    ("extra", '{"b": [1.50, null, true], "a": "\\u2713", "n": 123456789012345678901234567890}'),
    ("extra", '"text"'),
    ("weight", "0.1"),
    ("weight", "1e300"),
    ("labels", '["a", null, "b\\"c", "{}", ""]'),
    ("short", '"ééééé"'),
    ("price", "null"),
]


@pytest.mark.parametrize(("field", "text"), VALUES)
def test_a_value_of_every_type_reads_back_as_approved(
    target: SqlTarget, field: str, text: str
) -> None:
    before = target.read("q1")
    assert isinstance(before, Snapshot)
    one = replace(change("q1"), fields={field: text}, seen={field: before.fields[field]})
    outcome = target.apply(one)
    assert isinstance(outcome, Applied)
    assert outcome.differs == ()
    after = target.read("q1")
    assert isinstance(after, Snapshot)
    assert target.normalise(field, after.fields[field]) == target.normalise(field, text)


@pytest.mark.parametrize(
    ("field", "text", "code"),
    [
        ("rank", "2147483648", Code.BAD_VALUE),
        ("rank", "1.5", Code.BAD_TYPE),
        ("rank", "true", Code.BAD_TYPE),
        ("rank", "1" + "0" * 5000, Code.BAD_VALUE),
        ("price", "1e999999", Code.BAD_VALUE),
        ("weight", "1e400", Code.BAD_VALUE),
        ("weight", "0.1234567890123456789", Code.BAD_VALUE),
        ("seen_at", '"2026-11-24T10:00:00"', Code.BAD_TYPE),
        ("seen_at", '"2026-11-24T10:00:00.1234567Z"', Code.BAD_TYPE),
        ("seen_at", '"2026-02-30T10:00:00Z"', Code.BAD_TYPE),
        ("day", '"2026-02-30"', Code.BAD_TYPE),
        ("tag", '"no"', Code.BAD_TYPE),
        ("extra", '{"a": "\\u0000"}', Code.BAD_VALUE),
        ("extra", "[" * 100_000, Code.BAD_TYPE),
        ("extra", "NaN", Code.BAD_TYPE),
        ("labels", "[1]", Code.BAD_TYPE),
        ("question", "nonsense", Code.BAD_TYPE),
        ("question", "", Code.BAD_TYPE),
    ],
)
def test_a_value_the_column_would_change_is_refused_before_anything_is_sent(
    made: Faq, target: SqlTarget, field: str, text: str, code: Code
) -> None:
    outcome = target.apply(replace(change("q1"), fields={field: text}, seen={field: "null"}))
    assert isinstance(outcome, Refused)
    assert outcome.code is code
    assert made.effects() == []


@pytest.mark.parametrize("bad", [0, 57, 199])
def test_a_row_the_database_refuses_does_not_take_the_others_with_it(
    made: Faq, target: SqlTarget, bad: int
) -> None:
    batch = [
        change(f"q{i}", status=("forbidden" if i == bad else "published", "draft"))
        for i in range(200)
    ]
    outcomes = target.apply_batch(batch)
    refused = outcomes.pop(bad)
    assert isinstance(refused, Refused)
    assert refused.code is Code.CONSTRAINT
    assert "forbidden" not in refused.detail
    assert all(isinstance(one, Applied) for one in outcomes)
    assert len(made.effects()) == 199
    assert made.run("SELECT count(*) FROM placet_write_back") == [(199,)]


def test_a_constraint_that_is_checked_at_commit_refuses_its_own_row_only(
    made: Faq, target: SqlTarget
) -> None:
    made.run(
        "CREATE FUNCTION late() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN IF new.answer = 'bad' THEN RAISE 'no' USING ERRCODE = 'MYERR'; END IF; "
        "RETURN NULL; END $$;"
        "CREATE CONSTRAINT TRIGGER late AFTER UPDATE ON faq_answer DEFERRABLE INITIALLY DEFERRED "
        "FOR EACH ROW EXECUTE FUNCTION late()"
    )
    outcomes = target.apply_batch(
        [change(f"q{i}", answer=("bad" if i == 3 else "good", "")) for i in range(8)]
    )
    refused = outcomes.pop(3)
    assert isinstance(refused, Refused)
    assert refused.code is Code.TARGET_REFUSED
    assert all(isinstance(one, Applied) for one in outcomes)
    assert len(made.effects()) == 7


@pytest.mark.parametrize("when", ["BEFORE", "AFTER"])
def test_a_trigger_that_changes_the_value_is_said(made: Faq, target: SqlTarget, when: str) -> None:
    body = (
        "new.answer := 'other'; RETURN new;"
        if when == "BEFORE"
        else "IF new.answer <> 'other' THEN UPDATE faq_answer SET answer = 'other' "
        "WHERE id = new.id; END IF; RETURN NULL;"
    )
    made.run(
        "CREATE FUNCTION meddle() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS "
        f"$$ BEGIN {body} END $$;"
        f"CREATE TRIGGER meddle {when} UPDATE ON faq_answer FOR EACH ROW EXECUTE FUNCTION meddle()"
    )
    once = change("q1", answer=("approved", ""))
    outcome = target.apply(once)
    assert isinstance(outcome, Applied)
    assert outcome.differs == ("answer",)
    again = target.apply(once)
    assert isinstance(again, AlreadyApplied)
    assert again.differs == ("answer",)


def test_a_trigger_that_drops_the_update_is_refused_and_leaves_no_key(
    made: Faq, target: SqlTarget
) -> None:
    made.run(
        "CREATE FUNCTION drop_it() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN IF new.id = 'q1' THEN RETURN NULL; END IF; RETURN new; END $$;"
        "CREATE TRIGGER drop_it BEFORE UPDATE ON faq_answer FOR EACH ROW EXECUTE FUNCTION drop_it()"
    )
    outcomes = target.apply_batch([change(f"q{i}", answer=("new", "")) for i in (1, 2)])
    assert isinstance(outcomes[0], Refused)
    assert outcomes[0].code is Code.WRITE_SUPPRESSED
    assert isinstance(outcomes[1], Applied)
    assert made.run("SELECT identifier FROM placet_write_back") == [("q2",)]


def test_a_record_that_our_own_write_moved_is_not_written_over(
    made: Faq, target: SqlTarget
) -> None:
    """Locks keep others out, not a trigger that our first write sets off: the version does."""
    made.run(
        "CREATE FUNCTION cascade() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS "
        "$$ BEGIN IF new.id = 'q1' THEN UPDATE faq_answer SET answer = 'theirs', "
        "version = version + 1 WHERE id = 'q2'; END IF; RETURN NULL; END $$;"
        "CREATE TRIGGER cascade AFTER UPDATE ON faq_answer FOR EACH ROW EXECUTE FUNCTION cascade()"
    )
    both = [change("q1", answer=("new", "")), change("q2", answer=("new", ""), question=("q", ""))]
    written, refused = target.apply_batch(both)
    assert isinstance(written, Applied)
    assert isinstance(refused, Refused)
    assert made.answer("q2") == ("theirs", 2)
    assert made.run("SELECT identifier FROM placet_write_back") == [("q1",)]


def test_a_locked_record_waits_and_the_others_do_not(made: Faq, target: SqlTarget) -> None:
    with psycopg.connect(made.owner) as other:
        other.execute("SELECT * FROM faq_answer WHERE id = 'q1' FOR UPDATE")
        started = time.monotonic()
        outcomes = target.apply_batch([change(f"q{i}", answer=("new", "")) for i in range(5)])
        assert time.monotonic() - started < 4
    locked = outcomes.pop(1)
    assert isinstance(locked, Unavailable)
    assert locked.code is Code.RECORD_LOCKED
    assert not locked.whole_target
    assert all(isinstance(one, Applied) for one in outcomes)


def test_an_edit_that_commits_while_we_wait_for_its_lock_is_a_conflict(
    made: Faq, target: SqlTarget
) -> None:
    outcomes: list[Outcome] = []
    with psycopg.connect(made.owner) as other:
        other.execute("UPDATE faq_answer SET answer = 'theirs' WHERE id = 'q1'")
        worker = threading.Thread(
            target=lambda: outcomes.append(target.apply(change("q1", answer=("ours", ""))))
        )
        worker.start()
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        while made.run(waiting) == [(0,)] and worker.is_alive():
            pass
        other.commit()
        worker.join()
    assert isinstance(outcomes[0], Conflict)
    assert made.answer("q1")[0] == "theirs"


def test_a_table_that_changed_under_us_is_looked_at_again(made: Faq, target: SqlTarget) -> None:
    target.inspect()
    made.run("ALTER TABLE faq_answer RENAME COLUMN answer TO reply")
    gone = target.apply(change("q1", answer=("new", "")))
    assert isinstance(gone, Unavailable)
    assert gone.code is Code.TARGET_CHANGED
    made.run("ALTER TABLE faq_answer RENAME COLUMN reply TO answer")
    assert isinstance(target.apply(change("q1", answer=("new", ""))), Applied)


def test_a_connection_that_broke_while_idle_costs_no_attempt(made: Faq, target: SqlTarget) -> None:
    assert isinstance(target.apply(change("q1", answer=("new", ""))), Applied)
    assert isinstance(target.read("q1"), Snapshot)
    made.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s", made.role)
    assert isinstance(target.apply(change("q2", answer=("new", ""))), Applied)
    assert isinstance(target.read("q2"), Snapshot)
    assert len(made.effects()) == 2


def test_names_with_quotes_and_percent_signs_are_names(made: Faq) -> None:
    made.run(
        'CREATE TABLE "odd ""%s table" ("k%%" integer PRIMARY KEY, "v;--" text, "n%s" bigint);'
        'INSERT INTO "odd ""%s table" VALUES (7, \'old\', 1);'
        f'GRANT SELECT, UPDATE ON "odd ""%s table" TO "{made.role}"'
    )
    odd = SqlTarget(
        config(table='odd "%s table', key_column="k%%", version_column="n%s", columns=("v;--",)),
        made.writer,
    )
    fields = {"v;--": ("new", "old")}
    assert isinstance(odd.apply(change("7", **fields)), Applied)
    for other_name in ("07", "+7", "7.0", " 7", "99999999999"):
        refused = odd.apply(change(other_name, **fields))
        assert isinstance(refused, Refused)
        assert refused.code is Code.BAD_IDENTIFIER
    odd.close()


REFUSALS: list[tuple[str, dict[str, Any], str]] = [
    ("ALTER ROLE {role} SUPERUSER", {}, "TOO_BROAD_RIGHTS"),
    ("ALTER ROLE {role} BYPASSRLS", {}, "TOO_BROAD_RIGHTS"),
    ("ALTER ROLE {role} CREATEDB", {}, "TOO_BROAD_RIGHTS"),
    ("ALTER ROLE {role} CREATEROLE", {}, "TOO_BROAD_RIGHTS"),
    ("GRANT pg_write_all_data TO {role}", {}, "TOO_BROAD_RIGHTS"),
    ("ALTER TABLE faq_answer OWNER TO {role}", {}, "TOO_BROAD_RIGHTS"),
    ("REVOKE UPDATE ON faq_answer FROM {role}", {}, "MISSING_RIGHTS"),
    ("REVOKE INSERT ON placet_write_back FROM {role}", {}, "MISSING_RIGHTS"),
    ("DROP TABLE placet_write_back", {}, "NO_KEY_TABLE"),
    ("SELECT 1", {"table": "nothing"}, "TABLE_NOT_FOUND"),
    ("SELECT 1", {"columns": ("nothing",)}, "COLUMN_NOT_FOUND"),
    ("SELECT 1", {"columns": ("version",)}, "CONFIG_INCOMPLETE"),
    ("SELECT 1", {"columns": ()}, "CONFIG_INCOMPLETE"),
    ("SELECT 1", {"version_column": None}, "CONFIG_INCOMPLETE"),
    ("SELECT 1", {"version_column": "status"}, "VERSION_TYPE"),
    ("SELECT 1", {"key_column": "price"}, "KEY_TYPE"),
    ("SELECT 1", {"key_column": "question"}, "KEY_NOT_UNIQUE"),
    ("ALTER TABLE faq_answer ALTER short TYPE bytea USING ''", {}, "COLUMN_TYPE_NOT_SUPPORTED"),
]


@pytest.mark.parametrize(("statement", "changes", "code"), REFUSALS)
def test_what_must_not_be_worked_with_is_refused_at_start(
    made: Faq, statement: str, changes: dict[str, Any], code: str
) -> None:
    made.run(statement.format(role=f'"{made.role}"'))
    wanted = {"columns": ("answer", "short")} | changes
    if wanted.get("key_column") in wanted["columns"]:
        wanted["columns"] = ("answer",)
    refused = SqlTarget(config(**wanted), made.writer)
    with pytest.raises(StartRefusedError) as raised:
        refused.inspect()
    assert raised.value.code == code
    if code == "NO_KEY_TABLE":
        assert "CREATE TABLE IF NOT EXISTS placet_write_back" in str(raised.value)
    if statement.startswith("ALTER TABLE faq_answer OWNER"):
        made.run("ALTER TABLE faq_answer OWNER TO CURRENT_USER")
    refused.close()


def test_a_target_that_is_away_is_not_refused_at_start() -> None:
    nobody = SqlTarget(config(), "postgresql://x:y@127.0.0.1:1/z")
    with pytest.raises(UnavailableError):
        nobody.inspect()
    nobody.close()


def test_column_rights_are_enough(made: Faq) -> None:
    made.run(
        f'REVOKE ALL ON faq_answer FROM "{made.role}";'
        "GRANT SELECT (id, answer, version), UPDATE (answer, version) "
        f'ON faq_answer TO "{made.role}"'
    )
    narrow = SqlTarget(config(columns=("answer",)), made.writer)
    assert isinstance(narrow.apply(change("q1", answer=("new", ""))), Applied)
    narrow.close()


def test_a_server_that_hangs_is_cut_off(made: Faq) -> None:
    slow = SqlTarget(config(), made.writer, limit=0.5)
    made.run(
        "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN PERFORM pg_sleep(10); RETURN new; END $$;"
        "CREATE TRIGGER slow BEFORE UPDATE ON faq_answer FOR EACH ROW EXECUTE FUNCTION slow()"
    )
    started = time.monotonic()
    outcome = slow.apply(change("q1", answer=("new", "")))
    assert time.monotonic() - started < 5
    assert isinstance(outcome, Unavailable)
    assert outcome.code is Code.TARGET_AWAY
    slow.close()


# Bad input and a target that is not as it was: each has a name, and nothing is written


def test_a_deleted_record_is_refused_and_leaves_no_key(made: Faq, target: SqlTarget) -> None:
    assert isinstance(target.read("q1"), Snapshot)
    made.run("DELETE FROM faq_answer WHERE id = 'q1'")
    for outcome in (target.apply(change("q1", answer=("new", ""))), target.read("q1")):
        assert isinstance(outcome, Refused)
        assert outcome.code is Code.RECORD_NOT_FOUND
    assert made.run("SELECT count(*) FROM placet_write_back") == [(0,)]


def test_a_right_that_was_taken_away_is_named_and_waited_for(made: Faq, target: SqlTarget) -> None:
    target.inspect()
    made.run(f'REVOKE UPDATE ON faq_answer FROM "{made.role}"')
    denied = target.apply(change("q1", answer=("new", "")))
    assert isinstance(denied, Unavailable)
    assert denied.code is Code.PERMISSION_DENIED
    assert made.effects() == []
    made.run(f'GRANT UPDATE ON faq_answer TO "{made.role}"')
    assert isinstance(target.apply(change("q1", answer=("new", ""))), Applied)


def test_a_login_that_ended_is_named_and_waited_for(made: Faq, target: SqlTarget) -> None:
    target.inspect()
    made.run(f'ALTER ROLE "{made.role}" NOLOGIN')
    made.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s", made.role)
    for outcome in (target.apply(change("q1", answer=("new", ""))), target.read("q1")):
        assert isinstance(outcome, Unavailable)
        assert (outcome.code, outcome.whole_target) == (Code.LOGIN_REFUSED, True)
    made.run(f'ALTER ROLE "{made.role}" LOGIN')
    assert isinstance(target.apply(change("q1", answer=("new", ""))), Applied)


@pytest.mark.parametrize("changes", [{"host": "no-such-host.invalid"}, {"sslmode": "require"}])
def test_a_wrong_host_or_no_tls_is_the_targets_absence(made: Faq, changes: dict[str, str]) -> None:
    away = SqlTarget(config(), psycopg.conninfo.make_conninfo(made.writer, **changes))
    outcome = away.apply(change("q1", answer=("new", "")))
    assert isinstance(outcome, Unavailable)
    assert (outcome.code, outcome.whole_target) == (Code.TARGET_AWAY, True)
    assert made.writer.split("password=")[1][:6] not in repr(outcome)
    away.close()
