"""Sentences and content words of a text. Pure; knows nothing of outputs and sources.

Owns where a sentence ends and what counts as the same word. Works on any Unicode text, in time that
is linear in its length: patterns never backtrack, and each begins with a set of characters, which
the engine searches fast.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from typing import Final

MAX_SPAN: Final = 1_000
"""A sentence ends after so many characters at the latest."""
MAX_FORMS: Final = 65_536
"""So many words' common forms are remembered; a word has 64 characters at most."""
MAX_NAME: Final = 200
"""A longer run of capitals is a heading, not a name."""

Span = tuple[int, int]
"""Start and end in characters (code points), end excluded."""

_STOP_WORDS: Final = """
a about after again all also am an and any are as at be because been before being both but by can
could did do does doing done down during each either every few for from further had has have having
he her here hers him his how i if in into is it its just many may me might mine more most much must
my neither no nor not of off on once one only onto or other our ours out over own shall she should
so some such than that the their theirs them then there these they this those through to too under
until up upon us very was we were what when where which while who whom whose why will with would yes
you your yours d ll m re s t ve
"""
_STOP: Final = frozenset(_STOP_WORDS.split())
_TITLE_WORDS: Final = "mr mrs ms dr prof st vs gen col lt sgt rev hon mt ft fig"
_TITLES: Final = frozenset(_TITLE_WORDS.split())
_COUNTED: Final = "two three four five six seven eight nine ten eleven twelve"
_NUMBER_WORDS: Final = {w: str(n) for n, w in enumerate(_COUNTED.split(), start=2)}
# Thai, Lao, Myanmar, Khmer, kana, Han: no blanks between words, so each character is a word.
_UNSPACED: Final = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
    "\U00020000-\U0003ffff"
)
_WORD: Final = re.compile(
    rf"[^\W\d_{_UNSPACED}][^\W_{_UNSPACED}]{{0,63}}+(?:['’]s\b)?+"  # noqa: RUF001
    rf"|\d{{1,64}}+(?:[.,]\d{{1,64}}+){{0,8}}+|[{_UNSPACED}]"
)
_ASCII_WORD: Final = re.compile(
    r"[a-zA-Z][a-zA-Z0-9]{0,63}+(?:'s\b)?+|[0-9]{1,64}+(?:[.,][0-9]{1,64}+){0,8}+"
)
"""The same on ASCII text, in half the time."""
_MARK: Final = re.compile(r"[.!?…。！？\n]++[\"'”’»)\]」』]*+")  # noqa: RUF001 - these are meant
"""Where a sentence may end. Begins with a set, which the engine searches fast; no backtracking."""
_ENDS_ALONE: Final = frozenset("\n。！？")  # noqa: RUF001 - need no blank after them
_UPPER: Final = "".join(filter(str.isupper, map(chr, range(0x1_0000))))
_NAME: Final = re.compile(
    rf"[{_UPPER}](?<=\b.)[^\W_]*+(?:['’]s\b)?+"  # noqa: RUF001
    rf"(?:(?: |-|\. ?)[{_UPPER}][^\W_]*+(?:['’]s\b)?+)*+"  # noqa: RUF001
)
"""Neighbouring capitalised words: `J. K. Rowling`, `Jean-Luc`, `Arthur's Magazine`."""


def spans(text: str, at_most: int) -> list[Span]:
    """Return the sentences of `text` without the blanks around them, about `at_most` of them."""
    least = len(text) // at_most
    spans: list[Span] = []
    start = 0
    for mark in _MARK.finditer(text):
        end = mark.end()
        if end - start >= least and _ends_sentence(text, start, mark):
            _add(spans, text, start, end)
            start = end
    _add(spans, text, start, len(text))
    return spans


