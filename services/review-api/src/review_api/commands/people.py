"""Make accounts. A person may hold several; they are one person all the same."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from uuid import UUID, uuid4

import psycopg

from contract.identity import Digester, derive
from review_api import auth
from review_api.commands.controls import control
from review_api.problems import Code, ProblemError
from review_api.roles import Permission, Role, RolesError, acting_role, parse_roles
from review_api.store import Actor, Store

_USERNAME: Final = re.compile(r"[a-z0-9][a-z0-9._@+-]{0,62}")
_LONGEST_NAME: Final = 200
CLI: Final = "cli"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewAccount:
    """An account to make. `person` joins it to somebody who has one already.

    `one_time`: the password was made here, and is good for choosing another one.
    """

    username: str
    name: str
    roles: tuple[Role, ...]
    password: str
    one_time: bool = False
    person: UUID | None = None


def new_account(
    username: str,
    name: str,
    roles: Sequence[str],
    password: str | None,
    person: UUID | None = None,
) -> NewAccount:
    """Return a checked account; without a password one is made.

    Raises:
        ProblemError: a name, role or password that cannot be used.
    """
    if not _USERNAME.fullmatch(username):
        raise ProblemError(
            Code.BAD_USERNAME, "Lower-case letters, digits and . _ @ + - ; at most 63 characters."
        )
    if not name.strip() or len(name) > _LONGEST_NAME:
        raise ProblemError(Code.BAD_VALUE, f"name has 1 to {_LONGEST_NAME} characters.")
    if not name.isprintable():
        raise ProblemError(Code.BAD_TEXT, "name holds a character that cannot be shown.")
    try:
        parsed = parse_roles(roles)
    except RolesError as error:
        raise ProblemError(Code.BAD_ROLES, f"{error}.") from error
    chosen = auth.new_password() if password is None else password
    auth.check_password(chosen)
    return NewAccount(
        username=username,
        name=name,
        roles=parsed,
        password=chosen,
        one_time=password is None,
        person=person,
    )


def person_named(handle: str) -> UUID:
    """Return the person that a handle means for ever: a UUID is itself."""
    try:
        return UUID(handle)
    except ValueError:
        return UUID(derive("person", handle))


@dataclass(frozen=True, slots=True, kw_only=True)
class _By:
    """Who does it, and why."""

    actor_id: str
    role: str
    name: str
    reason: str | None = None


_SHELL: Final = _By(actor_id=CLI, role=CLI, name=CLI)


class People:
    """The use cases, with what they need."""

    def __init__(self, *, store: Store, digester: Digester) -> None:
        self._store = store
        self._digester = digester

    async def add(
        self, new: NewAccount, actor: Actor, reason: str | None = None
    ) -> tuple[UUID, UUID, str]:
        """Make the account and return its id, its person's, and the person's name.

        Raises:
            ProblemError: USERNAME_TAKEN; NOT_FOUND, no such person.
        """
        person, name = new.person or uuid4(), new.name
        if new.person is not None:
            found = await self._store.one("has_person", {"person": person})
            if found is None:
                raise ProblemError(Code.NOT_FOUND, f"There is no person {person}.")
            name = found["name"]
        by = _By(
            actor_id=str(actor.account_id),
            role=acting_role(actor.roles, Permission.PEOPLE).value,
            name=actor.name,
            reason=reason,
        )
        account = await self._insert(new, person, by)
        if account is None:
            raise ProblemError(Code.USERNAME_TAKEN, f"{new.username!r} is somebody's.")
        return account, person, name

    async def ensure(self, new: NewAccount) -> bool:
        """Make the account, or set its password and roles; for the command line. True: new."""
        person = new.person or person_named(new.username)
        if await self._insert(new, person, _SHELL) is not None:
            return True
        changed = {
            "username": new.username,
            "password_hash": await auth.hash_password(new.password),
            "roles": [role.value for role in new.roles],
            "by": CLI,
        }
        told = self._told(person, new, _SHELL, "changed")
        await self._store.run(("change_account", changed), told)
        return False

    async def _insert(self, new: NewAccount, person: UUID, by: _By) -> UUID | None:
        known = await self._store.one("account_id_by_username", {"username": new.username})
        if known is not None:
            return None
        account = uuid4()
        values = {
            "account": account,
            "person": person,
            "username": new.username,
            "password_hash": await auth.hash_password(new.password),
            "roles": [one.value for one in new.roles],
            "one_time": new.one_time,
            "by": by.name,
        }
        try:
            await self._store.run(
                ("add_person", {"person": person, "name": new.name}),
                ("add_account", values),
                self._told(person, new, by, "added", account=str(account)),
            )
        except psycopg.errors.UniqueViolation:
            return None  # a moment earlier somebody took the name
        return account

    def _told(
        self, person: UUID, new: NewAccount, by: _By, what: str, **more: str
    ) -> tuple[str, dict[str, object]]:
        name, values = control(
            "PERSON_CHANGED",
            scope=str(person),
            actor_id=by.actor_id,
            role=by.role,
            at=datetime.now(UTC),
            digester=self._digester,
            reason=by.reason,
            detail={"change": what, "roles": ",".join(new.roles), **more},
        )
        return name, dict(values)
