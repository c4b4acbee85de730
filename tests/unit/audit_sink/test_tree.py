"""The tree against published vectors: the eight leaves and roots every RFC 6962 library tests with,
and the examples in the C2SP tlog-tiles specification."""

import pytest

from audit_sink.tree import (
    EMPTY_ROOT,
    ENTRIES,
    Edge,
    TileName,
    leaf_hash,
    parse_path,
    partial_names,
)

LEAVES = (
    "",
    "00",
    "10",
    "2021",
    "3031",
    "40414243",
    "5051525354555657",
    "606162636465666768696a6b6c6d6e6f",
)
ROOTS = (
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
)


def test_no_leaf_has_the_hash_of_nothing_as_root() -> None:
    assert Edge().root() == EMPTY_ROOT
    assert EMPTY_ROOT.hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def test_roots_are_the_published_ones() -> None:
    edge = Edge()
    for leaf, root in zip(LEAVES, ROOTS, strict=True):
        edge.extend([leaf_hash(bytes.fromhex(leaf))])
        assert edge.root().hex() == root


@pytest.mark.parametrize(
    ("size", "widths"),
    [
        (0, []),
        (255, [(0, 0, 255)]),
        (256, [(1, 0, 1)]),
        (70_000, [(0, 273, 112), (1, 1, 17), (2, 0, 1)]),
    ],
)
def test_partial_tiles_are_those_of_the_specification(
    size: int, widths: list[tuple[int, int, int]]
) -> None:
    assert [(name.level, name.index, name.width) for name in partial_names(size)] == widths


@pytest.mark.parametrize(
    ("name", "path"),
    [
        (TileName(level=0, index=1_234_067), "tile/0/x001/x234/067"),
        (TileName(level=2, index=0, width=17), "tile/2/000.p/17"),
        (TileName(level=ENTRIES, index=1_000, width=255), "tile/entries/x001/000.p/255"),
        (TileName(level=63, index=999), "tile/63/999"),
    ],
)
def test_paths_are_those_of_the_specification(name: TileName, path: str) -> None:
    assert name.path == path
    assert parse_path(path) == name


@pytest.mark.parametrize(
    "path",
    [
        "checkpoint",
        "tile/0/1",
        "tile/00/001",
        "tile/64/001",
        "tile/0/x000/001",
        "tile/0/001.p/0",
        "tile/0/001.p/256",
        "tile/0/001.p/017",
        "tile/0/001/",
        "tile/0/../0/001",
        "tile/0/001\n",
        "tile/0/x\u0660\u0660\u0661/001",
    ],
)
def test_a_second_name_for_a_tile_is_none(path: str) -> None:
    assert parse_path(path) is None
