"""What an answer rests on, in words short enough to stand beside a change in a target. Pure.

Owns which of the passages a model was given are named, and how. Document ids, sources and
addresses hold no personal data by contract; snippets may, so none is quoted.
"""

from typing import Final

from contract.events import Retrieval, ReviewItem

MOST: Final = 20
_WEAK: Final = 0.5  # support below it is none (as in intake's measure)


def citations(item: ReviewItem) -> list[str]:
    """Return one line for each passage that a sentence rests on, then one for each evidence link.

    Where no sentence could be measured, every passage the model was given is named.
    """
    used = {
        one.best.retrieval
        for one in item.divergence.sentences
        if one.best is not None and one.support >= _WEAK
    }
    measured = bool(item.divergence.sentences)
    passages = [
        _passage(one.doc_id, one)
        for number, one in enumerate(item.retrieval)
        if one.doc_id and (number in used or not measured)
    ]
    found = list(dict.fromkeys([*passages, *(one.uri for one in item.evidence if one.uri)]))
    more = len(found) - MOST
    return found if more <= 0 else [*found[:MOST], f"and {more} more"]


def _passage(name: str, one: Retrieval) -> str:
    where = [part for part in (one.source, one.snapshot) if part]
    if one.start is not None and one.end is not None:
        where.append(f"characters {one.start}-{one.end}")
    return f"{name} ({', '.join(where)})" if where else name
