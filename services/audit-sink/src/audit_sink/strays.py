"""What lies in a log's folder beside the tiles that its checkpoint needs.

Owns which of it may be there: narrower tiles that wider ones have replaced, and tiles of a later
size, left by a publication that is under way or broke off. Both must agree with what was verified;
anything else is refused, because a folder of evidence holds nothing unexplained.
"""

from typing import Final

from audit_sink.folder import FileProblemError, Folder, MissingFileError
from audit_sink.record import MAX_BYTES
from audit_sink.tiles import split_bundle
from audit_sink.tree import ENTRIES, HASH_SIZE, WIDTH, TileName, parse_path, split_hashes

MAX_TILE: Final = WIDTH * HASH_SIZE
MAX_BUNDLE: Final = WIDTH * (2 + MAX_BYTES)


def check_strays(folder: Folder, size: int) -> int:
    """Check every other file in the folder, and return how many are ahead of the checkpoint."""
    ahead: set[TileName] = set()
    for path in folder.walk():
        if path == "checkpoint":
            continue
        name = parse_path(path)
        if name is None:
            raise FileProblemError(path, "no file of a log")
        needed = name.width_at(size)
        if name.width == needed:
            continue  # checked, hash by hash
        if needed:
            _check_overlap(folder, name, needed)
        if name.width > needed:
            ahead.add(name)
    for name in ahead:
        _check_follows(name, ahead, size)
    return len(ahead)


def _check_overlap(folder: Folder, name: TileName, needed: int) -> None:
    """Compare another width of a tile with the one that was checked, as far as both go."""
    checked = TileName(level=name.level, index=name.index, width=needed)
    most = MAX_BUNDLE if name.level == ENTRIES else MAX_TILE
    try:
        found = folder.read(name.path, most)
    except MissingFileError:
        return  # a live log has just replaced it by the full one
    try:
        right = folder.read(checked.path, most)
    except MissingFileError:
        return  # then `name` is the full one, and was read in its place
    if name.level == ENTRIES:
        pieces, whole = split_bundle(found, WIDTH + 1)
        others, _ = split_bundle(right, WIDTH)
    else:
        pieces, others = split_hashes(found), split_hashes(right)
        whole = len(found) % HASH_SIZE == 0
    common = min(name.width, needed)
    if not whole or len(pieces) != name.width or pieces[:common] != others[:common]:
        raise FileProblemError(name.path, f"does not agree with {checked.path}")


def _check_follows(name: TileName, ahead: set[TileName], size: int) -> None:
    """Refuse a file that no publication under way can have left: one after a hole."""
    before = TileName(level=name.level, index=name.index - 1)
    if name.index > size // (WIDTH * name.scale) and before not in ahead:
        raise FileProblemError(
            name.path, "belongs to no tree of this log: what precedes it is missing"
        )
