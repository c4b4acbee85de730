"""Sealing bytes under a data key. Pure: nonces are passed in.

Owns the form of a ciphertext: one byte 0x01, the form's version; 12 bytes of nonce; what
AES-256-GCM made (NIST SP 800-38D), with its 16-byte tag. What it is for and which record it belongs
to are authenticated with it, so that no ciphertext can be moved to another place.
"""

from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_SIZE: Final = 32
NONCE_SIZE: Final = 12
OVERHEAD: Final = 1 + NONCE_SIZE + 16
"""Bytes that a ciphertext is longer than what is in it."""
_VERSION: Final = b"\x01"
_PREFIX: Final = b"placet/vault/1\0"


class CipherError(ValueError):
    """These bytes were not sealed under this key for this place: altered, moved, or another key's.

    Operators: the store they were read from is damaged, or somebody changed it. Compare with a
    backup.
    """


def seal(key: bytes, data: bytes, *, purpose: str, identity: str, nonce: bytes) -> bytes:
    """Return `data` sealed under `key` (32 bytes) as `purpose` of the record `identity`.

    `purpose` has no NUL. `nonce` is 12 random bytes, drawn for this call alone.
    """
    sealed = AESGCM(key).encrypt(nonce, data, _context(purpose, identity))
    return b"".join((_VERSION, nonce, sealed))


def open_sealed(key: bytes, sealed: bytes, *, purpose: str, identity: str) -> bytes:
    """Return what was sealed.

    Raises:
        CipherError: one bit of key, bytes, purpose or identity is another.
    """
    if sealed[:1] != _VERSION or len(sealed) < OVERHEAD:
        raise CipherError("not sealed by any release known here")
    nonce, rest = sealed[1 : 1 + NONCE_SIZE], sealed[1 + NONCE_SIZE :]
    try:
        return AESGCM(key).decrypt(nonce, rest, _context(purpose, identity))
    except InvalidTag as error:
        message = f"{purpose} of {identity}: altered, moved, or under another key"
        raise CipherError(message) from error


def _context(purpose: str, identity: str) -> bytes:
    # The NUL ends the purpose, so that no two pairs have one spelling.
    return _PREFIX + purpose.encode() + b"\0" + identity.encode("utf-8", "surrogatepass")
