"""Ed25519 keys in files, and small secrets. Owns key formats; refuses to know what is signed.

Signing uses `cryptography` (43 µs), verifying PyNaCl (90 µs against 163 µs; docs/adr/0005).
"""

import base64
import os
from collections.abc import Mapping
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from nacl.exceptions import BadSignatureError
from nacl.signing import VerifyKey

from contract.statement import key_id

_RAW = (serialization.Encoding.Raw, serialization.PublicFormat.Raw)


class KeyFileError(ValueError):
    """A key file cannot be used. Its message names the file and what should be in it."""


class Signer:
    """Signs with one Ed25519 key."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        """Take the private key; `key_id` names its public half."""
        self._key = key
        self.public_bytes = key.public_key().public_bytes(*_RAW)
        self.key_id = key_id(self.public_bytes)

    @classmethod
    def load(cls, path: Path) -> "Signer":
        """Read a PEM file (PKCS#8, not encrypted)."""
        try:
            key = serialization.load_pem_private_key(path.read_bytes(), None)
        except ValueError as error:
            raise KeyFileError(f"{path}: no PEM private key: {error}") from error
        if not isinstance(key, Ed25519PrivateKey):
            raise KeyFileError(f"{path}: an Ed25519 key is needed, not {type(key).__name__}")
        return cls(key)

    def sign(self, data: bytes) -> bytes:
        """Return the 64-byte signature of `data`."""
        return self._key.sign(data)


class Verifier:
    """Verifies against pinned public keys, and no others."""

    def __init__(self, keys: Mapping[str, bytes]) -> None:
        """Take raw 32-byte public keys by key id."""
        self._keys = {name: VerifyKey(raw) for name, raw in keys.items()}

    @classmethod
    def load(cls, path: Path) -> "Verifier":
        """Read one PEM file, or every `*.pem` in a folder (old keys stay pinned)."""
        files = sorted(path.glob("*.pem")) if path.is_dir() else [path]
        if not files:
            raise KeyFileError(f"{path}: no public key (*.pem) in it")
        raws = [_public(file) for file in files]
        return cls({key_id(raw): raw for raw in raws})

    def verify(self, name: str, signature: bytes, data: bytes) -> bool:
        """Tell whether `signature` over `data` was made by the pinned key `name`."""
        key = self._keys.get(name)
        if key is None:
            return False
        try:
            key.verify(data, signature)
        except (BadSignatureError, ValueError):  # ValueError: not 64 bytes
            return False
        return True


def _public(path: Path) -> bytes:
    try:
        key = serialization.load_pem_public_key(path.read_bytes())
    except ValueError as error:
        raise KeyFileError(f"{path}: no PEM public key: {error}") from error
    if not isinstance(key, Ed25519PublicKey):
        raise KeyFileError(f"{path}: an Ed25519 key is needed, not {type(key).__name__}")
    return key.public_bytes(*_RAW)


def write_secret(path: Path, data: bytes) -> None:
    """Write a file that only its owner can read. Never overwrites: a lost key cannot be remade."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)


def generate(private: Path, public: Path) -> None:
    """Make a key pair: `private` as PKCS#8 PEM (0600), `public` as SubjectPublicKeyInfo PEM."""
    key = Ed25519PrivateKey.generate()
    write_secret(
        private,
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ),
    )
    public.parent.mkdir(parents=True, exist_ok=True)
    public.write_bytes(
        key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )


def load_secret(path: Path) -> bytes:
    """Return the bytes in a file of base64 text."""
    try:
        return base64.b64decode(path.read_text("ascii").strip(), validate=True)
    except ValueError as error:
        raise KeyFileError(f"{path}: base64 text is needed: {error}") from error
