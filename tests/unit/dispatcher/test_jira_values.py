"""What each family of fields holds exactly, and when two values are the same."""

import json
from typing import Any

import pytest

from dispatcher.targets.columns import BadValueError
from dispatcher.targets.jira_fields import Editing, Field, Kind, editing_of, field_of, shown
from dispatcher.targets.jira_text import document_of
from dispatcher.targets.jira_values import canonical, decode
from dispatcher.writeback import Code

CUSTOM = "com.atlassian.jira.plugin.system.customfieldtypes:"
OPTIONS = (("1", "High"), ("2", "Low"), ("3", "Twice"), ("4", "Twice"))


def field(kind: Kind, label: str = "name") -> Field:
    return Field(id="f", name="F", kind=kind, label=label)


@pytest.mark.parametrize(
    ("identity", "schema", "kind"),
    [
        ("summary", {"type": "string", "system": "summary"}, Kind.LINE),
        ("description", {"type": "string", "system": "description"}, Kind.TEXT),
        ("customfield_1", {"type": "string", "custom": CUSTOM + "textarea"}, Kind.TEXT),
        ("customfield_2", {"type": "string", "custom": CUSTOM + "textfield"}, Kind.LINE),
        ("customfield_3", {"type": "number", "custom": CUSTOM + "float"}, Kind.NUMBER),
        ("customfield_4", {"type": "option", "custom": CUSTOM + "select"}, Kind.CHOICE),
        ("customfield_5", {"type": "array", "items": "option"}, Kind.CHOICES),
        ("customfield_6", {"type": "option-with-child"}, Kind.OTHER),
        ("customfield_7", {"type": "any"}, Kind.OTHER),
        ("components", {"type": "array", "items": "component"}, Kind.CHOICES),
        ("labels", {"type": "array", "items": "string"}, Kind.LABELS),
        ("priority", {"type": "priority"}, Kind.CHOICE),
        ("assignee", {"type": "user"}, Kind.USER),
        ("duedate", {"type": "date"}, Kind.DATE),
        ("status", {"type": "status"}, Kind.OTHER),
        ("resolution", {"type": "resolution"}, Kind.OTHER),
        ("thumbnail", {}, Kind.OTHER),
    ],
)
def test_a_field_belongs_to_a_family(identity: str, schema: dict[str, str], kind: Kind) -> None:
    assert field_of({"id": identity, "name": "N", "schema": schema}).kind is kind


@pytest.mark.parametrize(
    ("kind", "raw", "text"),
    [
        (Kind.NUMBER, 12.0, "12"),
        (Kind.NUMBER, 49.9, "49.9"),
        (Kind.CHOICE, {"self": "x", "name": "High", "id": "1"}, '"High"'),
        (Kind.CHOICES, [{"name": "b"}, {"name": "a"}], '["a", "b"]'),
        (Kind.LABELS, ["b", "a"], '["a", "b"]'),
        (Kind.USER, {"accountId": "5f", "displayName": "D"}, '"5f"'),
        (Kind.TEXT, document_of("a\n\nb"), '"a\\n\\nb"'),
        (Kind.TEXT, document_of(""), "null"),
        (Kind.LINE, None, "null"),
        (Kind.OTHER, {"b": 1, "a": [True]}, '{"a": [true], "b": 1}'),
    ],
)
def test_jiras_objects_are_shown_as_plain_values(kind: Kind, raw: Any, text: str) -> None:
    assert shown(field(kind), raw, cloud=True) == text


@pytest.mark.parametrize(
    ("kind", "value", "wire"),
    [
        (Kind.LINE, "x", "x"),
        (Kind.LINE, "", None),
        (Kind.TEXT, "x", document_of("x")),
        (Kind.TEXT, document_of("x"), document_of("x")),
        (Kind.NUMBER, 1.5, 1.5),
        (Kind.NUMBER, None, None),
        (Kind.DATE, "2026-12-24", "2026-12-24"),
        (Kind.MOMENT, "2026-11-24T10:00:00.5+02:00", "2026-11-24T08:00:00.500+0000"),
        (Kind.CHOICE, "High", {"id": "1"}),
        (Kind.CHOICES, ["Low", "High", "Low"], [{"id": "1"}, {"id": "2"}]),
        (Kind.CHOICES, [], []),
        (Kind.LABELS, ["b", "a", "b"], ["a", "b"]),
        (Kind.LABELS, None, []),
        (Kind.USER, "5f", {"accountId": "5f"}),
    ],
)
def test_a_value_is_sent_as_jira_takes_it(kind: Kind, value: Any, wire: Any) -> None:
    made = decode(field(kind), Editing(options=OPTIONS), json.dumps(value), cloud=True)
    assert made.wire == wire


