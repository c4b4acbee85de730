"""`placet audit show`, `search`, `prove`, `export` and `check` on a real hot store."""

import io
import json
import shutil
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from msgspec.structs import replace
from tests.support.audit_log import KEY, OTHER_KEY
from tests.support.audit_process import audit_place
from tests.support.audit_story import (
    PROMPT,
    SNIPPET,
    Log,
    audit_log,
    defaults,
    keys_folder,
    story,
)
from tests.support.decisions import Desk
from typer.testing import CliRunner

from audit_sink.cli import build
from contract.codec import encode

RUN = CliRunner()
APP = build(defaults)
DESK = Desk()
SWAPPED = """
UPDATE audit.payload p SET parts = o.parts FROM audit.payload o
WHERE p.sequence = 0 AND o.sequence = 1
"""
STORIES = [story(number, desk=DESK) for number in range(1, 4)]
FIRST, SECOND, THIRD = STORIES


@pytest.fixture
def log(postgres: str, tmp_path: Path) -> Iterator[Log]:
    with audit_place(postgres, tmp_path / "log") as place, audit_log(place) as made:
        # Interleaved, as they happen.
        for step in range(5):
            made.take(*(one.events[step] for one in STORIES))
        made.seal()
        yield made


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    return keys_folder(tmp_path / "keys", DESK)


def run(*options: str) -> str:
    result = RUN.invoke(APP, list(options))
    assert result.exit_code == 0, result.output
    return result.stdout


def show(log: Log, name: str, *more: str) -> dict:
    return json.loads(run("show", name, *log.options, "--json", *more))


@pytest.mark.parametrize("index", [Log.index, lambda _: None], ids=["indexed", "not yet"])
def test_show_tells_everything_that_led_to_a_decision_and_came_of_it(
    log: Log, keys: Path, index: Callable[[Log], None]
) -> None:
    index(log)
    told = show(log, SECOND.decision.decision_id, "--decision-keys", str(keys))
    assert [one["record"]["event_id"] for one in told["story"]] == [
        event.event_id for event in SECOND.events
    ]
    assert told["ok"] is True
    assert all(one["proof"].startswith("c2sp.org/tlog-proof@v1\n") for one in told["story"])
    item, decision = told["story"][0], told["story"][2]
    assert item["parts"]["prompt"]["text"] == PROMPT
    assert json.loads(item["parts"]["retrieval"]["text"])[0]["snippet"] == SNIPPET
    assert decision["signing"] == {
        "checked": True,
        "ok": True,
        "key_ids": [DESK.signer.key_id],
        "statement": SECOND.decision.statement,
    }


def test_an_item_and_a_correlation_id_tell_the_same_story(log: Log) -> None:
    log.index()
    by_item = show(log, SECOND.item.item_id)["story"]
    assert by_item == show(log, "trace-2")["story"]
    assert len(by_item) == 5


def test_one_part_comes_out_byte_for_byte(log: Log) -> None:
    result = RUN.invoke(APP, ["show", FIRST.item.item_id, *log.options, "--part", "prompt"])
    assert result.stdout_bytes == PROMPT.encode()
    result = RUN.invoke(APP, ["show", FIRST.item.item_id, *log.options, "--part", "received"])
    assert result.stdout_bytes == encode(FIRST.item)
    result = RUN.invoke(APP, ["show", FIRST.item.item_id, *log.options, "--part", "nothing"])
    assert result.exit_code == 1


def test_the_tree_shows_people_what_they_look_for(log: Log, keys: Path) -> None:
    text = run("show", FIRST.decision.decision_id, *log.options, "--decision-keys", str(keys))
    for expected in ("zebracorn", "in the log", "APPROVE", "APPLIED", "signed by", "Mumbai"):
        assert expected in text
    assert "\u2028" not in text
    assert "NOT CHECKED" in run("show", FIRST.decision.decision_id, *log.options)


def test_a_decision_signed_by_a_stranger_is_not_verified(log: Log, tmp_path: Path) -> None:
    other = keys_folder(tmp_path / "others", Desk())
    options = ["show", FIRST.decision.decision_id, *log.options, "--decision-keys", str(other)]
    result = RUN.invoke(APP, options)
    assert result.exit_code == 6
    assert "no pinned key" in result.stdout


def test_a_statement_moved_to_another_decision_is_not_verified(log: Log, keys: Path) -> None:
    moved = replace(
        FIRST.decision,
        event_id="99999999-9999-5999-8999-999999999999",
        decision_id="99999999-9999-5999-8999-999999999999",
    )
    log.take(moved)
    log.seal()
    options = ["show", moved.decision_id, *log.options, "--decision-keys", str(keys)]
    result = RUN.invoke(APP, options)
    assert result.exit_code == 6
    assert "about another decision" in result.stdout


