"""The Merkle tree of RFC 6962 section 2.1, and its tiles as in C2SP tlog-tiles.

Owns hashes, roots, the right edge of a growing tree, and the names of tiles; proofs are `proof`'s.
Pure: hashes in, hashes out; refuses to know files, records and signatures.

Theory of operation. Leaves are numbered from 0. A *tile* of level L holds up to 256 hashes, each
the root of 256**L leaves, so a full tile of level L is one hash of level L + 1. A full tile never
changes; the partial tiles (width 1 to 255) are the *edge* of the tree, from which the root follows.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

HASH_SIZE: Final = 32
WIDTH: Final = 256
"""Hashes in a full tile."""
ENTRIES: Final = -1
"""The "level" of entry bundles: their path says `entries` where a tile's says its level."""
EMPTY_ROOT: Final = sha256(b"").digest()

ReadTile = Callable[["TileName"], bytes]
"""Return the bytes of a tile; raises LookupError where there is none."""


def leaf_hash(entry: bytes) -> bytes:
    """Return the hash of one entry."""
    return sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of an inner node."""
    return sha256(b"\x01" + left + right).digest()


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class TileName:
    """Where a tile or entry bundle stands. `width` is 256 for a full one."""

    level: int
    index: int
    width: int = WIDTH

    @property
    def path(self) -> str:
        """Return its path below the log's folder: `tile/0/x001/234.p/17`."""
        digits = f"{self.index:03}"
        digits = digits.zfill(-(-len(digits) // 3) * 3)
        groups = [digits[i : i + 3] for i in range(0, len(digits), 3)]
        number = "".join(f"x{group}/" for group in groups[:-1]) + groups[-1]
        level = "entries" if self.level == ENTRIES else str(self.level)
        partial = "" if self.width == WIDTH else f".p/{self.width}"
        return f"tile/{level}/{number}{partial}"

    @property
    def scale(self) -> int:
        """Return how many leaves one of its hashes (or entries) stands for."""
        return 1 if self.level == ENTRIES else WIDTH**self.level

    @property
    def end(self) -> int:
        """Return the size of the smallest tree that has it."""
        return (self.index * WIDTH + self.width) * self.scale

    def width_at(self, size: int) -> int:
        """Return how many hashes a tree of `size` leaves has at this place: 0 to 256."""
        return max(0, min(WIDTH, size // self.scale - self.index * WIDTH))


_PATH: Final = re.compile(
    r"tile/(entries|0|[1-5]?[0-9]|6[0-3])/((?:x[0-9]{3}/)*[0-9]{3})(?:\.p/([0-9]{1,3}))?"
)


def parse_path(path: str) -> TileName | None:
    """Return what stands at `path`, or None where it is no tile's one and only name."""
    match = _PATH.fullmatch(path)
    if match is None:
        return None
    level, number, width = match.groups()
    name = TileName(
        level=ENTRIES if level == "entries" else int(level),
        index=int(number.replace("/", "").replace("x", "")),
        width=WIDTH if width is None else int(width),
    )
    return name if name.path == path and name.width else None


def perfect_root(hashes: Sequence[bytes]) -> bytes:
    """Return the root over a power of two of neighbouring hashes."""
    while len(hashes) > 1:
        pairs = zip(hashes[::2], hashes[1::2], strict=True)
        hashes = [sha256(b"\x01" + left + right).digest() for left, right in pairs]
    return hashes[0]


class Edge:
    """The right edge of a tree: for each level the hashes that fill no tile yet."""

    __slots__ = ("_levels", "size")

    def __init__(self) -> None:
        """Start with no leaf."""
        self.size = 0
        self._levels: list[list[bytes]] = []

    @classmethod
    def restore(cls, size: int, read: ReadTile) -> "Edge":
        """Return the edge of a tree of `size` leaves from its partial tiles.

        Believes what `read` returns: compare the root with one you trust. Raises LookupError where
        a tile is missing or too short.
        """
        edge = cls()
        edge.size = size
        for name in partial_names(size):
            data = read(name)[: name.width * HASH_SIZE]
            if len(data) != name.width * HASH_SIZE:
                raise LookupError(name.path)
            while len(edge._levels) <= name.level:
                edge._levels.append([])
            edge._levels[name.level] = split_hashes(data)
        return edge

    @property
    def lowest(self) -> list[bytes]:
        """Return the leaf hashes that fill no tile yet."""
        return list(self._levels[0]) if self._levels else []

    def copy(self) -> "Edge":
        """Return an edge that grows by itself."""
        twin = Edge()
        twin.size = self.size
        twin._levels = [list(hashes) for hashes in self._levels]
        return twin

    def extend(self, leaves: Iterable[bytes]) -> list[tuple[TileName, bytes]]:
        """Append leaf hashes and return the tiles this has filled, lowest level first."""
        full: list[tuple[TileName, bytes]] = []
        if not self._levels:
            self._levels.append([])
        lowest = self._levels[0]
        for leaf in leaves:
            lowest.append(leaf)
            self.size += 1
            if len(lowest) == WIDTH:
                self._carry(full)
                lowest = self._levels[0]
        return full

    def _carry(self, full: list[tuple[TileName, bytes]]) -> None:
        level = 0
        while len(self._levels[level]) == WIDTH:
            hashes = self._levels[level]
            index = self.size // WIDTH ** (level + 1) - 1
            full.append((TileName(level=level, index=index), b"".join(hashes)))
            self._levels[level] = []
            level += 1
            if level == len(self._levels):
                self._levels.append([])
            self._levels[level].append(perfect_root(hashes))

    def partial_tiles(self) -> Iterator[tuple[TileName, bytes]]:
        """Yield the tiles that are not full, lowest level first."""
        for name in partial_names(self.size):
            yield name, b"".join(self._levels[name.level])

    def root(self) -> bytes:
        """Return the root of all leaves so far."""
        root = None
        for hashes in self._levels:
            for subtree in reversed(list(_perfect_subtrees(hashes))):
                root = subtree if root is None else node_hash(subtree, root)
        return EMPTY_ROOT if root is None else root


def _perfect_subtrees(hashes: Sequence[bytes]) -> Iterator[bytes]:
    start = 0
    for bit in reversed(range(len(hashes).bit_length())):
        if len(hashes) >> bit & 1:
            yield perfect_root(hashes[start : start + (1 << bit)])
            start += 1 << bit


def partial_names(size: int) -> Iterator[TileName]:
    """Yield the names of the partial hash tiles of a tree of `size` leaves, lowest level first."""
    level = 0
    while size >> 8 * level:
        width = (size >> 8 * level) % WIDTH
        if width:
            yield TileName(level=level, index=size >> 8 * (level + 1), width=width)
        level += 1


def split_hashes(data: bytes) -> list[bytes]:
    """Cut the bytes of a tile into its hashes."""
    return [data[i : i + HASH_SIZE] for i in range(0, len(data), HASH_SIZE)]