def test_data_center_takes_names_and_wiki_text() -> None:
    person = decode(field(Kind.USER), Editing(), '"dana"', cloud=False)
    assert person.wire == {"name": "dana"}
    assert decode(field(Kind.TEXT), Editing(), '"h1. X"', cloud=False).wire == "h1. X"
    assert shown(field(Kind.USER), {"name": "dana", "key": "JIRA1"}, cloud=False) == '"dana"'


@pytest.mark.parametrize(
    ("kind", "text", "code"),
    [
        (Kind.LINE, "5", Code.BAD_TYPE),
        (Kind.LINE, '"a\\rb"', Code.BAD_VALUE),
        (Kind.LINE, json.dumps("x" * 256), Code.TOO_LONG),
        (Kind.TEXT, "[]", Code.BAD_TYPE),
        (Kind.TEXT, '"\\u0000"', Code.BAD_VALUE),
        (Kind.TEXT, json.dumps("x" * 33_000), Code.TOO_LONG),
        (Kind.NUMBER, '""', Code.BAD_TYPE),
        (Kind.NUMBER, "true", Code.BAD_TYPE),
        (Kind.NUMBER, "1e400", Code.BAD_VALUE),
        (Kind.NUMBER, "NaN", Code.BAD_TYPE),
        (Kind.DATE, '"2026-02-30"', Code.BAD_TYPE),
        (Kind.DATE, '""', Code.BAD_TYPE),
        (Kind.MOMENT, '"2026-11-24T10:00:00"', Code.BAD_TYPE),
        (Kind.CHOICE, '"Nope"', Code.BAD_VALUE),
        (Kind.CHOICE, '"Twice"', Code.BAD_VALUE),
        (Kind.CHOICE, '{"id": "1"}', Code.BAD_TYPE),
        (Kind.LABELS, '["a b"]', Code.BAD_VALUE),
        (Kind.LABELS, '[""]', Code.BAD_VALUE),
        (Kind.LABELS, "[1]", Code.BAD_TYPE),
        (Kind.USER, "{}", Code.BAD_TYPE),
        (Kind.OTHER, '"x"', Code.NOT_SUPPORTED),
        (Kind.LINE, "{", Code.BAD_TYPE),
        (Kind.TEXT, "[" * 100_000, Code.BAD_TYPE),
    ],
)
def test_what_a_field_cannot_hold_exactly_is_refused(kind: Kind, text: str, code: Code) -> None:
    with pytest.raises(BadValueError) as refused:
        decode(field(kind), Editing(options=OPTIONS), text, cloud=True)
    assert refused.value.code is code
    assert "x" * 20 not in refused.value.detail


def test_a_field_that_must_not_be_empty_or_cannot_be_set_says_so() -> None:
    for text in ("null", '""'):
        with pytest.raises(BadValueError) as refused:
            decode(field(Kind.LINE), Editing(required=True), text, cloud=True)
        assert refused.value.code is Code.NOT_NULL
    fixed = editing_of({"operations": ["add"]}, field(Kind.LABELS))
    with pytest.raises(BadValueError) as refused:
        decode(field(Kind.LABELS), fixed, "[]", cloud=True)
    assert refused.value.code is Code.NOT_SUPPORTED


@pytest.mark.parametrize(
    ("kind", "left", "right", "same"),
    [
        (Kind.NUMBER, "1.50", "15e-1", True),
        (Kind.NUMBER, "12", "12.0", True),
        (Kind.NUMBER, "null", "0", False),
        (Kind.NUMBER, "null", '""', False),
        (Kind.MOMENT, '"2026-11-24T10:00:00+02:00"', '"2026-11-24T08:00:00.000+0000"', True),
        (Kind.LABELS, '["b", "a"]', '["a","b","a"]', True),
        (Kind.LABELS, "null", "[]", True),
        (Kind.LINE, '""', "null", True),
        (Kind.LINE, '"A"', '"\\u0041"', True),
        (Kind.LINE, '"A"', '"A "', False),
        (Kind.TEXT, '"a\\r\\nb"', '"a\\nb"', True),
        (Kind.TEXT, json.dumps(document_of("x")), '"x"', True),
        (Kind.CHOICE, '"High"', '"high"', False),
        (Kind.OTHER, '{"a":1,"b":2}', '{"b": 2, "a": 1}', True),
        (Kind.DATE, '"nonsense"', '"nonsense"', True),
        (Kind.DATE, '"nonsense"', '"other"', False),
    ],
)
def test_equal_values_have_equal_texts(kind: Kind, left: str, right: str, same: bool) -> None:  # noqa: FBT001
    assert (canonical(field(kind), left) == canonical(field(kind), right)) is same
