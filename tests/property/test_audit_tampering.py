"""Whatever is done to the files of a log, the verifier notices and does not crash: a campaign.

`make test-long` runs the long form.
"""

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.support.audit_log import KEY, sealed

from audit_sink.folder import Folder
from audit_sink.tiles import bundle, split_bundle
from audit_sink.verify import BadEvidenceError, Report, verify

SIZES = (40, 300, 530)
Trial = Callable[[random.Random, list[Path]], None]


def _flip(rng: random.Random, files: list[Path]) -> None:
    path = rng.choice(files)
    data = bytearray(path.read_bytes())
    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    path.write_bytes(bytes(data))


def _truncate(rng: random.Random, files: list[Path]) -> None:
    path = rng.choice(files)
    path.write_bytes(path.read_bytes()[: rng.randrange(path.stat().st_size)])


def _extend(rng: random.Random, files: list[Path]) -> None:
    with rng.choice(files).open("ab") as file:
        file.write(rng.randbytes(rng.randrange(1, 100)))


def _delete(rng: random.Random, files: list[Path]) -> None:
    rng.choice(files).unlink()


def _swap(rng: random.Random, files: list[Path]) -> None:
    one, other = rng.sample(files, 2)
    data = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(data)


def _overwrite(rng: random.Random, files: list[Path]) -> None:
    one, other = rng.sample(files, 2)
    one.write_bytes(other.read_bytes())


def _splice(rng: random.Random, files: list[Path]) -> None:
    path = rng.choice(files)
    data = path.read_bytes()
    at, length = rng.randrange(len(data)), rng.randrange(1, 64)
    path.write_bytes(data[:at] + data[at + length :])


def _rows(rng: random.Random, files: list[Path]) -> None:
    path = rng.choice([path for path in files if "entries" in path.parts])
    entries = split_bundle(path.read_bytes(), 256)[0]
    one, other = rng.sample(range(len(entries)), 2)
    match rng.randrange(4):
        case 0:
            entries[one], entries[other] = entries[other], entries[one]
        case 1:
            del entries[one]
        case 2:
            entries.insert(one, entries[other])
        case _:
            entries[one] = entries[other]
    path.write_bytes(bundle(entries))


TRIALS: list[Trial] = [_flip, _flip, _truncate, _extend, _delete, _swap, _overwrite, _splice, _rows]


def _campaign(folder: Path, trials: int) -> None:
    sealed(folder / "log", *SIZES)
    log = Folder(folder / "log")
    assert isinstance(verify(log, KEY.public), Report)
    # The narrower tiles that wider ones have replaced may go: they hold nothing more.
    replaced = {"tile/1/000.p/1"}
    files = [
        path
        for path in sorted((folder / "log").rglob("*"))
        if path.is_file() and path.relative_to(folder / "log").as_posix() not in replaced
    ]
    untouched = {path: path.read_bytes() for path in files}
    for number in range(trials):
        rng = random.Random(number)
        rng.choice(TRIALS)(rng, files)
        with pytest.raises(BadEvidenceError) as caught:
            verify(log, KEY.public)
        assert caught.value.finding.file
        for path, data in untouched.items():
            if not path.exists() or path.read_bytes() != data:
                path.write_bytes(data)
    assert isinstance(verify(log, KEY.public), Report)
    log.close()
    shutil.rmtree(folder / "log")


def test_every_one_of_500_tamperings_is_detected(tmp_path: Path) -> None:
    _campaign(tmp_path, 500)


@pytest.mark.long
def test_every_one_of_a_hundred_thousand_tamperings_is_detected(tmp_path: Path) -> None:
    _campaign(tmp_path, 100_000)
