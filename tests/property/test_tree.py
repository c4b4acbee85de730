"""Laws of the tree: proofs of every size up to 300, tiles from which everything follows again."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit_sink.proof import (
    consistency_proof,
    inclusion_proof,
    range_root,
    verify_consistency,
    verify_inclusion,
)
from audit_sink.tree import Edge, TileName, leaf_hash, node_hash, split_hashes

SIZE = 300
LEAVES = [leaf_hash(str(number).encode()) for number in range(SIZE)]


def _subtrees(leaves: list[bytes]) -> dict[tuple[int, int], bytes]:
    known = {(0, index): leaf for index, leaf in enumerate(leaves)}
    level = 0
    while len(leaves) > 1:
        level += 1
        leaves = [node_hash(*leaves[i : i + 2]) for i in range(0, len(leaves) - 1, 2)]
        known |= {(level, index): subtree for index, subtree in enumerate(leaves)}
    return known


KNOWN = _subtrees(LEAVES)


def node(level: int, index: int) -> bytes:
    return KNOWN[level, index]


ROOTS = [range_root(node, 0, size) for size in range(SIZE + 1)]


def test_the_edge_has_the_root_of_the_definition() -> None:
    edge = Edge()
    for size in range(1, SIZE + 1):
        edge.extend([LEAVES[size - 1]])
        assert edge.root() == ROOTS[size]


def test_every_inclusion_proof_up_to_300_convinces_and_only_of_its_leaf() -> None:
    for size in range(1, SIZE + 1):
        for index in range(size):
            proof = inclusion_proof(node, index, size)
            claim = {"index": index, "size": size, "proof": proof, "root": ROOTS[size]}
            assert verify_inclusion(leaf=LEAVES[index], **claim)
            assert not verify_inclusion(leaf=LEAVES[index - 1], **claim) or size == 1


def test_every_consistency_proof_up_to_300_convinces_and_only_of_its_roots() -> None:
    for new in range(SIZE + 1):
        for old in range(new + 1):
            proof = consistency_proof(node, old, new)
            claim = {"old": old, "new": new, "proof": proof}
            assert verify_consistency(**claim, old_root=ROOTS[old], new_root=ROOTS[new])
            assert not verify_consistency(**claim, old_root=ROOTS[old - 1], new_root=ROOTS[new])


@given(data=st.data(), size=st.integers(1, SIZE))
def test_a_proof_that_was_tampered_with_convinces_nobody(data: st.DataObject, size: int) -> None:
    index = data.draw(st.integers(0, size - 1))
    proof = inclusion_proof(node, index, size)
    claim = {"leaf": LEAVES[index], "index": index, "size": size, "root": ROOTS[size]}
    assert not verify_inclusion(**claim, proof=[*proof, LEAVES[0]])
    if proof:
        place = data.draw(st.integers(0, len(proof) - 1))
        assert not verify_inclusion(**claim, proof=proof[:place] + proof[place + 1 :])
        other = bytearray(proof[place])
        other[data.draw(st.integers(0, 31))] ^= 1 << data.draw(st.integers(0, 7))
        assert not verify_inclusion(
            **claim, proof=[*proof[:place], bytes(other), *proof[place + 1 :]]
        )


def test_a_place_outside_the_tree_has_no_proof() -> None:
    for index, size in ((0, 0), (5, 5), (-1, 5)):
        with pytest.raises(ValueError, match="no leaf"):
            inclusion_proof(node, index, size)
        assert not verify_inclusion(
            leaf=LEAVES[0], index=index, size=size, proof=[], root=LEAVES[0]
        )
    with pytest.raises(ValueError, match="does not grow"):
        consistency_proof(node, 5, 4)
    assert not verify_consistency(old=5, new=4, proof=[], old_root=ROOTS[5], new_root=ROOTS[4])


@settings(max_examples=15, deadline=None)
@given(
    steps=st.lists(st.integers(0, 400), min_size=1, max_size=6),
    big=st.sampled_from([0, 255, 256, 65_535, 65_536, 65_792]),
)
def test_the_edge_follows_from_the_tiles_and_tiles_never_change(steps: list[int], big: int) -> None:
    files: dict[str, bytes] = {}
    edge = Edge()
    number = 0
    for step in [big, *steps]:
        leaves = [leaf_hash(str(n).encode()) for n in range(number, number + step)]
        number += step
        for name, data in [*edge.extend(leaves), *edge.partial_tiles()]:
            assert len(data) == 32 * name.width
            assert name.end <= edge.size
            assert files.setdefault(name.path, data) == data

    def stored(name: TileName) -> bytes:
        return files[name.path]

    again = Edge.restore(edge.size, stored)
    assert again.root() == edge.root()
    assert again.extend([LEAVES[0]]) == edge.extend([LEAVES[0]])
    assert again.root() == edge.root()


def test_higher_tiles_are_roots_of_full_lower_ones() -> None:
    edge = Edge()
    leaves = [leaf_hash(str(n).encode()) for n in range(256 * 3)]
    full = dict(edge.extend(leaves))
    partial = dict(edge.partial_tiles())
    above = split_hashes(partial[TileName(level=1, index=0, width=3)])
    known = _subtrees(leaves)
    assert above == [known[8, index] for index in range(3)]
    assert [name.index for name in full] == [0, 1, 2]


def test_a_missing_tile_is_said_to_be_missing() -> None:
    with pytest.raises(LookupError):
        Edge.restore(5, {}.__getitem__)
    with pytest.raises(LookupError):
        Edge.restore(5, lambda _: bytes(32 * 4))
