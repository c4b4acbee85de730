"""Accounts, and what an administrator may do to one. Pure.

Owns the rules: nobody changes what somebody else has changed meanwhile, nobody takes their own way
in away, and there is always an administrator left. What is read comes in locked (`commands`).
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from contract.statement import timestamp_text
from review_api.problems import Code, ProblemError
from review_api.roles import Permission, Role, may


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """One way to sign in. `version` counts every change; `changed_by` is the name of who did it."""

    account_id: UUID
    person_id: UUID
    username: str
    roles: tuple[Role, ...]
    enabled: bool
    version: int
    changed_at: datetime
    changed_by: str | None = None

    @property
    def decides(self) -> bool:
        """Tell whether somebody can decide with it."""
        return self.enabled and may(self.roles, Permission.DECIDE)

    @property
    def administers(self) -> bool:
        """Tell whether somebody can change accounts with it."""
        return self.enabled and may(self.roles, Permission.PEOPLE)


def changed(
    actor_id: UUID,
    found: Account | None,
    version: int,
    administrators: Iterable[Account],
    change: Callable[[Account], Account],
) -> tuple[Account, Account]:
    """Return the account as it is and as `change` makes it, for `actor_id` who saw it at `version`.

    `administrators` are the accounts that administer, as they are under the lock.

    Raises:
        ProblemError: WRONG_ROLE (the actor's is another one meanwhile), NOT_FOUND,
            ACCOUNT_CHANGED, LAST_ADMIN, OWN_ACCOUNT; or what `change` raises.
    """
    able = {one.account_id for one in administrators if one.administers}
    if actor_id not in able:
        raise ProblemError(Code.WRONG_ROLE, "Your account was changed meanwhile. Nothing was done.")
    if found is None:
        raise ProblemError(Code.NOT_FOUND, "There is no such account.")
    if found.version != version:
        raise _changed(found)
    wanted = change(found)
    if found.administers and not wanted.administers:
        _check_left(actor_id, found, able)
    return found, wanted


def _check_left(actor_id: UUID, found: Account, able: set[UUID]) -> None:
    if able == {found.account_id}:
        raise ProblemError(
            Code.LAST_ADMIN, f"{found.username} is the only account that can change accounts."
        )
    if found.account_id == actor_id:
        raise ProblemError(
            Code.OWN_ACCOUNT, "This is the account you are signed in with. Nothing was done."
        )


def _changed(found: Account) -> ProblemError:
    who = found.changed_by or "Somebody"
    roles = ", ".join(found.roles)
    now = f"{roles}; {'enabled' if found.enabled else 'disabled'}"
    return ProblemError(
        Code.ACCOUNT_CHANGED,
        f"{who} has changed {found.username} since you looked. It is now: {now}. "
        "Yours was not done.",
        by=who,
        at=timestamp_text(found.changed_at),
        version=found.version,
        roles=list(found.roles),
        disabled=not found.enabled,
    )
