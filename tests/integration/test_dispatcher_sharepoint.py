"""SharePoint targets over real connections; effects are counted by the stand-in, not by us."""

import itertools
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.support import articles
from tests.support.articles import change, ours, sent
from tests.support.sandbox import Sandbox, running

from conveyor.errors import UnavailableError
from dispatcher.targets.sharepoint import SharePointTarget
from dispatcher.targets.sharepoint_judgement import Prepared
from dispatcher.targets.target import Snapshot, StartRefusedError
from dispatcher.writeback import (
    Absent,
    AlreadyApplied,
    Applied,
    Code,
    Conflict,
    Outcome,
    Refused,
    Unavailable,
    Unknown,
    WriteBack,
)

TITLE = "Can I change the delivery address?"  # of item 2
WRITE: dict[str, Any] = {"method": "POST", "path": articles.ITEM}
READ: dict[str, Any] = {"method": "GET", "path": articles.ITEM}


@pytest.fixture(scope="module")
def process() -> Iterator[Sandbox]:
    with running("sharepoint") as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(process: Sandbox) -> Sandbox:
    process.post("reset")
    return process


@pytest.fixture
def target(sandbox: Sandbox, tmp_path: Path) -> Iterator[SharePointTarget]:
    made = articles.target(sandbox, tmp_path)
    yield made
    made.close()


def retitle(new: str = "New", seen: str = TITLE) -> WriteBack:
    return change("2", Title=(new, seen))


def title(target: SharePointTarget, identifier: str = "2") -> str:
    snapshot = target.read(identifier)
    assert isinstance(snapshot, Snapshot)
    return str(json.loads(snapshot.fields["Title"]))


def carry_out(target: SharePointTarget, write_back: WriteBack, tries: int = 20) -> Outcome:
    """As the engine does: what is unknown is probed, and sent again only when it is absent."""
    outcome = target.apply(write_back)
    for _ in range(tries):
        if isinstance(outcome, Unknown):
            found = target.probe(write_back)
            if not isinstance(found, Absent):
                outcome = found
                continue
        elif not isinstance(outcome, Unavailable):
            return outcome
        outcome = target.apply(write_back)
    raise AssertionError(outcome)


# What is sent


def test_a_write_is_three_requests_and_one_of_them_writes(
    sandbox: Sandbox, target: SharePointTarget
) -> None:
    target.inspect()
    before = len(sandbox.requests())
    assert isinstance(target.apply(retitle()), Applied)
    assert [one["method"] for one in sandbox.requests()[before:]] == ["GET", "MERGE", "GET"]
    [effect] = ours(sandbox, "2")
    assert effect["fields"]["Title"] == {"before": TITLE, "after": "New"}


def test_the_history_is_asked_once_and_again_after_somebody_elses_edit(
    sandbox: Sandbox, target: SharePointTarget
) -> None:
    target.apply(retitle("0"))
    for step, requests in enumerate((4, 3, 3)):
        before = len(sandbox.requests())
        assert isinstance(target.apply(retitle(str(step + 1), str(step))), Applied)
        assert len(sandbox.requests()) - before == requests
    sandbox.post("edit", record="2", fields={"Answer": "Theirs"})
    before = len(sandbox.requests())
    assert isinstance(target.apply(retitle("4", "3")), Applied)
    assert [one["method"] for one in sandbox.requests()[before:]] == ["GET", "GET", "MERGE", "GET"]


def test_what_is_remembered_of_a_history_never_hides_a_key(
    sandbox: Sandbox, target: SharePointTarget
) -> None:
    chain = [TITLE, "a", TITLE, "a", TITLE, "a"]
    done = [retitle(new, seen) for seen, new in itertools.pairwise(chain)]
    for one in done:
        assert isinstance(target.apply(one), Applied)
    for one in done:
        assert isinstance(target.apply(one), AlreadyApplied)
    assert len(ours(sandbox)) == len(done)


def test_one_token_serves_every_request_and_no_digest_is_asked(
    sandbox: Sandbox, target: SharePointTarget
) -> None:
    batch = [change(str(n), RefundLimit=(n, None)) for n in (2, 3, 5, 6)]
    assert all(isinstance(one, Applied) for one in target.apply_batch(batch))
    paths = [one["path"] for one in sandbox.requests()]
    assert len([path for path in paths if "token" in path]) == 1
    assert not [path for path in paths if "contextinfo" in path.lower()]


