"""The signed list of what one archive holds: the last thing an archive writes.

Owns the text of a manifest, the names of objects, and which objects belong to a range of records.
Pure: refuses to know stores, clocks and what is in the objects.

A manifest is a C2SP signed note by the log's key. Its text is the line `placet-cold-manifest@v1`
and one line of canonical JSON (RFC 8785). It pins each object by name, version, SHA-256 and size,
and the manifest before it by SHA-256, so that manifests are a chain from record 0 on. `tree` is the
tree of all records up to the range's end: what the ledger's heads can be compared with.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import pairwise
from typing import Any, Final

import orjson

from audit_sink.checkpoint import CheckpointError, PrivateKey, PublicKey, open_note, sign_text
from audit_sink.record import MAX_BYTES as MAX_RECORD
from audit_sink.tiles import entries_name
from audit_sink.tree import HASH_SIZE, WIDTH, TileName

MAX_BATCH: Final = 64 * WIDTH
"""Records in one archive, at most: what is in memory while it is made."""
MAX_BYTES: Final = 131_072
MANIFESTS: Final = "manifest/"
_TITLE: Final = "placet-cold-manifest@v1"
_LARGEST: Final = 4 * 1024**3
_MAX_VERSION: Final = 1_024
_HEX: Final = re.compile(r"[0-9a-f]{64}")
_MANIFEST_NAME: Final = re.compile(r"manifest/([0-9]{15})-([0-9]{15})")
_BATCH_NAME: Final = re.compile(
    r"batch/([0-9]{15})-([0-9]{15})/(?:payloads-([0-9a-f]{64})\.pack|records-([0-9a-f]{64})\.parquet)"
)


class ManifestError(ValueError):
    """These bytes are no manifest of this log. The message says what is wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pinned:
    """One object, to the byte."""

    name: str
    version: str
    sha256: bytes
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """The records [first, end) of the log `origin` in cold storage."""

    origin: str
    first: int
    end: int
    root: bytes
    """Of the tree of the first `end` records."""
    payloads: int
    """How many of the records had their payload still."""
    previous: bytes | None
    """SHA-256 of the manifest that ends where this one begins; None for the first."""
    objects: Sequence[Pinned]

    @property
    def name(self) -> str:
        """Return the name of the manifest itself."""
        return manifest_name(self.first, self.end)

    @property
    def pack(self) -> Pinned:
        """Return the object with the payloads."""
        return next(one for one in self.objects if one.name.endswith(".pack"))


def manifest_name(first: int, end: int) -> str:
    """Return the name of a manifest; names sort as ranges do."""
    return f"{MANIFESTS}{first:015}-{end:015}"


def range_of(name: str) -> tuple[int, int] | None:
    """Return the range that a manifest's name says, or None where it is none."""
    match = _MANIFEST_NAME.fullmatch(name)
    return None if match is None else (int(match[1]), int(match[2]))


def pack_name(first: int, end: int, data: bytes) -> str:
    """Return the name of a pack of payloads."""
    return f"batch/{first:015}-{end:015}/payloads-{sha256(data).hexdigest()}.pack"


def table_name(first: int, end: int, data: bytes) -> str:
    """Return the name of a table of records."""
    return f"batch/{first:015}-{end:015}/records-{sha256(data).hexdigest()}.parquet"


def digest_in(name: str) -> bytes | None:
    """Return the SHA-256 that the name of a pack or table says, or None where it is neither."""
    match = _BATCH_NAME.fullmatch(name)
    return None if match is None else bytes.fromhex(match[3] or match[4])


def object_name(name: TileName) -> str:
    """Return the name of a tile, as C2SP has it; an entry bundle is compressed and says so."""
    return name.path if name.level >= 0 else f"{name.path}.zst"


