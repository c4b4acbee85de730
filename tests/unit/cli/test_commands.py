"""Commands: exit codes, what is refused, what is printed."""

import json
import sys
from pathlib import Path

import pytest
from rich.console import Console

from placet.api import ApiError
from placet.item_view import item_view
from placet.main import main
from placet.output import Exit
from placet.publishing import LineError, key_of, read_lines
from placet.refusals import explain


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLACET_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "200")
    for name in ("PLACET_KAFKA", "PLACET_URL", "PLACET_USERNAME", "PLACET_PASSWORD"):
        monkeypatch.delenv(name, raising=False)


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["placet", *arguments])
    with pytest.raises(SystemExit) as ending:
        main()
    return int(ending.value.code or 0)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["status"], Exit.FAILED, "placet up"),
        (["items"], Exit.FAILED, "placet up"),
        (["lag"], Exit.FAILED, "PLACET_KAFKA"),
        (["logs", "kafka"], Exit.FAILED, "no log of 'kafka'"),
        (["down"], Exit.DONE, "Nothing ran"),
        (["reset", "--yes"], Exit.DONE, "no stack"),
        (["decide", "x", "reject"], Exit.USAGE, "--reason-code"),
        (["targets", "resume", "x"], Exit.USAGE, "--reason"),  # nobody is there to be asked
        (["decide", "x", "perhaps"], Exit.USAGE, "perhaps"),
        (["up", "--roles", "zookeeper"], Exit.FAILED, "no such role"),
        (["nonsense"], Exit.USAGE, "nonsense"),
        (["publish", "nowhere.jsonl"], Exit.USAGE, "nowhere.jsonl"),
    ],
)
def test_commands_end_with_their_code_and_say_what_to_do(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    code: Exit,
    said: str,
) -> None:
    assert run(monkeypatch, *arguments) == code
    captured = capsys.readouterr()
    assert said in captured.err
    assert captured.out == ""


def test_reset_without_a_terminal_is_declined_and_deletes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from placet.home import Home

    Home.of().make()
    assert run(monkeypatch, "reset", "--no-input") == Exit.DECLINED
    assert (tmp_path / "home" / "stack-id").exists()


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (401, Exit.NOT_ALLOWED),
        (403, Exit.NOT_ALLOWED),
        (404, Exit.FAILED),
        (409, Exit.FAILED),
        (503, Exit.FAILED),
    ],
)
def test_a_refusal_by_right_has_a_code_of_its_own(status: int, code: Exit) -> None:
    explained = explain(ApiError(status, {}))
    assert explained
    assert explained[1] is code


def test_a_lost_race_names_the_winner_and_what_to_do() -> None:
    problem = {
        "title": "Already decided",
        "code": "ALREADY_DECIDED",
        "by": "Rosa Lind",
        "action": "APPROVE",
        "request_id": "r1",
    }
    message, _ = explain(ApiError(409, problem)) or ("", None)
    assert "Rosa Lind" in message
    assert "ALREADY_DECIDED" in message
    assert "placet item" in message


def test_a_line_that_is_no_json_is_named_and_nothing_is_read(tmp_path: Path) -> None:
    file = tmp_path / "x.jsonl"
    file.write_bytes(b'{"a": 1}\n\n{"a": \n')
    with pytest.raises(LineError, match="line 3"):
        read_lines(file)


def test_records_of_one_item_share_a_key_and_others_have_none() -> None:
    one = json.dumps({"source": "s", "external_id": "1", "revision": 1}).encode()
    two = json.dumps({"source": "s", "external_id": "1", "revision": 2}).encode()
    assert key_of(one) == key_of(two) is not None
    assert key_of(b"[1]") is None


def test_an_item_is_shown_with_change_answer_and_history() -> None:
    item = {
        "state": "PENDING",
        "lane": "ordinary",
        "revision": 1,
        "source": "support-rag",
        "external_id": "7",
        "target": {"system": "sql", "instance": "support-faq", "identifier": "7"},
        "change": {"fields": {"answer": {"current": "", "proposed": "Delhi."}}},
        "output": "Delhi.",
        "divergence": {
            "score": 0.25,
            "sentences": [{"start": 0, "end": 6, "support": 0.1, "best": None}],
        },
        "history": [{"action": "APPROVE", "by": "Rosa"}],
    }
    console = Console(width=80, record=True, file=None, force_terminal=False, quiet=True)
    with console.capture() as captured:
        console.quiet = False
        console.print(item_view(item))
    text = captured.get()
    assert "sql/support-faq/7" in text
    assert "answer: (nothing) → Delhi." in text
    assert "APPROVE  Rosa" in text
