"""Makes what a deployment needs, in files and on servers. Every step is harmless when repeated.

Owns the order. Who is given what is `placet.deployment`'s; a crash between two steps leaves
files and roles that the next run finds.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from conveyor.keys import write_secret
from placet import accounts, databases, deployment
from placet.keys import ROLES, Keys, note_key
from placet.progress import Report
from placet.servers import kafka, postgres, topics
from placet.servers.ports import write_atomically
from placet.servers.process import ServerError

_BETWEEN_QUESTIONS: Final = 0.1


class OriginError(ValueError):
    """The log has another name already; it never changes. Ask for that one, or for none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """Where a deployment keeps its files and where its servers are."""

    folder: Path
    kafka: str
    postgres: str
    ledger: str | None = None
    vault: str | None = None
    origin: str | None = None

    @property
    def keys(self) -> Keys:
        return Keys(self.folder / "keys")

    @property
    def accounts_file(self) -> Path:
        return self.keys.folder / "accounts.json"

    def write_files(self, report: Report) -> None:
        """Make keys that are missing; write each service's folder and environment.

        Raises:
            OriginError: the log was given another name before.
        """
        with report.step("Keys"):
            self._make_keys()
        with report.step("One folder and one environment per service"):
            for service in deployment.SHARES:
                self._write_service(service)

    def _make_keys(self) -> None:
        keys = self.keys
        keys.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if self.origin and not keys.audit.exists():
            private, public = note_key(self.origin)
            write_atomically(keys.audit_public, public + "\n")
            write_secret(keys.audit, (private + "\n").encode())
        keys.make()
        if self.origin not in (None, keys.audit_origin):
            raise OriginError(
                f"the audit log is named {keys.audit_origin!r}, for ever, not {self.origin!r}"
            )

    def _write_service(self, service: str) -> None:
        keys, folder = self.keys, self.folder / service
        passwords = keys.passwords()
        files = {
            name: source.read_text("ascii")
            for name, source in deployment.sources(service, keys).items()
        }
        if logins := deployment.passwords_text(service, passwords):
            files[deployment.PASSWORDS] = logins
        folder.mkdir(exist_ok=True, mode=0o700)
        for name, text in files.items():
            write_atomically(folder / name, text)
        dsns = databases.dsns(self.postgres, passwords, ROLES, self.ledger, self.vault)
        variables = deployment.environment(service, folder, self.kafka, dsns, keys.audit_origin)
        environments = self.folder / "environment"
        environments.mkdir(exist_ok=True, mode=0o700)
        text = deployment.environment_text(variables)
        write_atomically(environments / f"{service}.env", text)

    def prepare_servers(self, report: Report, *, replication: int, patience: float) -> None:
        """Make roles, databases, schemas and topics, once the servers answer.

        Raises:
            ServerError: one did not answer in time, or a role has no password yet.
            psycopg.Error, KafkaException: it refused.
        """
        if missing := [role for role in ROLES if role not in self.keys.passwords()]:
            file = self.keys.database_passwords
            raise ServerError(
                f"{file}: no password of {', '.join(missing)}: it is an older release's;"
                " run `placet prepare --only files` first"
            )
        with report.step("Kafka and PostgreSQL answer"):
            _await("Kafka", patience, lambda: kafka.answers(self.kafka))
            _await("PostgreSQL", patience, lambda: postgres.answers(self.postgres))
            if ledger := self.ledger:
                _await("the ledger's PostgreSQL", patience, lambda: postgres.answers(ledger))
            if vault := self.vault:
                _await("the vault's PostgreSQL", patience, lambda: postgres.answers(vault))
        with report.step("Roles, databases and schemas"):
            databases.prepare(self.postgres, self.keys.passwords(), self.ledger, self.vault)
        with report.step("Topics"):
            topics.create_topics(self.kafka, replication=replication)

    def demonstrate(self, report: Report, superuser: str, *, patience: float) -> None:
        """Make the demonstration's business database, its accounts, and publish its samples."""
        # Only a demonstration loads these.
        from placet.demo import outputs, support  # noqa: PLC0415
        from placet.publishing import publish  # noqa: PLC0415
        from review_api.ready import migrate_when_there  # noqa: PLC0415

        passwords = self.keys.passwords()
        with report.step("The demonstration's business database"):
            _await("its PostgreSQL", patience, lambda: postgres.answers(superuser))
            support.prepare(superuser, passwords, outputs.questions())
            dsn = support.dsn(superuser, passwords, support.WRITER)
            write_atomically(self.folder / "dispatcher" / f"{outputs.TARGET}.dsn", dsn + "\n")
        with report.step("Accounts, one per role"):
            review = databases.dsns(self.postgres, passwords, ("placet_review",))["placet_review"]
            migrate_when_there(review, threading.Event())
            drawn = accounts.draw(self.accounts_file)
            accounts.create(drawn, review, self.keys.installation)
        records = outputs.lines()
        with report.step(f"{len(records)} model outputs published") as step:
            publish(self.kafka, records, step.advance)


def _await(what: str, patience: float, ask: Callable[[], bool]) -> None:
    deadline = time.monotonic() + patience
    while not ask():
        if time.monotonic() > deadline:
            raise ServerError(f"{what} did not answer in {patience:.0f} s")
        # Between two questions, not instead of one: a refused connection answers at once.
        time.sleep(_BETWEEN_QUESTIONS)
