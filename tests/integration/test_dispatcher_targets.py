"""Conformance: what `Target` promises holds for every adapter, and for the double in memory."""

import json
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import pytest
from tests.support import articles, issues
from tests.support.articles_bench import SharePointBench
from tests.support.decisions import INSTANCE
from tests.support.faq import Faq, config, faq
from tests.support.issues_bench import JiraBench, renamed
from tests.support.memory_target import MemoryTarget
from tests.support.sandbox import Sandbox, running

from contract.events import Target as Place
from dispatcher.targets.columns import Column, Kind
from dispatcher.targets.jira import JiraTarget
from dispatcher.targets.sharepoint import SharePointTarget
from dispatcher.targets.sql import SqlTarget
from dispatcher.targets.target import Snapshot, Target
from dispatcher.writeback import (
    Absent,
    AlreadyApplied,
    Applied,
    Audit,
    Code,
    Conflict,
    Refused,
    Unavailable,
    WriteBack,
)

AUDIT = Audit(decision_id="d", correlation_id="c", reviewers=("Rita",), timestamp="t")


class Bench(Protocol):
    """A target with a way to change it behind its back and to count effects.

    It may say `holds` (values below that its fields do hold) and `knows_every_key` (False: a key
    used for another record is not noticed).
    """

    @property
    def target(self) -> Target: ...
    def edit(self, identifier: str, field: str, text: str) -> None: ...
    def effects(self) -> int: ...


class MemoryBench:
    def __init__(self) -> None:
        columns = {
            "answer": Column(name="answer", kind=Kind.TEXT, sql_type="text", nullable=False),
            "status": Column(name="status", kind=Kind.TEXT, sql_type="text", nullable=False),
            "short": Column(name="short", kind=Kind.TEXT, sql_type="varchar", length=5),
            "price": Column(
                name="price", kind=Kind.NUMERIC, sql_type="numeric", precision=10, scale=2
            ),
        }
        self.target = MemoryTarget(columns)
        for one in "abcde":
            self.target.add(one, {"answer": '""', "status": '"draft"'})

    def edit(self, identifier: str, field: str, text: str) -> None:
        self.target.change(identifier, field, text)

    def effects(self) -> int:
        return len(self.target.effects)


class SqlBench:
    def __init__(self, made: Faq) -> None:
        self.target = SqlTarget(config(), made.writer)
        self._faq = made
        made.add("abcde")

    def edit(self, identifier: str, field: str, text: str) -> None:
        self._faq.run(
            f"UPDATE faq_answer SET {field} = %s, version = version + 1 WHERE id = %s",
            json.loads(text),
            identifier,
        )
        self._faq.run("DELETE FROM effect")  # that one was not ours

    def effects(self) -> int:
        return len(self._faq.effects())


@pytest.fixture(scope="module")
def sharepoint() -> Iterator[Sandbox]:
    with running("sharepoint") as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def jira() -> Iterator[Sandbox]:
    with running("jira") as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def jira_data_center() -> Iterator[Sandbox]:
    with running("jira", "--deployment", "data-center") as sandbox:
        yield sandbox


@pytest.fixture(params=["memory", "sql", "sharepoint", "jira", "jira_data_center"])
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    if request.param == "memory":
        yield MemoryBench()
        return
    if request.param in {"jira", "jira_data_center"}:
        sandbox = request.getfixturevalue(request.param)
        sandbox.post("reset")
        issue = JiraBench(sandbox, request.getfixturevalue("tmp_path"))
        yield issue
        issue.target.close()
        return
    if request.param == "sharepoint":
        sandbox = request.getfixturevalue("sharepoint")
        sandbox.post("reset")
        site = SharePointBench(sandbox, request.getfixturevalue("tmp_path"))
        yield site
        site.target.close()
        return
    with faq(request.getfixturevalue("postgres")) as made:
        bench = SqlBench(made)
        yield bench
        bench.target.close()


def change(identifier: str, **fields: tuple[Any, Any]) -> WriteBack:
    """`fields`: name -> (value, seen) as Python values."""
    return WriteBack(
        write_back_id=str(uuid.uuid4()),
        target=Place(system="sql", instance=INSTANCE, identifier=identifier),
        step="fields",
        fields={name: json.dumps(value) for name, (value, _) in fields.items()},
        seen={name: json.dumps(seen) for name, (_, seen) in fields.items()},
        comment=None,
        audit=AUDIT,
    )


