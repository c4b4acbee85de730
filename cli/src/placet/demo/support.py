"""The demonstration's business database: what a customer's own system would be.

Owns database `support`, its table and the narrow role the dispatcher connects as. Refuses to
overwrite rows: what was approved into them stays.
"""

from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any, Final, LiteralString

import psycopg
from psycopg import sql

from placet.databases import connect, ensure_database, ensure_role, grant_connect, with_role
from placet.demo.outputs import Question

DATABASE: Final = "support"
OWNER: Final = "support_owner"
WRITER: Final = "support_writer"

_TABLE: Final[LiteralString] = """
CREATE TABLE IF NOT EXISTS faq_answer (
    id text PRIMARY KEY,
    question text NOT NULL,
    answer text NOT NULL,
    status text NOT NULL,
    version bigint NOT NULL
)
"""
_ROWS: Final[LiteralString] = """
INSERT INTO faq_answer (id, question, answer, status, version)
SELECT id, question, '', 'draft', 1 FROM unnest(%s::text[], %s::text[]) AS new (id, question)
ON CONFLICT (id) DO NOTHING
"""
# What the dispatcher may do here, and no more.
_GRANTS: Final[LiteralString] = """
REVOKE ALL ON ALL TABLES IN SCHEMA public FROM support_writer;
GRANT SELECT, UPDATE ON faq_answer TO support_writer;
GRANT SELECT, INSERT ON placet_write_back TO support_writer
"""


def dsn(superuser: str, passwords: Mapping[str, str], role: str) -> str:
    return with_role(superuser, DATABASE, role, passwords[role])


def prepare(superuser: str, passwords: Mapping[str, str], rows: Sequence[Question]) -> None:
    """Make database, roles, tables and one row per question. Harmless when repeated."""
    with connect(superuser) as server:
        for role in (OWNER, WRITER):
            ensure_role(server, role, passwords[role])
        ensure_database(server, DATABASE, owner=OWNER)
        grant_connect(server, DATABASE, WRITER)
    with connect(dsn(superuser, passwords, OWNER)) as support, support.transaction():
        support.execute(_TABLE)
        support.execute(
            _ROWS, ([question.id for question in rows], [question.question for question in rows])
        )
        _key_table(support)
        support.execute(_GRANTS)


def _key_table(support: psycopg.Connection[Any]) -> None:
    if support.execute("SELECT to_regclass('public.placet_write_back')").fetchone() == (None,):
        # The dispatcher's own text: it knows what it needs in every target database.
        ddl = files("dispatcher").joinpath("targets", "key_table.sql").read_text("utf-8")
        support.execute(sql.SQL(ddl))
