"""Who may do what: one table, role by permission. The only place that knows.

Routes declare a permission; `api.guard` looks it up here and nowhere else. Deciding is given to
reviewers and approvers and to nobody else: no service, no administrator, no auditor (law 7).
Whoever answers for what is written may stop it; only those who run it start it again.
"""

from collections.abc import Iterable
from enum import StrEnum
from typing import Final


class Role(StrEnum):
    """What an account is for."""

    REVIEWER = "reviewer"
    APPROVER = "approver"
    ADMIN = "admin"
    AUDITOR = "auditor"
    SRE = "sre"


class Permission(StrEnum):
    """What a route can ask for."""

    PUBLIC = "PUBLIC"  # nobody need be signed in
    SIGNED_IN = "SIGNED_IN"  # anybody who is
    READ = "READ"  # see proposals, decisions, history
    DECIDE = "DECIDE"
    MEASURES = "MEASURES"  # numbers without text
    OVERSEE = "OVERSEE"  # see who has an account, and the policy with its history
    PEOPLE = "PEOPLE"  # make accounts and change them
    POLICY = "POLICY"  # try and save another policy
    PAUSE = "PAUSE"  # stop the writing to a target, or to all of them
    RESUME = "RESUME"  # start it again
    EXPORT = "EXPORT"  # take every decision away, as labelled data
    AUDIT = "AUDIT"  # read the audit log, with every text that is in it
    UNSTICK = "UNSTICK"  # say what becomes of a write that is stuck


_ALWAYS: Final = frozenset({Permission.PUBLIC, Permission.SIGNED_IN})

GRANTS: Final[dict[Role, frozenset[Permission]]] = {
    Role.REVIEWER: _ALWAYS | {Permission.READ, Permission.DECIDE, Permission.MEASURES},
    Role.APPROVER: _ALWAYS
    | {Permission.READ, Permission.DECIDE, Permission.MEASURES}
    | {Permission.UNSTICK, Permission.PAUSE},
    Role.ADMIN: _ALWAYS
    | {Permission.READ, Permission.MEASURES, Permission.PEOPLE, Permission.EXPORT}
    | {Permission.PAUSE, Permission.RESUME, Permission.OVERSEE, Permission.POLICY}
    | {Permission.AUDIT},
    Role.AUDITOR: _ALWAYS
    | {Permission.READ, Permission.MEASURES, Permission.EXPORT, Permission.OVERSEE}
    | {Permission.AUDIT},
    Role.SRE: _ALWAYS | {Permission.MEASURES, Permission.PAUSE, Permission.RESUME},
}

_TOGETHER: Final = frozenset({Role.REVIEWER, Role.APPROVER})


class RolesError(ValueError):
    """These roles cannot be one account's."""


def parse_roles(names: Iterable[str]) -> tuple[Role, ...]:
    """Return roles by name, sorted.

    `admin`, `auditor` and `sre` stand alone, because what they may not do is a promise: somebody
    who needs both has two accounts, of one person.

    Raises:
        RolesError: an unknown role, none, or two that don't go together.
    """
    try:
        roles = sorted({Role(name) for name in names})
    except ValueError as error:
        raise RolesError(f"{error}; roles are {', '.join(Role)}") from error
    if not roles:
        raise RolesError(f"at least one role is needed: {', '.join(Role)}")
    if len(roles) > 1 and not set(roles) <= _TOGETHER:
        raise RolesError("admin, auditor and sre stand alone: make a second account for the person")
    return tuple(roles)


def may(roles: Iterable[Role], permission: Permission) -> bool:
    """Tell whether an account with `roles` has `permission`."""
    return any(permission in GRANTS[role] for role in roles)


def acting_role(roles: Iterable[Role], permission: Permission) -> Role:
    """Return the role that an account with `permission` acts in: the strongest that grants it."""
    granting = [role for role in roles if permission in GRANTS[role]]
    return Role.APPROVER if Role.APPROVER in granting else granting[0]
