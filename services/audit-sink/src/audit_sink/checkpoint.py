"""Checkpoints: the signed heads of the tree (C2SP tlog-checkpoint in a C2SP signed-note).

Owns the two text formats and the texts of keys, byte for byte as the specifications say, because
software written by others reads them. Pure: refuses to know files, clocks and where keys come from.

A note is text ending in a newline, an empty line, then signature lines
`— <name> <base64(4-byte key id || signature)>` with an em dash. Signatures by other keys, such as
witnesses', are let stand and not believed.
"""

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from audit_sink.tree import HASH_SIZE

MAX_BYTES: Final = 16_384
"""No honest checkpoint is longer, however many witnesses sign."""
_MAX_SIGNATURES: Final = 100
_ED25519: Final = b"\x01"
_SIZE: Final = re.compile(r"0|[1-9][0-9]{0,18}")
_NAME: Final = re.compile(r"[^\s+\x00-\x1f\x7f]+")
_CONTROL: Final = re.compile(r"[\x00-\x09\x0b-\x1f\x7f]")


class CheckpointError(ValueError):
    """These bytes are no checkpoint that this key has signed. The message says what is wrong."""


class KeyTextError(ValueError):
    """This text is no key in the signed-note form; the message says which part is not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A head: the log `origin` had `size` records and this Merkle `root`."""

    origin: str
    size: int
    root: bytes

    @property
    def text(self) -> str:
        """Return what is signed."""
        return f"{self.origin}\n{self.size}\n{_encode(self.root)}\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicKey:
    """A verifier key: the log's name and its Ed25519 public key."""

    name: str
    raw: bytes

    @property
    def key_id(self) -> bytes:
        """Return the 4 bytes that say which key a signature line means."""
        return hashlib.sha256(self.name.encode() + b"\n" + _ED25519 + self.raw).digest()[:4]

    @property
    def text(self) -> str:
        """Return the vkey: `<name>+<key id in hex>+<base64(type || key)>`."""
        return f"{self.name}+{self.key_id.hex()}+{_encode(_ED25519 + self.raw)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PrivateKey:
    """A signing key: the log's name and its 32-byte Ed25519 seed."""

    name: str
    seed: bytes

    @property
    def public(self) -> PublicKey:
        """Return the half that anybody may have."""
        key = Ed25519PrivateKey.from_private_bytes(self.seed)
        return PublicKey(name=self.name, raw=key.public_key().public_bytes_raw())

    @property
    def text(self) -> str:
        """Return the skey: `PRIVATE+KEY+<name>+<key id in hex>+<base64(type || seed)>`."""
        secret = _encode(_ED25519 + self.seed)
        return f"PRIVATE+KEY+{self.name}+{self.public.key_id.hex()}+{secret}"

    def __repr__(self) -> str:
        """Show no secret in a traceback."""
        return f"PrivateKey(name={self.name!r})"


def new_key(name: str, seed: bytes) -> PrivateKey:
    """Return the signing key of log `name` from 32 random bytes.

    Raises:
        KeyTextError: the name holds white space or `+`, or there are not 32 bytes.
    """
    if not _NAME.fullmatch(name):
        raise KeyTextError(f"{name!r}: a key name holds no white space and no '+'")
    if len(seed) != HASH_SIZE:
        raise KeyTextError(f"an Ed25519 seed has 32 bytes, not {len(seed)}")
    return PrivateKey(name=name, seed=seed)


def parse_public_key(text: str) -> PublicKey:
    """Return the key in a vkey text. Raises KeyTextError."""
    parts = text.strip().split("+", 2)
    if len(parts) != 3:  # noqa: PLR2004 - the parts of a vkey
        raise KeyTextError("a verifier key is <name>+<8 hex digits>+<base64>")
    name, key_id, encoded = parts
    key = PublicKey(name=_checked_name(name), raw=_raw_key(encoded))
    if key.key_id.hex() != key_id:
        raise KeyTextError(f"the key id {key_id!r} does not belong to this name and key")
    return key


def parse_private_key(text: str) -> PrivateKey:
    """Return the key in an skey text. Raises KeyTextError."""
    parts = text.strip().split("+", 4)
    if len(parts) != 5 or parts[:2] != ["PRIVATE", "KEY"]:  # noqa: PLR2004 - the parts of an skey
        raise KeyTextError("a signing key is PRIVATE+KEY+<name>+<8 hex digits>+<base64>")
    key = PrivateKey(name=_checked_name(parts[2]), seed=_raw_key(parts[4]))
    if key.public.key_id.hex() != parts[3]:
        raise KeyTextError(f"the key id {parts[3]!r} does not belong to this name and key")
    return key


