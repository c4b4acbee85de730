"""The SQL, by name: `queries.sql` as it stands, and the list pages, whose shape depends on filters.

Owns text only; running it is `store`'s. What goes into the text is taken from closed lists here
(states, lanes, sorts); what people type is always bound.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Final
from uuid import UUID

from psycopg import sql

from review_api.policy import Lane
from review_api.review import State


def _load() -> Mapping[str, sql.SQL]:
    text = files("review_api").joinpath("queries.sql").read_text("utf-8")
    parts = re.split(r"^-- name: ([a-z_]+)$", text, flags=re.MULTILINE)[1:]
    # psycopg asks for literal SQL to keep input out of it; these are part of the release.
    return {
        name: sql.SQL(_without_comments(body))
        for name, body in zip(parts[::2], parts[1::2], strict=True)
    }


def _without_comments(body: str) -> Any:
    return "\n".join(line for line in body.splitlines() if not line.startswith("--")).strip()


QUERIES: Final = _load()


@dataclass(frozen=True, slots=True, kw_only=True)
class Sort:
    """An order that an index has. `keys` are the columns before the item's id."""

    name: str
    keys: tuple[str, ...]
    casts: tuple[str, ...]


DEFAULT_SORT: Final = "due,-risk"
SORTS: Final[Mapping[str, Sort]] = {
    sort.name: sort
    for sort in (
        Sort(
            name=DEFAULT_SORT,
            keys=("due_at", "(-risk)"),
            casts=("timestamptz", "double precision"),
        ),
        Sort(name="-divergence", keys=("(-divergence)",), casts=("double precision",)),
    )
}
"""Every other order would read and sort the whole queue on a request path."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """What a list shows. No `states`: all of them. `viewer`: whose skips are marked.

    `second`: without what the viewer has given the first approval of.
    """

    states: tuple[State, ...] = ()
    lane: Lane | None = None
    source: str | None = None
    words: tuple[str, ...] = ()
    item: UUID | None = None
    sort: Sort = SORTS[DEFAULT_SORT]
    after: tuple[str, ...] | None = None
    limit: int = 50
    viewer: UUID | None = None
    second: bool = False


_COLUMNS: Final = (
    "item_id, source, external_id, revision, state, lane, system, instance, identifier, risk,"
    " divergence, due_at, created_at, claim_person, claim_name, claim_until,"
    " first_person"
)
_SHOWN: Final = (
    "item_id, source, external_id, revision, state, lane, system, instance, identifier, risk,"
    " divergence, nullif(due_at, 'infinity') AS due, created_at, title, claim_person, first_person,"
    " CASE WHEN claim_until > clock_timestamp() THEN claim_name END AS claimed_by, claim_until,"
    " EXISTS (SELECT 1 FROM review.skip WHERE skip.person_id = %(viewer)s"
    " AND skip.item_id = page.item_id AND skip.revision = page.revision) AS skipped"
)


def page(wanted: Filter) -> tuple[sql.SQL, dict[str, Any]]:
    """Return the statement of one page (one row more than `limit`: is there a next one?).

    Without a search each state is an index range of its own, and PostgreSQL merges the ranges: a
    page costs what it shows, however long the queue is.
    """
    where, values = _conditions(wanted)
    order = ", ".join((*wanted.sort.keys, "item_id"))
    values["limit"] = wanted.limit + 1
    values["viewer"] = wanted.viewer
    if wanted.words or wanted.item:
        rows = _searched(wanted, where, values)
    else:
        states = wanted.states or tuple(State)
        rows = " UNION ALL ".join(
            f"(SELECT {_COLUMNS} FROM review.item WHERE state = '{state}'{where}"
            f" ORDER BY {order} LIMIT %(limit)s)"
            for state in states
        )
    text: Any = (
        f"SELECT {_SHOWN} FROM"
        f" (SELECT * FROM ({rows}) AS found ORDER BY {order} LIMIT %(limit)s) AS page"
        f" JOIN review.item_revision USING (item_id, revision) ORDER BY {order}"
    )
    return sql.SQL(text), values


def _conditions(wanted: Filter) -> tuple[str, dict[str, Any]]:
    where, values = "", dict[str, Any]()
    if wanted.lane is not None:
        where += f" AND lane = '{wanted.lane}'"
    if wanted.second:
        where += " AND first_person IS DISTINCT FROM %(viewer)s"
    if wanted.source is not None:
        where += " AND source = %(source)s"
        values["source"] = wanted.source
    if wanted.after is not None:
        names = [f"after{number}" for number in range(len(wanted.after))]
        bounds = ", ".join(
            f"%({name})s::{cast}"
            for name, cast in zip(names, (*wanted.sort.casts, "uuid"), strict=True)
        )
        # A row comparison is one index condition; the same with OR would filter all that precedes.
        where += f" AND ({', '.join((*wanted.sort.keys, 'item_id'))}) > ({bounds})"
        values |= dict(zip(names, wanted.after, strict=True))
    return where, values


def _searched(wanted: Filter, where: str, values: dict[str, Any]) -> str:
    states = ", ".join(f"'{state}'" for state in wanted.states or tuple(State))
    found = "item_id = %(item)s" if wanted.item else f"item_id IN ({_MATCHES})"
    values["item"] = wanted.item
    values["words"] = " & ".join(f"{word}:*" for word in wanted.words)
    return f"SELECT {_COLUMNS} FROM review.item WHERE state IN ({states}) AND {found}{where}"


_MATCHES: Final = (
    "SELECT item_id FROM review.item_revision"
    " WHERE to_tsvector('simple', search) @@ to_tsquery('simple', %(words)s)"
)

COUNTED: Final = 1_000
"""Tabs count up to here and then say "1,000+"."""


def counts(tabs: Mapping[str, tuple[tuple[State, ...], Lane | None]]) -> sql.SQL:
    """Return the statement that counts every tab, each up to `COUNTED`."""
    text: Any = " UNION ALL ".join(
        f"SELECT '{name}' AS tab, count(*)::int AS items FROM (SELECT 1 FROM review.item"
        f" WHERE state IN ({', '.join(repr(str(state)) for state in states)})"
        f"{'' if lane is None else f' AND lane = {str(lane)!r}'} LIMIT {COUNTED}) AS bounded"
        for name, (states, lane) in tabs.items()
    )
    return sql.SQL(text)


_WORD: Final = re.compile(r"[^\W_]+")
_LONGEST_WORD: Final = 64


def words(text: str) -> tuple[str, ...]:
    """Return the words of `text` as the search knows them: lower case, letters and digits."""
    return tuple(word[:_LONGEST_WORD].lower() for word in _WORD.findall(text))