def test_fields_and_key_are_one_effect_and_no_other_column_is_touched(
    sandbox: Sandbox, target: SharePointTarget
) -> None:
    one = change(
        "2",
        Title=("New ✓", TITLE),
        Audience=(["Partner", "Business"], ["Business", "Consumer"]),
        RefundLimit=(12.5, None),
        Published=(False, True),
        ReviewedOn=("2026-11-24T10:00:00+02:00", "2026-08-02T12:00:00+02:00"),
        Source=({"Url": "https://example.test/a"}, None),
    )
    outcome = target.apply(one)
    assert isinstance(outcome, Applied)
    assert outcome.differs == ()
    [effect] = ours(sandbox)
    assert set(effect["fields"]) == {*one.fields, "PlacetWriteBack"}
    assert one.write_back_id in effect["marker"]


def test_a_batch_runs_several_items_at_once(sandbox: Sandbox, target: SharePointTarget) -> None:
    target.inspect()
    sandbox.break_next("delay", seconds=0.5, times=4, **WRITE)
    started = time.monotonic()
    outcomes = target.apply_batch([change(str(n), RefundLimit=(n, None)) for n in (2, 3, 5, 6)])
    assert all(isinstance(one, Applied) for one in outcomes)
    assert time.monotonic() - started < 1.5


# What is refused, before anything is sent


@pytest.mark.parametrize(
    ("name", "value", "seen", "code"),
    [
        ("Title", "", TITLE, Code.NOT_NULL),
        ("Title", None, TITLE, Code.NOT_NULL),
        ("Title", "x" * 256, TITLE, Code.TOO_LONG),
        ("Title", "😀" * 128, TITLE, Code.TOO_LONG),
        ("Title", 5, TITLE, Code.BAD_TYPE),
        ("Title", "a\0b", TITLE, Code.BAD_VALUE),
        ("Title", "a\x07b", TITLE, Code.BAD_VALUE),
        ("Title", "\ud800", TITLE, Code.BAD_VALUE),
        ("Category", "Nonsense", "Delivery", Code.BAD_VALUE),
        ("Category", ["Billing"], "Delivery", Code.BAD_TYPE),
        ("Audience", ["Nobody"], ["Consumer", "Business"], Code.BAD_VALUE),
        ("Audience", ["Partner", "Partner"], ["Consumer", "Business"], Code.BAD_VALUE),
        ("Audience", "Partner", ["Consumer", "Business"], Code.BAD_TYPE),
        ("RefundLimit", "12", None, Code.BAD_TYPE),
        ("RefundLimit", True, None, Code.BAD_TYPE),
        ("RefundLimit", 2**53 + 1, None, Code.BAD_VALUE),
        ("Published", "yes", True, Code.BAD_TYPE),
        ("Published", 1, True, Code.BAD_TYPE),
        ("ReviewedOn", "tomorrow", "2026-08-02T10:00:00Z", Code.BAD_TYPE),
        ("ReviewedOn", "2026-11-24T10:00:00", "2026-08-02T10:00:00Z", Code.BAD_TYPE),
        ("ReviewedOn", "2026-11-24T10:00:00.5Z", "2026-08-02T10:00:00Z", Code.BAD_VALUE),
        ("ReviewedOn", "1899-11-24T10:00:00Z", "2026-08-02T10:00:00Z", Code.BAD_VALUE),
        ("Source", "https://example.test", None, Code.BAD_TYPE),
        ("Source", {"Url": "https://example.test", "Evil": 1}, None, Code.BAD_TYPE),
        ("Nope", "x", None, Code.UNKNOWN_FIELD),
        ("Modified", "2020-01-01T00:00:00Z", None, Code.UNKNOWN_FIELD),
        ("PlacetWriteBack", "x", None, Code.UNKNOWN_FIELD),
    ],
)
def test_what_sharepoint_would_take_or_refuse_late_is_refused_by_name(
    sandbox: Sandbox, target: SharePointTarget, *, name: str, value: Any, seen: Any, code: Code
) -> None:
    outcome = target.apply(change("2", **{name: (value, seen)}))
    assert isinstance(outcome, Refused)
    assert outcome.code is code
    assert sent(sandbox, "MERGE") == []


@pytest.mark.parametrize(
    "identifier",
    ["0", "01", "-1", "+1", "1.0", " 1", "1 ", "1\n", "", "\u0661", "x", "1'", "1)/delete(", "../1",
     "1/../../web", "1?$select=Id", "2147483648", "99999999999", "1%29"],
)  # fmt: skip
def test_what_is_no_item_id_in_its_one_form_is_never_sent(
    sandbox: Sandbox, target: SharePointTarget, identifier: str
) -> None:
    one = change(identifier, Title=("x", "y"))
    for outcome in (target.apply(one), target.read(identifier)):
        assert isinstance(outcome, Refused)
        assert outcome.code is Code.BAD_IDENTIFIER
    assert isinstance(target.probe(one), Absent)
    assert sandbox.requests() == []


