"""`placet prepare` on real servers: twice is as good as once; each role reaches its own only."""

import json
from pathlib import Path

import psycopg
import pytest

from contract.topics import TOPICS
from placet import broker, databases
from placet.keys import ROLES
from placet.preparing import Deployment
from placet.progress import Silent
from placet.servers.process import ServerError


def test_prepared_twice_every_role_reaches_its_own_and_nothing_else(
    kafka: str, postgres_server: str, tmp_path: Path
) -> None:
    made = Deployment(folder=tmp_path, kafka=kafka, postgres=postgres_server)
    for _ in range(2):
        made.write_files(Silent())
        made.prepare_servers(Silent(), replication=1, patience=30)
    assert set(broker.counts(kafka, TOPICS)) == set(TOPICS)

    dsns = databases.dsns(postgres_server, made.keys.passwords(), ROLES)
    for schema, role in {**databases.SCHEMAS, "ledger": databases.LEDGER_ROLE}.items():
        with psycopg.connect(dsns[role]) as connection:
            connection.execute(f'CREATE TABLE "{schema}".mine (id int)')
            connection.rollback()
    with psycopg.connect(dsns[databases.VAULT_OWNER]) as connection:
        assert connection.execute("SELECT count(*) FROM vault.key").fetchone() == (0,)
    with psycopg.connect(dsns[databases.VAULT_AUDIT]) as connection:
        assert connection.execute("SELECT count(*) FROM vault.keks()").fetchone() == (0,)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("SELECT * FROM vault.key")
        connection.rollback()
    with psycopg.connect(dsns["placet_review"]) as connection:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("CREATE TABLE audit.theirs (id int)")
        connection.rollback()
    for other in ("ledger", "vault"):
        elsewhere = databases.with_role(
            postgres_server, other, "placet_audit", made.keys.passwords()["placet_audit"]
        )
        with pytest.raises(psycopg.OperationalError, match="permission denied"):
            psycopg.connect(elsewhere)


def test_passwords_of_an_older_release_are_named(postgres_server: str, tmp_path: Path) -> None:
    made = Deployment(folder=tmp_path, kafka="127.0.0.1:1", postgres=postgres_server)
    made.write_files(Silent())
    older = dict(made.keys.passwords())
    del older["placet_vault"]
    made.keys.database_passwords.write_text(json.dumps(older), "utf-8")
    with pytest.raises(ServerError, match=r"no password of placet_vault.*--only files"):
        made.prepare_servers(Silent(), replication=1, patience=0)


def test_a_server_that_does_not_answer_is_named(postgres_server: str, tmp_path: Path) -> None:
    made = Deployment(folder=tmp_path, kafka="127.0.0.1:1", postgres=postgres_server)
    made.write_files(Silent())
    with pytest.raises(ServerError, match="Kafka did not answer in 0 s"):
        made.prepare_servers(Silent(), replication=1, patience=0)
