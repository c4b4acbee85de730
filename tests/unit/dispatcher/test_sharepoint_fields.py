"""What a SharePoint column holds, and when two values are one."""

import json
from typing import Any

import pytest

from dispatcher.targets.columns import BadValueError
from dispatcher.targets.sharepoint_fields import Field, canonical, decode, field_of
from dispatcher.writeback import Code


def field(kind: str, **changes: Any) -> Field:
    row = {"InternalName": "F", "EntityPropertyName": "F", "TypeAsString": kind} | changes
    made = field_of(row)
    assert made is not None
    return made


TEXT, NOTE, NUMBER = field("Text", MaxLength=5), field("Note"), field("Number")
MANY = field("MultiChoice", Choices=["a", "b", "c"])
ONE = field("Choice", Choices=["a", "b"])
WHEN, LINK, FLAG = field("DateTime"), field("URL"), field("Boolean")


@pytest.mark.parametrize(
    ("column", "left", "right"),
    [
        (TEXT, '""', "null"),
        (TEXT, '"\\u0041"', ' "A"'),
        (NUMBER, "500", "500.0"),
        (NUMBER, "1.50", "15e-1"),
        (NUMBER, "-0.0", "0"),
        (MANY, '["a", "b"]', '["b","a"]'),
        (MANY, "[]", "null"),
        (WHEN, '"2026-11-24T10:00:00+02:00"', '"2026-11-24T08:00:00Z"'),
        (LINK, '{"Url": "u"}', '{"Description": "u", "Url": "u"}'),
        (LINK, '{"Url": "u", "Description": ""}', '{"Description": "u", "Url": "u"}'),
        (LINK, '{"Url":"u","__metadata":{"type":"SP.FieldUrlValue"}}', '{"Url":"u"}'),
    ],
)
def test_what_the_column_keeps_the_same_is_equal(column: Field, left: str, right: str) -> None:
    assert canonical(column, left) == canonical(column, right)


@pytest.mark.parametrize(
    ("column", "left", "right"),
    [
        (TEXT, '"A"', '"A "'),
        (TEXT, '"null"', "null"),
        (NUMBER, "0", "null"),
        (NUMBER, "1", "1.0000001"),
        (FLAG, "false", "null"),
        (MANY, '["a"]', '["a","b"]'),
        (MANY, '["a,b"]', '["a","b"]'),
        (WHEN, '"2026-11-24T10:00:00Z"', '"2026-11-24T10:00:01Z"'),
        (LINK, '{"Url": "u", "Description": "x"}', '{"Url": "u"}'),
    ],
)
def test_what_the_column_keeps_apart_is_not(column: Field, left: str, right: str) -> None:
    assert canonical(column, left) != canonical(column, right)


def test_values_that_settings_forbid_are_still_compared() -> None:
    """An item may hold a choice that was taken off the list since."""
    assert canonical(ONE, '"gone"') == canonical(ONE, ' "gone" ')
    assert canonical(field("Text", Required=True), "null") == canonical(TEXT, '""')


@pytest.mark.parametrize(
    ("column", "text", "wire"),
    [
        (TEXT, '"ab"', '"ab"'),
        (NUMBER, "15e-1", "1.5"),
        (WHEN, '"2026-11-24T10:00:00+02:00"', '"2026-11-24T08:00:00Z"'),
        (MANY, '["b", "a"]', '["b","a"]'),
        (MANY, "[]", "null"),
        (LINK, '{"Url": "u"}', '{"Description":"u","Url":"u"}'),
        (FLAG, " true", "true"),
    ],
)
def test_what_is_sent(column: Field, text: str, wire: str) -> None:
    assert decode(column, text).wire == wire


@pytest.mark.parametrize(
    ("column", "value", "code"),
    [
        (TEXT, "longer", Code.TOO_LONG),
        (TEXT, "😀😀😀", Code.TOO_LONG),
        (TEXT, "a\ufffe", Code.BAD_VALUE),
        (NOTE, "a\x0bb", Code.BAD_VALUE),
        (field("Text", Required=True), "", Code.NOT_NULL),
        (field("MultiChoice", Required=True), [], Code.NOT_NULL),
        (ONE, "c", Code.BAD_VALUE),
        (MANY, ["a", "d"], Code.BAD_VALUE),
        (field("MultiChoice"), ["a;#b"], Code.BAD_VALUE),
        (field("MultiChoice"), [""], Code.BAD_VALUE),
        (MANY, ["a", 1], Code.BAD_TYPE),
        (field("Number", MinimumValue=0, MaximumValue=10), 11, Code.BAD_VALUE),
        (field("Number", MinimumValue=0, MaximumValue=10), -1, Code.BAD_VALUE),
        (LINK, {"Url": "u" * 256}, Code.TOO_LONG),
        (LINK, {"Url": ""}, Code.BAD_TYPE),
        (LINK, {"Description": "x"}, Code.BAD_TYPE),
        (LINK, {"Url": "u", "Description": 1}, Code.BAD_TYPE),
        (field("User"), "x", Code.NOT_SUPPORTED),
        (field("Note", RichText=True), "x", Code.NOT_SUPPORTED),
        (field("Note", AppendOnly=True), "x", Code.NOT_SUPPORTED),
        (field("Text", ReadOnlyField=True), "x", Code.NOT_SUPPORTED),
    ],
)
def test_what_a_column_cannot_hold_is_refused_by_name(
    column: Field, value: Any, code: Code
) -> None:
    with pytest.raises(BadValueError) as refused:
        decode(column, json.dumps(value))
    assert refused.value.code is code
    if isinstance(value, str) and len(value) > 1:
        assert value not in refused.value.detail


@pytest.mark.parametrize("text", ["", "{", "nul", "NaN", "[" * 100_000, '"a" "b"'])
@pytest.mark.parametrize("column", [TEXT, NUMBER, MANY, LINK, WHEN, FLAG])
def test_what_is_no_json_is_refused_and_never_a_crash(column: Field, text: str) -> None:
    with pytest.raises(BadValueError) as refused:
        decode(column, text)
    assert refused.value.code is Code.BAD_TYPE
    assert canonical(column, text) == "as is:" + text


def test_a_choice_column_that_takes_any_text_takes_any_text() -> None:
    assert decode(field("Choice", Choices=["a"], FillInChoice=True), '"new"').wire == '"new"'


def test_the_json_name_is_the_entity_property() -> None:
    assert field("Text", InternalName="_x", EntityPropertyName="OData__x").json_name == "OData__x"


@pytest.mark.parametrize("row", [{}, {"InternalName": 1}, {"InternalName": "x"}])
def test_what_is_no_column_is_none(row: dict[str, Any]) -> None:
    assert field_of(row) is None