def read(bench: Bench, identifier: str) -> Snapshot:
    snapshot = bench.target.read(identifier)
    assert isinstance(snapshot, Snapshot)
    return snapshot


def test_a_change_is_applied_once_and_read_back(bench: Bench) -> None:
    outcome = bench.target.apply(change("a", answer=("new ✓\n", "")))
    assert isinstance(outcome, Applied)
    assert outcome.differs == ()
    assert json.loads(outcome.after["answer"]) == "new ✓\n"
    assert json.loads(outcome.before["answer"]) == ""
    assert outcome.version == read(bench, "a").version == "2"
    assert bench.effects() == 1


def test_the_same_key_again_changes_nothing(bench: Bench) -> None:
    once = change("a", answer=("new", ""))
    bench.target.apply(once)
    again = bench.target.apply(once)
    assert isinstance(again, AlreadyApplied)
    assert again.version == "2"
    assert again.before is not None
    assert json.loads(again.before["answer"]) == ""
    assert bench.effects() == 1


def test_the_same_key_is_recognised_after_somebody_else_changed_the_record(bench: Bench) -> None:
    once = change("a", answer=("new", ""))
    bench.target.apply(once)
    bench.edit("a", "answer", '"theirs"')
    assert isinstance(bench.target.apply(once), AlreadyApplied)
    assert json.loads(read(bench, "a").fields["answer"]) == "theirs"


def test_a_changed_field_that_moved_on_is_a_conflict_and_nothing_is_written(bench: Bench) -> None:
    bench.edit("a", "answer", '"theirs"')
    outcome = bench.target.apply(change("a", answer=("ours", "")))
    assert isinstance(outcome, Conflict)
    assert outcome.fields == ("answer",)
    assert json.loads(outcome.current["answer"]) == "theirs"
    assert json.loads(read(bench, "a").fields["answer"]) == "theirs"
    assert bench.effects() == 0


def test_a_change_to_another_field_is_no_conflict(bench: Bench) -> None:
    bench.edit("a", "status", '"published"')
    assert isinstance(bench.target.apply(change("a", answer=("ours", ""))), Applied)
    assert json.loads(read(bench, "a").fields["status"]) == "published"


def test_a_field_nobody_could_see_is_a_conflict(bench: Bench) -> None:
    blind = replace(change("a", answer=("new", "")), seen={"answer": None})
    assert isinstance(bench.target.apply(blind), Conflict)


def test_seen_values_are_compared_as_values_and_not_as_text(bench: Bench) -> None:
    first = change("a", price=(1.5, None))
    bench.target.apply(first)
    second = replace(change("a", price=(2, 0)), seen={"price": " 1.50 "})
    assert isinstance(bench.target.apply(second), Applied)


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"nothing": ("x", "")}, Code.UNKNOWN_FIELD),
        ({"answer": (5, "")}, Code.BAD_TYPE),
        ({"answer": ({"a": 1}, "")}, Code.BAD_TYPE),
        ({"answer": (None, "")}, Code.NOT_NULL),
        ({"answer": ("a\0b", "")}, Code.BAD_VALUE),
        ({"answer": ("\ud800", "")}, Code.BAD_VALUE),
        ({"short": ("longer", None)}, Code.TOO_LONG),
        ({"price": (1.234, None)}, Code.BAD_VALUE),
        ({"price": (123456789012, None)}, Code.BAD_VALUE),
        ({"price": ("1.2", None)}, Code.BAD_TYPE),
    ],
)
def test_what_a_field_cannot_hold_exactly_is_refused_by_name(
    bench: Bench, fields: dict[str, tuple[Any, Any]], code: Code
) -> None:
    if fields in getattr(bench, "holds", ()):
        pytest.skip("this target's field holds it")
    outcome = bench.target.apply(change("a", **fields))
    assert isinstance(outcome, Refused)
    assert outcome.code is code
    assert bench.effects() == 0


@pytest.mark.parametrize(
    "identifier",
    [
        "nobody",
        "../a",
        "a/../b",
        "a'; DROP TABLE faq_answer;--",
        'a"',
        "A",
        "a ",
        "a\n",
        "a\r\nX: y",
    ],
)
def test_a_record_that_is_not_there_is_refused_and_never_created(
    bench: Bench, identifier: str
) -> None:
    outcome = bench.target.apply(change(identifier, answer=("new", "")))
    assert isinstance(outcome, Refused)
    assert outcome.code in {Code.RECORD_NOT_FOUND, Code.BAD_IDENTIFIER}
    missing = bench.target.read(identifier)
    assert isinstance(missing, Refused)
    # Names in no canonical form are kept away from `apply` by the plan; SQL binds what it is given.
    assert missing.code in {Code.RECORD_NOT_FOUND, Code.BAD_IDENTIFIER}
    assert bench.effects() == 0


