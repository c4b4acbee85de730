"""Secrets of people: passwords, session tokens, CSRF tokens. Owns how they are made and compared.

Passwords are argon2id (argon2-cffi's defaults, RFC 9106 low memory), hashed in a thread, two at a
time, because each takes 64 MiB. A session is a random token in a cookie; the database knows its
SHA-256 only. The CSRF token derives from the session's, so it needs no place of its own.
"""

import asyncio
import hashlib
import hmac
import secrets
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerifyMismatchError

from review_api.problems import Code, ProblemError

SESSION_SECONDS: Final = 12 * 3600
COOKIE: Final = "placet_session"
FREE_FAILURES: Final = 5
"""So many wrong passwords cost nothing; then the pause doubles."""

_SHORTEST: Final = 8
_LONGEST: Final = 1_024
_HASHER: Final = PasswordHasher()
_NOBODY: Final = _HASHER.hash(secrets.token_urlsafe(32))
_AT_ONCE: Final = asyncio.Semaphore(2)


def new_token() -> str:
    """Return a session token: 256 bits, for a cookie."""
    return secrets.token_urlsafe(32)


def token_hash(token: str) -> bytes:
    """Return what the database knows of a session token."""
    return hashlib.sha256(token.encode(errors="replace")).digest()


def csrf_of(token: str) -> str:
    """Return the CSRF token that belongs to a session token."""
    return hashlib.sha256(b"csrf\0" + token.encode(errors="replace")).hexdigest()


def same(left: str, right: str) -> bool:
    """Compare two secrets in constant time."""
    return hmac.compare_digest(left.encode(errors="replace"), right.encode(errors="replace"))


def new_password() -> str:
    """Return a password for somebody who gave none: 15 characters, 90 bits."""
    return secrets.token_urlsafe(11)


def check_password(password: str) -> None:
    """Refuse a password that is too short or absurdly long."""
    if not _SHORTEST <= len(password) <= _LONGEST:
        raise ProblemError(Code.BAD_PASSWORD, f"It has {len(password)} characters.")


async def hash_password(password: str) -> str:
    """Return the argon2id hash of `password`."""
    async with _AT_ONCE:
        return await asyncio.to_thread(_HASHER.hash, password)


async def verify_password(stored: str | None, password: str) -> bool:
    """Tell whether `password` is the one; takes as long where there is no account."""
    async with _AT_ONCE:
        return await asyncio.to_thread(_verify, stored or _NOBODY, password) and stored is not None


def _verify(stored: str, password: str) -> bool:
    try:
        return _HASHER.verify(stored, password)
    except (VerifyMismatchError, InvalidHashError):
        return False