def _checked_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise KeyTextError(f"{name!r} is no key name")
    return name


def _raw_key(encoded: str) -> bytes:
    data = _decode(encoded)
    if data is None or len(data) != 1 + HASH_SIZE:
        raise KeyTextError("the key part is not the base64 of 33 bytes")
    if data[:1] != _ED25519:
        raise KeyTextError(f"key type {data[0]:#04x}: only Ed25519 (0x01) is understood here")
    return data[1:]


def sign(checkpoint: Checkpoint, key: PrivateKey) -> bytes:
    """Return `checkpoint` as a note signed by `key`. The same input gives the same bytes."""
    return sign_text(checkpoint.text, key)


def sign_text(text: str, key: PrivateKey) -> bytes:
    """Return `text`, which ends in a newline, as a note signed by `key`."""
    signature = Ed25519PrivateKey.from_private_bytes(key.seed).sign(text.encode())
    line = f"\N{EM DASH} {key.name} {_encode(key.public.key_id + signature)}\n"
    return f"{text}\n{line}".encode()


def open_note(data: bytes, key: PublicKey, most: int) -> str:
    """Return the text of a note of at most `most` bytes that `key` has signed.

    Raises:
        CheckpointError: not a note, or not signed by `key`.
    """
    text, lines = _split_note(data, most)
    if not any(_is_signed(text, line, key) for line in lines):
        raise CheckpointError(f"no signature by {key.name}+{key.key_id.hex()}")
    return text


def open_checkpoint(data: bytes, key: PublicKey) -> Checkpoint:
    """Return the checkpoint in a note that `key` has signed.

    Raises:
        CheckpointError: not a note, not signed by `key`, not a checkpoint, or of another log.
    """
    checkpoint = _parse(open_note(data, key, MAX_BYTES))
    if checkpoint.origin != key.name:
        raise CheckpointError(
            f"a checkpoint of another log: origin {checkpoint.origin!r}, key {key.name!r}"
        )
    return checkpoint


def _split_note(data: bytes, most: int = MAX_BYTES) -> tuple[str, list[str]]:
    if len(data) > most:
        raise CheckpointError(f"longer than {most} bytes")
    try:
        note = data.decode()
    except UnicodeDecodeError as error:
        raise CheckpointError(f"not UTF-8: {error}") from error
    if _CONTROL.search(note):
        raise CheckpointError("a control character in it")
    text, separator, block = note.rpartition("\n\n")
    if not separator or not block.endswith("\n"):
        raise CheckpointError("not a signed note: text, an empty line, signature lines")
    lines = block[:-1].split("\n")
    if len(lines) > _MAX_SIGNATURES:
        raise CheckpointError(f"more than {_MAX_SIGNATURES} signatures")
    for line in lines:
        if not line.startswith("\N{EM DASH} ") or line.count(" ") != 2:  # noqa: PLR2004
            raise CheckpointError(f"no signature line: {line[:80]!r}")
    return text + "\n", lines


def _is_signed(text: str, line: str, key: PublicKey) -> bool:
    _, name, encoded = line.split(" ")
    data = _decode(encoded)
    if name != key.name or data is None or data[:4] != key.key_id:
        return False
    try:
        Ed25519PublicKey.from_public_bytes(key.raw).verify(data[4:], text.encode())
    except InvalidSignature as error:
        raise CheckpointError(f"the signature of {name} is wrong") from error
    return True


def _parse(text: str) -> Checkpoint:
    lines = text.split("\n")
    if len(lines) != 4 or not lines[0]:  # noqa: PLR2004 - three lines, each ending in a newline
        raise CheckpointError("a checkpoint has three lines: origin, size, root")
    root = _decode(lines[2])
    if not _SIZE.fullmatch(lines[1]) or root is None or len(root) != HASH_SIZE:
        raise CheckpointError("a checkpoint says its size in digits and its root in base64")
    return Checkpoint(origin=lines[0], size=int(lines[1]), root=root)


def _encode(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _decode(text: str) -> bytes | None:
    """Decode canonical base64: two texts for the same bytes would be two notes for one head."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return data if _encode(data) == text else None