@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        ("UPDATE audit.payload SET salt = '\\x00' WHERE sequence = 0", "payload parts"),
        ("UPDATE audit.payload SET parts = '\\x00' WHERE sequence = 0", "payload"),
        (SWAPPED, "payload parts"),
        ("UPDATE audit.record SET record = '{}' WHERE sequence = 0", "not the one at 0"),
    ],
)
def test_what_was_changed_in_the_hot_store_is_named(log: Log, statement: str, problem: str) -> None:
    with psycopg.connect(log.place.database) as connection:
        connection.execute("ALTER TABLE audit.payload DISABLE TRIGGER ALL")
        connection.execute("ALTER TABLE audit.record DISABLE TRIGGER ALL")
        connection.execute(statement)  # type: ignore[call-overload]
    result = RUN.invoke(APP, ["show", FIRST.item.item_id, *log.options])
    assert result.exit_code == 6
    assert problem in result.stdout


def test_a_destroyed_payload_leaves_records_and_proofs(log: Log) -> None:
    with psycopg.connect(log.place.database) as connection:
        connection.execute("DELETE FROM audit.payload")
    told = show(log, FIRST.decision.decision_id)
    assert told["ok"] is True
    assert [one["parts"] for one in told["story"]] == [None] * 5


def test_a_fresh_record_is_shown_before_any_head_reaches_it(log: Log) -> None:
    fresh = story(9, desk=DESK)
    log.take(fresh.item)
    told = show(log, fresh.item.item_id)
    assert told["story"][0]["proof"] is None
    log.seal()
    assert show(log, fresh.item.item_id)["story"][0]["proof"]


def test_proofs_are_the_same_from_files_alone_and_from_the_hot_store_alone(log: Log) -> None:
    files = ["--from", str(log.place.folder), "--key", KEY.public.text]
    hot = ["--database", log.place.database, "--ledger", log.place.ledger, "--key", KEY.public.text]
    for name in ("0", "7", FIRST.decision.decision_id, FIRST.item.event_id):
        assert run("prove", name, *files) == run("prove", name, *hot)


def test_an_item_has_one_proof_for_each_record(log: Log, tmp_path: Path) -> None:
    result = RUN.invoke(APP, ["prove", FIRST.item.item_id, *log.options])
    assert result.exit_code == 2
    run("prove", FIRST.item.item_id, *log.options, "--out", str(tmp_path / "proofs"))
    proofs = sorted((tmp_path / "proofs").iterdir())
    assert len(proofs) == 5
    for path in proofs:
        run("check", str(path), "--key", KEY.public.text)


# search


SEARCHES: list[tuple[list[str], int]] = [
    (["zebracorn"], 3),
    (['"checked against the atlas"'], 3),
    (["atlas", "--correlation", "trace-2"], 1),
    (["zebracorn -atlas"], 3),
    (["nowhere"], 0),
    (["--item", FIRST.item.item_id.upper()], 5),
    (["--decision", FIRST.decision.decision_id], 3),
    (["--actor", "a1"], 3),
    (["--type", "WriteBack"], 6),
    (["--window", "1h"], 15),
    (["--window", "2020-01-01/2021-01-01"], 0),
    (["-n", "2"], 2),
    (["'; DROP TABLE audit.search; --"], 0),
    (["\0\ud800 & | ! ("], 0),
]


def test_search_finds_by_keys_time_and_words(log: Log, subtests: pytest.Subtests) -> None:
    log.index()
    database = ["--database", log.place.database, "--json"]
    for options, count in SEARCHES:
        with subtests.test(options=options):
            answer = json.loads(run("search", *options, *database))
            assert (len(answer["records"]), answer["not_indexed"]) == (count, 0)


def test_search_says_what_it_does_not_know_yet(log: Log) -> None:
    result = RUN.invoke(APP, ["search", "zebracorn", "--database", log.place.database])
    assert "15 newest records are not searchable yet" in result.stderr


def test_a_window_that_is_none_is_a_usage_error(log: Log) -> None:
    for text in ("yesterday", "14", "1/2", "99999999d", "-3d"):
        options = ["search", "--window", text, "--database", log.place.database]
        assert RUN.invoke(APP, options).exit_code == 2


def test_texts_that_postgresql_cannot_index_whole_are_indexed_in_part(log: Log) -> None:
    many = " ".join(f"wörd{number}längere" for number in range(40_000))
    item = replace(FIRST.item, event_id="88888888-8888-5888-8888-888888888888", prompt=many)
    huge = replace(item, output=many[::-1], reasoning=[many], correlation_id="c" * 100_000)
    log.take(huge)
    log.index()
    database = ["--database", log.place.database, "--json"]
    found = json.loads(run("search", "wörd7längere", *database))
    assert len(found["records"]) == 1
    found = json.loads(run("search", "--correlation", "c" * 100_000, *database))
    assert len(found["records"]) == 1


