"""How far an output strays from the passages the model was given. Pure; knows no events' fate.

Owns the measure that a reviewer sees beside each sentence, and nothing about lanes or risk. It is
word overlap, on purpose: a person can check it by looking, it runs in a few hundred microseconds,
and it says the same thing every time. It does not understand; a sentence that uses the sources'
words to say the opposite counts as supported.

The measure:

1. Output and snippets are cut into sentences; overlong ones are cut at a blank, and in texts with
   very many sentences neighbours are merged, so that work and result stay bounded.
2. A sentence is its content words: lower case, without accents, plural and possessive endings; stop
   words (and a bare "yes" or "no") say nothing that a source could support. Scripts written without
   blanks count character by character.
3. A word weighs `1 + ln((N + 1) / (df + 1))`: `N` passages, `df` of them hold it (inverse document
   frequency as in Robertson and Zaragoza 2009, smoothed). So what no source says weighs most.
4. `support` of a sentence is the best over passages of: two thirds the weight of its words found
   there, one third the weight of its neighbouring pairs found there as neighbours. One passage,
   because words gathered from everywhere support anything; pairs, because "one in Delhi, two in
   Mumbai" and "two in Delhi, one in Mumbai" have the same words.
5. `score` is the mean of what the worst sentence and the average sentence lack, and each number or
   name that stands in no source (up to three) takes a fifth of what is left.

For numbers and names the prompt counts as a source as well: repeating the question invents nothing.
For support it does not: the question is no evidence. Without any retrieval nothing is supported.

Offsets are characters (code points) of the text as given, start included, end excluded.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import log
from typing import Final

from contract.events import Divergence, Passage, Retrieval, Sentence
from intake.words import Span, forms_of, novel_names, spans, tokens_of, words_of

MAX_SENTENCES: Final = 400
"""About as many spans at most are reported; neighbours are merged to stay there."""
MAX_PASSAGES: Final = 2_000
"""About as many passages at most are compared."""
MAX_POSTINGS: Final = 32
"""A word that stands in more passages than this tells little about which passage is meant."""
MAX_NOVEL: Final = 50
"""So many invented numbers, and as many names, are listed at most."""
SUPPORTED: Final = 0.5
"""A sentence with less support than this counts as unsupported."""


@dataclass(slots=True, kw_only=True)  # not frozen: that would take longer than the measuring
class _Passage:
    """One sentence of one snippet."""

    retrieval: int
    span: Span
    sequence: list[str]
    words: frozenset[str]


def measure(output: str, retrieval: Sequence[Retrieval], prompt: str = "") -> Divergence:
    """Measure `output` against the snippets of `retrieval`; see the head of this file.

    Work is linear in the length of the texts. Nothing is raised, whatever the texts hold.
    """
    sources = _Sources(_passages(retrieval))
    asked = frozenset(words_of(prompt))
    sentences: list[Sentence] = []
    supports: list[float] = []
    numbers: dict[str, None] = {}
    names: dict[str, None] = {}
    for start, end in spans(output, MAX_SENTENCES):
        tokens = tokens_of(output[start:end])
        forms = forms_of(tokens)
        words = list(filter(None, forms))
        support, best = sources.support(words)
        sentences.append(Sentence(start=start, end=end, support=round(support, 4), best=best))
        if not words:
            continue
        supports.append(support)
        novel = sources.lacks(words) - asked
        if not novel:
            continue
        invented = [t for t, form in zip(tokens, forms, strict=True) if form in novel]
        numbers.update(dict.fromkeys(t for t in invented if t[0].isdigit()))
        if any(t[0].isupper() for t in invented):
            names.update(dict.fromkeys(novel_names(output[start:end], novel)))
    return Divergence(
        score=round(_score(supports, len(numbers) + len(names)), 4),
        unsupported_ratio=round(_unsupported_ratio(supports), 4),
        sentences=sentences,
        novel_numbers=list(numbers)[:MAX_NOVEL],
        novel_names=list(names)[:MAX_NOVEL],
    )


def _score(supports: Sequence[float], novel: int) -> float:
    if not supports:
        return 0.0
    closeness = (min(supports) + sum(supports) / len(supports)) / 2
    return 1.0 - closeness * 0.8 ** min(novel, 3)


def _unsupported_ratio(supports: Sequence[float]) -> float:
    if not supports:
        return 0.0
    return sum(support < SUPPORTED for support in supports) / len(supports)


class _Sources:
    """The passages, and for each word those that hold it."""

    def __init__(self, passages: Sequence[_Passage]) -> None:
        self._passages = passages
        self._postings: dict[str, list[int]] = {}
        for number, passage in enumerate(passages):
            for word in passage.words:
                self._postings.setdefault(word, []).append(number)
        n = len(passages) + 1
        self._weights = [1.0 + log(n / (df + 1)) for df in range(n)]

    def lacks(self, words: Sequence[str]) -> set[str]:
        """Return those of `words` that no passage holds."""
        return {word for word in words if word not in self._postings}

    def support(self, words: Sequence[str]) -> tuple[float, Passage | None]:
        """Return the support of a sentence in [0, 1] and where it comes from."""
        if not words:
            return 1.0, None
        weights: dict[str, float] = {}
        found: dict[int, float] = {}
        for word in dict.fromkeys(words):
            postings = self._postings.get(word, ())
            weights[word] = weight = self._weights[len(postings)]
            for number in postings[:MAX_POSTINGS]:
                found[number] = found.get(number, 0.0) + weight
        # The first passage wins among equals, so that the same texts give the same answer.
        likely = sorted(found, key=lambda number: (-found[number], number))[:3]
        best, passage = 0.0, None
        for number in likely:
            support = _overlap(words, weights, self._passages[number], best)
            if support > best:
                best, passage = support, self._passages[number]
        if passage is None:
            return 0.0, None
        start, end = passage.span
        return min(best, 1.0), Passage(retrieval=passage.retrieval, start=start, end=end)


def _overlap(
    words: Sequence[str], weights: dict[str, float], passage: _Passage, beaten: float
) -> float:
    """Return two thirds the weight of words shared, one third that of neighbours shared.

    Once it is clear that the result will not exceed `beaten`, any such value is returned.
    """
    have = passage.words
    by_word = sum([weights[word] for word in weights if word in have]) / sum(weights.values())
    if len(words) == 1 or (2.0 * by_word + 1.0) / 3.0 <= beaten:
        return by_word if len(words) == 1 else 0.0
    neighbours = set(pairwise(passage.sequence))
    total = hit = 0.0
    for one, other in pairwise(words):
        weight = weights[one] + weights[other]
        total += weight
        if (one, other) in neighbours:
            hit += weight
    return (2.0 * by_word + hit / total) / 3.0


def _passages(retrieval: Sequence[Retrieval]) -> list[_Passage]:
    size = sum(len(entry.snippet) for entry in retrieval)
    passages = []
    for index, entry in enumerate(retrieval):
        text = entry.snippet
        for start, end in spans(text, 1 + MAX_PASSAGES * len(text) // max(size, 1)):
            words = words_of(text[start:end])
            if words:
                passages.append(
                    _Passage(
                        retrieval=index,
                        span=(start, end),
                        sequence=words,
                        words=frozenset(words),
                    )
                )
    return passages
