"""Who somebody is, from what their company's provider signed (OpenID Connect Core 1.0). Pure.

Owns the checks of an ID token (section 3.1.3.7) and the way from its claims to a person, a name and
roles. Knows no network: keys and token come in. Roles come from one claim by a mapping that the
operator wrote; a claim that is not in it gives nothing.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from authlib.oauth2.rfc6749.errors import OAuth2Error
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from review_api.problems import Code, ProblemError
from review_api.roles import Role, RolesError, parse_roles

ALGORITHMS: Final = ("RS256", "PS256", "ES256", "ES384", "EdDSA")
"""Signatures by a key that only the provider has: never `none`, never a shared secret."""
LEEWAY: Final = timedelta(seconds=60)
"""How far the provider's clock may be from ours."""

LONGEST_SUBJECT: Final = 255
_NOT_IN_NAMES: Final = re.compile(r"[^a-z0-9._@+-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Company:
    """The provider and what we are to it. `name` is what people call it."""

    issuer: str
    client_id: str
    roles: Mapping[str, tuple[Role, ...]]
    roles_claim: str = "groups"
    secret: str | None = None
    name: str = "your company"
    scope: str = "openid profile email"
    hosts: frozenset[str] = field(default=frozenset())


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Somebody, as the provider knows them. `subject` is theirs for ever; all else may change."""

    issuer: str
    subject: str
    username: str
    name: str
    roles: tuple[Role, ...]
    proved_at: datetime | None


def identity_of(
    company: Company, token: str, keys: KeySet, *, nonce: str, access_token: str, now: datetime
) -> Identity:
    """Return who `token` is about, where it is genuine, ours, of this attempt and not over.

    Raises:
        UnknownKeyError: none of `keys` signed it; there may be newer ones.
        ProblemError: SIGN_IN_REFUSED, NO_ROLE, BAD_ROLES.
    """
    claims = _checked(company, token, keys, nonce=nonce, access_token=access_token, now=now)
    subject = claims["sub"]
    if not isinstance(subject, str) or not 0 < len(subject) <= LONGEST_SUBJECT or "\0" in subject:
        raise refused("its subject is none")
    proved = claims.get("auth_time")
    return Identity(
        issuer=company.issuer,
        subject=subject,
        username=_username(claims, subject),
        name=_name(claims, subject),
        roles=_roles(company, claims),
        proved_at=None if not isinstance(proved, int | float) else _moment(proved, now),
    )


class UnknownKeyError(Exception):
    """The token names a key that is not among those known."""


def _checked(
    company: Company, token: str, keys: KeySet, *, nonce: str, access_token: str, now: datetime
) -> Mapping[str, Any]:
    try:
        decoded = jwt.decode(token, keys, algorithms=ALGORITHMS)
    except (JoseError, ValueError, TypeError) as error:
        if isinstance(error, ValueError) or type(error).__name__ == "InvalidKeyIdError":
            raise UnknownKeyError(str(error)) from error
        raise refused(f"its token is not genuine ({type(error).__name__})") from error
    options = {
        "iss": {"essential": True, "value": company.issuer},
        "aud": {"essential": True, "value": company.client_id},
        "exp": {"essential": True},
    }
    claims = CodeIDToken(
        decoded.claims,
        decoded.header,
        options,
        {"client_id": company.client_id, "nonce": nonce, "access_token": access_token},
    )
    try:
        claims.validate(now=int(now.timestamp()), leeway=int(LEEWAY.total_seconds()))
    except (JoseError, OAuth2Error, ValueError, TypeError) as error:
        what = getattr(error, "claim", None) or getattr(error, "error", type(error).__name__)
        raise refused(f"its token does not hold: {what}") from error
    return dict(claims)


def refused(why: str) -> ProblemError:
    """Return the answer to a sign-in that came back wrong."""
    return ProblemError(Code.SIGN_IN_REFUSED, f"The provider's answer was not used: {why}.")


def _roles(company: Company, claims: Mapping[str, Any]) -> tuple[Role, ...]:
    found = claims.get(company.roles_claim, [])
    values = [found] if isinstance(found, str) else found if isinstance(found, list) else []
    names = {
        role.value
        for value in values
        if isinstance(value, str)
        for role in company.roles.get(value, ())
    }
    if not names:
        raise ProblemError(
            Code.NO_ROLE, f"Nothing in your {company.roles_claim!r} claim gives you a role here."
        )
    try:
        return parse_roles(names)
    except RolesError as error:
        raise ProblemError(Code.BAD_ROLES, f"{error}.") from error


def _username(claims: Mapping[str, Any], subject: str) -> str:
    """Return a name as accounts have it: for people to read, never to know somebody by."""
    for claim in ("preferred_username", "email"):
        text = claims.get(claim)
        name = _NOT_IN_NAMES.sub("-", text.lower()).strip("._@+-") if isinstance(text, str) else ""
        if name:
            return name[:50]
    return _NOT_IN_NAMES.sub("-", subject.lower()).strip("._@+-")[:50] or "somebody"


def _name(claims: Mapping[str, Any], subject: str) -> str:
    for claim in ("name", "preferred_username", "email"):
        text = claims.get(claim)
        if isinstance(text, str) and text.strip() and text.isprintable():
            return text.strip()[:200]
    return subject[:200]


def _moment(seconds: float, now: datetime) -> datetime | None:
    """Return `auth_time` as a moment; one in the future proves nothing."""
    try:
        moment = datetime.fromtimestamp(seconds, now.tzinfo)
    except (ValueError, OverflowError, OSError):
        return None
    return moment if moment <= now + LEEWAY else None
