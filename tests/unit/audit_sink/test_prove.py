"""`placet audit prove`, `check`, `verify --since`: what convinces, and that nothing else does."""

import json
import random
from pathlib import Path

import pytest
from tests.support.audit_log import KEY, OTHER_KEY, row, sealed
from typer.testing import CliRunner

from audit_sink.cli import Defaults, build
from audit_sink.tlog_proof import HEADER, ProofError, check_proof, parse_proof

RUN = CliRunner()
KEY_TEXT = KEY.public.text
APP = build(Defaults)


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("log")
    sealed(folder, 300, 700)
    return folder


def prove(log: Path, name: str, *more: str) -> str:
    options = ["prove", name, "--from", str(log), "--key", KEY_TEXT, *more]
    result = RUN.invoke(APP, options)
    assert result.exit_code == 0, result.stderr
    return result.stdout


@pytest.mark.parametrize("sequence", [0, 1, 255, 256, 299, 511, 512, 699])
def test_a_proof_by_number_convinces(log: Path, sequence: int) -> None:
    proven = check_proof(prove(log, str(sequence)).encode(), KEY.public)
    assert proven.index == sequence
    assert proven.record == row(sequence).record
    assert proven.checkpoint.size == 700


def test_a_proof_by_event_or_correlation_id_is_the_same(log: Path) -> None:
    by_number = prove(log, "613")
    assert prove(log, str(row(613).event_id)) == by_number
    assert prove(log, "req-613") == by_number


def test_check_prints_what_was_proven(log: Path, tmp_path: Path) -> None:
    prove(log, "613", "--out", str(tmp_path / "p.tlog-proof"))
    result = RUN.invoke(APP, ["check", str(tmp_path / "p.tlog-proof"), "--key", KEY_TEXT])
    assert result.exit_code == 0
    assert "Record 613 is in placet.test/log (head of 700 records)" in result.stdout
    options = ["check", str(tmp_path / "p.tlog-proof"), "--key", KEY_TEXT, "--json"]
    answer = json.loads(RUN.invoke(APP, options).stdout)
    assert (answer["ok"], answer["index"], answer["record"]["type"]) == (True, 613, "Control")


def test_a_proof_is_never_overwritten(log: Path, tmp_path: Path) -> None:
    (tmp_path / "p").write_text("mine")
    options = ["prove", "1", "--from", str(log), "--key", KEY_TEXT, "--out", str(tmp_path / "p")]
    assert RUN.invoke(APP, options).exit_code == 1
    assert (tmp_path / "p").read_text() == "mine"


@pytest.mark.parametrize("name", ["700", "9" * 40, "nobody", "a\0b", "x" * 5_000, str(row(701))])
def test_what_is_not_in_the_log_cannot_be_proven(log: Path, name: str) -> None:
    result = RUN.invoke(APP, ["prove", name, "--from", str(log), "--key", KEY_TEXT])
    assert result.exit_code == 1
    assert result.stdout == ""


def test_no_proof_comes_out_of_a_damaged_log(tmp_path: Path) -> None:
    sealed(tmp_path / "log", 300)
    path = tmp_path / "log/tile/0/000"
    data = bytearray(path.read_bytes())
    data[77 * 32] ^= 1
    path.write_bytes(data)
    result = RUN.invoke(APP, ["prove", "5", "--from", str(tmp_path / "log"), "--key", KEY_TEXT])
    assert result.exit_code == 6
    assert "NOT VERIFIED" in result.stderr
    path.write_bytes(data[:40])
    result = RUN.invoke(APP, ["prove", "5", "--from", str(tmp_path / "log"), "--key", KEY_TEXT])
    assert result.exit_code == 6


def test_another_key_is_not_convinced(log: Path, tmp_path: Path) -> None:
    prove(log, "1", "--out", str(tmp_path / "p"))
    result = RUN.invoke(APP, ["check", str(tmp_path / "p"), "--key", OTHER_KEY.public.text])
    assert result.exit_code == 6
    result = RUN.invoke(
        APP, ["check", str(tmp_path / "p"), "--key", OTHER_KEY.public.text, "--json"]
    )
    assert json.loads(result.stdout)["ok"] is False


def test_every_single_bit_of_a_proof_matters(log: Path) -> None:
    good = prove(log, "613").encode()
    rng = random.Random(7)
    for _ in range(3_000):
        bad = bytearray(good)
        bad[rng.randrange(len(bad))] ^= 1 << rng.randrange(8)
        with pytest.raises(ProofError):
            check_proof(bytes(bad), KEY.public)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff" * 5_000,
        HEADER,
        HEADER + b"\n\n",
        HEADER + b"\nindex 1\n\n",
        HEADER + b"\nindex -1\n\nx",
        HEADER + b"\nindex 01\n\nx",
        HEADER + b"\nindex 99999999999999999999999\n\nx",
        HEADER + b"\nextra !\nindex 1\n\nx",
        HEADER + b"\nindex 1\nAAAA\n\nx",
        HEADER + b"\nindex 1\n" + b"\n".join([b"A" * 43 + b"="] * 64) + b"\n\nx",
        b"A" * 10_000_000,
    ],
)
def test_what_is_no_proof_ends_with_6_and_no_traceback(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "p").write_bytes(data)
    result = RUN.invoke(APP, ["check", str(tmp_path / "p"), "--key", KEY_TEXT])
    assert result.exit_code == 6, result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)


def test_a_proof_of_another_place_or_record_is_refused(log: Path) -> None:
    one, other = (parse_proof(prove(log, name).encode()) for name in ("3", "4"))
    moved = prove(log, "3").encode().replace(b"\nindex 3\n", b"\nindex 4\n")
    with pytest.raises(ProofError):
        check_proof(moved, KEY.public)
    assert other.record is not None
    with pytest.raises(ProofError, match="another record"):
        check_proof(one.text, KEY.public, other.record)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    result = RUN.invoke(APP, ["check", str(tmp_path / "p"), "--key", KEY_TEXT])
    assert result.exit_code == 1
    assert "no file" in result.stderr


def test_verify_since_proves_growth_and_finds_a_fork(tmp_path: Path) -> None:
    sealed(tmp_path / "log", 300)
    kept = tmp_path / "kept"
    kept.write_bytes((tmp_path / "log/checkpoint").read_bytes())
    for name, word, expected in (("grown", "because", 0), ("forked", "otherwise", 6)):
        sealed(tmp_path / name, 700, word=word)
        options = ["verify", "--from", str(tmp_path / name), "--key", KEY_TEXT]
        result = RUN.invoke(APP, [*options, "--since", str(kept), "--json"])
        assert result.exit_code == expected, result.output
        if expected == 0:
            since = json.loads(result.stdout)["since"]
            assert since["records"] == 300
            assert len(since["consistency_proof"]) > 3
        else:
            assert "fork" in result.stdout


def test_verify_since_finds_that_a_log_was_cut_back(tmp_path: Path) -> None:
    sealed(tmp_path / "long", 300)
    sealed(tmp_path / "short", 200)
    options = ["verify", "--from", str(tmp_path / "short"), "--key", KEY_TEXT]
    result = RUN.invoke(APP, [*options, "--since", str(tmp_path / "long/checkpoint")])
    assert result.exit_code == 6
    assert "300 records" in result.stderr


def test_verify_since_a_checkpoint_of_somebody_else_is_refused(tmp_path: Path, log: Path) -> None:
    (tmp_path / "kept").write_bytes(b"nonsense\n")
    options = ["verify", "--from", str(log), "--key", KEY_TEXT]
    assert RUN.invoke(APP, [*options, "--since", str(tmp_path / "kept")]).exit_code == 6
