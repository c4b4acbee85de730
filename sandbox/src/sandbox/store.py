"""One SQLite file per stand-in: its records, its log of effects, its faults, its settings.

Every request does its work in one transaction on one connection, so requests are atomic and in
order. WAL without fsync per commit: a killed process loses nothing acknowledged, a power cut may.
It refuses to know what a record is; `jira` and `sharepoint` bring their own tables.
"""

import json
import math
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

JsonObject = dict[str, Any]

SCHEMA = """
CREATE TABLE IF NOT EXISTS effect (
  sequence INTEGER PRIMARY KEY AUTOINCREMENT,
  at REAL NOT NULL,
  operation TEXT NOT NULL,
  record TEXT NOT NULL,
  fields TEXT NOT NULL,
  marker TEXT,
  actor TEXT NOT NULL,
  via TEXT NOT NULL,
  request_id TEXT
);
CREATE INDEX IF NOT EXISTS effect_record ON effect (record, sequence);
CREATE TABLE IF NOT EXISTS fault (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  rule TEXT NOT NULL,
  seen INTEGER NOT NULL DEFAULT 0,
  struck INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS setting (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""

INSERT_EFFECT = """
INSERT INTO effect (at, operation, record, fields, marker, actor, via, request_id)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)
"""
SELECT_EFFECTS = """
SELECT sequence, at, operation, record, fields, marker, actor, via, request_id
FROM effect WHERE sequence > ? AND (? IS NULL OR record = ?) ORDER BY sequence LIMIT ?
"""
SELECT_LAST_EFFECTS = """
SELECT sequence, at, operation, record, fields, marker, actor, via, request_id
FROM effect ORDER BY sequence DESC LIMIT ?
"""
UPSERT_SETTING = """
INSERT INTO setting (name, value) VALUES (?, ?)
ON CONFLICT (name) DO UPDATE SET value = excluded.value
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """One change of a record: `fields` maps a name to what it was and what it is."""

    operation: str
    record: str
    actor: str
    via: str = "api"
    fields: Mapping[str, tuple[Any, Any]]
    marker: str | None = None
    request_id: str | None = None


class TextError(ValueError):
    """JSON that no other system would take: NaN, infinity, or half a surrogate pair."""


def parse_json(body: bytes) -> Any:
    """Raises ValueError."""

    def refuse(name: str) -> None:
        raise TextError(name)

    value = json.loads(body, parse_constant=refuse)
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise TextError("a lone surrogate") from error
    return value


class Store:
    """Not thread safe: one event loop owns it."""

    def __init__(
        self, path: Path | None, schema: str, seed: Callable[["Store"], None], defaults: JsonObject
    ) -> None:
        self._seed = seed
        self._defaults = defaults
        self._schema = SCHEMA + schema
        self.clock: Callable[[], float] = time.time
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
        self._connection = sqlite3.connect(path or ":memory:", isolation_level=None)
        self._connection.row_factory = sqlite3.Row
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = NORMAL")
        self._connection.executescript(self._schema)
        self._settings: JsonObject = {}
        self._load_settings()
        if not self.setting("seeded"):
            with self.transaction():
                seed(self)
                self._set("seeded", value=True)

    def close(self) -> None:
        self._connection.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Everything inside is durable when it ends, or nothing of it happened."""
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")

    def execute(self, sql: str, *values: object) -> int:
        """The id of the row it inserted, where it inserted one."""
        return self._connection.execute(sql, values).lastrowid or 0

    def rows(self, sql: str, *values: object) -> list[sqlite3.Row]:
        return self._connection.execute(sql, values).fetchall()

    def row(self, sql: str, *values: object) -> sqlite3.Row | None:
        found = self._connection.execute(sql, values).fetchone()
        return found if isinstance(found, sqlite3.Row) else None

    def now(self) -> float:
        """Seconds since 1970."""
        return self.clock()

    def note(self, effect: Effect) -> None:
        """Counts what just changed; call it in the transaction that changed it."""
        self.execute(
            INSERT_EFFECT,
            self.now(),
            effect.operation,
            effect.record,
            json.dumps({k: {"before": b, "after": a} for k, (b, a) in effect.fields.items()}),
            effect.marker,
            effect.actor,
            effect.via,
            effect.request_id,
        )

    def effects(
        self, after: int = 0, record: str | None = None, limit: int = 1000
    ) -> list[JsonObject]:
        return _effects(self.rows(SELECT_EFFECTS, after, record, record, limit))

    def last_effects(self, limit: int) -> list[JsonObject]:
        """Newest first."""
        return _effects(self.rows(SELECT_LAST_EFFECTS, limit))

    def effect_count(self) -> int:
        return int(self.rows("SELECT count(*) FROM effect")[0][0])

    def setting(self, name: str) -> Any:
        return self._settings.get(name, self._defaults.get(name))

    def settings(self) -> JsonObject:
        return {name: self.setting(name) for name in self._defaults}

    def change_settings(self, values: Mapping[str, Any]) -> None:
        """Raises KeyError for a name this stand-in does not have, ValueError for no number."""
        for name, value in values.items():
            if name not in self._defaults:
                raise KeyError(name)
            if not (value is None and self._defaults[name] is None) and not _is_number(value):
                raise ValueError(f"{name} has to be a number")
        with self.transaction():
            for name, value in values.items():
                self._set(name, value=value)

    def reset(self) -> None:
        """As on the first day: seeded records, no effects, no faults, default settings."""
        tables = [
            r["name"] for r in self.rows("SELECT name FROM sqlite_master WHERE type = 'table'")
        ]
        with self.transaction():
            for table in tables:
                self.execute(f'DELETE FROM "{table}"')  # noqa: S608 -- names come from the file itself
            self._settings.clear()
            self._seed(self)
            self._set("seeded", value=True)

    def _set(self, name: str, *, value: Any) -> None:
        self.execute(UPSERT_SETTING, name, json.dumps(value))
        self._settings[name] = value

    def _load_settings(self) -> None:
        for row in self.rows("SELECT name, value FROM setting"):
            self._settings[row["name"]] = json.loads(row["value"])


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _effects(rows: Sequence[sqlite3.Row]) -> list[JsonObject]:
    return [{**dict(row), "fields": json.loads(row["fields"])} for row in rows]
