"""Requests that outlive whoever sent them: held, given up, probed, sent again, then let go.

A zombie is made in two ways. A process's request is held until the process has given it up and has
done the work by another; or the whole process is frozen with its requests out, its locks are lost,
and another process works for the target before it wakes. What the systems themselves say:

- SQL and SharePoint: no second effect, whatever lands when;
- Jira's fields: the late edit is the same edit, and changes nothing. One that is later than the
  record's next change does change it back, which the next decision finds as a conflict;
- Jira's comments: a late one is there twice until somebody looks. Every look removes the copy, and
  says so (`jira_comment_duplicate`).

What each adapter does with one late request is in its own tests (tests/integration).
"""

import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.business_systems import comments_of
from tests.support.desk import wait_for
from tests.support.dispatcher_process import Started
from tests.support.fleet import value_of
from tests.support.zombies import PATIENCE, RECORDS, ROWS, TIMEOUT, ZOMBIES, Scene, removals, scene

# Held, given up, sent again, let go


@pytest.fixture
def sql(postgres: str, kafka: str, tmp_path: Path) -> Iterator[Scene]:
    with scene("sql", postgres, kafka, tmp_path, settle=0) as one:
        yield one


@pytest.fixture
def sharepoint(postgres: str, kafka: str, tmp_path: Path) -> Iterator[Scene]:
    with scene("sharepoint", postgres, kafka, tmp_path, settle=0) as one:
        yield one


@pytest.fixture
def jira(postgres: str, kafka: str, tmp_path: Path) -> Iterator[Scene]:
    with scene("jira", postgres, kafka, tmp_path, settle=2) as one:
        yield one


def test_a_commit_that_is_late_lands_before_its_work_is_tried_again(sql: Scene) -> None:
    sql.hold(cut=True)
    sql.decide()
    process = sql.ship.start()
    process.until(lambda: sql.all_held() and sql.attempts() > 1, PATIENCE)
    assert len(sql.taken()) < ROWS
    sql.release()
    process.until(sql.done, PATIENCE)
    sql.assert_once(1)
    sql.assert_told_once()


def test_a_commit_whose_session_ended_never_lands_and_its_work_is_done_once(sql: Scene) -> None:
    sql.hold(cut=True)
    sql.decide()
    process = sql.ship.start()
    process.until(sql.all_held, PATIENCE)
    sql.system.faq.run(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE usename = %s AND state = 'idle in transaction'",
        sql.system.faq.role,
    )
    process.until(sql.done, PATIENCE)
    sql.release()
    sql.assert_once(1)


def test_a_late_merge_finds_another_etag(sharepoint: Scene) -> None:
    sharepoint.hold(cut=True)
    sharepoint.decide()
    process = sharepoint.ship.start()
    process.until(lambda: sharepoint.all_held() and sharepoint.done(), PATIENCE)
    sharepoint.decide()
    process.until(sharepoint.done, PATIENCE)
    sharepoint.release()
    assert sharepoint.statuses_of_held() == {412: ZOMBIES}
    sharepoint.assert_once(2)
    sharepoint.assert_told_once()


def test_late_edits_change_nothing_and_late_comments_are_removed(jira: Scene) -> None:
    jira.hold(cut=True)
    jira.decide()
    process = jira.ship.start()
    process.until(lambda: jira.all_held() and jira.done(), PATIENCE)
    jira.release()
    assert jira.statuses_of_held() == {204: ZOMBIES, 201: ZOMBIES}  # all of it was done again
    assert len(jira.system.changes()) >= RECORDS + ZOMBIES
    jira.assert_once(1)

    jira.decide()  # the next look at each issue
    process.until(jira.done, PATIENCE)
    jira.assert_once(2)
    assert_repaired(jira, [process])
    jira.assert_told_once()


def assert_repaired(jira: Scene, processes: list[Started]) -> None:
    """Of every comment there is one; what was there twice was removed, and each removal said.

    Said in the log by whoever did it, and told on the topic, for the audit log, by the last process
    (one that lost its lead ends before it tells).
    """
    done = comments_of(jira.system)
    assert len(done) == 2 * RECORDS
    assert {what.count("comment") - what.count("comment-delete") for what in done.values()} == {1}
    removed = [key for key, what in done.items() for one in what if one == "comment-delete"]
    assert len(set(removed)) >= ZOMBIES
    assert sorted(removed) == sorted(key for process in processes for key in removals(process))
    last = set(removals(processes[-1]))
    wait_for("removals told", lambda: last <= set(jira.fleet.repaired()), seconds=PATIENCE)
    assert set(jira.fleet.repaired()) <= set(removed)


