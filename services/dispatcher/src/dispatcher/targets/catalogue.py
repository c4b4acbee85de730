"""What a SQL target is: its table, columns and rights, read from PostgreSQL's catalogue.

Owns the refusals at start: what is missing, and what is too broad. Changes nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Final, LiteralString

import psycopg
from psycopg import sql

from contract.targets import TargetConfig
from dispatcher.targets.columns import Column, Kind
from dispatcher.targets.target import StartRefusedError

KEY_TABLE: Final = "placet_write_back"
KEY_TABLE_DDL: Final = files("dispatcher.targets").joinpath("key_table.sql").read_text("utf-8")

_KINDS: Final = {
    "text": Kind.TEXT,
    "varchar": Kind.TEXT,
    "int2": Kind.INTEGER,
    "int4": Kind.INTEGER,
    "int8": Kind.INTEGER,
    "numeric": Kind.NUMERIC,
    "float8": Kind.DOUBLE,
    "bool": Kind.BOOLEAN,
    "timestamptz": Kind.TIMESTAMPTZ,
    "timestamp": Kind.TIMESTAMP,
    "date": Kind.DATE,
    "uuid": Kind.UUID,
    "json": Kind.JSON,
    "jsonb": Kind.JSON,
    "_text": Kind.TEXT_ARRAY,
}
_BITS: Final = {"int2": 16, "int4": 32, "int8": 64}
_KEY_KINDS: Final = frozenset({Kind.TEXT, Kind.INTEGER, Kind.UUID})
_HEADER: Final = 4  # a type modifier counts the length word of a variable-length value

_RELATION: LiteralString = """
SELECT c.oid, n.nspname, c.relname, c.relkind,
       pg_has_role(current_user, c.relowner, 'MEMBER') AS owner
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.oid = to_regclass(%s)
"""
_COLUMNS: LiteralString = """
SELECT a.attname,
       coalesce(b.typname, t.typname) AS typname,
       coalesce(b.typtype, t.typtype) AS typtype,
       CASE WHEN b.oid IS NULL THEN a.atttypmod ELSE t.typtypmod END AS modifier,
       NOT (a.attnotnull OR t.typnotnull) AS nullable,
       a.attgenerated <> '' OR a.attidentity = 'a' AS computed,
       format_type(coalesce(b.oid, t.oid), NULL) AS sql_type,
       has_column_privilege(a.attrelid, a.attnum, 'SELECT') AS may_select,
       has_column_privilege(a.attrelid, a.attnum, 'UPDATE') AS may_update
  FROM pg_attribute a
  JOIN pg_type t ON t.oid = a.atttypid
  LEFT JOIN pg_type b ON b.oid = t.typbasetype
 WHERE a.attrelid = %s AND a.attnum > 0 AND NOT a.attisdropped
"""
_UNIQUE: LiteralString = """
SELECT 1
  FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
 WHERE i.indrelid = %s AND i.indisunique AND i.indisvalid AND i.indpred IS NULL
   AND i.indnkeyatts = 1 AND a.attname = %s
"""
_BROAD: LiteralString = """
SELECT r.rolname, r.rolsuper, r.rolbypassrls, r.rolcreatedb, r.rolcreaterole, r.rolreplication
  FROM pg_roles r
 WHERE r.rolname IN (current_user, session_user)
"""
_BROAD_ROLES: LiteralString = """
SELECT rolname
  FROM pg_roles
 WHERE rolname IN ('pg_write_all_data', 'pg_execute_server_program', 'pg_write_server_files')
   AND pg_has_role(current_user, oid, 'MEMBER')
