"""The signed statement of a decision: what was decided, on what, by whom, when, under which policy.

Owns its one canonical text (RFC 8785, restricted to ASCII keys, no floats): the text is what is
signed, travels in the event and is checked for ever. Knows no keys: signing and verifying are
conveyor's. Changed fields are a list sorted by name, not a map, so that keys stay ASCII whatever
a target calls its columns.
"""

import hashlib
from datetime import UTC, datetime
from typing import Final

import msgspec
from msgspec import UNSET, Struct, UnsetType

from contract.events import Action, Target
from contract.identity import sorted_json

VERSION: Final = 1


class StatementError(ValueError):
    """This text is no statement. A decision that carries it must write nothing."""


class FieldChange(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One field: the JSON text to write, and the JSON text that the reviewer saw in the target."""

    name: str
    value: str
    seen: str | None


class Approver(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A person who took the decision. `person_id` is the person, `actor_id` the account used.

    In a critical lane: when they had last proved who they are after signing in, and by what
    (`password`: entered again; `oidc`: signed in anew at their company's).
    """

    person_id: str
    actor_id: str
    name: str
    role: str
    at: str
    # Unset, not null: as `note` below.
    proved_at: str | UnsetType = UNSET
    proved_by: str | UnsetType = UNSET


class Step(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One write of the plan, with its idempotency key."""

    step: str
    write_back_id: str


class Statement(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything a decision means. `at` is ISO 8601 UTC with microseconds and a `Z`.

    `comment` is the reviewer's. `note` is what the pipeline asked to say beside the change, and
    `citations` name what its answer rests on; both are left out where there are none.
    """

    decision_id: str
    item_id: str
    revision: int
    correlation_id: str
    action: Action
    target: Target
    fields: list[FieldChange]
    comment: str | None
    reason_code: str | None
    seen_digest: str
    approvers: list[Approver]
    policy_version: str
    steps: list[Step]
    at: str
    undoes: str | None = None
    # Unset, not null: statements signed before these existed keep their one canonical text.
    note: str | UnsetType = UNSET
    citations: list[str] | UnsetType = UNSET
    v: int = VERSION


def to_text(statement: Statement) -> str:
    """Return the canonical JSON of `statement`: the bytes that are signed are its UTF-8."""
    return sorted_json(msgspec.to_builtins(statement)).decode()


def from_text(text: str) -> Statement:
    """Return the statement in `text`.

    Raises:
        StatementError: not a statement, of a later version, or not in canonical form (two texts
            for one statement would be two signatures for one decision).
    """
    try:
        statement = msgspec.json.decode(text, type=Statement)
    except (msgspec.MsgspecError, RecursionError, UnicodeEncodeError) as error:
        raise StatementError(f"no statement: {error}") from error
    if statement.v != VERSION:
        raise StatementError(f"statement version {statement.v}, and this release knows {VERSION}")
    if to_text(statement) != text:
        raise StatementError("the statement is not in canonical form")
    return statement


def key_id(public_key: bytes) -> str:
    """Return the first 16 hex digits of the SHA-256 of a raw 32-byte Ed25519 public key."""
    return hashlib.sha256(public_key).hexdigest()[:16]


def timestamp_text(moment: datetime) -> str:
    """Return an aware `moment` as ISO 8601 UTC with microseconds: `2026-11-24T10:00:00.000000Z`."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
