"""Change accounts: roles, disabled or not, a new password. One transaction each, with its control.

The accounts that administer are locked first, so of two administrators the later one finds what the
earlier one did (`account`, pure). Whoever can decide no more gives back what they hold: a crash
before the commit leaves everything as it was.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from psycopg import AsyncConnection

from contract.identity import Digester
from review_api import auth
from review_api.account import Account, changed
from review_api.commands.activity import About, activity
from review_api.commands.controls import control
from review_api.hint import Hint
from review_api.problems import Code, ProblemError
from review_api.queries import QUERIES
from review_api.review import OPEN
from review_api.roles import GRANTS, Permission, Role, RolesError, acting_role, parse_roles
from review_api.store import Actor, Row, Store

_DECIDING: Final = [role.value for role in Role if Permission.DECIDE in GRANTS[role]]
_PATIENCE: Final = "SET LOCAL statement_timeout = '30s'"
"""Finding claims reads all that waits, which is more than a page's request may take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Which account somebody wants to change, who saw it at `version`, and why."""

    actor: Actor
    account_id: UUID
    version: int
    reason: str | None = None


class Accounts:
    """The use cases, with what they need. Each raises what `account.changed` raises."""

    def __init__(self, *, store: Store, hint: Hint, digester: Digester) -> None:
        self._store = store
        self._hint = hint
        self._digester = digester

    async def beside(self, account_id: UUID) -> tuple[Row, list[Row]]:
        """Return the account and the person's other ones.

        Raises:
            ProblemError: NOT_FOUND.
        """
        rows = await self._store.all("accounts_beside", {"account": account_id})
        for row in rows:
            if row["account_id"] == account_id:
                return row, [other for other in rows if other is not row]
        raise ProblemError(Code.NOT_FOUND, "There is no such account.")

    async def roles(self, asked: Asked, names: list[str]) -> None:
        """Give the account these roles and no others; they count from its next request on.

        Raises:
            ProblemError: BAD_ROLES too.
        """
        try:
            roles = parse_roles(names)
        except RolesError as error:
            raise ProblemError(Code.BAD_ROLES, f"{error}.") from error
        await self._change(asked, "roles", lambda one: replace(one, roles=roles))

    async def disable(self, asked: Asked) -> None:
        """End the account's sessions and let nobody sign in with it."""
        await self._change(asked, "disabled", lambda one: replace(one, enabled=False))

    async def enable(self, asked: Asked) -> None:
        """Let its owner sign in again, with the password they had."""
        await self._change(asked, "enabled", lambda one: replace(one, enabled=True))

    async def new_password(self, asked: Asked) -> str:
        """Return a password made for one sign-in; every session of the person's is over.

        Raises:
            ProblemError: NOT_POSSIBLE, the account has none, too.
        """
        row = await self._store.one("has_account", {"account": asked.account_id})
        if row is not None and not row["has_password"]:
            raise ProblemError(
                Code.NOT_POSSIBLE, "Its owner signs in at the company's: there is no password."
            )
        password = auth.new_password()
        hashed = await auth.hash_password(password)
        await self._change(asked, "password", lambda one: one, hashed)
        return password

    async def _change(
        self,
        asked: Asked,
        what: str,
        change: Callable[[Account], Account],
        password_hash: str | None = None,
    ) -> None:
        async with self._store.connection() as connection, connection.transaction():
            before, after = await self._checked(connection, asked, change)
            if after == before and password_hash is None:
                return  # it is so already
            await _run(
                connection,
                "update_account",
                {
                    "account": after.account_id,
                    "roles": [role.value for role in after.roles],
                    "enabled": after.enabled,
                    "password_hash": password_hash,
                    "by": asked.actor.name,
                },
            )
            if password_hash is not None:
                await _run(connection, "close_sessions_of_person", {"person": after.person_id})
            elif not after.enabled:
                await _run(connection, "close_sessions_of_account", {"account": after.account_id})
            told = self._told(asked, what, before, after)
            await _run(connection, *told)
            if before.decides and not after.decides:
                await self._release(connection, before, str(told[1]["id"]))
        self._hint()

    async def _checked(
        self,
        connection: AsyncConnection[Row],
        asked: Asked,
        change: Callable[[Account], Account],
    ) -> tuple[Account, Account]:
        cursor = await connection.execute(QUERIES["lock_accounts"], {"account": asked.account_id})
        accounts = [_account(row) for row in await cursor.fetchall()]
        found = next((one for one in accounts if one.account_id == asked.account_id), None)
        return changed(asked.actor.account_id, found, asked.version, accounts, change)

    async def _release(
        self, connection: AsyncConnection[Row], holder: Account, because: str
    ) -> None:
        """Give back what the person holds, unless another account of theirs can decide.

        A claim is a person's, whatever account they made it with.
        """
        states = [state.value for state in OPEN]
        who = {"person": holder.person_id, "roles": _DECIDING, "states": states}
        cursor = await connection.execute(QUERIES["person_decides"], who)
        if await cursor.fetchone() is not None:
            return
        await connection.execute(_PATIENCE)
        cursor = await connection.execute(QUERIES["claims_of_person"], who)
        for row in await cursor.fetchall():
            told = activity(
                "RELEASED",
                About(
                    item_id=str(row["item_id"]),
                    revision=row["revision"],
                    correlation_id=row["correlation_id"],
                    event_id=because,
                ),
                _holder(holder),
                at=row["now"],
                digester=self._digester,
                detail={"claim": str(row["claims"])},
            )
            given = {"item": row["item_id"], "given": row["claims"], "person": holder.person_id}
            await _run(connection, "release", given | told | {"until": None})

    def _told(
        self, asked: Asked, what: str, before: Account, after: Account
    ) -> tuple[str, dict[str, Any]]:
        detail = {"change": what, "account": str(after.account_id), "roles": ",".join(after.roles)}
        if after.roles != before.roles:
            detail["roles_before"] = ",".join(before.roles)
        name, values = control(
            "PERSON_CHANGED",
            scope=str(after.person_id),
            actor_id=str(asked.actor.account_id),
            role=acting_role(asked.actor.roles, Permission.PEOPLE).value,
            at=datetime.now(UTC),
            digester=self._digester,
            reason=asked.reason,
            detail=detail,
        )
        return name, dict(values)


async def _run(connection: AsyncConnection[Row], name: str, values: dict[str, Any]) -> None:
    await connection.execute(QUERIES[name], values)


def _account(row: Row) -> Account:
    return Account(
        account_id=row["account_id"],
        person_id=row["person_id"],
        username=row["username"],
        roles=tuple(Role(role) for role in row["roles"]),
        enabled=row["disabled_at"] is None,
        version=row["version"],
        changed_at=row["changed_at"],
        changed_by=row["changed_by"],
    )


def _holder(one: Account) -> Actor:
    """Return whoever held the claim, as the activity names them: by ids and role."""
    return Actor(
        account_id=one.account_id,
        person_id=one.person_id,
        username=one.username,
        name=one.username,
        roles=one.roles,
    )
