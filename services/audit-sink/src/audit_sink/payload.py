"""What a record commits to without saying it: texts, as parts that can be shown one by one.

Owns salts, commitments and the packed form of parts. Pure: refuses to know events and databases.

A part's commitment is SHA-256(salt of the part || bytes). The salt of a part is HKDF-Expand
(RFC 5869 section 2.3, SHA-256) of the record's one random salt with info = b"placet/part/" + name:
whoever is shown one part and its salt learns nothing about the others, and without the record's
salt no short text can be guessed. `payload_commitment` is the SHA-256 of the canonical JSON object
{part name: hex of its commitment}.

Parts and salt can be destroyed; the record stays and still verifies. `pack` compresses, because
what `locking` encrypts afterwards no longer can be.
"""

import hashlib
import hmac
from collections.abc import Mapping
from functools import lru_cache
from typing import Annotated, Final

import msgspec
import orjson
import zstandard

SALT_SIZE: Final = 32
_INFO: Final = b"placet/part/"
_BLOCK: Final = 64  # bytes that SHA-256 takes in at a time; a salt is no longer
_INNER_PAD: Final = bytes(byte ^ 0x36 for byte in range(256))
_OUTER_PAD: Final = bytes(byte ^ 0x5C for byte in range(256))
_LEVEL: Final = 1  # on 2-4 KB level 3 takes a third more time for 1 % fewer bytes
_MAX_UNPACKED: Final = 64 * 1024 * 1024

Parts = Mapping[str, bytes]


class PayloadError(ValueError):
    """These bytes are no packed parts: the payload store is damaged. Compare with a backup."""


def part_salt(salt: bytes, name: str) -> bytes:
    """Return the salt of part `name` (≤ 200 ASCII characters) of a record with this salt."""
    return hmac.digest(salt, _INFO + name.encode("ascii") + b"\x01", "sha256")


def part_commitment(salt_of_part: bytes, data: bytes) -> bytes:
    """Return what the record commits to for one part."""
    return hashlib.sha256(salt_of_part + data).digest()


def payload_commitment(salt: bytes, parts: Parts) -> bytes:
    """Return the one value that the record carries for all `parts`."""
    # `part_commitment` with `part_salt` of each, by the definition of HMAC (RFC 2104), so that the
    # key is hashed once for all parts: half the time, on the path of every event.
    key = salt.ljust(_BLOCK, b"\0")
    inner = hashlib.sha256(key.translate(_INNER_PAD))
    outer = hashlib.sha256(key.translate(_OUTER_PAD))
    commitments = {}
    for name, data in parts.items():
        digest, own = inner.copy(), outer.copy()
        digest.update(_info(name))
        own.update(digest.digest())
        commitments[name] = hashlib.sha256(own.digest() + data).hexdigest()
    return _combined(commitments)


@lru_cache(maxsize=256)
def _info(name: str) -> bytes:
    return _INFO + name.encode("ascii") + b"\x01"


def combine(commitments: Mapping[str, bytes]) -> bytes:
    """Return `payload_commitment` from the commitments of the parts, shown or not."""
    return _combined({name: commitment.hex() for name, commitment in commitments.items()})


def _combined(commitments: Mapping[str, str]) -> bytes:
    return hashlib.sha256(orjson.dumps(commitments, option=orjson.OPT_SORT_KEYS)).digest()


class Packer:
    """Packs parts. Keeps one compressor, which is not thread safe: one per thread."""

    def __init__(self) -> None:
        self._compressor = zstandard.ZstdCompressor(level=_LEVEL)

    def pack(self, parts: Parts) -> bytes:
        """Return `parts` as one zstd frame.

        In it: 4 big-endian bytes of length, a JSON object {name: length of part} of that length,
        and the parts in the object's order.
        """
        lengths = orjson.dumps({name: len(data) for name, data in parts.items()})
        return self._compressor.compress(
            b"".join((len(lengths).to_bytes(4), lengths, *parts.values()))
        )


def unpack(packed: bytes) -> dict[str, bytes]:
    """Return the parts in `packed`.

    Raises:
        PayloadError: damaged, or larger than anything that was ever packed.
    """
    try:
        size = zstandard.frame_content_size(packed)
        if not 0 <= size <= _MAX_UNPACKED:
            raise PayloadError(f"a payload of {size} bytes")
        data = zstandard.ZstdDecompressor().decompress(packed)
    except zstandard.ZstdError as error:
        raise PayloadError(f"no zstd frame: {error}") from error
    at = 4 + int.from_bytes(data[:4])
    parts: dict[str, bytes] = {}
    for name, length in _lengths(data[4:at]).items():
        parts[name] = data[at : at + length]
        at += length
    if at != len(data):
        raise PayloadError(f"{len(data)} bytes, where the parts have {at}")
    return parts


def _lengths(index: bytes) -> dict[str, int]:
    try:
        return msgspec.json.decode(index, type=dict[str, Annotated[int, msgspec.Meta(ge=0)]])
    except msgspec.DecodeError as error:
        raise PayloadError(f"no index of parts: {error}") from error
