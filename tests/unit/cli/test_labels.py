"""Lines of labels in a file: whole, never twice, never over somebody's work."""

import json
from pathlib import Path

import pytest

from placet.labels import LabelsError, cursor_of, opened, whole_lines


def line(number: int, text: str = "") -> bytes:
    return json.dumps({"cursor": f"c{number}", "prompt": text}, ensure_ascii=False).encode() + b"\n"


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_lines_are_whole_however_they_come(size: int) -> None:
    odd = "a\u2028b\u0085c\x0bd\rz"  # what other languages call the end of a line
    data = line(1, odd) + line(2) + line(3)[:-4]
    chunks = [data[at : at + size] for at in range(0, len(data), size)]
    assert list(whole_lines(chunks)) == [line(1, odd), line(2)]


def test_a_new_file_begins_at_the_beginning(tmp_path: Path) -> None:
    file, cursor = opened(tmp_path / "new.jsonl", resume=False)
    file.close()
    assert cursor is None
    again, cursor = opened(tmp_path / "new.jsonl", resume=True)  # nothing came the first time
    again.close()
    assert cursor is None


def test_a_file_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "labels.jsonl"
    path.write_bytes(line(1))
    with pytest.raises(LabelsError, match="--resume"):
        opened(path, resume=False)
    assert path.read_bytes() == line(1)


@pytest.mark.parametrize(
    "before",
    [line(1) + line(2), line(2), line(1) + line(2, "x" * 200_000), line(1, "y" * 70_000) + line(2)],
    ids=["two", "one", "the last is long", "the first is long"],
)
@pytest.mark.parametrize("half", [b"", b'{"cursor": "c3", "pro', b"z" * 100_000])
def test_going_on_cuts_half_a_line_off_and_appends(
    tmp_path: Path, before: bytes, half: bytes
) -> None:
    path = tmp_path / "labels.jsonl"
    path.write_bytes(before + half)
    file, cursor = opened(path, resume=True)
    with file:
        file.write(line(3))
    assert cursor == "c2"
    assert path.read_bytes() == before + line(3)


def test_half_a_first_line_is_begun_anew(tmp_path: Path) -> None:
    path = tmp_path / "labels.jsonl"
    path.write_bytes(b'{"cursor": ')
    file, cursor = opened(path, resume=True)
    with file:
        file.write(line(1))
    assert cursor is None
    assert path.read_bytes() == line(1)


@pytest.mark.parametrize("text", [b"hello\n", b"[]\n", b'{"a": 1}\n', b"\xff\n"])
def test_another_file_is_not_gone_on_with(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "notes.txt"
    path.write_bytes(text)
    with pytest.raises(LabelsError, match=r"notes\.txt"):
        opened(path, resume=True)
    assert path.read_bytes() == text
    with pytest.raises(LabelsError):
        cursor_of(text)
