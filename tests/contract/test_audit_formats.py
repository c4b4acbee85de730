"""Software written by others checks our log: its formats are C2SP's, not ours.

`metamorphic-log` is Rust, `aics-tlog` Python (it asks for 3.12; without its dependencies it runs on
3.11). Neither is needed to run Placet; where one is not installed its test is skipped.
"""

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from tests.support.audit_log import KEY, OTHER_KEY, sealed
from typer.testing import CliRunner

from audit_sink.cli import Defaults, build

RUN = CliRunner()
APP = build(Defaults)
VKEY = KEY.public.text
SAMPLE = (0, 1, 255, 256, 511, 640, 699)


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("log")
    sealed(folder / "old", 300)
    sealed(folder / "log", 300, 700)
    return folder


def proof(log: Path, sequence: int) -> tuple[str, int, bytes, list[bytes]]:
    """Checkpoint, index, leaf hash and path, read as the C2SP page says and not with our code."""
    options = ["prove", str(sequence), "--from", str(log / "log"), "--key", VKEY]
    head, _, note = RUN.invoke(APP, options).stdout.partition("\n\n")
    first, extra, index, *path = head.split("\n")
    assert first == "c2sp.org/tlog-proof@v1"
    record = base64.b64decode(extra.removeprefix("extra "))
    leaf = hashlib.sha256(b"\x00" + record).digest()
    return note, int(index.removeprefix("index ")), leaf, [base64.b64decode(one) for one in path]


def growth(log: Path) -> dict[str, Any]:
    options = ["verify", "--from", str(log / "log"), "--key", VKEY, "--json"]
    result = RUN.invoke(APP, [*options, "--since", str(log / "old/checkpoint")])
    return dict(json.loads(result.stdout))


def test_metamorphic_log_accepts_checkpoint_inclusion_and_consistency(log: Path) -> None:
    theirs = pytest.importorskip("metamorphic_log", reason="NOT RUN: not installed")
    note = (log / "log/checkpoint").read_text()
    head = theirs.checkpoint_verify(note, [VKEY])
    assert (head.origin, head.size) == (KEY.name, 700)
    for sequence in SAMPLE:
        signed, index, leaf, path = proof(log, sequence)
        assert (signed, index) == (note, sequence)
        theirs.checkpoint_verify_inclusion(signed, [VKEY], index, leaf, path)
        with pytest.raises(theirs.VerifyError):
            theirs.checkpoint_verify_inclusion(signed, [VKEY], index, leaf[::-1], path)
    old = (log / "old/checkpoint").read_text()
    path = [bytes.fromhex(one) for one in growth(log)["since"]["consistency_proof"]]
    theirs.checkpoint_verify_consistency(old, note, [VKEY], path)
    with pytest.raises(theirs.VerifyError):
        theirs.checkpoint_verify_consistency(old, note, [VKEY], path[::-1])
    with pytest.raises(theirs.VerifyError):
        theirs.checkpoint_verify(note, [OTHER_KEY.public.text])


def test_aics_tlog_audits_every_tile_and_entry(log: Path) -> None:
    theirs = pytest.importorskip("aics_tlog", reason="NOT RUN: not installed")
    note = theirs.parse_note((log / "log/checkpoint").read_bytes())
    assert theirs.verify_checkpoint(note, theirs.parse_vkey(VKEY)).ok
    head = theirs.parse_checkpoint(note.text)
    reader = theirs.FileSystemTileReader(log / "log")
    report = theirs.audit_tiles(reader, head.size, head.root)
    assert (report.size, report.bundles) == (700, 3)
    for sequence in SAMPLE:
        _, index, leaf, path = proof(log, sequence)
        assert theirs.verify_inclusion(leaf, index, head.size, path, head.root)
    grown = growth(log)
    path = [bytes.fromhex(one) for one in grown["since"]["consistency_proof"]]
    old_root = bytes.fromhex(grown["since"]["root"])
    assert theirs.verify_consistency(300, 700, old_root, head.root, path)
