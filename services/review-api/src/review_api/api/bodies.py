"""Bodies of requests: decoded strictly, refused with a code. By msgspec: decisions are many."""

from datetime import datetime
from typing import Any, TypeVar

import msgspec
from fastapi import Request
from msgspec import Raw, Struct, field

from contract.events import Int
from review_api.problems import Code, ProblemError
from review_api.proposal import ValueRefusedError, compact, parse

_MAX_COMMENT = 10_000

T = TypeVar("T")


class DecisionBody(Struct, kw_only=True, forbid_unknown_fields=True):
    """`POST /api/items/{item_id}/decisions`. Values of `fields` stay raw JSON.

    `password`: entered again, where a critical lane asks for it (PASSWORD_NEEDED).
    """

    action: str
    revision: int
    seen_digest: str
    fields: dict[str, Raw] = field(default_factory=dict)
    comment: str | None = None
    reason_code: str | None = None
    claim_token: Int | None = None
    password: str | None = None


class ClaimBody(Struct, kw_only=True, forbid_unknown_fields=True):
    """`POST /api/items/{item_id}/claim`. With the token: a heartbeat."""

    claim_token: Int | None = None


class ReleaseBody(Struct, kw_only=True, forbid_unknown_fields=True):
    """`POST /api/items/{item_id}/release`. `until`: what was told of the claim that is given back.

    With it, a page that is left gives back nothing that the next page has claimed meanwhile.
    """

    claim_token: Int
    until: datetime | None = None


class SkipBody(Struct, kw_only=True, forbid_unknown_fields=True):
    """`POST /api/items/{item_id}/skip`."""

    reason: str


class SessionBody(Struct, kw_only=True, forbid_unknown_fields=True):
    """`POST /api/session`. `new_password` takes the place of the password, in the same step."""

    username: str
    password: str
    new_password: str | None = None


class ProofBody(Struct, kw_only=True, forbid_unknown_fields=True):
    """`POST /api/session/proof`. The password of whoever is signed in."""

    password: str


class PersonBody(Struct, kw_only=True, forbid_unknown_fields=True):
    """`POST /api/people`. Without a password one is made and returned, once, for one sign-in."""

    username: str
    name: str
    roles: list[str]
    password: str | None = None
    person_id: str | None = None
    reason: str | None = None


class AccountBody(Struct, kw_only=True, forbid_unknown_fields=True):
    """What is done to an account, who saw it at `version`, and why."""

    version: Int
    reason: str | None = None


class RolesBody(Struct, kw_only=True, forbid_unknown_fields=True):
    """`POST /api/people/{account_id}/roles`. These, and no others."""

    roles: list[str]
    version: Int
    reason: str | None = None


class IdentityBody(Struct, kw_only=True, forbid_unknown_fields=True):
    """`POST /api/people/{account_id}/identity`. `subject`: as the company's provider names them."""

    subject: str
    reason: str | None = None


class PolicyTextBody(Struct, kw_only=True, forbid_unknown_fields=True):
    """`POST /api/policy/preview`. TOML, as in `policy.toml`."""

    text: str


class PolicyBody(Struct, kw_only=True, forbid_unknown_fields=True):
    """`POST /api/policy`. `base`: the ordinal of the policy that this one was made from."""

    text: str
    base: Int
    reason: str


class ControlItemBody(Struct, kw_only=True, forbid_unknown_fields=True):
    """`POST /api/control-items`. `expected`: APPROVE or REJECT."""

    source: str
    external_id: str
    expected: str


class CommentBody(Struct, kw_only=True, forbid_unknown_fields=True):
    """`POST /api/items/{item_id}/comments`."""

    text: str


class DraftBody(Struct, kw_only=True, forbid_unknown_fields=True):
    """`PUT /api/items/{item_id}/draft`. `fields`: what was typed, by name of the field."""

    revision: Int
    fields: dict[str, str] = field(default_factory=dict)
    comment: str = ""
    reason_code: str = ""


async def read(request: Request, kind: type[T]) -> T:
    """Return the body as `kind`.

    Raises:
        ProblemError: BAD_BODY, BAD_TEXT, BODY_TOO_LARGE.
    """
    data = await request.body()
    try:
        return msgspec.json.decode(data, type=kind)
    except UnicodeDecodeError as error:
        raise ProblemError(Code.BAD_TEXT, f"invalid UTF-8: {error}.") from error
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ProblemError(_code_of(data), f"{error}.") from error


def _code_of(data: bytes) -> Code:
    """Tell text that nothing can hold from a body of another form: msgspec says "truncated"."""
    try:
        compact(parse(data))
    except ValueRefusedError as error:
        return Code.BAD_TEXT if error.code == Code.BAD_TEXT else Code.BAD_BODY
    return Code.BAD_BODY


def checked_text(name: str, text: str | None, most: int = _MAX_COMMENT) -> str | None:
    """Return `text`, or None where it is empty; refuse what no store or target can hold."""
    if not text:
        return None
    if "\0" in text:
        raise ProblemError(Code.BAD_TEXT, f"{name} holds U+0000.")
    if len(text) > most:
        raise ProblemError(Code.TEXT_TOO_LONG, f"{name} has more than {most:,} characters.")
    return text


def documented(kind: type[Any]) -> dict[str, Any]:
    """Return the OpenAPI request body of `kind`."""
    (schema,), components = msgspec.json.schema_components((kind,))
    plain = components.get(kind.__name__, schema)
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": plain}}}}