# bundles


def export(log: Log, out: Path, *more: str) -> Path:
    run("export", *log.options, "--out", str(out), *more)
    return out


def check(path: Path, *more: str) -> dict:
    return json.loads(run("check", str(path), "--key", KEY.public.text, "--json", *more))


def test_a_bundle_convinces_somebody_who_has_nothing_else(
    log: Log, keys: Path, tmp_path: Path
) -> None:
    log.index()
    bundle = export(log, tmp_path / "b.zip", "--item", FIRST.decision.decision_id)
    shutil.rmtree(log.place.folder)
    report = check(bundle, "--decision-keys", str(keys))
    assert (report["ok"], report["records"], report["withheld"]) == (True, 5, 0)
    assert report["signatures"] == 1
    with zipfile.ZipFile(bundle) as archive:
        names = archive.namelist()
        assert {"README.txt", "key.txt", "checkpoint", "index.json"} <= set(names)
        assert archive.read("payload/0/prompt") == PROMPT.encode()


def test_a_bundle_is_the_same_whenever_it_is_made(log: Log, tmp_path: Path) -> None:
    one = export(log, tmp_path / "1.zip", "--item", FIRST.item.item_id)
    two = export(log, tmp_path / "2.zip", "--item", FIRST.item.item_id)
    assert one.read_bytes() == two.read_bytes()


def test_single_parts_are_shown_without_the_others(log: Log, tmp_path: Path) -> None:
    bundle = export(log, tmp_path / "b.zip", "--item", FIRST.item.item_id, "--parts", "prompt,diff")
    report = check(bundle)
    assert report["ok"] is True
    assert report["parts"] == 3  # the prompt, what was proposed, what was decided
    assert report["withheld"] > 5
    with zipfile.ZipFile(bundle) as archive:
        everything = b"".join(archive.read(name) for name in archive.namelist())
    assert b"zebracorn" in everything
    assert b"atlas" not in everything
    assert b"capital" not in everything
    bare = export(log, tmp_path / "n.zip", "--item", FIRST.item.item_id, "--parts", "none")
    assert check(bare)["parts"] == 0


def test_a_window_is_exported_whole(log: Log, tmp_path: Path) -> None:
    assert check(export(log, tmp_path / "b.zip", "--window", "1h"))["records"] == 15


def test_a_bundle_with_another_key_or_its_own(log: Log, tmp_path: Path) -> None:
    bundle = export(log, tmp_path / "b.zip", "--item", FIRST.item.item_id)
    result = RUN.invoke(APP, ["check", str(bundle), "--key", OTHER_KEY.public.text])
    assert result.exit_code == 6
    result = RUN.invoke(APP, ["check", str(bundle)])
    assert result.exit_code == 0
    assert "key: NOT CHECKED" in result.stdout


def test_no_bundle_is_made_of_what_was_changed(log: Log, tmp_path: Path) -> None:
    with psycopg.connect(log.place.database) as connection:
        connection.execute("ALTER TABLE audit.payload DISABLE TRIGGER ALL")
        connection.execute("UPDATE audit.payload SET salt = '\\x00' WHERE sequence = 0")
    out = tmp_path / "b.zip"
    options = ["export", *log.options, "--out", str(out), "--item", FIRST.item.item_id]
    assert RUN.invoke(APP, options).exit_code == 6
    assert not list(tmp_path.glob("b.zip*"))


Entries = dict[str, bytes]


def _swap(entries: Entries) -> None:
    one, other = "payload/0/prompt", "payload/0/output"
    entries[one], entries[other] = entries[other], entries[one]


def _resalted(entries: Entries) -> None:
    index = json.loads(entries["index.json"])
    index["records"][0]["parts"]["prompt"]["salt"] = "00" * 32
    entries["index.json"] = json.dumps(index).encode()


def _withheld(entries: Entries) -> None:
    index = json.loads(entries["index.json"])
    index["records"][0]["parts"].pop("prompt")
    entries["index.json"] = json.dumps(index).encode()
    entries.pop("payload/0/prompt")


def _moved(entries: Entries) -> None:
    entries["records/0.json"] = entries["records/3.json"]


def _edited(name: str, old: bytes, new: bytes) -> Callable[[Entries], None]:
    def edit(entries: Entries) -> None:
        assert old in entries[name]
        entries[name] = entries[name].replace(old, new, 1)

    return edit


