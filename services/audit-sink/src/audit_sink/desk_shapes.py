"""Chapters as JSON, for the desk: fields, proof, texts as far as there is room. Pure.

Owns what an answer shows of a payload. The README of this service documents the shapes.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Final

from audit_sink.evidence import RECEIVED, Part, Signing
from audit_sink.story import Chapter

MOST_TEXT: Final = 65_536
"""Bytes of a part that an answer holds; `part` has all of them."""
_TEXTS: Final = 4 * 1024 * 1024
"""Bytes of text in one answer; what comes after them is left to `part`."""


def told(chapters: Iterable[Chapter], size: int) -> list[dict[str, Any]]:
    """Return chapters as the desk is told them; `size` is the tree's that proves them."""
    room, said = _TEXTS, []
    for chapter in chapters:
        one, room = _chapter(chapter, size, room)
        said.append(one)
    return said


def _chapter(chapter: Chapter, size: int, room: int) -> tuple[dict[str, Any], int]:
    parts: dict[str, Any] | None = None
    if chapter.parts is not None:
        parts = {}
        for name, part in chapter.parts.items():
            parts[name], used = _part(name, part, room)
            room -= used
    return {
        "sequence": chapter.sequence,
        "record": chapter.fields,
        "canonical": chapter.record.decode("utf-8", "replace"),
        "proved_in": None if chapter.proof is None else size,
        "parts": parts,
        "absent": chapter.absent,
        "signing": None if chapter.signing is None else _signing(chapter.signing),
        "problems": list(chapter.problems),
    }, room


def _part(name: str, part: Part, room: int) -> tuple[dict[str, Any], int]:
    """Return a part as far as there is room: its whole size, and its text where it is one."""
    data = part.data
    if data is None:
        return {"bytes": None, "text": None, "cut": False}, 0
    shown = min(len(data), MOST_TEXT, max(0, room))
    text = None
    if name != RECEIVED:
        text = data[:shown].decode("utf-8", "replace" if shown == len(data) else "ignore")
    return {
        "bytes": len(data),
        "text": text,
        "cut": name != RECEIVED and shown < len(data),
    }, (0 if text is None else shown)


def _signing(signed: Signing) -> dict[str, Any]:
    names: Sequence[str] = signed.key_ids
    return {"checked": signed.checked, "problem": signed.problem, "key_ids": list(names)}
