"""The queue, a page at a time: what a list is asked for, its cursor, its tabs and their counts.

Owns the cursor's form and the counts' age. Reads through `store`; knows no HTTP and no HTML.
"""

import base64
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final
from uuid import UUID

import orjson
import psycopg

from contract.statement import timestamp_text
from review_api.policy import Lane
from review_api.problems import Code, ProblemError
from review_api.queries import COUNTED, DEFAULT_SORT, SORTS, Filter, Sort, counts, page, words
from review_api.review import State
from review_api.store import Row, Store

MOST: Final = 200
_DEFAULT: Final = 50
_LONGEST: Final = 200
_COUNTS_SECONDS: Final = 2.0

TABS: Final[Mapping[str, tuple[tuple[State, ...], Lane | None]]] = {
    "second": ((State.SECOND_APPROVAL, State.SECOND_UNDO), None),
    "ordinary": ((State.PENDING, State.CONFLICT), Lane.ORDINARY),
    "critical": ((State.PENDING, State.SECOND_APPROVAL, State.CONFLICT), Lane.CRITICAL),
    "asked": ((State.NEEDS_INFO,), None),
    "writing": ((State.APPROVED, State.WRITING, State.UNDOING), None),
    "trouble": ((State.STUCK, State.FAILED), None),
    "done": ((State.COMPLETED, State.REJECTED, State.UNDONE, State.SECOND_UNDO), None),
}
"""Tabs of the queue, by name: the states and the lane of each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Items, and the cursor of what follows them."""

    rows: list[Row]
    next: str | None


def parse_filter(asked: Mapping[str, str]) -> Filter:
    """Return what a query string asks for.

    Raises:
        ProblemError: a value that none of the filters has.
    """
    for name, value in asked.items():
        if "\0" in value:
            raise ProblemError(Code.BAD_TEXT, f"{name} holds U+0000.")
    sort = SORTS.get(asked.get("sort") or DEFAULT_SORT)
    if sort is None:
        raise ProblemError(Code.BAD_SORT, f"sort is one of {'; '.join(SORTS)}.")
    text = asked.get("q", "").strip()[:_LONGEST]
    item = _uuid(text)
    found = () if item is not None else words(text)
    if text and item is None and not found:
        raise ProblemError(Code.BAD_VALUE, "q holds no letter and no digit.")
    return Filter(
        states=_states(asked.get("state", "")),
        lane=_lane(asked.get("lane", "")),
        source=asked.get("source") or None,
        words=found,
        item=item,
        sort=sort,
        after=_after(asked.get("cursor", ""), sort),
        limit=_limit(asked.get("limit", "")),
    )


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def _states(text: str) -> tuple[State, ...]:
    try:
        return tuple(dict.fromkeys(State(name) for name in text.split(",") if name))
    except ValueError:
        raise ProblemError(Code.BAD_VALUE, f"state is one of {', '.join(State)}.") from None


def _lane(text: str) -> Lane | None:
    try:
        return Lane(text) if text else None
    except ValueError:
        raise ProblemError(Code.BAD_VALUE, f"lane is one of {', '.join(Lane)}.") from None


def _limit(text: str) -> int:
    if not text:
        return _DEFAULT
    if not (text.isascii() and text.isdigit()) or not 1 <= int(text[:6]) <= MOST:
        raise ProblemError(Code.BAD_VALUE, f"limit is a number from 1 to {MOST}.")
    return int(text)


def _after(cursor: str, sort: Sort) -> tuple[str, ...] | None:
    """Return the place a cursor names, checked: it comes back from outside."""
    if not cursor:
        return None
    try:
        name, *place = orjson.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        if name != sort.name:
            raise ValueError(name)
        for part, kind in zip(place, (*sort.casts, "uuid"), strict=True):
            _CHECKS[kind](part)
    except (ValueError, TypeError, AttributeError) as error:
        raise ProblemError(
            Code.BAD_CURSOR, "It belongs to another order, or to no list."
        ) from error
    return tuple(place)


def _moment(text: str) -> None:
    if text != "infinity":
        datetime.fromisoformat(text)


def _number(text: str) -> None:
    if not math.isfinite(float(text)):
        raise ValueError(text)


_CHECKS: Final[Mapping[str, Callable[[str], object]]] = {
    "timestamptz": _moment,
    "double precision": _number,
    "uuid": UUID,
}


def _cursor(row: Row, sort: str) -> str:
    due = "infinity" if row["due"] is None else timestamp_text(row["due"])
    place = [due, repr(-row["risk"])] if sort == DEFAULT_SORT else [repr(-row["divergence"])]
    text = orjson.dumps([sort, *place, str(row["item_id"])])
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


class Listing:
    """Reads pages and counts."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._counts: dict[str, int] = {}
        self._counted_at = -_COUNTS_SECONDS

    async def page(self, wanted: Filter, viewer: UUID) -> Page:
        """Return one page, as `viewer` sees it. Costs what it shows, however long the queue is."""
        statement, values = page(replace(wanted, viewer=viewer))
        try:
            rows = await self._store.all(statement, values)
        except ProblemError as error:
            if wanted.words and isinstance(error.__cause__, psycopg.errors.QueryCanceled):
                raise ProblemError(
                    Code.SEARCH_TOO_BROAD, "Too many items hold these words."
                ) from error
            raise
        shown: Sequence[Row] = rows[: wanted.limit]
        more = len(rows) > wanted.limit
        return Page(rows=list(shown), next=_cursor(shown[-1], wanted.sort.name) if more else None)

    async def counts(self) -> Mapping[str, int]:
        """Return how many items each tab holds, up to `COUNTED`, at most two seconds old."""
        if time.monotonic() - self._counted_at >= _COUNTS_SECONDS:
            self._counted_at = time.monotonic()
            rows = await self._store.all(counts(TABS))
            self._counts = {row["tab"]: row["items"] for row in rows}
        return self._counts

    async def count_second(self, viewer: UUID) -> int:
        """Return how many items wait for the second approval of `viewer`, up to `COUNTED`."""
        row = await self._store.one("count_second", {"viewer": viewer})
        return 0 if row is None else int(row["items"])


def count_text(count: int) -> str:
    """Return a count for people: past the bound only "1,000+" is known."""
    return f"{COUNTED:,}+" if count >= COUNTED else f"{count:,}"