"""
_KEY_RIGHTS: LiteralString = """
SELECT has_table_privilege(%(oid)s::oid, 'SELECT')
   AND has_table_privilege(%(oid)s::oid, 'INSERT') AS allowed
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A target table, checked. `columns` are those that may be changed, by name."""

    schema: str
    name: str
    key: Column
    version: Column
    columns: Mapping[str, Column]


Row = Mapping[str, Any]


def inspect(cursor: psycopg.Cursor[dict[str, Any]], config: TargetConfig) -> Table:
    """Return the table that `config` names, after every check.

    Raises:
        StartRefusedError: it must not be worked with; the message says what to do.
        psycopg.Error: the target is away, or refuses even to be looked at.
    """
    if not config.table or not config.key_column or not config.version_column:
        raise StartRefusedError(
            "CONFIG_INCOMPLETE",
            f"target {config.name!r}: table, key_column and version_column are needed "
            "(version_column: an integer that every writer of the table increments)",
        )
    _refuse_broad_rights(cursor)
    relation = _relation(cursor, config.table)
    rows = {row["attname"]: row for row in cursor.execute(_COLUMNS, (relation["oid"],))}
    wanted = (config.key_column, config.version_column, *config.columns)
    _refuse_missing(config, rows, wanted)
    columns = {name: _column(rows[name]) for name in wanted}
    _refuse_unusable(config, rows, columns)
    if cursor.execute(_UNIQUE, (relation["oid"], config.key_column)).fetchone() is None:
        raise StartRefusedError(
            "KEY_NOT_UNIQUE",
            f"{config.table}.{config.key_column} has no unique index of its own: one identifier "
            "must name one record",
        )
    _refuse_without_keys(cursor, relation["nspname"])
    return Table(
        schema=relation["nspname"],
        name=relation["relname"],
        key=columns[config.key_column],
        version=columns[config.version_column],
        columns={name: columns[name] for name in config.columns},
    )


def _refuse_broad_rights(cursor: psycopg.Cursor[dict[str, Any]]) -> None:
    broad = [
        f"{row['rolname']} has {right}"
        for row in cursor.execute(_BROAD).fetchall()
        for right in ("rolsuper", "rolbypassrls", "rolcreatedb", "rolcreaterole", "rolreplication")
        if row[right]
    ]
    broad += [f"is a member of {row['rolname']}" for row in cursor.execute(_BROAD_ROLES).fetchall()]
    if broad:
        raise StartRefusedError(
            "TOO_BROAD_RIGHTS",
            "the dispatcher's login can do more than write this table: "
            + "; ".join(broad)
            + ". Give it a login of its own with SELECT and UPDATE on the table's columns and "
            f"SELECT and INSERT on {KEY_TABLE}",
        )


def _relation(cursor: psycopg.Cursor[dict[str, Any]], table: str) -> Row:
    name = sql.Identifier(*table.split(".")).as_string(None)
    row = cursor.execute(_RELATION, (name,)).fetchone()
    if row is None:
        raise StartRefusedError("TABLE_NOT_FOUND", f"there is no table {table!r} for this login")
    if row["relkind"] not in {"r", "p"}:
        raise StartRefusedError("NOT_A_TABLE", f"{table!r} is a view or something else")
    if row["owner"]:
        raise StartRefusedError(
            "TOO_BROAD_RIGHTS",
            f"the dispatcher's login owns {table!r}, or is a member of its owner: an owner can "
            "drop it. Use a login that was only granted SELECT and UPDATE",
        )
    return row


def _refuse_missing(config: TargetConfig, rows: Mapping[str, Row], wanted: tuple[str, ...]) -> None:
    missing = [name for name in wanted if name not in rows]
    if missing:
        raise StartRefusedError(
            "COLUMN_NOT_FOUND", f"{config.table} has no column {', '.join(missing)}"
        )
    if not config.columns or {config.key_column, config.version_column} & set(config.columns):
        raise StartRefusedError(
            "CONFIG_INCOMPLETE",
            f"target {config.name!r}: columns lists what may be changed, and neither the key nor "
            "the version may",
        )


def _column(row: Row) -> Column:
    kind = Kind.ENUM if row["typtype"] == "e" else _KINDS.get(row["typname"])
    if kind is None:
        raise StartRefusedError(
            "COLUMN_TYPE_NOT_SUPPORTED",
            f"column {row['attname']} is of type {row['sql_type']}; supported are "
            + ", ".join(sorted(_KINDS))
            + ", enums and domains over these",
        )
    length, precision, scale = _limits(kind, row["typname"], row["modifier"])
    return Column(
        name=row["attname"],
        kind=kind,
        sql_type=row["sql_type"],
        nullable=row["nullable"],
        length=length,
        precision=precision,
        scale=scale,
    )


def _limits(kind: Kind, typname: str, modifier: int) -> tuple[int | None, int | None, int | None]:
    """Return length, precision and scale; `modifier` is -1 where the type has none."""
    if kind is Kind.INTEGER:
        return _BITS[typname], None, None
    if modifier < 0:
        return None, None, None
    if kind in {Kind.TIMESTAMP, Kind.TIMESTAMPTZ}:
        return None, None, modifier
    packed = modifier - _HEADER
    if kind is Kind.NUMERIC:
        # The scale is an 11-bit signed number (PostgreSQL's numeric.c, numeric_typmod_scale).
        return None, packed >> 16, ((packed & 0x7FF) ^ 1024) - 1024
    return packed, None, None


def _refuse_unusable(
    config: TargetConfig, rows: Mapping[str, Row], columns: Mapping[str, Column]
) -> None:
    key, version = columns[config.key_column or ""], columns[config.version_column or ""]
    if key.kind not in _KEY_KINDS:
        raise StartRefusedError("KEY_TYPE", f"a key is text, an integer or a uuid: {key.name}")
    if version.kind is not Kind.INTEGER:
        raise StartRefusedError("VERSION_TYPE", f"a version is an integer: {version.name}")
    computed = [name for name in config.columns if rows[name]["computed"]]
    if computed:
        raise StartRefusedError("COLUMN_NOT_WRITABLE", f"generated: {', '.join(computed)}")
    written = [version.name, *config.columns]
    if any(not rows[name]["may_select"] for name in columns) or any(
        not rows[name]["may_update"] for name in written
    ):
        table = sql.Identifier(*(config.table or "").split(".")).as_string(None)
        names = ", ".join(sql.Identifier(name).as_string(None) for name in written)
        raise StartRefusedError(
            "MISSING_RIGHTS",
            f"run, as the owner: GRANT SELECT ON {table} TO <login>; "
            f"GRANT UPDATE ({names}) ON {table} TO <login>;",
        )


def _refuse_without_keys(cursor: psycopg.Cursor[dict[str, Any]], schema: str) -> None:
    name = sql.Identifier(schema, KEY_TABLE).as_string(None)
    row = cursor.execute("SELECT to_regclass(%s)::oid AS oid", (name,)).fetchone()
    grant = f"GRANT SELECT, INSERT ON {name} TO <login>;"
    if row is None or row["oid"] is None:
        raise StartRefusedError(
            "NO_KEY_TABLE",
            f"the key table {name} is missing; run in that schema, as its owner:\n"
            f"{KEY_TABLE_DDL}\n{grant}",
        )
    allowed = cursor.execute(_KEY_RIGHTS, row).fetchone()
    if allowed is None or not allowed["allowed"]:
        raise StartRefusedError("MISSING_RIGHTS", f"run, as the owner: {grant}")
