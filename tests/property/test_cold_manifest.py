"""Laws of manifests and packs: what is written is read, and nothing else is believed."""

import hashlib
import random

import orjson
import pytest
import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.audit_log import KEY, OTHER_KEY

from audit_sink.checkpoint import CheckpointError, new_key, open_checkpoint, sign_text
from audit_sink.cold.manifest import (
    MAX_BATCH,
    Manifest,
    ManifestError,
    Pinned,
    chain_problem,
    filled_by,
    hole_in,
    object_name,
    open_manifest,
    pack_name,
    range_of,
    sign_manifest,
    table_name,
    text_of,
)
from audit_sink.cold.pack import PackError, open_pack, pack, read_all, read_row
from audit_sink.cold.store import checked_name
from audit_sink.tree import WIDTH, Edge

_few = settings(deadline=None, max_examples=30)
_VERSIONS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=40)


def _pinned(name: str, version: str = "-", size: int = 1) -> Pinned:
    return Pinned(
        name=name, version=version, sha256=hashlib.sha256(name.encode()).digest(), size=size
    )


@st.composite
def manifests(draw: st.DrawFn) -> Manifest:
    first = WIDTH * draw(st.integers(0, 3 * WIDTH))
    end = first + WIDTH * draw(st.integers(1, 4))
    version = draw(_VERSIONS)
    tiles = [_pinned(object_name(tile), version) for tile in filled_by(first, end)]
    data = draw(st.binary(max_size=20))
    digest = hashlib.sha256(data).digest()
    last = [
        Pinned(name=name(first, end, data), version=version, sha256=digest, size=len(data))
        for name in (pack_name, table_name)
    ]
    return Manifest(
        origin=KEY.name,
        first=first,
        end=end,
        root=draw(st.binary(min_size=32, max_size=32)),
        payloads=draw(st.integers(0, end - first)),
        previous=draw(st.binary(min_size=32, max_size=32)) if first else None,
        objects=(*tiles, *last),
    )


@_few
@given(manifests())
def test_what_is_signed_is_read_and_is_canonical(manifest: Manifest) -> None:
    note = sign_manifest(manifest, KEY)
    assert open_manifest(note, KEY.public) == manifest
    line = text_of(manifest).split("\n")[1].encode()
    assert rfc8785.dumps(orjson.loads(line)) == line
    assert range_of(manifest.name) == (manifest.first, manifest.end)
    for one in manifest.objects:
        assert checked_name(one.name) == one.name


@_few
@given(manifests(), st.randoms(use_true_random=False))
def test_no_changed_byte_is_believed(manifest: Manifest, rng: random.Random) -> None:
    note = bytearray(sign_manifest(manifest, KEY))
    note[rng.randrange(len(note))] ^= 1 << rng.randrange(8)
    with pytest.raises(ManifestError):
        open_manifest(bytes(note), KEY.public)


@_few
@given(st.binary(max_size=300))
def test_no_bytes_make_anything_but_a_manifest_error(data: bytes) -> None:
    for note in (data, sign_text(f"placet-cold-manifest@v1\n{data.hex()}\n", KEY)):
        with pytest.raises(ManifestError):
            open_manifest(note, KEY.public)


@_few
@given(manifests(), st.data())
def test_a_signed_manifest_may_name_nothing_but_the_objects_of_its_range(
    manifest: Manifest, data: st.DataObject
) -> None:
    objects = list(manifest.objects)
    at = data.draw(st.integers(0, len(objects) - 1))
    change = data.draw(st.sampled_from(["outside", "away", "twice", "huge", "swapped"]))
    if change == "outside":
        objects[at] = _pinned("../../etc/passwd")
    elif change == "away":
        del objects[at]
    elif change == "twice":
        objects.insert(at, objects[at])
    elif change == "huge":
        old = objects[at]
        objects[at] = Pinned(name=old.name, version="-", sha256=old.sha256, size=2**40)
    else:
        objects[-1], objects[-2] = objects[-2], objects[-1]
    changed = Manifest(
        **{name: getattr(manifest, name) for name in Manifest.__slots__ if name != "objects"},
        objects=objects,
    )
    with pytest.raises(ManifestError):
        open_manifest(sign_manifest(changed, KEY), KEY.public)


