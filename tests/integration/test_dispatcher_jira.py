"""Jira Cloud and Data Center through the real library: once, whatever breaks on the way.

Effects are counted in the stand-in's own log.
"""

import json
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import requests
from tests.support import issues
from tests.support.issues import change, note
from tests.support.sandbox import PATIENCE, Sandbox, running

from conveyor.errors import UnavailableError
from dispatcher.targets.jira import JiraTarget
from dispatcher.targets.jira_prepared import Prepared
from dispatcher.targets.target import Snapshot, StartRefusedError
from dispatcher.writeback import (
    Absent,
    AlreadyApplied,
    Applied,
    Code,
    Conflict,
    Outcome,
    Probe,
    Refused,
    Unavailable,
    Unknown,
    WriteBack,
)

SUMMARY = "Charged twice for order 4711"
ISSUE = r"/issue/SUP-\d+(\?|$)"
COMMENT = r"/issue/SUP-\d+/comment"


@pytest.fixture(scope="module")
def cloud_process() -> Iterator[Sandbox]:
    with running("jira") as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def data_center_process() -> Iterator[Sandbox]:
    with running("jira", "--deployment", "data-center") as sandbox:
        yield sandbox


@pytest.fixture
def cloud(cloud_process: Sandbox) -> Sandbox:
    cloud_process.post("reset")
    return cloud_process


@pytest.fixture
def data_center(data_center_process: Sandbox) -> Sandbox:
    data_center_process.post("reset")
    return data_center_process


@pytest.fixture(params=["cloud", "data_center"])
def sandbox(request: pytest.FixtureRequest) -> Sandbox:
    found: Sandbox = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def target(sandbox: Sandbox, tmp_path: Path) -> Iterator[JiraTarget]:
    target = issues.target(sandbox, tmp_path)
    assert target.ready() is None
    yield target
    target.close()


@pytest.fixture
def on_cloud(cloud: Sandbox, tmp_path: Path) -> Iterator[JiraTarget]:
    target = issues.target(cloud, tmp_path)
    assert target.ready() is None
    yield target
    target.close()


def summary(value: str = "New", seen: str = SUMMARY) -> WriteBack:
    return change("SUP-1", summary=(value, seen))


def field(target: JiraTarget, name: str, identifier: str = "SUP-1") -> Any:
    snapshot = target.read(identifier)
    assert isinstance(snapshot, Snapshot)
    return json.loads(snapshot.fields[name])


def edits(sandbox: Sandbox, one: WriteBack) -> int:
    """Edits that carry this write-back's marker."""
    return sum(
        effect["operation"] == "edit" and one.write_back_id in (effect["marker"] or "")
        for effect in sandbox.effects(one.target.identifier)
    )


def comments(sandbox: Sandbox, identifier: str = "SUP-1") -> list[dict[str, Any]]:
    """What is on the issue now."""
    records = sandbox.get("records")
    listed = records["records"] if isinstance(records, dict) else records
    [record] = [one for one in listed if one["record"] == identifier]
    found: list[dict[str, Any]] = record["comments"]
    return found


def drained(target: JiraTarget, one: WriteBack, tries: int = 30) -> Outcome | Probe:
    """What the engine does: never send again what is unknown before a probe says Absent."""
    outcome: Outcome | Probe = target.apply(one)
    for _ in range(tries):
        if isinstance(outcome, Unknown):
            probe = target.probe(one)
            if isinstance(probe, AlreadyApplied):
                return probe
            if isinstance(probe, Absent):
                outcome = target.apply(one)
        elif isinstance(outcome, Unavailable):
            outcome = target.apply(one)
        else:
            return outcome
    raise AssertionError(f"still {outcome}")