def test_an_edit_later_than_the_next_change_is_found_by_the_decision_after_it(
    jira: Scene,
) -> None:
    """What Jira cannot keep out and `settle` is there for: never built upon, a person is asked."""
    jira.system.sandbox.break_next("hold", times=1, **jira.system.writes)
    jira.decide()
    process = jira.ship.start()
    process.until(jira.done, PATIENCE)
    jira.decide()
    process.until(jira.done, PATIENCE)
    jira.assert_once(2)
    jira.release()
    [zombie] = jira.taken()[2 * RECORDS :]
    assert zombie.value == value_of(1)

    jira.decide()
    process.until(lambda: sum(_ended(jira).values()) == jira.fleet.steps(jira.ship), PATIENCE)
    assert _ended(jira) == {
        "APPLIED": jira.fleet.steps(jira.ship) - 2,
        "CONFLICT": 1,
        "CANCELLED": 1,
    }


def _ended(one: Scene) -> Counter[str]:
    states = one.fleet.states(one.ship)
    return Counter({state: states[state] for state in ("APPLIED", "CONFLICT", "CANCELLED")})


# A frozen process, and another one in its place

SHAREPOINT = pytest.param("sharepoint", marks=pytest.mark.long)
JIRA = pytest.param("jira", marks=pytest.mark.long)  # what is late, without a frozen process: above


@pytest.fixture
def frozen(
    request: pytest.FixtureRequest, postgres: str, kafka: str, tmp_path: Path
) -> Iterator[Scene]:
    # An intent may be sent for half of it, and is given up TIMEOUT after that.
    with scene(request.param, postgres, kafka, tmp_path, settle=2 * TIMEOUT + 1) as one:
        yield one


def freeze(one: Scene) -> tuple[Started, Started]:
    """Stop a process with its requests out, take its locks, and have another one lead."""
    first = one.ship.start()
    first.until(lambda: "dispatcher_leads" in first.events(), PATIENCE)
    second = one.ship.start(second=True)
    one.hold(cut=False)
    one.decide()
    first.until(one.all_held, PATIENCE)
    first.process.send_signal(signal.SIGSTOP)
    one.fleet.cut_ledger()
    second.until(lambda: "dispatcher_leads" in second.events(), PATIENCE)
    return first, second


def thaw(process: Started) -> None:
    """Let it run on: it has lost its place, says so, and ends."""
    process.process.send_signal(signal.SIGCONT)
    assert process.process.wait(PATIENCE) == 1
    assert "LeadLostError" in process.log.read_text()


@pytest.mark.parametrize("frozen", ["sql", SHAREPOINT, JIRA], indirect=True)
def test_a_process_that_wakes_in_time_is_one_effect_with_its_successor(frozen: Scene) -> None:
    first, second = freeze(frozen)
    first.process.send_signal(signal.SIGCONT)
    frozen.release()
    assert first.process.wait(PATIENCE) == 1
    second.until(frozen.done, PATIENCE)
    assert len(frozen.system.changes()) == len(
        frozen.system.records
    )  # not even one that changes nothing
    frozen.assert_once(1)
    frozen.assert_told_once()
    if frozen.system.kind == "jira":
        assert list(comments_of(frozen.system).values()) == [["comment"]] * RECORDS


def test_a_process_that_slept_over_its_commit_does_nothing_more(
    postgres: str, kafka: str, tmp_path: Path
) -> None:
    with scene("sql", postgres, kafka, tmp_path, settle=0) as sql:
        first, second = freeze(sql)
        second.until(lambda: sql.attempts() > 0, PATIENCE)  # the rows are the sleeper's still
        assert len(sql.taken()) < ROWS
        sql.release()
        second.until(sql.done, PATIENCE)
        thaw(first)
        sql.decide()
        second.until(sql.done, PATIENCE)
        sql.assert_once(2)
        sql.assert_told_once()


@pytest.mark.parametrize("frozen", [SHAREPOINT, JIRA], indirect=True)
def test_what_a_sleeper_sent_lands_after_its_successor_did_the_work(frozen: Scene) -> None:
    first, second = freeze(frozen)
    second.until(frozen.done, PATIENCE)
    thaw(first)
    frozen.release()
    frozen.assert_once(1)
    frozen.decide()
    second.until(frozen.done, PATIENCE)
    frozen.assert_once(2)
    if frozen.system.kind == "jira":
        assert frozen.statuses_of_held() == {204: ZOMBIES, 201: ZOMBIES}
        assert len(frozen.system.changes()) >= 2 * RECORDS + ZOMBIES
        assert_repaired(frozen, [first, second])
    else:
        assert frozen.statuses_of_held() == {412: ZOMBIES}
    frozen.assert_told_once()