def filled_by(first: int, end: int) -> Iterator[TileName]:
    """Yield the hash tiles and entry bundles that the records [first, end) fill, in order.

    Both ends are multiples of 256.
    """
    for index in range(first // WIDTH, end // WIDTH):
        yield entries_name(index, WIDTH)
    level = 0
    while end >> 8 * (level + 1):
        for index in range(first >> 8 * (level + 1), end >> 8 * (level + 1)):
            yield TileName(level=level, index=index)
        level += 1


def text_of(manifest: Manifest) -> str:
    """Return what is signed."""
    fields = {
        "end": manifest.end,
        "first": manifest.first,
        "objects": [
            {
                "name": one.name,
                "sha256": one.sha256.hex(),
                "size": one.size,
                "version": one.version,
            }
            for one in manifest.objects
        ],
        "origin": manifest.origin,
        "payloads": manifest.payloads,
        "previous": None if manifest.previous is None else manifest.previous.hex(),
        "records": manifest.end - manifest.first,
        "tree": {"root": manifest.root.hex(), "size": manifest.end},
    }
    return f"{_TITLE}\n{orjson.dumps(fields, option=orjson.OPT_SORT_KEYS).decode()}\n"


def sign_manifest(manifest: Manifest, key: PrivateKey) -> bytes:
    """Return the manifest as a note signed by the log's key. The same input, the same bytes."""
    return sign_text(text_of(manifest), key)


def open_manifest(data: bytes, key: PublicKey) -> Manifest:
    """Return the manifest in a note that `key` has signed.

    Raises:
        ManifestError: anything else, and whatever names an object that does not belong to it.
    """
    try:
        text = open_note(data, key, MAX_BYTES)
    except CheckpointError as error:
        raise ManifestError(str(error)) from error
    title, _, line = text.partition("\n")
    if title != _TITLE:
        raise ManifestError(f"not a manifest: it begins with {title[:80]!r}")
    try:
        manifest = _parsed(orjson.loads(line))
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
        raise ManifestError(f"not the fields of a manifest: {error}") from error
    if text_of(manifest) != text:
        raise ManifestError("not in canonical form")
    if manifest.origin != key.name:
        raise ManifestError(f"a manifest of another log: {manifest.origin[:80]!r}")
    _check_objects(manifest)
    return manifest


def _parsed(fields: Any) -> Manifest:
    first, end, payloads = (_number(fields[name]) for name in ("first", "end", "payloads"))
    if first % WIDTH or end % WIDTH or not 0 < end - first <= MAX_BATCH:
        raise ManifestError(f"records {first} to {end} are no range of whole bundles")
    if payloads > end - first:
        raise ManifestError(f"{payloads} payloads of {end - first} records")
    previous = fields["previous"]
    if (previous is None) != (first == 0):
        raise ManifestError("the first manifest, and no other, has none before it")
    return Manifest(
        origin=_text(fields["origin"]),
        first=first,
        end=end,
        root=_digest(fields["tree"]["root"]),
        payloads=payloads,
        previous=None if previous is None else _digest(previous),
        objects=tuple(
            Pinned(
                name=_text(one["name"]),
                version=_text(one["version"]),
                sha256=_digest(one["sha256"]),
                size=_number(one["size"]),
            )
            for one in fields["objects"]
        ),
    )


def _number(value: Any) -> int:
    if type(value) is not int or not 0 <= value < 2**53:
        raise ManifestError(f"{str(value)[:40]!r} is no number of a manifest")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str) or len(value) > _MAX_VERSION:
        raise ManifestError(f"{str(value)[:40]!r} is no text of a manifest")
    return value


def _digest(value: Any) -> bytes:
    if not isinstance(value, str) or not _HEX.fullmatch(value):
        raise ManifestError(f"{str(value)[:40]!r} is no SHA-256")
    return bytes.fromhex(value)


def _check_objects(manifest: Manifest) -> None:
    """Refuse a manifest that names anything but the objects of its range, each once."""
    names = [one.name for one in manifest.objects]
    tiles = [object_name(tile) for tile in filled_by(manifest.first, manifest.end)]
    if names[:-2] != tiles:
        extra = next((one for one in names[:-2] if one not in set(tiles)), None)
        if extra is not None:
            raise ManifestError(f"names {extra[:120]!r}, which is none of its objects")
        raise ManifestError(f"names {len(names)} objects, not the {len(tiles) + 2} of its range")
    place = f"batch/{manifest.first:015}-{manifest.end:015}/"
    for one, kind in zip(manifest.objects[-2:], ("pack", "parquet"), strict=True):
        fits = one.name.startswith(place) and one.name.endswith(f".{kind}")
        if not fits or digest_in(one.name) != one.sha256:
            raise ManifestError(f"names {one.name[:120]!r}, which is none of its objects")
    for one in manifest.objects:
        if one.size > largest(one.name):
            raise ManifestError(f"says that {one.name} has {one.size} bytes")


def largest(name: str) -> int:
    """Return how large an object of that name may be."""
    if name.startswith("tile/"):
        return WIDTH * (2 + MAX_RECORD) + 1_024 if name.endswith(".zst") else WIDTH * HASH_SIZE
    return MAX_BYTES if name.startswith(MANIFESTS) else _LARGEST


def chain_problem(previous: tuple[bytes, Manifest] | None, manifest: Manifest) -> str | None:
    """Return why `manifest` does not follow the one before it (its bytes, and what they say)."""
    if previous is None:
        return None if manifest.first == 0 else f"records 0 to {manifest.first - 1} have none"
    data, before = previous
    if manifest.first != before.end:
        return f"begins with record {manifest.first}, the one before it ends at {before.end}"
    if manifest.previous != sha256(data).digest():
        return f"does not follow from {before.name}"
    return None


def hole_in(ranges: Sequence[tuple[int, int]]) -> int | None:
    """Return the first record that sorted ranges leave out or have twice, or None."""
    for (_, end), (first, _) in pairwise([(0, 0), *ranges]):
        if first != end:
            return min(first, end)
    return None