def until(condition: Callable[[], Any]) -> Any:
    """Asks again and again; the asking is a request, so it does not spin."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if found := condition():
            return found
    raise AssertionError("it never happened")


# What a write is


CLOUD_DOCUMENT = {
    "version": 1,
    "type": "doc",
    "content": [
        {"type": "heading", "attrs": {"level": 2}, "content": [{"type": "text", "text": "Why"}]}
    ],
}


@pytest.mark.parametrize(
    ("name", "value", "read_as"),
    [
        ("summary", "Refunded ✓", "Refunded ✓"),
        ("description", "One\ntwo\n\nthree", "One\ntwo\n\nthree"),
        ("description", "", None),
        ("priority", "Lowest", "Lowest"),
        ("labels", ["b", "a", "a"], ["a", "b"]),
        ("labels", [], []),
        ("duedate", "2026-12-24", "2026-12-24"),
        ("customfield_10050", "Account", "Account"),
        ("customfield_10050", None, None),
        ("customfield_10051", "  kept as it is \n", "  kept as it is \n"),
        ("customfield_10052", 12.5, 12.5),
        ("customfield_10052", 12, 12),
        ("customfield_10052", None, None),
        ("customfield_10054", "2026-11-24T10:00:00+02:00", "2026-11-24T08:00:00.000+0000"),
    ],
)
def test_every_kind_of_field_is_written_and_read_back(
    target: JiraTarget, name: str, value: Any, read_as: Any
) -> None:
    outcome = target.apply(change("SUP-1", **{name: (value, field(target, name))}))
    assert isinstance(outcome, Applied)
    assert outcome.differs == ()
    assert field(target, name) == read_as


def test_people_are_account_ids_on_cloud_and_names_on_data_center(target: JiraTarget) -> None:
    seen = field(target, "assignee")
    cloud = seen != "dana"
    value = "5f1c0a7e9b2d4e0068a1b001" if cloud else "placet"
    outcome = target.apply(change("SUP-1", assignee=(value, seen)))
    assert isinstance(outcome, Applied)
    assert outcome.differs == ()
    assert field(target, "assignee") == value


def test_a_formatted_text_is_a_document_on_cloud_and_comes_back_whole(on_cloud: JiraTarget) -> None:
    before = field(on_cloud, "description")
    written = on_cloud.apply(change("SUP-1", description=(CLOUD_DOCUMENT, before)))
    assert isinstance(written, Applied)
    assert written.differs == ()
    plain = on_cloud.apply(change("SUP-1", description=("Plain.", CLOUD_DOCUMENT)))
    assert isinstance(plain, Applied)
    undone = on_cloud.undo(change("SUP-1"), plain.before, plain.after)
    assert isinstance(undone, Applied)
    assert undone.differs == ()
    assert field(on_cloud, "description") == CLOUD_DOCUMENT


def test_a_document_is_no_value_on_data_center(data_center: Sandbox, tmp_path: Path) -> None:
    target = issues.target(data_center, tmp_path)
    seen = field(target, "description")
    outcome = target.apply(change("SUP-1", description=(CLOUD_DOCUMENT, seen)))
    assert isinstance(outcome, Refused)
    assert outcome.code is Code.BAD_TYPE
    target.close()


def test_a_write_of_fields_is_three_requests(sandbox: Sandbox, target: JiraTarget) -> None:
    start = len(sandbox.requests())
    assert isinstance(target.apply(summary()), Applied)
    assert [one["method"] for one in sandbox.requests()[start:]] == ["GET", "PUT", "GET"]


def test_a_comment_is_four_requests_on_data_center(data_center: Sandbox, tmp_path: Path) -> None:
    target = issues.target(data_center, tmp_path)
    assert target.ready() is None
    start = len(data_center.requests())
    assert isinstance(target.apply(note("SUP-1")), Applied)
    assert [one["method"] for one in data_center.requests()[start:]] == [
        "GET",
        "GET",
        "POST",
        "GET",
    ]
    target.close()


def test_a_comment_is_six_requests_on_cloud_and_the_polls_of_a_task(
    cloud: Sandbox, on_cloud: JiraTarget
) -> None:
    start = len(cloud.requests())
    assert isinstance(on_cloud.apply(note("SUP-1")), Applied)
    made = [(one["method"], one["path"]) for one in cloud.requests()[start:]]
    polls = [one for one in made if "/task/" in one[1]]
    assert 1 <= len(polls) <= 3
    assert [one[0] for one in made if one not in polls] == [
        "GET", "PUT", "GET", "POST", "GET",
    ]  # fmt: skip


def test_a_comment_says_why_who_when_and_on_what_grounds(
    sandbox: Sandbox, target: JiraTarget
) -> None:
    written = target.apply(note("SUP-1", "Refund *now*, see [~admin] {code}x{code}\n# one"))
    assert isinstance(written, Applied)
    assert written.differs == ()
    [comment] = comments(sandbox)
    shown = comment["text"].replace("\\", "")
    assert "Refund *now*, see [~admin] {code}x{code}\n# one" in shown
    assert "Approved by Rita Reviewer at 2026-11-24T10:00:00.000000Z" in shown
    assert "Handbook, page 4" in shown
    if "data-center" in sandbox.arguments:  # nothing that people wrote becomes markup
        assert r"\[\~admin\]" in comment["text"]
        assert r"\{code\}" in comment["text"]
    assert comment["author"] == "Placet"


def test_a_comment_is_found_again_behind_three_pages_of_others(
    sandbox: Sandbox, target: JiraTarget
) -> None:
    one = note("SUP-1")
    assert isinstance(target.apply(one), Applied)
    cloud = "data-center" not in sandbox.arguments
    body: Any = "chatter"
    if cloud:
        text = {"type": "text", "text": body}
        body = {"version": 1, "type": "doc", "content": [{"type": "paragraph", "content": [text]}]}
    url = f"{sandbox.url}/rest/api/{3 if cloud else 2}/issue/SUP-1/comment"
    auth = ("dana@example.test" if cloud else "dana", "jira-dana-token")
    with requests.Session() as session:
        for _ in range(210):
            assert session.post(url, json={"body": body}, auth=auth, timeout=5).status_code == 201
    assert isinstance(target.apply(one), AlreadyApplied)
    assert len(comments(sandbox)) == 211


# What goes wrong with the one write: (fault, rule, first outcome, code, done by then)


@dataclass(frozen=True)
class WriteFault:
    """`first`: the outcome of the attempt that met it; `done`: the effect is there by then."""

    kind: str
    rule: dict[str, Any]
    first: type
    code: Code | None
    done: bool

    def __str__(self) -> str:
        return " ".join([self.kind, *(f"{k}={v}" for k, v in self.rule.items() if k != "location")])


@dataclass(frozen=True)
class ReadFault:
    kind: str
    rule: dict[str, Any]
    code: Code
    whole: bool

    def __str__(self) -> str:
        return self.kind


ELSEWHERE = {"location": "http://127.0.0.1:1/elsewhere"}
WRITE_FAULTS = [
    WriteFault("drop", {}, Applied, None, True),
    WriteFault("drop", {"reset": True}, Applied, None, True),
    WriteFault("drop", {"when": "before"}, Unknown, Code.COMMIT_ANSWER_LOST, False),
    WriteFault("cut", {}, Applied, None, True),
    WriteFault("truncate", {}, Applied, None, True),
    WriteFault("500", {}, Unknown, Code.COMMIT_ANSWER_LOST, False),
    WriteFault("500", {"when": "after"}, Applied, None, True),
    WriteFault("502", {}, Unknown, Code.COMMIT_ANSWER_LOST, False),
    WriteFault("504", {"when": "after"}, Applied, None, True),
    WriteFault("503", {"retry_after": 7}, Unavailable, Code.TARGET_AWAY, False),
    WriteFault("503", {"when": "after"}, Applied, None, True),
    WriteFault("429", {"retry_after": 7}, Unavailable, Code.TARGET_BUSY, False),
    WriteFault("401", {}, Unavailable, Code.LOGIN_REFUSED, False),
    WriteFault("403", {}, Unavailable, Code.PERMISSION_DENIED, False),
    WriteFault("409", {}, Unavailable, Code.TARGET_BUSY, False),
    WriteFault("redirect", ELSEWHERE, Unavailable, Code.TARGET_CHANGED, False),
    WriteFault("page", {}, Unknown, Code.COMMIT_ANSWER_LOST, False),
    WriteFault("hold", {}, Unknown, Code.TIMEOUT, False),
    WriteFault("hold", {"when": "after"}, Applied, None, True),
]


@pytest.mark.parametrize("fault", WRITE_FAULTS, ids=str)
def test_whatever_becomes_of_the_edit_it_happens_once(
    sandbox: Sandbox, tmp_path: Path, fault: WriteFault
) -> None:
    target = issues.target(sandbox, tmp_path, limit=0.7)
    assert target.ready() is None
    one = summary()
    sandbox.break_next(fault.kind, method="PUT", path=ISSUE, **fault.rule)
    outcome = target.apply(one)
    assert isinstance(outcome, fault.first)
    assert getattr(outcome, "code", None) is fault.code
    assert edits(sandbox, one) == fault.done
    if "retry_after" in fault.rule:
        assert isinstance(outcome, Unavailable)
        assert outcome.retry_after == 7
    if fault.kind == "401":  # nobody signs in again with what was refused: there is a pause
        target.close()
        target = issues.target(sandbox, tmp_path, limit=0.7)
    assert isinstance(drained(target, one), Applied | AlreadyApplied)
    assert edits(sandbox, one) == 1
    assert field(target, "summary") == "New"
    sandbox.post("release")
    target.close()


@pytest.mark.parametrize("fault", WRITE_FAULTS, ids=str)
def test_whatever_becomes_of_the_comment_there_is_one(
    sandbox: Sandbox, tmp_path: Path, fault: WriteFault
) -> None:
    target = issues.target(sandbox, tmp_path, limit=0.7)
    assert target.ready() is None
    one = note("SUP-1")
    sandbox.break_next(fault.kind, method="POST", path=COMMENT, **fault.rule)
    outcome = target.apply(one)
    assert isinstance(outcome, fault.first)
    assert getattr(outcome, "code", None) is fault.code
    assert len(comments(sandbox)) == fault.done
    if fault.kind == "401":
        target.close()
        target = issues.target(sandbox, tmp_path, limit=0.7)
    assert isinstance(drained(target, one), Applied | AlreadyApplied)
    assert len(comments(sandbox)) == 1
    sandbox.post("release")
    target.close()


@pytest.mark.parametrize(
    ("fault", "first"),
    [("drop", Applied), ("cut", Applied), ("500", Unknown), ("502", Unknown)],
)
@pytest.mark.parametrize("step", ["fields", "comment"])
def test_an_answer_that_was_lost_is_looked_for_and_nothing_is_sent_twice(
    sandbox: Sandbox, target: JiraTarget, fault: str, first: type[Outcome], step: str
) -> None:
    one, method, path = (
        (summary(), "PUT", ISSUE) if step == "fields" else (note("SUP-1"), "POST", COMMENT)
    )
    sandbox.break_next(fault, method=method, path=path)
    assert isinstance(target.apply(one), first)
    requests = [one for one in sandbox.requests() if one["method"] == method]
    assert sum(bool(re.search(path, one["path"])) for one in requests) == 1


READ_FAULTS = [
    ReadFault("drop", {}, Code.TARGET_AWAY, True),
    ReadFault("cut", {}, Code.TARGET_AWAY, True),
    ReadFault("truncate", {}, Code.TARGET_CHANGED, True),
    ReadFault("page", {}, Code.TARGET_CHANGED, True),
    ReadFault("redirect", ELSEWHERE, Code.TARGET_CHANGED, True),
    ReadFault("500", {}, Code.TARGET_BUSY, False),
    ReadFault("503", {"retry_after": 7}, Code.TARGET_AWAY, True),
    ReadFault("429", {"retry_after": 7}, Code.TARGET_BUSY, True),
    ReadFault("401", {}, Code.LOGIN_REFUSED, True),
    ReadFault("403", {}, Code.PERMISSION_DENIED, False),
    ReadFault("hold", {}, Code.TIMEOUT, True),
]


@pytest.mark.parametrize("fault", READ_FAULTS, ids=str)
def test_a_reading_that_fails_writes_nothing_and_has_a_name(
    sandbox: Sandbox, tmp_path: Path, fault: ReadFault
) -> None:
    target = issues.target(sandbox, tmp_path, limit=0.7)
    assert target.ready() is None
    outcomes = []
    for attempt in ("apply", "probe", "read"):
        if fault.kind == "401":  # there is a pause after each refusal
            target.close()
            target = issues.target(sandbox, tmp_path, limit=0.7)
            assert target.ready() is None
        sandbox.break_next(fault.kind, method="GET", path=ISSUE, **fault.rule)
        asked: Any = "SUP-1" if attempt == "read" else summary()
        outcomes.append(getattr(target, attempt)(asked))
    for outcome in outcomes:
        assert isinstance(outcome, Unavailable)
        assert outcome.code is fault.code
        assert outcome.whole_target is fault.whole
        assert outcome.retry_after == fault.rule.get("retry_after")
    assert sandbox.effects() == []
    sandbox.post("release")
    target.close()


@pytest.mark.parametrize("kind", ["drop", "truncate", "page", "503", "hold"])
def test_a_read_back_that_is_lost_is_unknown_and_the_probe_finds_it(
    sandbox: Sandbox, tmp_path: Path, kind: str
) -> None:
    target = issues.target(sandbox, tmp_path, limit=0.7)
    assert target.ready() is None
    for one, path in ((summary(), ISSUE), (note("SUP-2"), COMMENT)):
        prepared = target.prepare(one)
        assert isinstance(prepared, Prepared)
        sandbox.break_next(kind, method="GET", path=path)
        outcome = target.send(prepared)
        assert isinstance(outcome, Unknown)
        assert outcome.code is Code.READ_BACK_LOST
        sandbox.post("release")
        assert isinstance(target.probe(one), AlreadyApplied)
    assert edits(sandbox, summary()) == 0
    assert len(comments(sandbox, "SUP-2")) == 1
    target.close()


def test_a_campaign_of_lost_answers_leaves_each_effect_once(
    sandbox: Sandbox, target: JiraTarget
) -> None:
    """Every sixth answer is lost, whatever was asked, and every ninth is a 503."""
    sandbox.break_next("drop", times=None, share=0.17, seed=7)
    sandbox.break_next("503", times=None, share=0.11, seed=11, when="after")
    work = []
    for number in range(1, 13):
        identifier = f"SUP-{number}"
        for turn in range(2):
            edit = change(identifier, customfield_10053=(f"v{turn}", None))
            while not isinstance(seen := target.read(identifier), Snapshot):
                pass
            edit = replace(edit, seen={"customfield_10053": seen.fields["customfield_10053"]})
            work += [edit, note(identifier, f"note {turn}")]
            for one in work[-2:]:
                assert isinstance(drained(target, one, tries=200), Applied | AlreadyApplied)
    for one in work:
        if one.step == "fields":
            assert edits(sandbox, one) == 1
    for number in range(1, 13):
        assert len(comments(sandbox, f"SUP-{number}")) == 2


# Late requests


def test_a_late_edit_changes_nothing_that_matters(sandbox: Sandbox, tmp_path: Path) -> None:
    target = issues.target(sandbox, tmp_path, limit=0.7)
    assert target.ready() is None
    one = summary()
    sandbox.break_next("hold", method="PUT", path=ISSUE)
    assert isinstance(target.apply(one), Unknown)
    assert isinstance(target.probe(one), Absent)
    assert isinstance(target.apply(one), Applied)
    sandbox.post("release")
    until(lambda: edits(sandbox, one) == 2)
    assert field(target, "summary") == "New"
    again = target.probe(one)
    assert isinstance(again, AlreadyApplied)
    assert again.differs == ()
    target.close()


def test_a_late_edit_over_somebody_elses_is_found_and_named(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    target = issues.target(sandbox, tmp_path, limit=0.7)
    assert target.ready() is None
    one = summary()
    sandbox.break_next("hold", method="PUT", path=ISSUE)
    target.apply(one)
    assert isinstance(target.apply(one), Applied)
    sandbox.post("edit", record="SUP-1", fields={"Summary": "Theirs"})
    sandbox.post("release")
    until(lambda: edits(sandbox, one) == 2)
    found = target.probe(one)
    assert isinstance(found, AlreadyApplied)
    assert (found.differs, found.overwrote) == ((), {"summary": '"Theirs"'})
    target.close()


def test_a_late_comment_is_removed_by_the_next_look(
    sandbox: Sandbox, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = issues.target(sandbox, tmp_path, limit=0.7)
    assert target.ready() is None
    one = note("SUP-1")
    sandbox.break_next("hold", method="POST", path=COMMENT)
    assert isinstance(target.apply(one), Unknown)
    assert isinstance(target.probe(one), Absent)
    assert isinstance(target.apply(one), Applied)
    [kept] = comments(sandbox)
    sandbox.post("release")
    until(lambda: len(comments(sandbox)) == 2)
    assert target.sweep("SUP-1") == 1
    assert comments(sandbox) == [kept]
    assert "jira_comment_duplicate" in capsys.readouterr().out
    assert target.sweep("SUP-1") == 0
    target.close()


def test_a_late_comment_is_removed_though_nobody_looks(sandbox: Sandbox, tmp_path: Path) -> None:
    target = issues.target(sandbox, tmp_path, limit=0.7, settle=1)
    assert target.ready() is None
    one = note("SUP-1")
    sandbox.break_next("hold", method="POST", path=COMMENT)
    assert isinstance(target.apply(one), Unknown)
    later = issues.target(sandbox, tmp_path)  # another worker, to whom the fence is an old one
    assert isinstance(later.apply(one), Applied)
    [kept] = comments(sandbox)
    sandbox.post("release")
    until(lambda: len(comments(sandbox)) == 2)
    until(lambda: comments(sandbox) == [kept])
    target.close()
    later.close()


def test_a_comment_that_landed_twice_is_one_for_whoever_probes(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    target = issues.target(sandbox, tmp_path, limit=0.7)
    assert target.ready() is None
    one = note("SUP-1")
    sandbox.break_next("hold", method="POST", path=COMMENT)
    target.apply(one)
    prepared = target.prepare(one)
    assert isinstance(prepared, Prepared)
    sandbox.post("release")
    until(lambda: len(comments(sandbox)) == 1)
    written = target.send(prepared)
    assert isinstance(written, Applied)
    assert "duplicates_removed" in json.loads(written.after["comment"])
    assert len(comments(sandbox)) == 1
    target.close()


def test_a_duplicate_that_may_not_be_deleted_is_marked_once(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    target = issues.target(sandbox, tmp_path, limit=0.7)
    one = note("SUP-1")
    assert target.ready() is None
    sandbox.break_next("hold", method="POST", path=COMMENT)
    target.apply(one)
    target.apply(one)
    sandbox.post("release")
    until(lambda: len(comments(sandbox)) == 2)
    sandbox.break_next("403", method="DELETE", times=None)
    assert target.sweep("SUP-1") == 1
    assert target.sweep("SUP-1") == 0
    first, second = comments(sandbox)
    assert "Approved by Rita" in first["text"]
    assert "Duplicate of an earlier comment" in second["text"]
    assert isinstance(target.probe(one), AlreadyApplied)
    target.close()


def test_two_workers_with_one_comment_send_it_once_on_cloud(
    cloud: Sandbox, on_cloud: JiraTarget, tmp_path: Path
) -> None:
    other = issues.target(cloud, tmp_path, settle=300)
    one = note("SUP-1")
    first, second = on_cloud.prepare(one), other.prepare(one)
    assert isinstance(first, Prepared)
    assert isinstance(second, Prepared)
    assert isinstance(on_cloud.send(first), Applied)
    beaten = other.send(second)
    assert isinstance(beaten, Unavailable)
    assert beaten.code is Code.RECORD_LOCKED
    assert isinstance(other.apply(one), AlreadyApplied)
    assert sum(one["operation"] == "comment" for one in cloud.effects()) == 1
    other.close()


def test_a_fence_that_was_just_taken_by_another_is_waited_for_and_an_old_one_taken_over(
    cloud: Sandbox, tmp_path: Path
) -> None:
    crashed = issues.target(cloud, tmp_path)
    one = note("SUP-1")
    cloud.break_next("429", method="POST", path=COMMENT)
    assert isinstance(crashed.apply(one), Unavailable)  # the fence is taken, nothing was sent
    patient = issues.target(cloud, tmp_path, settle=300)
    outcome = patient.apply(one)
    assert isinstance(outcome, Unknown)
    assert comments(cloud) == []
    later = issues.target(cloud, tmp_path, settle=0)
    assert isinstance(later.apply(one), Applied)
    assert len(comments(cloud)) == 1
    for target in (crashed, patient, later):
        target.close()


@pytest.mark.parametrize("kind", ["400", "drop", "503"])
def test_a_fence_that_cannot_be_had_sends_no_second_comment(
    cloud: Sandbox, on_cloud: JiraTarget, kind: str
) -> None:
    one = note("SUP-1")
    cloud.break_next(kind, method="PUT", path="/issue/properties/")
    assert isinstance(drained(on_cloud, one), Applied)
    assert len(comments(cloud)) == 1


# Other people's edits


def test_an_edit_between_reading_and_writing_is_found_and_named(
    sandbox: Sandbox, target: JiraTarget
) -> None:
    one = change("SUP-1", summary=("Ours", SUMMARY), duedate=("2026-12-24", None))
    prepared = target.prepare(one)
    assert isinstance(prepared, Prepared)
    sandbox.post("edit", record="SUP-1", fields={"Summary": "Theirs"})
    written = target.send(prepared)
    assert isinstance(written, Applied)
    assert (written.differs, written.overwrote) == ((), {"summary": '"Theirs"'})
    again = target.apply(one)
    assert isinstance(again, AlreadyApplied)
    assert (again.differs, again.overwrote) == ((), {"summary": '"Theirs"'})
    assert field(target, "summary") == "Ours"  # and it is not written back by itself


def test_an_edit_after_ours_is_theirs_and_no_difference(
    sandbox: Sandbox, target: JiraTarget
) -> None:
    one = summary("Ours")
    sandbox.break_next("drop", method="GET", path=ISSUE, skip=1, when="before")
    assert isinstance(target.apply(one), Unknown)
    sandbox.post("edit", record="SUP-1", fields={"Summary": "Theirs"})
    found = target.probe(one)
    assert isinstance(found, AlreadyApplied)
    assert found.differs == ()
    assert found.version is None
    assert field(target, "summary") == "Theirs"


def test_a_marker_that_somebody_removed_is_still_in_the_history(
    sandbox: Sandbox, target: JiraTarget
) -> None:
    one = summary()
    assert isinstance(target.apply(one), Applied)
    cloud = "data-center" not in sandbox.arguments
    auth = ("dana@example.test" if cloud else "dana", "jira-dana-token")
    url = f"{sandbox.url}/rest/api/2/issue/SUP-1/properties/placet.{one.write_back_id}"
    assert requests.delete(url, auth=auth, timeout=5).status_code == 204
    assert isinstance(target.apply(one), AlreadyApplied)
    assert edits(sandbox, one) == 1


def test_a_marker_without_its_fields_is_no_success(sandbox: Sandbox, target: JiraTarget) -> None:
    """Atlassian does not promise that an edit and its properties are one."""
    one = summary()
    cloud = "data-center" not in sandbox.arguments
    auth = ("dana@example.test" if cloud else "dana", "jira-dana-token")
    url = f"{sandbox.url}/rest/api/2/issue/SUP-1/properties/placet.{one.write_back_id}"
    markers: list[Any] = [
        {"write_back_id": one.write_back_id},
        "nonsense",
        {"before": 5, "since": []},
    ]
    for forged in markers:
        assert requests.put(url, json=forged, auth=auth, timeout=5).ok
        outcome = target.apply(one)
        assert isinstance(outcome, AlreadyApplied)
        assert outcome.differs == ("summary",)
        assert outcome.before is None


def test_undo_of_a_comment_marks_it_and_deletes_nothing(
    sandbox: Sandbox, target: JiraTarget
) -> None:
    written = target.apply(note("SUP-1", "Refund *now*"))
    assert isinstance(written, Applied)
    undo = note("SUP-1")
    undone = target.undo(undo, written.before, written.after)
    assert isinstance(undone, Applied)
    assert undone.differs == ()
    [comment] = comments(sandbox)
    assert comment["text"].startswith("Superseded: the change was undone by Rita Reviewer")
    assert "Refund" in comment["text"]
    assert isinstance(target.undo(undo, written.before, written.after), AlreadyApplied)


def test_undo_of_a_comment_that_was_edited_or_deleted_is_a_conflict(
    sandbox: Sandbox, target: JiraTarget
) -> None:
    cloud = "data-center" not in sandbox.arguments
    auth = ("admin@example.test" if cloud else "admin", "jira-admin-token")
    for identifier, method in (("SUP-1", "PUT"), ("SUP-2", "DELETE")):
        written = target.apply(note(identifier))
        assert isinstance(written, Applied)
        number = json.loads(written.after["comment"])["id"]
        url = f"{sandbox.url}/rest/api/2/issue/{identifier}/comment/{number}"
        body = {"body": "Edited by hand."}
        if method == "DELETE":
            requests.delete(url, auth=auth, timeout=5).raise_for_status()
        else:
            requests.put(url, json=body, auth=auth, timeout=5).raise_for_status()
        outcome = target.undo(note(identifier), written.before, written.after)
        assert isinstance(outcome, Conflict)
        assert outcome.fields == ("comment",)


# What is refused


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"status": ("Done", "Open")}, Code.NOT_SUPPORTED),
        ({"transition": ("5", None)}, Code.NOT_SUPPORTED),
        ({"reporter": ("x", None)}, Code.UNKNOWN_FIELD),  # a field, but not configured
        ({"summary": ("two\nlines", SUMMARY)}, Code.BAD_VALUE),
        ({"summary": ("x" * 256, SUMMARY)}, Code.TOO_LONG),
        ({"summary": ("", SUMMARY)}, Code.NOT_NULL),
        ({"summary": (None, SUMMARY)}, Code.NOT_NULL),
        ({"description": ("x" * 40_000, None)}, Code.TOO_LONG),
        ({"priority": ("Whatever", "High")}, Code.BAD_VALUE),
        ({"priority": ({"id": "1"}, "High")}, Code.BAD_TYPE),
        ({"customfield_10050": ("Nope", "Billing")}, Code.BAD_VALUE),
        ({"customfield_10052": ("12", 49.9)}, Code.BAD_TYPE),
        ({"customfield_10052": (12345678901234567890, 49.9)}, Code.BAD_VALUE),
        ({"customfield_10054": ("tomorrow", None)}, Code.BAD_TYPE),
        ({"customfield_10054": ("2026-11-24T10:00:00.123456Z", None)}, Code.BAD_VALUE),
        ({"duedate": ("24.11.2026", None)}, Code.BAD_TYPE),
        ({"labels": (["with space"], ["support"])}, Code.BAD_VALUE),
        ({"labels": ("support", ["support"])}, Code.BAD_TYPE),
        ({"assignee": ("nobody", None)}, Code.BAD_VALUE),
    ],
)
def test_what_an_issue_cannot_hold_is_refused_by_name(
    sandbox: Sandbox, target: JiraTarget, fields: dict[str, tuple[Any, Any]], code: Code
) -> None:
    one = change("SUP-1", **fields)
    if next(iter(fields)) in issues.COLUMNS:
        one = replace(one, seen={n: json.dumps(field(target, n)) for n in fields})
    outcome = target.apply(one)
    assert isinstance(outcome, Refused)
    assert outcome.code is code
    assert sandbox.effects() == []


@pytest.mark.parametrize(
    "identifier",
    ["", "sup-1", "SUP-01", "SUP-1 ", "SUP-1\n", "SUP-1/../SUP-2", "../SUP-1", "SUP-1?x=1",
     "SUP-1%2F", "'SUP-1'", '"', "10001", "SUP-1#", "SUP-1\r\nX: y", "\uff33UP-1", "SUP-\uff11"],
)  # fmt: skip
def test_an_identifier_that_is_no_key_is_refused_and_nothing_is_asked(
    sandbox: Sandbox, target: JiraTarget, identifier: str
) -> None:
    start = len(sandbox.requests())
    for outcome in (
        target.read(identifier),
        target.apply(change(identifier, summary=("x", "y"))),
        target.apply(note(identifier)),
        target.undo(note(identifier), {}, {}),
    ):
        assert isinstance(outcome, Refused)
        assert outcome.code is Code.BAD_IDENTIFIER
    assert isinstance(target.probe(note(identifier)), Absent)
    assert len(sandbox.requests()) == start


def test_a_deleted_issue_is_refused_and_probes_as_absent(
    sandbox: Sandbox, target: JiraTarget
) -> None:
    prepared = [target.prepare(one) for one in (summary(), note("SUP-1"))]
    sandbox.post("edit", record="SUP-1", delete=True)
    for ready in prepared:
        assert isinstance(ready, Prepared)
        late = target.send(ready)
        assert isinstance(late, Refused)
        assert late.code is Code.RECORD_NOT_FOUND
    for outcome in (target.read("SUP-1"), target.apply(summary()), target.apply(note("SUP-1"))):
        assert isinstance(outcome, Refused)
        assert outcome.code is Code.RECORD_NOT_FOUND
    assert isinstance(target.probe(summary()), Absent)
    assert isinstance(target.probe(note("SUP-1")), Absent)


def test_an_issue_full_of_comments_refuses_the_next(cloud: Sandbox, on_cloud: JiraTarget) -> None:
    cloud.post("settings", comments_per_issue=0)
    outcome = on_cloud.apply(note("SUP-1"))
    assert isinstance(outcome, Refused)
    assert outcome.code is Code.CONSTRAINT


def test_review_notes_that_do_not_fit_are_refused_before_the_fields_are_written(
    sandbox: Sandbox, target: JiraTarget
) -> None:
    one = replace(summary(), comment="x" * 40_000)
    outcome = target.apply(one)
    assert isinstance(outcome, Refused)
    assert outcome.code is Code.TOO_LONG
    assert sandbox.effects() == []


def test_a_step_that_jira_does_not_have_is_refused(target: JiraTarget) -> None:
    outcome = target.apply(change("SUP-1", "transition"))
    assert isinstance(outcome, Refused)
    assert outcome.code is Code.NOT_SUPPORTED


# Who signs in, and where


@pytest.mark.parametrize(
    ("secret", "code"),
    [
        ({"email": "admin@example.test", "token": "jira-admin-token"}, "TOO_BROAD_RIGHTS"),
        ({"email": "reader@example.test", "token": "jira-reader-token"}, "MISSING_RIGHTS"),
        ({"email": "outsider@example.test", "token": "jira-outsider-token"}, "MISSING_RIGHTS"),
    ],
)
def test_an_account_with_other_rights_than_needed_is_refused_at_start(
    cloud: Sandbox, tmp_path: Path, secret: Any, code: str
) -> None:
    target = issues.target(cloud, tmp_path, secret)
    with pytest.raises(StartRefusedError) as refused:
        target.inspect()
    assert refused.value.code == code
    outcome = target.apply(summary())  # the same, where it is noticed later
    assert isinstance(outcome, Unavailable)
    assert outcome.code is Code.TARGET_CHANGED
    assert cloud.effects() == []
    target.close()


def test_an_administrator_is_refused_on_data_center(data_center: Sandbox, tmp_path: Path) -> None:
    target = issues.target(data_center, tmp_path, {"token": "jira-admin-token"})
    with pytest.raises(StartRefusedError, match="administrator"):
        target.inspect()
    target.close()


def test_a_site_that_does_is_accepted(target: JiraTarget) -> None:
    target.inspect()
    assert not target.promises.key_in_write


def test_the_wrong_kind_of_secret_is_refused_at_start(sandbox: Sandbox, tmp_path: Path) -> None:
    wrong = issues.CLOUD if "data-center" in sandbox.arguments else issues.DATA_CENTER
    target = issues.target(sandbox, tmp_path, wrong)
    with pytest.raises((StartRefusedError, UnavailableError)):
        target.inspect()
    target.close()


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"columns": ()}, "CONFIG_INCOMPLETE"),
        ({"columns": ("summary", "Summary")}, "COLUMN_NOT_FOUND"),
        ({"columns": ("summary", "status")}, "COLUMN_TYPE_NOT_SUPPORTED"),
        ({"columns": ("project",)}, "COLUMN_TYPE_NOT_SUPPORTED"),
    ],
)
def test_columns_that_cannot_be_written_are_refused_at_start(
    sandbox: Sandbox, tmp_path: Path, more: dict[str, Any], code: str
) -> None:
    secret = issues.DATA_CENTER if "data-center" in sandbox.arguments else issues.CLOUD
    path = issues.write_secret(tmp_path, secret)
    target = JiraTarget(issues.config(sandbox.url, **more), path)
    with pytest.raises(StartRefusedError) as refused:
        target.inspect()
    assert refused.value.code == code
    target.close()


@pytest.mark.parametrize("token", ["jira-expired-token", "wrong"])
def test_refused_credentials_are_not_tried_again_until_they_change(
    cloud: Sandbox, tmp_path: Path, token: str
) -> None:
    target = issues.target(cloud, tmp_path)
    assert target.ready() is None
    issues.write_secret(tmp_path, {**issues.CLOUD, "token": token})
    first = target.apply(summary())
    assert isinstance(first, Unavailable)
    assert first.code is Code.LOGIN_REFUSED
    assert first.whole_target
    start = len(cloud.requests())
    for outcome in (target.apply(summary()), target.read("SUP-1"), target.ready()):
        assert isinstance(outcome, Unavailable)
        assert outcome.code is Code.LOGIN_REFUSED
        assert outcome.retry_after is not None
    with pytest.raises(UnavailableError):
        target.inspect()
    assert len(cloud.requests()) == start
    issues.write_secret(tmp_path, issues.CLOUD)
    assert isinstance(target.apply(summary()), Applied)
    target.close()


def test_an_account_that_lost_the_project_is_denied_and_the_record_is_not_called_missing(
    cloud: Sandbox, tmp_path: Path
) -> None:
    target = issues.target(cloud, tmp_path)
    assert target.ready() is None
    outsider = {"email": "outsider@example.test", "token": "jira-outsider-token"}
    issues.write_secret(tmp_path, outsider)
    for outcome in (target.read("SUP-1"), target.apply(summary()), target.probe(summary())):
        assert isinstance(outcome, Unavailable)
        assert outcome.code is Code.PERMISSION_DENIED
    reader = {"email": "reader@example.test", "token": "jira-reader-token"}
    issues.write_secret(tmp_path, reader)
    denied = target.apply(summary())
    assert isinstance(denied, Unavailable)
    assert denied.code is Code.PERMISSION_DENIED
    assert cloud.effects() == []
    target.close()


def test_no_request_ever_goes_to_another_host(sandbox: Sandbox, target: JiraTarget) -> None:
    with socket.create_server(("127.0.0.1", 0)) as elsewhere:
        elsewhere.setblocking(False)
        location = f"http://127.0.0.1:{elsewhere.getsockname()[1]}/rest/api/3/issue/SUP-1"
        for method in ("GET", "PUT", "POST"):
            sandbox.break_next("redirect", method=method, times=2, location=location)
        for _ in range(4):
            target.apply(summary())
            target.apply(note("SUP-2"))
            target.read("SUP-1")
        with pytest.raises(BlockingIOError):
            elsewhere.accept()


def test_a_broken_tls_connection_is_the_targets_absence(sandbox: Sandbox, tmp_path: Path) -> None:
    url = sandbox.url.replace("http:", "https:")
    target = JiraTarget(issues.config(url), issues.write_secret(tmp_path), limit=2)
    outcome = target.apply(summary())
    assert isinstance(outcome, Unavailable)
    assert outcome.code is Code.TARGET_AWAY
    assert "TLS" in outcome.detail
    target.close()


def test_a_server_that_drips_is_given_up(tmp_path: Path) -> None:
    """Every byte in time, and never an end."""
    stop = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def drip() -> None:
            connection, _ = server.accept()
            with connection:
                head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                connection.sendall(head + b"Content-Length: 100000\r\n\r\n")
                while not stop.wait(0.05):
                    try:
                        connection.sendall(b" ")
                    except OSError:
                        return

        thread = threading.Thread(target=drip)
        thread.start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        target = JiraTarget(issues.config(url), issues.write_secret(tmp_path), limit=0.5)
        outcome = target.read("SUP-1")
        assert isinstance(outcome, Unavailable)
        assert outcome.code is Code.TIMEOUT
        stop.set()
        thread.join()
        target.close()


def test_neither_secrets_nor_values_are_logged(
    sandbox: Sandbox,
    target: JiraTarget,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level("DEBUG")
    for kind in ("truncate", "page", "500", "401"):
        sandbox.break_next(kind, path=ISSUE)
        target.apply(summary("A secret summary"))
    printed = caplog.text + "".join(capsys.readouterr()) + repr(vars(target))
    for word in ("jira-sandbox-token", "A secret summary", SUMMARY):
        assert word not in printed


def test_several_records_are_written_at_once_and_each_has_its_own_outcome(
    sandbox: Sandbox, target: JiraTarget
) -> None:
    work = [change(f"SUP-{n}", customfield_10053=("x", None)) for n in (1, 2, 3, 99)]
    kinds = [type(one) for one in target.apply_batch(work)]
    assert kinds == [Conflict, Conflict, Applied, Refused]
    assert edits(sandbox, work[2]) == 1
