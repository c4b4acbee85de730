"""`placet labels export` against a real desk: to a file, to stdout, and on from where it ended."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.review import Desk, desk, fresh_database, review_item

from placet.main import main
from placet.output import Exit

MANY = 60  # more than the desk reads at once
ALL = [f"q-{number}" for number in range(MANY)]


@pytest.fixture(scope="module")
def placet_desk(postgres_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with (
        fresh_database(postgres_server) as dsn,
        desk(dsn, tmp_path_factory.mktemp("desk")) as made,
    ):
        made.ingest([review_item(number) for number in range(MANY)])
        person = made.person()
        for number in range(MANY):
            assert person.decide(person.item(review_item(number).item_id), "REJECT").is_success
            made.query(
                "UPDATE review.decision SET decided_at = decided_at - interval '1 hour' RETURNING 1"
            )
        yield made


@pytest.fixture
def run(
    placet_desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator["type[Command]"]:
    monkeypatch.setenv("PLACET_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("PLACET_URL", placet_desk.url)
    monkeypatch.setenv("PLACET_USERNAME", "auditor")
    monkeypatch.setenv("PLACET_PASSWORD", "auditor-secret")
    Command.monkeypatch = monkeypatch
    yield Command
    monkeypatch.undo()


class Command:
    """One run of the command, and how it ended."""

    monkeypatch: pytest.MonkeyPatch

    def __init__(self, *arguments: str) -> None:
        self.monkeypatch.setattr(sys, "argv", ["placet", "labels", "export", *arguments])
        with pytest.raises(SystemExit) as ending:
            main()
        self.code = int(ending.value.code or 0)


def external(text: str) -> list[str]:
    return [json.loads(one)["external_id"] for one in text.splitlines()]


def test_labels_go_to_stdout_and_words_to_stderr(
    run: type[Command], capfd: pytest.CaptureFixture[str]
) -> None:
    assert run().code == Exit.DONE
    said = capfd.readouterr()
    assert external(said.out) == ALL
    assert said.err.strip() == "60 labels."


def test_a_file_is_gone_on_with_and_never_written_over(
    run: type[Command], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "labels.jsonl"
    assert run(str(path), "--limit", "2").code == Exit.DONE
    assert external(path.read_text()) == ALL[:2]
    assert run(str(path)).code == Exit.USAGE
    assert external(path.read_text()) == ALL[:2]
    path.write_bytes(path.read_bytes() + b'{"half": ')
    assert run(str(path), "--resume").code == Exit.DONE
    assert external(path.read_text()) == ALL
    assert run(str(path), "--resume").code == Exit.DONE
    assert external(path.read_text()) == ALL
    assert "0 labels" in capfd.readouterr().err


def test_it_goes_on_from_a_cursor_or_a_time(
    run: type[Command], capfd: pytest.CaptureFixture[str]
) -> None:
    run()
    lines = [json.loads(one) for one in capfd.readouterr().out.splitlines()]
    run("--cursor", lines[1]["cursor"])
    assert external(capfd.readouterr().out) == ALL[2:]
    run("--since", lines[1]["decided_at"], "--until", lines[3]["decided_at"])
    assert external(capfd.readouterr().out) == ALL[1:3]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--since", "yesterday"], Exit.FAILED, "since is a moment"),
        (["--resume"], Exit.USAGE, "--resume needs a FILE"),
        (["--as", "nobody"], Exit.FAILED, "no password for 'nobody'"),
        (["nowhere/labels.jsonl"], Exit.FAILED, "nowhere/labels.jsonl"),
    ],
)
def test_what_goes_wrong_is_said_and_the_code_is_not_zero(
    run: type[Command],
    capfd: pytest.CaptureFixture[str],
    arguments: list[str],
    code: Exit,
    said: str,
) -> None:
    assert run(*arguments).code == code
    told = capfd.readouterr()
    assert said in told.err
    assert told.out == ""


def test_an_export_that_breaks_off_says_how_to_go_on(
    run: type[Command], placet_desk: Desk, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "labels.jsonl"
    newest = "decided_at = (SELECT max(decided_at) FROM review.decision)"
    ((kept,),) = placet_desk.query(f"SELECT statement FROM review.decision WHERE {newest}")
    placet_desk.query(f"UPDATE review.decision SET statement = '?' WHERE {newest} RETURNING 1")
    assert run(str(path)).code == Exit.FAILED
    said = capfd.readouterr().err
    assert "review-api does not answer" in said
    assert f"50 labels before it ended. Go on: placet labels export {path} --resume" in said
    placet_desk.query(f"UPDATE review.decision SET statement = %s WHERE {newest} RETURNING 1", kept)
    assert run(str(path), "--resume").code == Exit.DONE
    assert external(path.read_text()) == ALL
