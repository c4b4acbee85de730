"""Accounts, and what an administrator may do to one. Pure.

Owns the rules: nobody changes what somebody else has changed meanwhile, nobody takes their own way
in away, and there is always an administrator left. What is read comes in locked (`commands`).
"""

from collections.abc import Iterable
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


def check_change(
    actor_id: UUID,
    found: Account | None,
    version: int,
    administrators: Iterable[Account],
    *,
    takes_away: bool,
) -> Account:
    """Return the account that `actor_id` may change now, who looked at it at `version`.

    `administrators` are the accounts that administer, as they are under the lock. `takes_away`: the
    account will not administer any more.

    Raises:
        ProblemError: WRONG_ROLE (of the actor's, meanwhile), NOT_FOUND, ACCOUNT_CHANGED,
            LAST_ADMIN, OWN_ACCOUNT.
    """
    able = {one.account_id for one in administrators if one.administers}
    if actor_id not in able:
        raise ProblemError(Code.WRONG_ROLE, "Your account was changed meanwhile. Nothing was done.")
    if found is None:
        raise ProblemError(Code.NOT_FOUND, "There is no such account.")
    if found.version != version:
        raise _changed(found)
    if takes_away and able == {found.account_id}:
        raise ProblemError(
            Code.LAST_ADMIN, f"{found.username} is the only account that can change accounts."
        )
    if takes_away and found.account_id == actor_id:
        raise ProblemError(
            Code.OWN_ACCOUNT, "This is the account you are signed in with. Nothing was done."
        )
    return found


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