TAMPERINGS: dict[str, Callable[[Entries], object]] = {
    "a prompt edited": _edited("payload/0/prompt", b"zebracorn", b"unicorn"),
    "two parts swapped": _swap,
    "a salt changed": _resalted,
    "a part hidden": _withheld,
    "a record moved": _moved,
    "a record edited": _edited("records/0.json", b"trace-1", b"trace-2"),
    "a proof for another": lambda e: e.update({"proofs/0.tlog-proof": e["proofs/3.tlog-proof"]}),
    "a record missing": lambda e: e.pop("records/0.json"),
    "a proof missing": lambda e: e.pop("proofs/0.tlog-proof"),
    "a part missing": lambda e: e.pop("payload/0/prompt"),
    "no checkpoint": lambda e: e.pop("checkpoint"),
    "no index": lambda e: e.pop("index.json"),
    "an index of nonsense": lambda e: e.update({"index.json": b"[" * 100_000}),
    "an index of another format": _edited("index.json", b"bundle/1", b"bundle/2"),
    "something unexplained": lambda e: e.update({"../../evil": b"x"}),
    "a checkpoint edited": _edited("checkpoint", b"\n15\n", b"\n16\n"),
    "an endless record": lambda e: e.update({"records/0.json": bytes(10_000_000)}),
}


def test_what_was_done_to_a_bundle_is_detected(
    log: Log, tmp_path: Path, subtests: pytest.Subtests
) -> None:
    good = export(log, tmp_path / "good.zip", "--item", FIRST.item.item_id)
    with zipfile.ZipFile(good) as archive:
        untouched = {one: archive.read(one) for one in archive.namelist()}
    bad = tmp_path / "bad.zip"
    for name, tamper in TAMPERINGS.items():
        entries = dict(untouched)
        tamper(entries)
        with zipfile.ZipFile(bad, "w", zipfile.ZIP_DEFLATED) as archive:
            for one, data in entries.items():
                archive.writestr(one, data)
        with subtests.test(name):
            result = RUN.invoke(APP, ["check", str(bad), "--key", KEY.public.text])
            assert result.exit_code == 6, result.output
            assert isinstance(result.exception, SystemExit)


def test_damaged_zips_end_with_6_and_no_traceback(log: Log, tmp_path: Path) -> None:
    good = export(log, tmp_path / "good.zip", "--item", FIRST.item.item_id).read_bytes()
    bad = tmp_path / "bad.zip"
    for cut in range(2, len(good), len(good) // 40):
        bad.write_bytes(good[:cut])
        result = RUN.invoke(APP, ["check", str(bad), "--key", KEY.public.text])
        assert result.exit_code == 6, cut
        assert isinstance(result.exception, SystemExit)
    twice = io.BytesIO(good)
    with zipfile.ZipFile(twice, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("README.txt", b"another")
    bad.write_bytes(twice.getvalue())
    assert RUN.invoke(APP, ["check", str(bad), "--key", KEY.public.text]).exit_code == 6


# gaps


def gaps(log: Log, *more: str) -> tuple[int, dict[str, int], list[str]]:
    options = ["gaps", "--database", log.place.database, "--json", "--window", "3650d", *more]
    result = RUN.invoke(APP, options)
    answer = json.loads(result.stdout)
    found = {kind: count for kind, count in answer["gaps"].items() if count}
    return result.exit_code, found, [one["name"] for one in answer["first"]]


def test_gaps_in_the_hot_store_are_named_and_whole_chains_have_none(log: Log) -> None:
    assert gaps(log) == (0, {}, [])
    log.take(*story(8, desk=DESK).events[:3])
    log.index()
    code, found, names = gaps(log, "--at", "2027-01-01")
    assert (code, found) == (
        6,
        {"decision without write-back": 1, "output that nobody accounts for": 1},
    )
    assert names == [story(8).decision.decision_id, "placet.model-outputs/0/4 to 7"]


def test_due_dates_come_from_the_payload_and_duplicates_cover_offsets(log: Log) -> None:
    fresh = story(5, desk=DESK)
    log.take(fresh.item)
    assert gaps(log, "--at", "2026-11-24T09:00:00")[1] == {"output that nobody accounts for": 1}
    again = replace(FIRST.item, origin=replace(FIRST.item.origin, offset=4))
    log.take(again)  # the same event, from an output that was published twice
    assert gaps(log, "--at", "2026-11-24T11:00:00")[1:] == (
        {"item without decision, past due": 1},
        [fresh.item.item_id],
    )


def test_what_came_before_the_window_counts_as_a_cause(log: Log) -> None:
    log.index()
    with psycopg.connect(log.place.database) as connection:
        connection.execute("ALTER TABLE audit.record DISABLE TRIGGER ALL")
        connection.execute(
            "UPDATE audit.record SET recorded_at = recorded_at - interval '30 days'"
            " WHERE sequence < 9"  # items, openings, decisions
        )
    result = RUN.invoke(APP, ["gaps", "--database", log.place.database, "--window", "1d"])
    assert (result.exit_code, "6 events read" in result.stdout) == (0, True), result.output
