"""The hashes of a tree's inner nodes, worked out from its tiles: what proofs are made of.

Pure: asks for tiles and refuses to know where they lie. Believes them; whoever makes a proof checks
it against a signed root afterwards, which convicts any tile that lied.
"""

from audit_sink.proof import range_root
from audit_sink.tree import HASH_SIZE, WIDTH, ReadTile, TileName, perfect_root, split_hashes

_TILE_HEIGHT = 8


class TileNodes:
    """The nodes of a tree of `size` leaves; reads each tile once."""

    def __init__(self, size: int, read: ReadTile) -> None:
        """`read` may return a wider tile than it is asked for."""
        self._size = size
        self._read = read
        self._tiles: dict[tuple[int, int], list[bytes]] = {}

    def node(self, level: int, index: int) -> bytes:
        """Return the root of the leaves [index << level, (index + 1) << level) (`proof.Node`).

        Raises LookupError where a tile is missing or too short.
        """
        tile_level, height = divmod(level, _TILE_HEIGHT)
        first = index << height
        hashes = self._tile(tile_level, first // WIDTH)
        start = first % WIDTH
        found = hashes[start : start + (1 << height)]
        if len(found) != 1 << height:
            raise LookupError(f"no node {index} of level {level} in a tree of {self._size}")
        return perfect_root(found)

    def root(self) -> bytes:
        """Return the root of all leaves. Raises LookupError."""
        return range_root(self.node, 0, self._size)

    def _tile(self, level: int, index: int) -> list[bytes]:
        known = self._tiles.get((level, index))
        if known is None:
            name = TileName(level=level, index=index)
            width = name.width_at(self._size)
            name = TileName(level=level, index=index, width=width)
            if not width:
                raise LookupError(name.path)
            data = self._read(name)[: width * HASH_SIZE]
            if len(data) != width * HASH_SIZE:
                raise LookupError(f"{name.path} is too short")
            known = self._tiles[level, index] = split_hashes(data)
        return known
