"""Laws of column values: equal texts are equal values, and sending keeps the value."""

import contextlib
import json
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from dispatcher.targets.columns import (
    BadValueError,
    Column,
    Kind,
    canonical,
    decode,
    decode_key,
)

TEXT = Column(name="t", kind=Kind.TEXT, sql_type="text")
NUMERIC = Column(name="n", kind=Kind.NUMERIC, sql_type="numeric", precision=20, scale=5)
INTEGER = Column(name="i", kind=Kind.INTEGER, sql_type="bigint", length=64)
DOUBLE = Column(name="d", kind=Kind.DOUBLE, sql_type="double precision")
INSTANT = Column(name="z", kind=Kind.TIMESTAMPTZ, sql_type="timestamp with time zone")
JSON = Column(name="j", kind=Kind.JSON, sql_type="jsonb")
COLUMNS = [TEXT, NUMERIC, INTEGER, DOUBLE, INSTANT, JSON]

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
values = st.recursive(
    st.none() | st.booleans() | st.integers() | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=10,
)


@given(st.sampled_from(COLUMNS), st.text() | values.map(json.dumps))
def test_nothing_but_a_bad_value_is_raised_whatever_the_text(column: Column, text: str) -> None:
    canonical(column, text)
    with contextlib.suppress(BadValueError):
        value = decode(column, text)
        assert canonical(column, value.wire) == value.canonical


@given(texts)
def test_the_spelling_of_a_text_does_not_matter(text: str) -> None:
    assert canonical(TEXT, json.dumps(text)) == canonical(
        TEXT, " " + json.dumps(text, ensure_ascii=False) + "\n"
    )


@given(texts, texts)
def test_texts_are_equal_only_if_they_are_the_same(left: str, right: str) -> None:
    same = canonical(TEXT, json.dumps(left)) == canonical(TEXT, json.dumps(right))
    assert same == (left == right)


numbers = st.decimals(
    allow_nan=False, allow_infinity=False, min_value=-(10**15), max_value=10**15, places=5
)


@given(numbers, numbers)
def test_numbers_are_equal_exactly_if_their_values_are(left: Decimal, right: Decimal) -> None:
    same = canonical(NUMERIC, str(left)) == canonical(NUMERIC, str(right))
    assert same == (left == right)


@given(numbers, st.integers(0, 10))
def test_scale_does_not_matter(number: Decimal, zeros: int) -> None:
    assert canonical(JSON, f"{number:f}" + "0" * zeros) == canonical(JSON, str(number))


@given(st.integers(-(2**70), 2**70))
def test_an_integer_fits_exactly_or_is_refused(number: int) -> None:
    fits = -(2**63) <= number < 2**63
    try:
        assert decode(INTEGER, str(number)).wire == str(number)
        assert fits
    except BadValueError:
        assert not fits


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_finite_double_is_held(number: float) -> None:
    assert decode(DOUBLE, json.dumps(number)).canonical == canonical(DOUBLE, repr(number))


@given(
    st.datetimes(
        min_value=datetime(2, 1, 1),  # noqa: DTZ001
        max_value=datetime(9998, 1, 1),  # noqa: DTZ001
    ),
    st.integers(-14 * 60, 14 * 60),
)
def test_an_instant_is_the_same_in_every_zone(moment: datetime, minutes: int) -> None:
    utc = moment.replace(tzinfo=UTC)
    there = utc.astimezone(timezone(timedelta(minutes=minutes)))
    assert canonical(INSTANT, json.dumps(utc.isoformat())) == canonical(
        INSTANT, json.dumps(there.isoformat())
    )


@given(values)
def test_json_is_compared_by_value_whatever_the_order_of_keys(value: object) -> None:
    assert canonical(JSON, json.dumps(value)) == canonical(
        JSON, json.dumps(value, sort_keys=True, indent=1)
    )


@given(values, values)
def test_true_is_not_one_and_unequal_json_is_unequal(left: object, right: object) -> None:
    same = canonical(JSON, json.dumps(left)) == canonical(JSON, json.dumps(right))
    assert same == (json.dumps(left, sort_keys=True) == json.dumps(right, sort_keys=True))


@given(st.integers(-(2**63), 2**63 - 1))
def test_an_integer_key_has_one_name(number: int) -> None:
    assert decode_key(INTEGER, str(number)) == str(number)


@given(st.text(max_size=8))
def test_whatever_names_an_integer_key_is_its_canonical_form(name: str) -> None:
    with contextlib.suppress(BadValueError):
        assert str(int(decode_key(INTEGER, name))) == name
