"""Databases, roles and schemas of the local stack.

Owns who may connect to what: one role and one schema per service, the ledger and the vault each in
a database of its own. Refuses to know tables: each service migrates its own schema, and `vault`
the one that belongs to no service.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, LiteralString
from urllib.parse import quote

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from vault import store as vault_store

SCHEMAS: Final[Mapping[str, str]] = {
    "review": "placet_review",
    "dispatch": "placet_dispatch",
    "audit": "placet_audit",
}
PLACET: Final = "placet"
LEDGER: Final = "ledger"
LEDGER_ROLE: Final = "placet_ledger"
VAULT: Final = "vault"
VAULT_OWNER: Final = "placet_vault"
"""Owns the keys' table: for migrations, rotation and people. No service is it."""
VAULT_AUDIT: Final = "placet_vault_audit"
"""What audit-sink is in the vault: it may call functions."""
_ROLE: Final[LiteralString] = "{} ROLE {} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD {}"


def connect(dsn: str) -> psycopg.Connection[Any]:
    return psycopg.connect(dsn, autocommit=True, application_name="placet-cli", connect_timeout=5)


def with_database(dsn: str, database: str) -> str:
    """The same server and person, another database; the result is a URL."""
    return _url({**conninfo_to_dict(dsn), "dbname": database})


def with_role(dsn: str, database: str, role: str, password: str) -> str:
    return _url({**conninfo_to_dict(dsn), "dbname": database, "user": role, "password": password})


def _url(parts: Mapping[str, Any]) -> str:
    # libpq takes both forms; a URL goes through configuration files unquoted.
    make_conninfo(**parts)
    query = {k: v for k, v in parts.items() if k not in {"user", "password", "host", "port"}}
    database = query.pop("dbname", "")
    host, port = _quoted(parts.get("host", "127.0.0.1")), parts.get("port", 5432)
    user, password = _quoted(parts.get("user", "")), _quoted(parts.get("password", ""))
    person = f"{user}:{password}" if password else user
    extra = "&".join(f"{name}={_quoted(value)}" for name, value in query.items())
    return f"postgresql://{person}@{host}:{port}/{_quoted(database)}{'?' + extra if extra else ''}"


def _quoted(value: object) -> str:
    return quote(str(value), safe="")


def prepare(
    superuser: str,
    passwords: Mapping[str, str],
    ledger: str | None = None,
    vault: str | None = None,
) -> None:
    """Make databases, roles and schemas that are missing and set the roles' passwords.

    `ledger` and `vault` are the superusers' DSNs of their servers where those are other ones.
    Harmless when repeated. Raises psycopg.Error.
    """
    with connect(superuser) as server:
        for role in SCHEMAS.values():
            ensure_role(server, role, passwords[role])
        ensure_database(server, PLACET, owner=None)
        for role in SCHEMAS.values():
            grant_connect(server, PLACET, role)
    with connect(with_database(superuser, PLACET)) as placet:
        for schema, role in SCHEMAS.items():
            ensure_schema(placet, schema, role)
    with connect(ledger or superuser) as server:
        ensure_role(server, LEDGER_ROLE, passwords[LEDGER_ROLE])
        ensure_database(server, LEDGER, owner=LEDGER_ROLE)
    with connect(with_database(ledger or superuser, LEDGER)) as heads:
        ensure_schema(heads, LEDGER, LEDGER_ROLE)
    _prepare_vault(vault or superuser, passwords)


def _prepare_vault(superuser: str, passwords: Mapping[str, str]) -> None:
    with connect(superuser) as server:
        for role in (VAULT_OWNER, VAULT_AUDIT):
            ensure_role(server, role, passwords[role])
        ensure_database(server, VAULT, owner=VAULT_OWNER)
        grant_connect(server, VAULT, VAULT_AUDIT)
    with connect(with_database(superuser, VAULT)) as keys:
        ensure_schema(keys, VAULT, VAULT_OWNER)
    owner = with_role(superuser, VAULT, VAULT_OWNER, passwords[VAULT_OWNER])
    vault_store.prepare(owner, [VAULT_AUDIT])


def ensure_role(server: psycopg.Connection[Any], role: str, password: str) -> None:
    found = server.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (role,)).fetchone()
    verb = sql.SQL("ALTER" if found else "CREATE")
    server.execute(sql.SQL(_ROLE).format(verb, sql.Identifier(role), sql.Literal(password)))


def ensure_database(server: psycopg.Connection[Any], name: str, *, owner: str | None) -> None:
    """A database that only its owner and those who are granted it may enter."""
    found = server.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,)).fetchone()
    if not found:
        server.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    if owner:
        server.execute(
            sql.SQL("ALTER DATABASE {} OWNER TO {}").format(
                sql.Identifier(name), sql.Identifier(owner)
            )
        )
    server.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(sql.Identifier(name)))


def grant_connect(server: psycopg.Connection[Any], database: str, role: str) -> None:
    server.execute(
        sql.SQL("GRANT CONNECT, TEMPORARY ON DATABASE {} TO {}").format(
            sql.Identifier(database), sql.Identifier(role)
        )
    )


def ensure_schema(database: psycopg.Connection[Any], schema: str, role: str) -> None:
    database.execute(
        sql.SQL("CREATE SCHEMA IF NOT EXISTS {} AUTHORIZATION {}").format(
            sql.Identifier(schema), sql.Identifier(role)
        )
    )


def dsns(
    superuser: str,
    passwords: Mapping[str, str],
    roles: Sequence[str],
    ledger: str | None = None,
    vault: str | None = None,
) -> dict[str, str]:
    """Connection string per role of ours."""
    elsewhere = {
        LEDGER_ROLE: (ledger or superuser, LEDGER),
        VAULT_OWNER: (vault or superuser, VAULT),
        VAULT_AUDIT: (vault or superuser, VAULT),
    }
    made = {}
    for role in roles:
        server, database = elsewhere.get(role, (superuser, PLACET))
        made[role] = with_role(server, database, role, passwords[role])
    return made
