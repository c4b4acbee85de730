"""`placet prepare --only files`: who is given what, and that nothing made is ever made anew."""

import json
import stat
import sys
from pathlib import Path

import pytest

from audit_sink.checkpoint import parse_private_key
from conveyor.keys import Signer, Verifier
from placet import deployment
from placet.main import main
from placet.output import Exit
from vault.keys import KeyFile

SUPERUSER = "postgresql://postgres:p%40ss@db:5432/postgres"
LEDGER = "postgresql://postgres:other@elsewhere:5433/postgres"
VAULT = "postgresql://postgres:third@apart:5434/postgres"


@pytest.fixture(autouse=True)
def _servers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLACET_KAFKA", "kafka:9092")
    monkeypatch.setenv("PLACET_POSTGRES", SUPERUSER)
    for name in (
        *("PLACET_LEDGER_POSTGRES", "PLACET_VAULT_POSTGRES"),
        *("PLACET_AUDIT_ORIGIN", "PLACET_DEMO_POSTGRES"),
    ):
        monkeypatch.delenv(name, raising=False)


def run(monkeypatch: pytest.MonkeyPatch, folder: Path, *options: str) -> int:
    arguments = ["placet", "prepare", "--only", "files", "--folder", str(folder), *options]
    monkeypatch.setattr(sys, "argv", arguments)
    with pytest.raises(SystemExit) as ending:
        main()
    return int(ending.value.code or 0)


def contents(folder: Path) -> dict[str, str]:
    files = (file for file in folder.rglob("*") if file.is_file())
    return {str(file.relative_to(folder)): file.read_text("utf-8") for file in files}


def variables(folder: Path, service: str) -> dict[str, str]:
    text = (folder / "environment" / f"{service}.env").read_text("utf-8")
    return dict(line.split("=", 1) for line in text.splitlines())


def test_preparing_again_changes_no_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert run(monkeypatch, tmp_path / "made") == Exit.DONE
    first = contents(tmp_path / "made")
    assert run(monkeypatch, tmp_path / "made") == Exit.DONE
    assert contents(tmp_path / "made") == first


def test_secrets_are_their_owner_s_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    run(monkeypatch, tmp_path / "made")
    for folder in ("keys", "environment", *deployment.SHARES):
        assert stat.S_IMODE((tmp_path / "made" / folder).stat().st_mode) == 0o700
    for folder in ("environment", *deployment.SHARES):
        for file in (tmp_path / "made" / folder).iterdir():
            assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_service_is_given_its_own_secrets_and_no_other(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    run(monkeypatch, tmp_path)
    given = {
        service: {file.name for file in (tmp_path / service).iterdir()}
        for service in deployment.SHARES
    }
    assert given == {
        "intake": {"installation.key"},
        "review-api": {"installation.key", "decision.key", "service.token", "pgpass"},
        "review-worker": {"installation.key", "pgpass"},
        "dispatcher": {"installation.key", "service.token", "decision.pem", "pgpass"},
        "audit-sink": {
            "installation.key",
            "audit.key",
            "vault.key",
            "service.token",
            "decision.pem",
            "pgpass",
        },
    }


def test_a_newer_release_draws_what_is_missing_and_keeps_what_there_is(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    run(monkeypatch, tmp_path)
    file = tmp_path / "keys" / "database-passwords.json"
    known = json.loads(file.read_text("utf-8"))
    older = {role: word for role, word in known.items() if "vault" not in role}
    file.write_text(json.dumps(older), "utf-8")
    (tmp_path / "keys" / "vault.key").unlink()
    run(monkeypatch, tmp_path)
    now = json.loads(file.read_text("utf-8"))
    assert now.items() > older.items()
    assert now.keys() == known.keys()
    assert KeyFile(Path(variables(tmp_path, "audit-sink")["PLACET_VAULT_KEY_FILE"])).current
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_what_the_desk_signs_the_dispatcher_accepts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    run(monkeypatch, tmp_path)
    signer = Signer.load(Path(variables(tmp_path, "review-api")["PLACET_DECISION_KEY_FILE"]))
    pinned = Path(variables(tmp_path, "dispatcher")["PLACET_DECISION_PUBLIC_KEYS"])
    assert Verifier.load(pinned).verify(signer.key_id, signer.sign(b"yes"), b"yes")


def test_ledger_and_vault_may_be_on_other_servers(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    run(monkeypatch, tmp_path, "--ledger", LEDGER, "--vault", VAULT)
    given = variables(tmp_path, "audit-sink")
    assert given["PLACET_DATABASE"].startswith("postgresql://placet_audit:")
    assert given["PLACET_DATABASE"].endswith("@db:5432/placet")
    assert given["PLACET_LEDGER"].startswith("postgresql://placet_ledger:")
    assert given["PLACET_LEDGER"].endswith("@elsewhere:5433/ledger")
    assert given["PLACET_VAULT"].startswith("postgresql://placet_vault_audit:")
    assert given["PLACET_VAULT"].endswith("@apart:5434/vault")
    logins = (tmp_path / "audit-sink" / "pgpass").read_text("utf-8").splitlines()
    assert [line.split(":")[3] for line in logins] == [
        "placet_audit",
        "placet_ledger",
        "placet_vault_audit",
    ]
    assert not any("p%40ss" in text for name, text in contents(tmp_path).items())


def test_the_log_keeps_the_name_it_was_first_given(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, tmp_path, "--origin", "example.org/log") == Exit.DONE
    given = variables(tmp_path, "audit-sink")
    assert given["PLACET_AUDIT_ORIGIN"] == "example.org/log"
    key = parse_private_key(Path(given["PLACET_AUDIT_KEY_FILE"]).read_text("utf-8"))
    assert key.name == "example.org/log"
    before = contents(tmp_path)
    assert run(monkeypatch, tmp_path, "--origin", "example.org/other") == Exit.USAGE
    assert "example.org/log" in capsys.readouterr().err
    assert contents(tmp_path) == before