def _ends_sentence(text: str, start: int, mark: re.Match[str]) -> bool:
    """Tell whether a mark ends the sentence that began at `start`.

    A dot of `Dr.`, `J.`, `U.S.`, before a small letter or inside `6.5` does not; one in `so.Then`
    does, because passages are often glued together without a blank.
    """
    marks, end = mark.group(), mark.end()
    after = text[end : end + 2]
    if marks != ".":
        return not after or after[0].isspace() or not _ENDS_ALONE.isdisjoint(marks)
    before = text[max(start, end - 6) : end - 1]
    if not after[:1].isspace():
        return not after or (before[-1:].islower() and after[0].isupper())
    word = before.rpartition(" ")[2].rpartition(".")[2]
    return not (
        after[1:].islower() or word.lower() in _TITLES or (len(word) == 1 and word.isalpha())
    )


def _add(spans: list[Span], text: str, start: int, end: int) -> None:
    """Add `text[start:end]` without the blanks around it, cut where it is too long."""
    while start < end:
        stop = end
        if end - start > MAX_SPAN:
            blank = text.rfind(" ", start + MAX_SPAN // 2, start + MAX_SPAN)
            stop = blank + 1 if blank > 0 else start + MAX_SPAN
        piece = text[start:stop].rstrip()
        if piece:
            right = start + len(piece)
            spans.append((right - len(piece.lstrip()), right))
        start = stop


def forms_of(tokens: Sequence[str]) -> list[str]:
    """Return the common form of each token; empty for a stop word."""
    return list(map(_FORMS.__getitem__, tokens))


def words_of(text: str) -> list[str]:
    """Return the content words of `text` in order, in their common form."""
    return list(filter(None, map(_FORMS.__getitem__, tokens_of(text))))


def tokens_of(text: str) -> list[str]:
    """Return the words and numbers of `text` as they stand there."""
    return _word_pattern(text).findall(text)


def _word_pattern(text: str) -> re.Pattern[str]:
    return _ASCII_WORD if text.isascii() else _WORD


class _Forms(dict[str, str]):
    """Remembers the common form of each word met lately; half the cost of `lru_cache`."""

    def __missing__(self, word: str) -> str:
        if len(self) >= MAX_FORMS:
            self.clear()
        form = self[word] = _common_form(word)
        return form


_FORMS: Final = _Forms()


def _common_form(word: str) -> str:
    """Return what `word` counts as; empty for a stop word."""
    if word[0].isdigit():
        return _common_number(word)
    word = word.lower()
    if not word.isascii():
        decomposed = unicodedata.normalize("NFKD", word.replace("’", "'"))  # noqa: RUF001
        word = "".join(c for c in decomposed if not unicodedata.combining(c)) or word
    word = word.removesuffix("'s")
    if word in _STOP:
        return ""
    word = _NUMBER_WORDS.get(word, word)
    if len(word) > 4 and word.endswith("ies"):  # noqa: PLR2004 - ties, dies, lies are whole words
        return word[:-3] + "y"
    if len(word) > 3 and word[-1] == "s" and word[-2] not in "su":  # noqa: PLR2004 - gas, his
        return word[:-1]
    return word


def _common_number(number: str) -> str:
    """Return one form for `108,249`, `108.249` and `108249`, and for `6,5` and `6.5`."""
    whole, *groups = number.replace(",", ".").split(".")
    if all(len(group) == 3 for group in groups):  # noqa: PLR2004 - thousands
        return whole + "".join(groups)
    return ".".join((whole, *groups))


def novel_names(text: str, novel: set[str]) -> Iterator[str]:
    """Yield runs of capitalised words that hold one of the `novel` words.

    A single capitalised word at the head of a sentence is no name, unless it has a second capital.
    """
    for match in _NAME.finditer(text):
        name = match.group()
        if len(name) > MAX_NAME or novel.isdisjoint(words_of(name)):
            continue
        if name[1:].islower() and not text[: match.start()].strip("\"'“”‘’«»([ "):  # noqa: RUF001
            continue
        yield name
