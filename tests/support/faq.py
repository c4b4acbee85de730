"""A business database as somebody else runs it: a table, a narrow login, and a log of effects.

The log is written by a trigger of the table's owner, so effects are counted where they happen.
"""

import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import psycopg
from psycopg import sql
from tests.support.decisions import INSTANCE

from contract.targets import TargetConfig
from dispatcher.targets.catalogue import KEY_TABLE_DDL

_TABLE = """
CREATE TABLE faq_answer (
    id text PRIMARY KEY, question text NOT NULL DEFAULT '', answer text NOT NULL DEFAULT '',
    status text NOT NULL DEFAULT 'draft' CHECK (status <> 'forbidden'), short varchar(5),
    price numeric(10, 2), rank integer, open boolean, seen_at timestamptz, day date, tag uuid,
    extra jsonb, weight double precision, labels text[], version bigint NOT NULL DEFAULT 1
);
CREATE TABLE effect (
    seq bigint GENERATED ALWAYS AS IDENTITY, id text, old_answer text, new_answer text,
    version bigint, at timestamptz DEFAULT clock_timestamp()
);
CREATE FUNCTION log_effect() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    INSERT INTO effect (id, old_answer, new_answer, version)
    VALUES (new.id, old.answer, new.answer, new.version);
    RETURN NULL;
END $$;
CREATE TRIGGER log_effect AFTER UPDATE ON faq_answer FOR EACH ROW EXECUTE FUNCTION log_effect();
"""
COLUMNS = (
    "question",
    "answer",
    "status",
    "short",
    "price",
    "rank",
    "open",
    "seen_at",
    "day",
    "tag",
    "extra",
    "weight",
    "labels",
)
CONFIG = TargetConfig(
    name=INSTANCE,
    kind="postgresql",
    dispatcher_url="http://127.0.0.1:1",
    dsn_file="dsn",
    table="faq_answer",
    key_column="id",
    version_column="version",
    columns=COLUMNS,
    retry=(0.2, 0.3, 0.4),
    hold=0.0,
)


@dataclass(frozen=True)
class Faq:
    """`owner` may do everything (tests only); `writer` is what the dispatcher gets."""

    owner: str
    writer: str
    role: str

    def run(self, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.owner, autocommit=True) as connection:
            cursor = connection.execute(statement.encode(), parameters or None)
            return cursor.fetchall() if cursor.description else []

    def add(self, identifiers: Sequence[str]) -> None:
        self.run("INSERT INTO faq_answer (id) SELECT unnest(%s::text[])", list(identifiers))

    def effects(self, identifier: str | None = None) -> list[tuple[str, str]]:
        """(id, new answer) of every change that was ever committed, in order."""
        rows = self.run("SELECT id, new_answer FROM effect ORDER BY seq")
        return [(one, new) for one, new in rows if identifier in {None, one}]

    def answer(self, identifier: str) -> tuple[str, int]:
        rows = self.run("SELECT answer, version FROM faq_answer WHERE id = %s", identifier)
        return rows[0][0], rows[0][1]


def config(**changes: Any) -> TargetConfig:
    return replace(CONFIG, **changes)


@contextmanager
def faq(server: str, identifiers: Sequence[str] = ()) -> Iterator[Faq]:
    """The database of the DSN `server` (a superuser's), made into a support desk's."""
    role, password = f"writer_{uuid.uuid4().hex[:10]}", "secret"
    made = Faq(
        owner=server,
        writer=psycopg.conninfo.make_conninfo(server, user=role, password=password),
        role=role,
    )
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(_TABLE)
        connection.execute(sql.SQL(KEY_TABLE_DDL))
        connection.execute(
            sql.SQL("CREATE ROLE {role} LOGIN PASSWORD {password}").format(
                role=sql.Identifier(role), password=sql.Literal(password)
            )
        )
        connection.execute(
            sql.SQL(
                "GRANT SELECT, UPDATE ON faq_answer TO {role};"
                "GRANT SELECT, INSERT ON placet_write_back TO {role}"
            ).format(role=sql.Identifier(role))
        )
    made.add(identifiers)
    try:
        yield made
    finally:
        made.run(f'DROP OWNED BY "{role}"; DROP ROLE "{role}"')
