"""For all events: decode(encode(x)) = x. For all bytes: nothing but CodecError."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from enum import Enum
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.examples import EXAMPLES

from contract import codec
from contract.codec import CodecError
from contract.events import EVENTS, Int, Long

_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
_MOMENT = st.integers(0, 4_102_444_800_000_000).map(
    lambda micros: datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros)
)


def values(kind: Any) -> st.SearchStrategy[Any]:
    if kind == Int:
        return st.integers(-(2**31), 2**31 - 1)
    if kind == Long:
        return st.integers(-(2**63), 2**63 - 1)
    origin = get_origin(kind)
    if origin is Annotated:
        return values(get_args(kind)[0])
    if origin in (Union, UnionType):
        return st.one_of(*(values(branch) for branch in get_args(kind)))
    if origin is list:
        return st.lists(values(get_args(kind)[0]), max_size=3)
    if origin is dict:
        return st.dictionaries(_TEXT, values(get_args(kind)[1]), max_size=3)
    simple = {
        str: _TEXT,
        bytes: st.binary(max_size=20),
        float: st.floats(allow_nan=False, allow_infinity=False),
        datetime: _MOMENT,
        type(None): st.none(),
    }
    if kind in simple:
        return simple[kind]
    if issubclass(kind, Enum):
        return st.sampled_from(list(kind))
    hints = get_type_hints(kind, include_extras=True)
    return st.builds(kind, **{name: values(hint) for name, hint in hints.items()})


@pytest.mark.parametrize("name", EVENTS)
def test_decoding_returns_what_was_encoded(name):
    @settings(max_examples=60, deadline=None)
    @given(values(EVENTS[name]))
    def law(event):
        assert codec.decode(codec.encode(event)) == event

    law()


@settings(max_examples=300, deadline=None)
@given(
    st.one_of(
        st.binary(max_size=200),
        st.sampled_from([b"\x00", b"{", b"\xc3\x01"]).flatmap(
            lambda start: st.binary(max_size=200).map(lambda rest: start + rest)
        ),
    )
)
def test_unknown_bytes_never_raise_anything_but_codec_errors(data):
    for read in (codec.decode, codec.decode_model_output):
        with suppress(CodecError):
            read(data)


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(EXAMPLES), st.data())
def test_damaged_bytes_never_raise_anything_but_codec_errors(event, data):
    wire = bytearray(codec.encode(event))
    position = data.draw(st.integers(10, len(wire) - 1))
    wire[position] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(wire)))
    for damaged in (bytes(wire), bytes(wire[:cut])):
        with suppress(CodecError):
            codec.decode(damaged)