@pytest.mark.parametrize("identifier", ["8", "99", "999999999"])
def test_a_missing_or_deleted_item_is_refused_and_not_created(
    sandbox: Sandbox, target: SharePointTarget, identifier: str
) -> None:
    sandbox.post("edit", record="8", delete=True)
    one = change(identifier, Title=("x", "My voucher does not work"))
    for outcome in (target.apply(one), target.read(identifier)):
        assert isinstance(outcome, Refused)
        assert outcome.code is Code.RECORD_NOT_FOUND
    assert isinstance(target.probe(one), Absent)
    assert ours(sandbox) == []


def test_an_item_deleted_between_read_and_write_is_refused(
    sandbox: Sandbox, target: SharePointTarget
) -> None:
    prepared = target.prepare(retitle())
    assert isinstance(prepared, Prepared)
    sandbox.post("edit", record="2", delete=True)
    outcome = target.send(prepared)
    assert isinstance(outcome, Refused)
    assert outcome.code is Code.RECORD_NOT_FOUND


def test_a_duplicate_in_a_column_of_unique_values_is_refused_though_it_is_a_500(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    target = articles.target(sandbox, tmp_path, columns=("PlacetKey",))
    assert isinstance(target.apply(change("1", PlacetKey=("k", None))), Applied)
    outcome = target.apply(change("2", PlacetKey=("K", None)))
    assert isinstance(outcome, Refused)
    assert outcome.code is Code.CONSTRAINT
    assert len(ours(sandbox)) == 1
    target.close()


# Somebody else writes too


def test_an_edit_of_another_field_after_the_read_is_kept_and_ours_goes_beside_it(
    sandbox: Sandbox, target: SharePointTarget
) -> None:
    prepared = target.prepare(retitle())
    assert isinstance(prepared, Prepared)
    sandbox.post("edit", record="2", fields={"Answer": "Theirs"})
    assert isinstance(target.send(prepared), Applied)
    snapshot = target.read("2")
    assert isinstance(snapshot, Snapshot)
    assert json.loads(snapshot.fields["Answer"]) == "Theirs"
    assert json.loads(snapshot.fields["Title"]) == "New"
    assert [one["status"] for one in sent(sandbox, "MERGE")] == [412, 204]


def test_an_edit_of_the_same_field_after_the_read_is_a_conflict(
    sandbox: Sandbox, target: SharePointTarget
) -> None:
    prepared = target.prepare(retitle())
    assert isinstance(prepared, Prepared)
    sandbox.post("edit", record="2", fields={"Title": "Theirs"})
    outcome = target.send(prepared)
    assert isinstance(outcome, Conflict)
    assert outcome.fields == ("Title",)
    assert json.loads(outcome.current["Title"]) == "Theirs"
    assert title(target) == "Theirs"


def test_an_item_that_keeps_changing_is_left_for_later(
    sandbox: Sandbox, target: SharePointTarget
) -> None:
    sandbox.break_next("412", times=None, **WRITE)
    outcome = target.apply(retitle())
    assert isinstance(outcome, Unavailable)
    assert outcome.code is Code.TARGET_BUSY
    assert not outcome.whole_target
    assert len(sent(sandbox, "MERGE")) == 4
    assert ours(sandbox) == []


@contextmanager
def held(sandbox: Sandbox, **rule: Any) -> Iterator[Callable[[], None]]:
    """Holds the next such request. Yields what waits for it; releases in the end."""
    sandbox.break_next("hold", **rule)

    def wait() -> None:
        deadline = time.monotonic() + 5
        while not sandbox.get("held"):
            assert time.monotonic() < deadline

    yield wait
    sandbox.post("release")


def test_an_edit_after_ours_and_before_the_read_back_does_not_hide_what_was_written(
    sandbox: Sandbox, target: SharePointTarget
) -> None:
    with ThreadPoolExecutor(1) as pool:
        with held(sandbox, skip=1, **READ) as wait:
            applying = pool.submit(target.apply, retitle())
            wait()
            sandbox.post("edit", record="2", fields={"Title": "Theirs, later"})
        outcome = applying.result()
    assert isinstance(outcome, Applied)
    assert outcome.differs == ()
    assert json.loads(outcome.after["Title"]) == "New"
    assert title(target) == "Theirs, later"


# Keys


def test_an_older_key_is_found_in_the_history_after_a_later_write_replaced_it(
    sandbox: Sandbox, target: SharePointTarget
) -> None:
    there, back = retitle("B"), retitle(TITLE, "B")
    assert isinstance(target.apply(there), Applied)
    assert isinstance(target.apply(back), Applied)
    for found in (target.apply(there), target.probe(there)):
        assert isinstance(found, AlreadyApplied)
        assert found.before == {"Title": json.dumps(TITLE)}
        assert found.version is None  # somebody wrote since
    assert len(ours(sandbox)) == 2


def test_a_key_is_found_after_somebody_emptied_the_column(
    sandbox: Sandbox, target: SharePointTarget
) -> None:
    one = retitle()
    target.apply(one)
    sandbox.post("edit", record="2", fields={"PlacetWriteBack": ""})
    assert isinstance(target.probe(one), AlreadyApplied)


def test_another_key_is_absent_and_a_probe_changes_nothing(
    sandbox: Sandbox, target: SharePointTarget
) -> None:
    target.apply(retitle())
    assert isinstance(target.probe(retitle("Other", "New")), Absent)
    assert len(ours(sandbox)) == len(sandbox.effects()) == 1


# Undo


def test_undo_restores_every_kind_of_column(sandbox: Sandbox, target: SharePointTarget) -> None:
    before = target.read("2")
    applied = target.apply(
        change(
            "2",
            Answer=("x", json.loads(_field(before, "Answer"))),
            Category=("Other", "Delivery"),
            Audience=([], ["Business", "Consumer"]),
            RefundLimit=(3, None),
            Published=(False, True),
            ReviewedOn=(None, "2026-08-02T10:00:00Z"),
            Source=({"Url": "https://example.test/a", "Description": "A"}, None),
        )
    )
    assert isinstance(applied, Applied)
    prepared = target.prepare_undo(change("2"), applied.before, applied.after)
    assert isinstance(prepared, Prepared)
    assert isinstance(target.send(prepared), Applied)
    after = target.read("2")
    assert isinstance(before, Snapshot)
    assert isinstance(after, Snapshot)
    assert after.fields == before.fields


def _field(snapshot: object, name: str) -> str:
    assert isinstance(snapshot, Snapshot)
    return snapshot.fields[name]


# Faults while writing. `first`: what the first attempt comes to; after it, exactly one effect.


@pytest.mark.parametrize(
    ("fault", "first", "code"),
    [
        ({"kind": "drop"}, Applied, None),
        ({"kind": "drop", "reset": True}, Applied, None),
        ({"kind": "drop", "when": "before"}, Unknown, Code.COMMIT_ANSWER_LOST),
        ({"kind": "cut"}, Applied, None),
        ({"kind": "truncate"}, Applied, None),
        ({"kind": "page"}, Unknown, Code.COMMIT_ANSWER_LOST),
        ({"kind": "page", "when": "after"}, Applied, None),
        ({"kind": "500"}, Unknown, Code.COMMIT_ANSWER_LOST),
        ({"kind": "500", "when": "after"}, Applied, None),
        ({"kind": "502", "when": "after"}, Applied, None),
        ({"kind": "504"}, Unknown, Code.COMMIT_ANSWER_LOST),
        ({"kind": "408"}, Unknown, Code.COMMIT_ANSWER_LOST),
        ({"kind": "503", "retry_after": 7}, Unavailable, Code.TARGET_BUSY),
        ({"kind": "503"}, Unknown, Code.COMMIT_ANSWER_LOST),
        ({"kind": "503", "when": "after"}, Applied, None),
        ({"kind": "503", "when": "after", "retry_after": 1}, Unavailable, Code.TARGET_BUSY),
        ({"kind": "429", "when": "after"}, Unavailable, Code.TARGET_BUSY),
        ({"kind": "429", "retry_after": 7}, Unavailable, Code.TARGET_BUSY),
        ({"kind": "412"}, Applied, None),
        ({"kind": "412", "when": "after"}, AlreadyApplied, None),
        ({"kind": "409"}, Applied, None),
        ({"kind": "401"}, Unavailable, Code.LOGIN_REFUSED),
        ({"kind": "403"}, Unavailable, Code.PERMISSION_DENIED),
        ({"kind": "404"}, Applied, None),
        ({"kind": "423"}, Unavailable, Code.RECORD_LOCKED),
        ({"kind": "redirect", "location": "http://127.0.0.1:1/"}, Unknown, Code.COMMIT_ANSWER_LOST),
    ],
)
def test_whatever_happens_to_the_write_there_is_one_effect_in_the_end(
    sandbox: Sandbox,
    target: SharePointTarget,
    fault: dict[str, Any],
    first: type[Outcome],
    code: Code | None,
) -> None:
    one = retitle()
    sandbox.post("faults", **WRITE, **fault)
    outcome = target.apply(one)
    assert isinstance(outcome, first), outcome
    assert getattr(outcome, "code", None) is code
    assert len(ours(sandbox)) <= 1
    if fault.get("retry_after"):
        assert isinstance(outcome, Unavailable)
        assert outcome.retry_after == fault["retry_after"]
    assert isinstance(carry_out(target, one), Applied | AlreadyApplied)
    assert len(ours(sandbox, "2")) == 1
    assert title(target) == "New"


@pytest.mark.parametrize(
    ("fault", "first"),
    [("drop", Applied), ("cut", Applied), ("500", Unknown), ("502", Unknown)],
)
def test_an_answer_that_was_lost_is_looked_for_and_nothing_is_sent_twice(
    sandbox: Sandbox, target: SharePointTarget, fault: str, first: type[Outcome]
) -> None:
    sandbox.break_next(fault, **WRITE)
    assert isinstance(target.apply(retitle()), first)
    assert len(sent(sandbox, "MERGE")) == 1


def test_a_400_nobody_foresaw_is_refused_and_never_tried_again(
    sandbox: Sandbox, target: SharePointTarget
) -> None:
    sandbox.break_next("400", **WRITE)
    outcome = target.apply(retitle())
    assert isinstance(outcome, Refused)
    assert outcome.code is Code.TARGET_REFUSED
    assert len(sent(sandbox, "MERGE")) == 1


def test_a_zombie_released_after_the_second_attempt_finds_the_etag_moved(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    target, one = articles.target(sandbox, tmp_path, limit=0.5), retitle()
    with held(sandbox, **WRITE):
        outcome = target.apply(one)
        assert isinstance(outcome, Unknown)
        assert outcome.code is Code.TIMEOUT
        assert isinstance(target.probe(one), Absent)
        assert isinstance(target.apply(one), Applied)
    _await(lambda: 412 in [request["status"] for request in sent(sandbox, "MERGE")])
    assert len(ours(sandbox)) == 1
    target.close()


def test_a_zombie_that_lands_between_probe_and_second_write_is_found_by_the_412(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    target, one = articles.target(sandbox, tmp_path, limit=0.5), retitle()
    with held(sandbox, **WRITE):
        assert isinstance(target.apply(one), Unknown)
        prepared = target.prepare(one)
        assert isinstance(prepared, Prepared)
    _await(lambda: len(ours(sandbox)) == 1)
    found = target.send(prepared)
    assert isinstance(found, AlreadyApplied)
    assert found.before == {"Title": json.dumps(TITLE)}
    assert len(ours(sandbox)) == 1
    target.close()


def test_a_zombie_is_dead_once_somebody_else_wrote_and_the_next_attempt_goes_on_at_once(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    target, one = articles.target(sandbox, tmp_path, limit=1.0), retitle()
    with ThreadPoolExecutor(1) as pool, held(sandbox, **WRITE) as wait:
        applying = pool.submit(target.apply, one)
        wait()
        sandbox.post("edit", record="2", fields={"Answer": "Theirs"})
        assert isinstance(applying.result(), Applied)
    assert len(ours(sandbox)) == 1
    target.close()


def _await(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_read_back_that_is_lost_is_unknown_and_the_probe_finds_the_key(
    sandbox: Sandbox, target: SharePointTarget
) -> None:
    one = retitle()
    sandbox.break_next("drop", skip=1, **READ)
    outcome = target.apply(one)
    assert isinstance(outcome, Unknown)
    assert outcome.code is Code.READ_BACK_LOST
    found = target.probe(one)
    assert isinstance(found, AlreadyApplied)
    assert found.before == {"Title": json.dumps(TITLE)}
    assert found.differs == ()
    assert len(ours(sandbox)) == 1


# Faults while reading: named, nothing written, nothing sent elsewhere


@pytest.mark.parametrize(
    ("fault", "code", "whole"),
    [
        ({"kind": "drop"}, Code.TARGET_AWAY, True),
        ({"kind": "cut"}, Code.TARGET_AWAY, True),
        ({"kind": "truncate"}, Code.TARGET_AWAY, True),
        ({"kind": "page"}, Code.TARGET_AWAY, True),
        ({"kind": "redirect", "location": "http://127.0.0.1:1/"}, Code.TARGET_AWAY, True),
        ({"kind": "401", "times": 2}, Code.LOGIN_REFUSED, True),
        ({"kind": "403"}, Code.PERMISSION_DENIED, False),
        ({"kind": "400"}, Code.TARGET_CHANGED, False),
        ({"kind": "423"}, Code.RECORD_LOCKED, False),
        ({"kind": "429", "retry_after": 9}, Code.TARGET_BUSY, True),
        ({"kind": "503"}, Code.TARGET_BUSY, True),
        ({"kind": "500"}, Code.TARGET_BUSY, False),
        ({"kind": "502"}, Code.TARGET_BUSY, True),
    ],
)
def test_whatever_happens_to_a_read_is_named_and_nothing_is_written(
    sandbox: Sandbox, target: SharePointTarget, *, fault: dict[str, Any], code: Code, whole: bool
) -> None:
    target.inspect()
    one = retitle()
    for call in (lambda: target.apply(one), lambda: target.read("2"), lambda: target.probe(one)):
        sandbox.post("faults", **READ, **fault)
        outcome = call()
        assert isinstance(outcome, Unavailable), outcome
        assert outcome.code is code
        assert outcome.whole_target is whole
        assert outcome.retry_after == fault.get("retry_after")
    assert ours(sandbox) == []
    assert isinstance(target.apply(one), Applied)  # and it goes on by itself


def test_a_read_that_hangs_is_given_up_in_time(sandbox: Sandbox, tmp_path: Path) -> None:
    target = articles.target(sandbox, tmp_path, limit=0.5)
    with held(sandbox, **READ):
        started = time.monotonic()
        outcome = target.apply(retitle())
        assert time.monotonic() - started < 3
    assert isinstance(outcome, Unavailable)
    assert outcome.code is Code.TIMEOUT
    target.close()


@pytest.mark.parametrize("what", ["head", "body"])
@pytest.mark.parametrize("which", ["token", "site"])
def test_a_server_that_drips_is_given_up_in_time(
    sandbox: Sandbox, tmp_path: Path, what: str, which: str
) -> None:
    """Every byte in time, and never an end."""
    with dripping(what) as url:
        base = sandbox.url if which == "token" else url
        secret = articles.write_secret(tmp_path, url if which == "token" else sandbox.url)
        target = SharePointTarget(articles.config(base), secret, limit=0.7)
        started = time.monotonic()
        outcome = target.read("2")
        assert time.monotonic() - started < 10
        assert isinstance(outcome, Unavailable)
        assert outcome.code in {Code.TIMEOUT, Code.TARGET_AWAY}
        assert isinstance(target.apply(retitle()), Unavailable)
        target.close()


@contextmanager
def dripping(what: str) -> Iterator[str]:
    """A server that begins every answer and does not end it; its URL."""
    stop = threading.Event()
    start = b"HTTP/1.1 200 OK\r\n"
    if what == "body":
        start += b"Content-Type: application/json\r\nContent-Length: 100000\r\n\r\n"

    def drip(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            connection.sendall(start)
            while not stop.wait(0.05):
                connection.sendall(b"x-more: y\r\n" if what == "head" else b" ")

    def serve(server: socket.socket) -> None:
        with suppress(OSError):
            while True:
                connection, _ = server.accept()
                threading.Thread(target=drip, args=(connection,), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=serve, args=(server,), daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        stop.set()
        server.shutdown(socket.SHUT_RDWR)


def test_one_404_is_not_believed(sandbox: Sandbox, target: SharePointTarget) -> None:
    sandbox.break_next("404", **READ)
    assert isinstance(target.apply(retitle()), Applied)


def test_no_redirect_is_followed_to_another_host(
    sandbox: Sandbox, target: SharePointTarget, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as elsewhere:
        elsewhere.settimeout(0.2)
        location = f"http://127.0.0.1:{elsewhere.getsockname()[1]}/"
        target.inspect()
        for rule in (READ, WRITE, {"path": "token"}, {"path": "versions"}):
            sandbox.post("faults", kind="redirect", location=location, **rule)
        target.apply(retitle())
        target.apply(retitle())
        target.probe(retitle())
        fresh = articles.target(sandbox, tmp_path)
        fresh.read("2")
        fresh.close()
        with pytest.raises(TimeoutError):
            elsewhere.accept()


# Who we are there


@pytest.mark.parametrize(
    ("app", "code"),
    [
        (("0b7c2f3e-5d1a-4c55-9a0e-000000000001", "wrong"), Code.LOGIN_REFUSED),
        (articles.OUTSIDER, Code.PERMISSION_DENIED),
        (articles.READER, Code.TARGET_CHANGED),
        (articles.OWNER, Code.TARGET_CHANGED),
    ],
)
def test_a_login_that_cannot_or_may_not_be_used_waits_and_writes_nothing(
    sandbox: Sandbox, tmp_path: Path, app: tuple[str, str], code: Code
) -> None:
    target = articles.target(sandbox, tmp_path, app)
    for outcome in (target.apply(retitle()), target.read("2"), target.ready()):
        assert isinstance(outcome, Unavailable)
        assert outcome.code is code
        assert outcome.whole_target
        assert app[1] not in repr(outcome)
    assert ours(sandbox) == []
    target.close()


@pytest.mark.parametrize(
    ("app", "code"),
    [(articles.READER, "MISSING_RIGHTS"), (articles.OWNER, "TOO_BROAD_RIGHTS")],
)
def test_a_login_with_too_few_or_too_many_rights_is_refused_at_the_start(
    sandbox: Sandbox, tmp_path: Path, app: tuple[str, str], code: str
) -> None:
    target = articles.target(sandbox, tmp_path, app)
    with pytest.raises(StartRefusedError) as refused:
        target.inspect()
    assert refused.value.code == code
    target.close()


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"table": "It's not / here"}, "LIST_NOT_FOUND"),
        ({"columns": ("Title", "Nope")}, "COLUMN_NOT_FOUND"),
        ({"columns": ("Modified",)}, "COLUMN_NOT_WRITABLE"),
        ({"columns": ("ID",)}, "COLUMN_NOT_WRITABLE"),
    ],
)
def test_what_is_not_there_is_refused_at_the_start(
    sandbox: Sandbox, tmp_path: Path, changes: dict[str, Any], code: str
) -> None:
    target = articles.target(sandbox, tmp_path, **changes)
    with pytest.raises(StartRefusedError) as refused:
        target.inspect()
    assert refused.value.code == code
    target.close()


def test_a_site_that_is_not_there_is_refused_at_the_start(sandbox: Sandbox, tmp_path: Path) -> None:
    target = articles.target(sandbox, tmp_path, url=f"{sandbox.url}/sites/other")
    with pytest.raises(StartRefusedError) as refused:
        target.inspect()
    assert refused.value.code == "SITE_NOT_FOUND"
    target.close()


def test_expired_credentials_are_renewed_once_and_then_named(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    sandbox.post("settings", token_seconds=-1)
    target = articles.target(sandbox, tmp_path)
    outcome = target.apply(retitle())
    assert isinstance(outcome, Unavailable)
    assert outcome.code is Code.LOGIN_REFUSED
    assert len(sandbox.requests()) <= 4
    sandbox.post("settings", token_seconds=3599)
    assert isinstance(target.apply(retitle()), Applied)
    target.close()


def test_a_token_that_was_taken_back_is_replaced_without_a_failed_attempt(
    sandbox: Sandbox, target: SharePointTarget
) -> None:
    target.inspect()
    sandbox.break_next("401", **READ)
    assert isinstance(target.apply(retitle()), Applied)


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ({"kind": "page"}, Code.LOGIN_REFUSED),
        ({"kind": "truncate"}, Code.LOGIN_REFUSED),
        ({"kind": "drop"}, Code.TARGET_AWAY),
        ({"kind": "500"}, Code.TARGET_AWAY),
        ({"kind": "429", "retry_after": 5}, Code.TARGET_BUSY),
    ],
)
def test_a_token_endpoint_that_fails_is_named(
    sandbox: Sandbox, target: SharePointTarget, fault: dict[str, Any], code: Code
) -> None:
    sandbox.post("faults", path="token", **fault)
    outcome = target.apply(retitle())
    assert isinstance(outcome, Unavailable)
    assert outcome.code is code
    assert outcome.retry_after == fault.get("retry_after")


def test_a_rotated_secret_is_read_from_the_file_without_a_restart(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    target = articles.target(sandbox, tmp_path, (articles.PLACET[0], "old"))
    assert isinstance(target.apply(retitle()), Unavailable)
    articles.write_secret(tmp_path, sandbox.url)
    assert isinstance(target.apply(retitle()), Applied)
    target.close()


def test_tls_that_fails_is_named_and_nothing_is_sent_in_the_clear(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    url = sandbox.url.replace("http://", "https://") + "/sites/support"
    target = articles.target(sandbox, tmp_path, url=url)
    with pytest.raises(UnavailableError, match="TLS"):
        target.inspect()
    outcome = target.apply(retitle())
    assert isinstance(outcome, Unavailable)
    assert outcome.code is Code.TARGET_AWAY
    assert sent(sandbox) == []
    target.close()


def test_no_secret_and_no_token_reaches_logs_or_outcomes(
    sandbox: Sandbox, tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: Any
) -> None:
    caplog.set_level("DEBUG")
    told = []
    for app in (articles.PLACET, articles.OWNER, (articles.PLACET[0], "wrong-secret-too")):
        target = articles.target(sandbox, tmp_path, app)
        for kind in ("drop", "truncate", "500", "page"):
            sandbox.break_next(kind, path="token|getItemById")
            told += [repr(target.apply(retitle(kind))), repr(target.read("2")), repr(target)]
        target.close()
    captured = capfd.readouterr()
    everything = caplog.text + captured.out + captured.err + "".join(told)
    for secret in (articles.PLACET[1], articles.OWNER[1], "wrong-secret-too", "Bearer", "eyJ"):
        assert secret not in everything


# Everything at once


def test_lost_answers_and_ten_deliveries_of_each_make_one_effect_of_each(
    sandbox: Sandbox, target: SharePointTarget
) -> None:
    target.inspect()
    sandbox.break_next("drop", share=0.2, seed=1, times=None, path=articles.ITEM)
    sandbox.break_next("drop", share=0.1, seed=2, times=None, when="before", **WRITE)
    sandbox.break_next("503", share=0.1, seed=3, times=None, when="after", **WRITE)
    deliveries: dict[str, list[WriteBack]] = {}
    for number in ("1", "2", "3", "4"):
        seen = title_of(sandbox, number)
        chain = [seen, *(f"{number}.{step}" for step in range(5))]
        deliveries[number] = [
            change(number, Title=(new, old)) for old, new in itertools.pairwise(chain)
        ]

    def work(number: str) -> None:
        for one in deliveries[number]:
            assert isinstance(carry_out(target, one), Applied | AlreadyApplied)
            assert isinstance(carry_out(target, one), AlreadyApplied)
        for one in deliveries[number] * 2:
            assert isinstance(carry_out(target, one), AlreadyApplied)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, deliveries))
    for number, decided in deliveries.items():
        assert [e["fields"]["Title"]["after"] for e in ours(sandbox, number)] == [
            json.loads(one.fields["Title"]) for one in decided
        ]
    assert len(ours(sandbox)) == 20


def title_of(sandbox: Sandbox, number: str) -> str:
    return str(next(r["title"] for r in sandbox.get("records") if r["record"] == number))


def test_a_stand_in_that_was_killed_is_found_again(tmp_path: Path) -> None:
    with running("sharepoint", data=tmp_path / "data") as sandbox:
        target = articles.target(sandbox, tmp_path)
        target.inspect()
        sandbox.kill()
        assert isinstance(target.ready(), Unavailable)
        away = target.apply(retitle())
        assert isinstance(away, Unavailable)
        assert away.code is Code.TARGET_AWAY
        sandbox.start()
        assert target.ready() is None
        assert isinstance(target.apply(retitle()), Applied)
        target.close()


def test_two_halves_are_safe_in_several_threads(sandbox: Sandbox, target: SharePointTarget) -> None:
    barrier = threading.Barrier(4)

    def one(number: int) -> Outcome:
        prepared = target.prepare(change(str(number), RefundLimit=(1, None)))
        assert isinstance(prepared, Prepared)
        barrier.wait(5)
        return target.send(prepared)

    with ThreadPoolExecutor(4) as pool:
        assert all(isinstance(done, Applied) for done in pool.map(one, (2, 3, 5, 6)))
    assert len(ours(sandbox)) == 4


def test_close_may_be_called_twice(target: SharePointTarget) -> None:
    assert target.ready() is None
    target.close()
    target.close()


def test_a_write_back_of_another_step_or_without_fields_is_refused(
    sandbox: Sandbox, target: SharePointTarget
) -> None:
    for one, code in (
        (replace(retitle(), step="comment"), Code.NOT_SUPPORTED),
        (replace(retitle(), fields={}, seen={}), Code.NO_FIELDS),
    ):
        outcome = target.apply(one)
        assert isinstance(outcome, Refused)
        assert outcome.code is code
    assert sandbox.requests() == []