def test_a_key_used_for_another_record_is_refused(bench: Bench) -> None:
    if not getattr(bench, "knows_every_key", True):
        pytest.skip("this target looks for a key in its own record alone")
    first = change("a", answer=("new", ""))
    bench.target.apply(first)
    second = replace(change("b", answer=("new", "")), write_back_id=first.write_back_id)
    outcome = bench.target.apply(second)
    assert isinstance(outcome, Refused)
    assert outcome.code is Code.KEY_REUSED


def test_a_batch_gives_each_the_outcome_it_would_have_had_alone(bench: Bench) -> None:
    bench.edit("b", "answer", '"theirs"')
    done = change("c", answer=("new", ""))
    bench.target.apply(done)
    outcomes = bench.target.apply_batch(
        [
            change("a", answer=("new", "")),
            change("b", answer=("new", "")),
            done,
            change("nobody", answer=("new", "")),
            change("d", short=("longer", None)),
            change("e", answer=("new", ""), status=("published", "draft")),
        ]
    )
    kinds = [type(one) for one in outcomes]
    assert kinds == [Applied, Conflict, AlreadyApplied, Refused, Refused, Applied]
    assert bench.effects() == 3


def test_two_writes_to_one_record_in_a_batch_are_a_bug(bench: Bench) -> None:
    pair = [change("a", answer=("x", "")), change("a", answer=("y", ""))]
    with pytest.raises(ValueError, match="one record"):
        bench.target.apply_batch(pair)
    assert bench.effects() == 0


def test_a_probe_tells_absent_from_done(bench: Bench) -> None:
    one = change("a", answer=("new", ""))
    assert isinstance(bench.target.probe(one), Absent)
    bench.target.apply(one)
    assert isinstance(bench.target.probe(one), AlreadyApplied)
    assert bench.effects() == 1


def test_undo_restores_what_was_there(bench: Bench) -> None:
    applied = bench.target.apply(change("a", answer=("new", ""), price=(1.5, None)))
    assert isinstance(applied, Applied)
    undone = bench.target.undo(change("a"), applied.before, applied.after)
    assert isinstance(undone, Applied)
    fields = read(bench, "a").fields
    assert json.loads(fields["answer"]) == ""
    assert json.loads(fields["price"]) is None


def test_undo_after_somebody_elses_edit_is_a_conflict(bench: Bench) -> None:
    applied = bench.target.apply(change("a", answer=("new", "")))
    assert isinstance(applied, Applied)
    bench.edit("a", "answer", '"theirs"')
    assert isinstance(bench.target.undo(change("a"), applied.before, applied.after), Conflict)
    assert json.loads(read(bench, "a").fields["answer"]) == "theirs"


def test_normalise_knows_equal_values(bench: Bench) -> None:
    target = bench.target
    target.inspect()
    assert target.normalise("price", "1.50") == target.normalise("price", "15e-1")
    assert target.normalise("price", "1.50") != target.normalise("price", "1.51")
    assert target.normalise("answer", '"\\u0041"') == target.normalise("answer", ' "A"')
    assert target.normalise("answer", '"A"') != target.normalise("answer", '"A "')
    assert target.normalise("price", "null") != target.normalise("price", "0")


def test_a_target_that_is_away_is_unavailable_and_nothing_else(tmp_path: Path) -> None:
    nobody = SqlTarget(config(), "postgresql://x:y@127.0.0.1:1/z")
    memory = MemoryBench().target
    memory.away = True
    url = "http://127.0.0.1:1"
    site = SharePointTarget(articles.config(url), articles.write_secret(tmp_path, url))
    jira = renamed(JiraTarget(issues.config(url), issues.write_secret(tmp_path)))
    targets: tuple[Target, ...] = (nobody, memory, site, jira)
    for target in targets:
        one = change("1", answer=("new", ""))
        for outcome in (target.read("1"), target.apply(one), target.probe(one), target.ready()):
            assert isinstance(outcome, Unavailable)
            assert outcome.whole_target
        target.close()
