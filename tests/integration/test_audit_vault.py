"""Audit payloads under their subjects' keys: nothing in clear, and what is destroyed stays so."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from msgspec.structs import replace
from tests.support.audit_log import KEY, MemoryLetters, read
from tests.support.audit_process import Place, audit_place, audit_sink
from tests.support.audit_story import PROMPT, SNIPPET, Log, audit_log, defaults, story
from tests.support.proxy import Proxy
from typer.testing import CliRunner

from audit_sink import append
from audit_sink.append import Appender
from audit_sink.cli import Defaults, build
from audit_sink.payload import Packer
from audit_sink.store import Writer
from contract.codec import encode
from contract.identity import Digester
from contract.topics import REVIEW_ITEMS
from conveyor.errors import UnavailableError
from vault import rotation, subjects
from vault.keyring import Keyring
from vault.keys import KeyFile
from vault.store import Store

RUN = CliRunner()
APP = build(defaults)
WITHOUT_VAULT = build(Defaults)
ADA, BOB, NOBODY = (story(number) for number in (1, 2, 3))
ADAS = replace(ADA.item, user_id_token="ada")
BOBS = replace(BOB.item, user_id_token="bob")


@pytest.fixture
def place(postgres: str, tmp_path: Path) -> Iterator[Place]:
    with audit_place(postgres, tmp_path / "log") as made:
        yield made


@pytest.fixture
def log(place: Place) -> Iterator[Log]:
    with audit_log(place) as made:
        made.take(ADAS, BOBS, *(one for tale in (ADA, BOB) for one in tale.events[1:]))
        made.take(*NOBODY.events)
        made.seal()
        made.index()
        yield made


def run(*options: str, app: object = APP) -> str:
    result = RUN.invoke(app, list(options))  # type: ignore[arg-type]
    assert result.exit_code == 0, result.output
    return result.stdout


def found(log: Log, *words: str) -> int:
    options = ["search", *words, "--database", log.place.database, "--json"]
    return len(json.loads(run(*options))["records"])


def payloads(log: Log) -> dict[int, str]:
    with psycopg.connect(log.place.database) as connection:
        return dict(connection.execute("SELECT sequence, subject FROM audit.payload").fetchall())


def test_payloads_hold_nothing_in_clear_and_say_whose_they_are(log: Log) -> None:
    with psycopg.connect(log.place.database) as connection:
        rows = connection.execute("SELECT salt, parts FROM audit.payload").fetchall()
        file = connection.execute("SELECT pg_relation_filepath('audit.payload')").fetchone()
        assert file is not None
        connection.execute("CHECKPOINT")
        # As it lies on disk, as far as the server itself can be asked for it.
        whole = connection.execute(
            "SELECT pg_read_binary_file(current_setting('data_directory') || '/' || %s)", file
        ).fetchone()
        assert whole is not None
    parts = [parts for _, parts in rows]
    assert len(parts) == 15
    assert {salt for salt, _ in rows} == {b""}
    assert all(one in whole[0] for one in parts)
    clear = [PROMPT.encode(), SNIPPET.encode(), b"zebracorn", b"atlas", encode(ADAS)]
    compressed = Packer().pack({"received": encode(ADAS)})[:4]  # the magic of a zstd frame
    for text in (*clear, compressed):
        assert text not in whole[0]
    names = payloads(log)
    assert names[0] == subjects.person("ada")
    assert names[1] == subjects.person("bob")
    assert {names[sequence] for sequence in range(2, 5)} == {subjects.item(ADAS.item_id)}


def test_no_ciphertext_can_be_moved_to_another_record(log: Log) -> None:
    with psycopg.connect(log.place.database) as connection:
        connection.execute("ALTER TABLE audit.payload DISABLE TRIGGER ALL")
        connection.execute(
            "UPDATE audit.payload SET parts = (SELECT parts FROM audit.payload WHERE sequence = 3)"
            " WHERE sequence = 4"  # two of one item, under one key
        )
    result = RUN.invoke(APP, ["show", ADA.decision.decision_id, *log.options])
    assert result.exit_code == 6
    assert "moved" in result.stdout


@pytest.mark.parametrize("index", [True, False], ids=["forgotten", "not yet"])
def test_a_destroyed_person_shows_as_destroyed_and_everything_still_verifies(
    log: Log, tmp_path: Path, *, index: bool
) -> None:
    assert found(log, "zebracorn") == 3
    with log.place.keyring() as vault:
        vault.destroy(subjects.person("ada"), "asked for it", "privacy")
    if index:
        log.indexer.forget()
    told = json.loads(run("show", ADA.item.item_id, *log.options, "--json"))
    assert told["ok"] is True
    assert len(told["story"]) == 5
    assert all(one["proof"] for one in told["story"])
    first = told["story"][0]
    assert (first["parts"], first["absent"]) == (None, "destroyed")
    assert "payload destroyed" in run("show", ADA.item.item_id, *log.options)
    bundle = tmp_path / "bundle.zip"
    run("export", "--item", ADA.item.item_id, "--out", str(bundle), *log.options)
    checked = json.loads(run("check", str(bundle), "--key", KEY.public.text, "--json"))
    # Decisions and write-backs are their item's, whose key goes with the person's.
    assert checked["destroyed"] == (5 if index else 1)
    assert checked["problems"] == []
    assert log.place.verify().size == 15
    other = json.loads(run("show", BOB.item.item_id, *log.options, "--json"))
    assert [one["absent"] for one in other["story"]] == [None] * 5
    assert other["story"][0]["parts"]["prompt"]["text"] == PROMPT


def test_forgetting_takes_words_and_payloads_and_leaves_keys(log: Log) -> None:
    assert found(log, "atlas") == 3
    log.vault.destroy(subjects.person("ada"), "asked for it", "privacy")
    log.indexer.forget()
    assert (found(log, "zebracorn"), found(log, "atlas")) == (2, 2)
    assert found(log, "--item", ADA.item.item_id) == 5
    assert {0, *range(2, 6)}.isdisjoint(payloads(log))
    assert len(payloads(log)) == 10
    log.indexer.forget()
    assert len(payloads(log)) == 10
    assert log.place.verify().size == 15


def test_what_comes_after_the_destruction_is_sealed_without_its_payload(log: Log) -> None:
    log.vault.destroy(subjects.item(NOBODY.item.item_id), "asked for it", "privacy")
    late = replace(
        NOBODY.opened, event_id="00000000-0000-4000-8000-000000000099", detail={"a": "quagga"}
    )
    log.take(late)
    log.seal()
    log.index()
    assert 15 not in payloads(log)
    assert found(log, "quagga") == 0
    told = json.loads(run("show", late.event_id, *log.options, "--json"))
    assert (told["ok"], told["story"][0]["absent"]) == (True, "destroyed")
    assert log.place.verify().size == 16


def test_what_a_remembered_key_still_locked_is_forgotten_when_it_is_indexed(log: Log) -> None:
    gone = subjects.item(NOBODY.item.item_id)
    with log.place.keyring() as somebody_else:
        somebody_else.destroy(gone, "asked for it", "privacy")
    late = replace(
        NOBODY.opened, event_id="00000000-0000-4000-8000-000000000098", detail={"a": "quagga"}
    )
    log.take(late)  # within the minute in which the key is remembered
    assert payloads(log)[15] == gone
    log.indexer.forget()
    assert payloads(log)[15] == gone  # not indexed yet: nobody has looked for it
    log.index()
    assert gone not in payloads(log).values()
    assert found(log, "quagga") == 0


def test_rows_older_than_the_vault_stay_readable(log: Log) -> None:
    fresh = story(9).item
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(append, "lock", lambda _key, _sequence, payload: payload)
        patch.setattr(append, "Row", _older(append.Row))
        log.take(fresh)
    log.seal()
    assert payloads(log)[15] is None
    for app in (APP, WITHOUT_VAULT):
        told = json.loads(run("show", fresh.item_id, *log.options, "--json", app=app))
        assert told["story"][0]["parts"]["prompt"]["text"] == PROMPT
    log.index()
    assert found(log, "--item", fresh.item_id, "zebracorn") == 1


def _older(row: type) -> object:
    def made(**values: object) -> object:
        payload = values["parts"]
        clear = {"subject": None, "salt": payload.salt, "parts": payload.packed}  # type: ignore[attr-defined]
        return row(**{**values, **clear})

    return made


def test_without_the_vault_payloads_are_locked_and_no_bundle_calls_them_destroyed(
    log: Log, tmp_path: Path
) -> None:
    told = run("show", BOB.item.item_id, *log.options, app=WITHOUT_VAULT)
    assert "locked: no vault was given" in told
    bundle = tmp_path / "bundle.zip"
    options = ["export", "--item", BOB.item.item_id, "--out", str(bundle), *log.options]
    result = RUN.invoke(WITHOUT_VAULT, options)
    assert result.exit_code == 1
    assert "locked" in result.stderr
    assert not bundle.exists()
    # Verifying needs neither vault nor key file.
    assert "All is well" in run(
        *("verify", "--from", str(log.place.folder), "--key", KEY.public.text), app=WITHOUT_VAULT
    )


def test_a_key_that_the_vault_has_lost_is_called_so_and_not_destroyed(log: Log) -> None:
    with psycopg.connect(log.place.vault) as connection:
        connection.execute("DELETE FROM vault.key")
    assert "does not know its key" in run("show", BOB.item.item_id, *log.options)


def test_while_the_vault_is_away_appending_waits_and_nothing_is_lost(place: Place) -> None:
    writer = Writer(place.database)
    writer.migrate()
    with closing(writer), closing(Proxy(place.vault)) as proxy:
        with Keyring.open(proxy.dsn, place.vault_key_file, "test") as vault:
            appender = Appender(
                log=writer,
                letters=MemoryLetters(),
                digester=Digester(bytes(32)),
                vault=vault,
                appended=lambda _: None,
            )
            items = [
                read(story(number).item, topic=REVIEW_ITEMS, offset=number) for number in (1, 2, 3)
            ]
            appender.handle(items[:1])
            proxy.cut()
            for _ in range(2):
                with pytest.raises(UnavailableError, match="the vault"):
                    appender.handle(items)
            assert place.column("SELECT count(*) FROM audit.record") == [1]
            assert writer.offsets() == {(REVIEW_ITEMS, 0): 2}
            proxy.down = False
            appender.handle(items)
    assert place.column("SELECT sequence FROM audit.payload ORDER BY 1") == [0, 1, 2]


def test_everything_is_readable_after_rotation(log: Log) -> None:
    keys = KeyFile(log.place.vault_key_file)
    old = keys.current
    keys.create()
    with Store(log.place.vault, "test") as owner:
        assert rotation.finish(owner, keys) == 5  # two people, three items
    keys.destroy(old)
    told = json.loads(run("show", BOB.item.item_id, *log.options, "--json"))
    assert [one["absent"] for one in told["story"]] == [None] * 5
    log.take(story(7).item)


@pytest.mark.parametrize("kind", ["missing", "garbled", "another installation's"])
def test_without_its_key_file_the_process_does_not_start_and_names_it(
    place: Place, tmp_path: Path, kind: str
) -> None:
    with audit_log(place) as log:
        log.take(BOBS)
    file = tmp_path / "other" / "vault.key"
    file.parent.mkdir()
    if kind == "garbled":
        file.write_text("no key\n")
    elif kind != "missing":
        KeyFile.make(file)
    wrong = Place(**{**vars(place), "vault_key_file": file})
    with audit_sink(wrong, "127.0.0.1:1", tmp_path / "process") as started:
        try:
            assert started.process.wait(60) == 1
        except subprocess.TimeoutExpired:
            pytest.fail(started.log.read_text()[-3000:])
    lines = [json.loads(one) for one in started.log.read_text().splitlines() if one[:1] == "{"]
    [told] = [one for one in lines if one["event"] == "cannot_start"]
    assert str(file) in told["error"]