@pytest.mark.parametrize(
    "change",
    [
        {"first": 1},
        {"end": 2 * MAX_BATCH},
        {"payloads": -1},
        {"payloads": 10**6},
        {"payloads": True},
        {"previous": "00" * 32},
        {"records": 5},
        {"tree": {"root": "x", "size": 256}},
        {"objects": None},
        {"origin": "another/log"},
        {"more": 1},
    ],
)
def test_fields_that_do_not_fit_are_refused(change: dict[str, object]) -> None:
    manifest = _small()
    fields = orjson.loads(text_of(manifest).split("\n")[1]) | change
    line = orjson.dumps(fields, option=orjson.OPT_SORT_KEYS).decode()
    with pytest.raises(ManifestError):
        open_manifest(sign_text(f"placet-cold-manifest@v1\n{line}\n", KEY), KEY.public)


def test_another_key_and_another_kind_of_note_are_refused() -> None:
    note = sign_manifest(_small(), KEY)
    for key in (OTHER_KEY, new_key("another/log", bytes(32))):
        with pytest.raises(ManifestError, match="no signature by"):
            open_manifest(note, key.public)
    with pytest.raises(CheckpointError):
        open_checkpoint(note, KEY.public)


def _small() -> Manifest:
    digest = hashlib.sha256(b"x").digest()
    tiles = [_pinned(object_name(tile)) for tile in filled_by(0, WIDTH)]
    last = [
        Pinned(name=name(0, WIDTH, b"x"), version="-", sha256=digest, size=1)
        for name in (pack_name, table_name)
    ]
    return Manifest(
        origin=KEY.name,
        first=0,
        end=WIDTH,
        root=bytes(32),
        payloads=0,
        previous=None,
        objects=(*tiles, *last),
    )


def test_a_chain_has_no_hole_and_no_fork() -> None:
    one = _small()
    data = sign_manifest(one, KEY)
    follows = {"origin": KEY.name, "root": bytes(32), "payloads": 0, "objects": ()}
    right = Manifest(first=256, end=512, previous=hashlib.sha256(data).digest(), **follows)
    assert chain_problem(None, one) is None
    assert chain_problem((data, one), right) is None
    assert chain_problem(None, right)
    assert chain_problem((data, one), Manifest(first=256, end=512, previous=bytes(32), **follows))
    assert chain_problem((data, one), Manifest(first=512, end=768, previous=bytes(32), **follows))
    assert hole_in([(0, 256), (256, 512)]) is None
    assert hole_in([(0, 256), (512, 768)]) == 256
    assert hole_in([(256, 512)]) == 0


@_few
@given(st.integers(0, 300), st.integers(1, 64))
def test_ranges_fill_the_tiles_that_a_growing_tree_fills(start: int, count: int) -> None:
    edge = Edge()
    edge.extend([bytes(32)] * (start * WIDTH))
    filled = {name for name, _ in edge.extend([bytes(32)] * (count * WIDTH))}
    first, end = start * WIDTH, (start + count) * WIDTH
    assert {name for name in filled_by(first, end) if name.level >= 0} == filled
    assert sum(name.level < 0 for name in filled_by(first, end)) == count


_VALUES = st.none() | st.binary(max_size=50) | st.text(max_size=20) | st.integers(0, 2**40)


@_few
@given(
    st.integers(0, 2**40),
    st.integers(1, 20),
    st.lists(st.text(min_size=1, max_size=10), min_size=1, max_size=5, unique=True),
    st.data(),
)
def test_rows_come_out_of_a_pack_as_they_went_in(
    first: int, count: int, columns: list[str], data: st.DataObject
) -> None:
    rows = {
        first + place: {name: data.draw(_VALUES) for name in columns}
        for place in range(count)
        if data.draw(st.booleans())
    }
    packed = pack(first, count, columns, rows)
    assert read_all(packed) == rows

    def read(start: int, size: int) -> bytes:
        return packed[start : start + size]

    found = open_pack(read)
    for sequence in range(first, first + count):
        assert read_row(found, read, sequence) == rows.get(sequence)
    for outside in (first - 1, first + count):
        with pytest.raises(PackError):
            read_row(found, read, outside)


@_few
@given(st.binary(max_size=100), st.randoms(use_true_random=False))
def test_a_damaged_pack_is_a_pack_error_or_another_row(noise: bytes, rng: random.Random) -> None:
    packed = bytearray(pack(7, 3, ["salt", "parts"], {8: {"salt": b"s", "parts": b"p" * 9}}))
    for _ in range(3):
        packed[rng.randrange(len(packed))] = rng.randrange(256)
    for data in (bytes(packed), noise, bytes(packed[: rng.randrange(len(packed))])):
        try:
            read_all(data)
        except PackError:
            continue
