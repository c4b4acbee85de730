"""The demonstration's accounts: one per role, with passwords drawn once.

Owns the list and its file (0600). Accounts themselves are review-api's.
"""

# ruff: noqa: PLC0415 - imported when the command runs, so that help is quick
# Imports inside functions: each command starts quickly and loads what it alone needs.

import asyncio
import json
import secrets
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from placet.servers.ports import write_atomically
from placet.servers.process import ServerError

_PEOPLE: Final = (
    ("reviewer", "Rosa Lind", "reviewer"),
    ("reviewer2", "Ruben Ortiz", "reviewer"),
    ("approver", "Anna Keller", "approver"),
    ("approver2", "Amir Haddad", "approver"),
    ("admin", "Ada Novak", "admin"),
    ("auditor", "Aud Berg", "auditor"),
    ("sre", "Sam Reyes", "sre"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """One account that can sign in."""

    username: str
    name: str
    role: str
    password: str


def load(file: Path) -> list[Account]:
    """The accounts that were drawn for this home; none before the first `up`."""
    if not file.exists():
        return []
    return [Account(**entry) for entry in json.loads(file.read_text("utf-8"))]


def draw(file: Path) -> list[Account]:
    """The accounts of this home, drawn the first time. Durable on return."""
    if not file.exists():
        drawn = [
            Account(username=username, name=name, role=role, password=secrets.token_urlsafe(12))
            for username, name, role in _PEOPLE
        ]
        write_atomically(file, json.dumps([asdict(one) for one in drawn], indent=1) + "\n")
    return load(file)


def create(accounts: Sequence[Account], dsn: str, installation_key: Path) -> None:
    """Make or update every account in review-api's database, as its `add-account` does.

    In this process and with review-api's own code: seven commands would start Python seven times.

    Raises:
        ServerError: an account was refused. UnavailableError, psycopg.Error.
    """
    from contract.identity import Digester
    from conveyor.keys import load_secret
    from review_api.commands.people import People, new_account
    from review_api.problems import ProblemError
    from review_api.store import Store

    async def ensure() -> None:
        store = Store(dsn, 1)
        await store.open()
        try:
            people = People(store=store, digester=Digester(load_secret(installation_key)))
            for one in accounts:
                await people.ensure(new_account(one.username, one.name, [one.role], one.password))
        except ProblemError as error:
            raise ServerError(f"an account was refused: {error.code} {error.detail}") from error
        finally:
            await store.close()

    asyncio.run(ensure())
