"""What a reviewer reads, marked: what changes in a field, which sentence rests on what. Pure.

Owns segments of text with a meaning each; how they look is the templates'. Offsets come from the
event: what doesn't fit the text is said to be so, never shown in the wrong place.
"""

import itertools
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Final

import orjson

from contract.events import Passage, ReviewItem, Sentence

SUPPORTED: Final = 0.75
WEAK: Final = 0.5
"""Below it a sentence counts as unsupported (as in intake's measure)."""

_STRAYS: Final = 0.5
_DOUBTFUL: Final = 0.25
_TOKEN: Final = re.compile(r"\s+|\w+|[^\w\s]")
_MOST_TOKENS: Final = 3_000
_ALIKE: Final = 0.35


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A stretch of a diff: `same`, `gone` (only before) or `new` (only after)."""

    kind: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """A stretch of the output. `level`: supported, weak, absent, or none between sentences."""

    text: str
    level: str = ""
    number: int = 0
    support: float = 0.0
    located: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """A stretch of a snippet; `numbers` are the sentences that rest on it."""

    text: str
    numbers: tuple[int, ...] = ()


def shown(text: str | None) -> str | None:
    """Return a field's JSON text as people read it: a string without quotes, the rest as it is."""
    if text is None:
        return None
    value = orjson.loads(text) if text.startswith('"') else None
    return value if isinstance(value, str) else text


def diff(before: str, after: str) -> list[Piece]:
    """Return what changes, word by word; wholly where little is common, for a readable answer."""
    if before == after:
        return [Piece(kind="same", text=after)] if after else []
    old, new = _TOKEN.findall(before), _TOKEN.findall(after)
    whole = [
        Piece(kind=kind, text=text) for kind, text in (("gone", before), ("new", after)) if text
    ]
    if not old or not new or len(old) + len(new) > _MOST_TOKENS:
        return whole
    matcher = SequenceMatcher(a=old, b=new, autojunk=False)
    if matcher.ratio() < _ALIKE:
        return whole
    return _merged(_pieces(matcher, old, new))


def _pieces(
    matcher: SequenceMatcher[str], old: Sequence[str], new: Sequence[str]
) -> Iterable[Piece]:
    for tag, a, b, c, d in matcher.get_opcodes():
        if tag == "equal":
            yield Piece(kind="same", text="".join(old[a:b]))
            continue
        if b > a:
            yield Piece(kind="gone", text="".join(old[a:b]))
        if d > c:
            yield Piece(kind="new", text="".join(new[c:d]))


def _merged(pieces: Iterable[Piece]) -> list[Piece]:
    """Join changes that only a blank separates: one phrase, not confetti."""
    out: list[Piece] = []
    gone, new = "", ""
    for piece in pieces:
        if piece.kind == "gone":
            gone += piece.text
        elif piece.kind == "new":
            new += piece.text
        elif (gone or new) and not piece.text.strip():
            gone, new = gone + piece.text, new + piece.text
        else:
            out += _changed(gone, new)
            gone, new = "", ""
            out.append(piece)
    return out + _changed(gone, new)


def _changed(gone: str, new: str) -> list[Piece]:
    return [Piece(kind=kind, text=text) for kind, text in (("gone", gone), ("new", new)) if text]


def level_of(support: float) -> str:
    """Return how well a sentence is carried: supported, weak, absent."""
    if support >= SUPPORTED:
        return "supported"
    return "weak" if support >= WEAK else "absent"


def strays(score: float) -> str:
    """Return how an item's divergence reads at a glance: bad, warn, good."""
    if score >= _STRAYS:
        return "bad"
    return "warn" if score >= _DOUBTFUL else "good"


def strays_word(score: float) -> str:
    """Say the same in a word: colour alone tells not everybody."""
    return {"bad": "strays", "warn": "doubtful", "good": "grounded"}[strays(score)]


def said(item: ReviewItem) -> list[Said]:
    """Return the output in order, its sentences marked; sentences that don't fit are left plain."""
    out: list[Said] = []
    at = 0
    for number, sentence in enumerate(item.divergence.sentences, 1):
        if not at <= sentence.start < sentence.end <= len(item.output):
            continue
        if sentence.start > at:
            out.append(Said(text=item.output[at : sentence.start]))
        out.append(
            Said(
                text=item.output[sentence.start : sentence.end],
                level=level_of(sentence.support),
                number=number,
                support=sentence.support,
                located=_located(item, sentence),
            )
        )
        at = sentence.end
    if at < len(item.output):
        out.append(Said(text=item.output[at:]))
    return out


def _located(item: ReviewItem, sentence: Sentence) -> bool:
    best = sentence.best
    return best is not None and _fits(item, best)


def _fits(item: ReviewItem, best: Passage) -> bool:
    if not 0 <= best.retrieval < len(item.retrieval):
        return False
    return 0 <= best.start < best.end <= len(item.retrieval[best.retrieval].snippet)


def given(item: ReviewItem, index: int) -> list[Stretch]:
    """Return retrieval `index` in order, with the passages that sentences rest on marked."""
    snippet = item.retrieval[index].snippet
    marks = [
        (sentence.best.start, sentence.best.end, number)
        for number, sentence in enumerate(item.divergence.sentences, 1)
        if sentence.best is not None
        and sentence.best.retrieval == index
        and _fits(item, sentence.best)
    ]
    edges = sorted({0, len(snippet), *(edge for start, end, _ in marks for edge in (start, end))})
    return [
        Stretch(
            text=snippet[left:right],
            numbers=tuple(number for start, end, number in marks if start <= left < end),
        )
        for left, right in itertools.pairwise(edges)
    ]
