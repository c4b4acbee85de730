"""`placet audit`: what it prints, and how it ends; never with a traceback, whatever it is given."""

import json
import re
from pathlib import Path

import pytest
from tests.support.audit_log import KEY, OTHER_KEY, row, sealed
from typer.testing import CliRunner

from audit_sink.cli import Defaults, app, build

RUN = CliRunner()
KEY_TEXT = KEY.public.text


@pytest.fixture
def log(tmp_path: Path) -> Path:
    sealed(tmp_path / "log", 300)
    return tmp_path / "log"


def test_all_is_well_says_how_many_records_were_checked(log: Path) -> None:
    result = RUN.invoke(app, ["verify", "--from", str(log), "--key", KEY_TEXT])
    assert result.exit_code == 0
    assert f"300 records of {KEY.name} checked. All is well." in result.stdout
    assert "ledger: NOT CHECKED" in result.stdout


def test_a_flipped_byte_ends_with_6_and_names_the_record(log: Path) -> None:
    path = log / "tile/entries/000"
    path.write_bytes(path.read_bytes().replace(b"req-77", b"req-78", 1))
    result = RUN.invoke(app, ["verify", "--from", str(log), "--key", KEY_TEXT])
    assert result.exit_code == 6
    said = re.sub(r"\s+", " ", result.stderr)
    assert f"record 77 (Control {row(77).event_id})" in said
    assert "tile/entries/000" in said


def test_json_is_json_whatever_the_outcome(log: Path) -> None:
    options = ["verify", "--from", str(log), "--key", KEY_TEXT, "--json"]
    good = json.loads(RUN.invoke(app, options).stdout)
    assert (good["ok"], good["records"], good["ledger"]["checked"]) == (True, 300, False)
    (log / "tile/0/000").unlink()
    result = RUN.invoke(app, options)
    assert result.exit_code == 6
    bad = json.loads(result.stdout)
    assert bad["ok"] is False
    assert bad["finding"] == {
        "file": "tile/0/000",
        "problem": "missing",
        "sequence": None,
        "event_id": None,
        "type": None,
    }


def test_the_key_may_be_a_file(log: Path, tmp_path: Path) -> None:
    (tmp_path / "vkey").write_text(KEY_TEXT + "\n")
    result = RUN.invoke(app, ["verify", "--from", str(log), "--key", str(tmp_path / "vkey")])
    assert result.exit_code == 0


def test_another_logs_key_is_not_verified(log: Path) -> None:
    options = ["verify", "--from", str(log), "--key", OTHER_KEY.public.text]
    result = RUN.invoke(app, options)
    assert result.exit_code == 6
    assert "no signature by" in result.stderr


@pytest.mark.parametrize("key", ["", "nonsense", "a+b+c", "/nowhere", "x" * 100_000])
def test_what_is_no_key_is_a_usage_error(log: Path, key: str) -> None:
    result = RUN.invoke(app, ["verify", "--from", str(log), "--key", key])
    assert result.exit_code == 2
    assert "no key" in result.stderr


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    options = ["verify", "--from", str(tmp_path / "nowhere"), "--key", KEY_TEXT]
    result = RUN.invoke(app, options)
    assert result.exit_code == 6
    assert "no folder" in result.stderr


def test_an_unreachable_ledger_that_was_asked_for_fails(log: Path) -> None:
    dsn = "postgresql://nobody@127.0.0.1:1/x?connect_timeout=1"
    options = ["verify", "--from", str(log), "--key", KEY_TEXT]
    result = RUN.invoke(app, [*options, "--ledger", dsn])
    assert result.exit_code == 1
    assert "ledger cannot be asked" in result.stderr


def test_defaults_come_from_whoever_builds_the_commands(log: Path) -> None:
    dsn = "postgresql://nobody@127.0.0.1:1/x?connect_timeout=1"
    mine = build(lambda: Defaults(log_dir=log, key=KEY_TEXT, ledger=dsn))
    result = RUN.invoke(mine, ["verify"])
    assert result.exit_code == 0
    assert "ledger: NOT CHECKED (it cannot be asked" in result.stdout


def test_defaults_are_the_local_stacks_folder(
    log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    (home / "keys").mkdir(parents=True)
    (home / "keys/audit.vkey").write_text(KEY_TEXT + "\n")
    log.rename(home / "audit")
    monkeypatch.setenv("PLACET_HOME", str(home))
    for name in ("PLACET_AUDIT_DIR", "PLACET_AUDIT_KEY", "PLACET_LEDGER"):
        monkeypatch.delenv(name, raising=False)
    assert RUN.invoke(app, ["verify"]).exit_code == 0
    assert RUN.invoke(app, ["tail", "-n", "1"]).stdout.count("\n") == 1


def test_a_terminal_obeys_nothing_that_a_log_says(log: Path) -> None:
    path = log / "tile/entries/000"
    data = path.read_bytes()
    path.write_bytes(data.replace(b'"type":"Control"', b'"type":"\\u001b[2J[/]"', 1))
    result = RUN.invoke(app, ["verify", "--from", str(log), "--key", KEY_TEXT])
    assert result.exit_code == 6
    assert "\x1b[2J" not in result.stderr


def test_tail_of_a_damaged_log_says_so(log: Path) -> None:
    (log / "tile/entries/001.p/44").unlink()
    result = RUN.invoke(app, ["tail", "--from", str(log)])
    assert result.exit_code == 1
    assert "tile/entries/001" in result.stderr
    (log / "checkpoint").write_bytes(b"garbage")
    result = RUN.invoke(app, ["tail", "--from", str(log)])
    assert result.exit_code == 1


def test_tail_prints_the_last_records_oldest_first(log: Path) -> None:
    result = RUN.invoke(app, ["tail", "--from", str(log), "-n", "3", "--output", "jsonl"])
    assert [json.loads(line)["sequence"] for line in result.stdout.splitlines()] == [297, 298, 299]
    result = RUN.invoke(app, ["tail", "--from", str(log), "-n", "2", "--output", "json"])
    assert [one["sequence"] for one in json.loads(result.stdout)] == [298, 299]
