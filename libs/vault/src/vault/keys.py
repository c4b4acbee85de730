"""The key that wraps all others: in a file by default, behind five calls that a KMS has too.

Owns the file's form and how data keys are wrapped. Refuses to know where wrapped keys are kept.

The file holds one key a line, 32 bytes as base64 text. The first wraps; the others are older ones,
which still unwrap until everything is wrapped anew. A key's id is derived from it and kept beside
each key it wrapped, so that a file that lacks it is named and not guessed about.
"""

import base64
import hashlib
import hmac
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from conveyor.keys import KeyFileError, write_secret
from vault.cipher import KEY_SIZE, NONCE_SIZE, open_sealed, seal

_PURPOSE: Final = "data key"
_ID_BYTES: Final = 8


class UnknownKeyError(KeyFileError):
    """A data key is wrapped by a key-encryption key that is not in the file.

    Operators: give the service the key file it had before; without it nothing can be read.
    """


class RetiredKeyError(KeyFileError):
    """The key file is of before a rotation: its first key may wrap nothing any more.

    Operators: give the service the new key file.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class Wrapped:
    """A data key as it is kept."""

    kek_id: str
    data: bytes


class KeyEncryption(Protocol):
    """Wraps data keys: `KeyFile`, or a KMS. May block and raise UnavailableError."""

    @property
    def current(self) -> str:
        """Return the id of the key that wraps."""

    def refresh(self) -> None:
        """See whether another key wraps by now."""

    def has(self, kek_id: str) -> bool:
        """Tell whether what this key wrapped can be unwrapped."""

    def lacks(self, kek_id: str) -> str:
        """Return what to tell an operator where it cannot."""

    def create(self) -> str:
        """Make another key the one that wraps; durable on return. Return its id."""

    def encrypt(self, key: bytes, subject: str) -> Wrapped:
        """Wrap a data key, bound to its subject."""

    def decrypt(self, wrapped: Wrapped, subject: str) -> bytes:
        """Return the data key. Raises UnknownKeyError, CipherError."""

    def rewrap(self, wrapped: Wrapped, subject: str) -> Wrapped:
        """Return the same data key, wrapped by the current key. Raises as `decrypt` does."""

    def destroy(self, kek_id: str) -> None:
        """Forget an older key for ever: nothing that it wrapped can be read any more."""


class KeyFile:
    """`KeyEncryption` with the keys in a file that only its owner can read."""

    def __init__(self, path: Path) -> None:
        """Read the file. Raises KeyFileError, which names it."""
        self.path = path
        self._keys: dict[str, bytes] = {}
        self._read()

    @classmethod
    def make(cls, path: Path) -> "KeyFile":
        """Write a file with a new key. Raises FileExistsError where there is one."""
        write_secret(path, _text([os.urandom(KEY_SIZE)]))
        return cls(path)

    @property
    def current(self) -> str:
        """Return the id of the first key."""
        return next(iter(self._keys))

    @property
    def ids(self) -> list[str]:
        """Return the ids of all keys, the one that wraps first."""
        return list(self._keys)

    def refresh(self) -> None:
        """Read the file again. Raises KeyFileError."""
        self._read()

    def has(self, kek_id: str) -> bool:
        """Tell whether the file has this key; it is read again where it did not."""
        if kek_id not in self._keys:
            self._read()
        return kek_id in self._keys

    def create(self) -> str:
        """Put a new key before the others."""
        self._write([os.urandom(KEY_SIZE), *self._keys.values()])
        return self.current

    def encrypt(self, key: bytes, subject: str) -> Wrapped:
        """Wrap a data key."""
        kek_id = self.current
        sealed = seal(
            self._keys[kek_id],
            key,
            purpose=_PURPOSE,
            identity=f"{kek_id} {subject}",
            nonce=os.urandom(NONCE_SIZE),
        )
        return Wrapped(kek_id=kek_id, data=sealed)

    def decrypt(self, wrapped: Wrapped, subject: str) -> bytes:
        """Return the data key; the file is read again where it may have got another key since."""
        if not self.has(wrapped.kek_id):
            raise UnknownKeyError(self.lacks(wrapped.kek_id))
        identity = f"{wrapped.kek_id} {subject}"
        kek = self._keys[wrapped.kek_id]
        return open_sealed(kek, wrapped.data, purpose=_PURPOSE, identity=identity)

    def rewrap(self, wrapped: Wrapped, subject: str) -> Wrapped:
        """Wrap by the current key what another wraps now."""
        return self.encrypt(self.decrypt(wrapped, subject), subject)

    def destroy(self, kek_id: str) -> None:
        """Take an older key out of the file."""
        if kek_id == self.current:
            raise ValueError(f"{self.path}: {kek_id} is the key that wraps; make another one first")
        self._write([key for known, key in self._keys.items() if known != kek_id])

    def lacks(self, kek_id: str) -> str:
        """Say that a key is not here."""
        return (
            f"{self.path}: keys in the vault are wrapped by key {kek_id}, which is not in it"
            f" (it has {', '.join(self._keys)})"
        )

    def _read(self) -> None:
        try:
            lines = self.path.read_text("ascii").split()
        except (OSError, ValueError) as error:
            raise KeyFileError(f"{self.path}: no key-encryption key: {error}") from error
        keys = [_key(self.path, line) for line in lines]
        if not keys:
            raise KeyFileError(f"{self.path}: no key-encryption key in it")
        self._keys = {_id(key): key for key in keys}

    def _write(self, keys: list[bytes]) -> None:
        unfinished = self.path.with_name(f"{self.path.name}.{os.getpid()}.new")
        unfinished.unlink(missing_ok=True)
        write_secret(unfinished, _text(keys))
        with unfinished.open("rb") as file:
            os.fsync(file.fileno())
        unfinished.replace(self.path)
        self._read()


def _key(path: Path, line: str) -> bytes:
    try:
        key = base64.b64decode(line, validate=True)
    except ValueError as error:
        raise KeyFileError(f"{path}: base64 text is needed: {error}") from error
    if len(key) != KEY_SIZE:
        message = f"a key-encryption key has {KEY_SIZE} bytes, not {len(key)}"
        raise KeyFileError(f"{path}: {message}")
    return key


def _text(keys: list[bytes]) -> bytes:
    return b"".join(base64.b64encode(key) + b"\n" for key in keys)


def _id(key: bytes) -> str:
    return hmac.digest(key, b"placet/vault/kek-id", hashlib.sha256)[:_ID_BYTES].hex()
