"""The SQL a target table needs, composed once per connection and set of columns.

Owns quoting: names come from the configuration and the catalogue and pass through `psycopg.sql`;
values never get near the text.
"""

from collections.abc import Sequence
from typing import LiteralString

from psycopg import sql

from dispatcher.targets.catalogue import KEY_TABLE, Table
from dispatcher.targets.columns import Column, Kind

_READ: LiteralString = """
SELECT t.{key}::text, t.{version}::text{columns}
  FROM {table} t
 WHERE t.{key} = ANY (%s::{key_type}[])
 ORDER BY t.{key}
"""
_EXISTING: LiteralString = """
SELECT t.{key}::text FROM {table} t WHERE t.{key} = ANY (%s::{key_type}[])
"""
_KEYS: LiteralString = """
SELECT write_back_id::text, identifier, version, before
  FROM {keys}
 WHERE write_back_id = ANY (%s::uuid[])
"""
# A record that the update does not reach (version moved, a trigger dropped it) gets no key row.
# PostgreSQL converts the JSON values to the columns' types; casts to a type without its modifier
# do not cut or round, so an oversized value is an error and not another value.
_WRITE: LiteralString = """
WITH input AS (
    SELECT * FROM json_to_recordset(%s::json)
           AS i (id uuid, key {key_type}, version {version_type}, before jsonb{definitions})
), written AS (
    UPDATE {table} t
       SET {version} = t.{version} + 1{assignments}
      FROM input i
     WHERE t.{key} = i.key AND t.{version} = i.version
 RETURNING i.id, t.{key}::text AS identifier, t.{version}::text AS version, i.before{columns}
), keyed AS (
    INSERT INTO {keys} (write_back_id, identifier, version, before)
    SELECT id, identifier, version, before FROM written
)
SELECT id::text, version{names} FROM written
"""


def _quoted(*names: str) -> sql.Identifier:
    """Quote a name for a statement with parameters, where a percent sign is written twice."""
    return sql.Identifier(*(name.replace("%", "%%") for name in names))


def _as_json(column: Column) -> sql.Composed:
    """Return the expression of a column's value as JSON text; SQL NULL is `null`."""
    shape: LiteralString = (
        "coalesce(t.{}::text, 'null')"
        if column.kind is Kind.JSON
        else "coalesce(to_jsonb(t.{})::text, 'null')"
    )
    return sql.SQL(shape).format(_quoted(column.name))


def _names(table: Table) -> dict[str, sql.Composable]:
    return {
        "table": _quoted(table.schema, table.name),
        "keys": _quoted(table.schema, KEY_TABLE),
        "key": _quoted(table.key.name),
        "version": _quoted(table.version.name),
        # format_type()'s own text: the catalogue quotes it.
        "key_type": sql.SQL(table.key.sql_type),
        "version_type": sql.SQL(table.version.sql_type),
    }


class Statements:
    """The statements for one table, as bytes."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._names = _names(table)
        self._writes: dict[tuple[str, ...], bytes] = {}
        listed = sql.SQL("").join(
            sql.SQL(", ") + _as_json(column) for column in table.columns.values()
        )
        read = sql.SQL(_READ).format(columns=listed, **self._names)
        self.read = read.as_bytes(None)
        """Records without a lock: key, version, then every column."""
        self.lock = (read + sql.SQL("FOR UPDATE OF t")).as_bytes(None)
        """The same, waiting for whoever holds them, in key order (two writers never deadlock)."""
        self.lock_free = (read + sql.SQL("FOR UPDATE OF t SKIP LOCKED")).as_bytes(None)
        """The same, without those that somebody holds."""
        self.existing = sql.SQL(_EXISTING).format(**self._names).as_bytes(None)
        self.keys = sql.SQL(_KEYS).format(**self._names).as_bytes(None)

    def write(self, changed: Sequence[str]) -> bytes:
        """Return the statement that changes these columns in a set of records."""
        names = tuple(changed)
        known = self._writes.get(names)
        if known is None:
            known = self._writes[names] = self._compose(names)
        return known

    def _compose(self, names: tuple[str, ...]) -> bytes:
        columns = [self._table.columns[name] for name in names]
        numbered = [(sql.Identifier(f"c{i}"), column) for i, column in enumerate(columns)]
        comma, nothing = sql.SQL(", "), sql.SQL("")
        return (
            sql.SQL(_WRITE)
            .format(
                definitions=nothing.join(
                    comma + alias + sql.SQL(" " + column.sql_type) for alias, column in numbered
                ),
                assignments=nothing.join(
                    sql.SQL(", {} = i.{}").format(_quoted(column.name), alias)
                    for alias, column in numbered
                ),
                columns=nothing.join(
                    comma + _as_json(column) + sql.SQL(" AS ") + alias for alias, column in numbered
                ),
                names=nothing.join(comma + alias for alias, _ in numbered),
                **self._names,
            )
            .as_bytes(None)
        )
