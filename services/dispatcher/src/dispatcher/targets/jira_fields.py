"""Jira's fields and JSON text: what a value becomes in a field, and when two values are the same.

Pure. The values people decide on are the plain ones: an option or a priority is its name, a person
the account id (Cloud) or user name (Data Center), a rich text a text where it is one (`jira_text`),
a list of names is sorted. Jira's objects are made of them here and turned back into them here.
Refuses to know how they travel.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final

from dispatcher.targets import columns, jira_text
from dispatcher.targets.columns import BadValueError, Column
from dispatcher.writeback import Code


class Kind(StrEnum):
    """Families of Jira fields that behave alike."""

    LINE = "LINE"
    TEXT = "TEXT"
    NUMBER = "NUMBER"
    DATE = "DATE"
    MOMENT = "MOMENT"
    CHOICE = "CHOICE"
    CHOICES = "CHOICES"
    LABELS = "LABELS"
    USER = "USER"
    OTHER = "OTHER"  # shown as it is, never written


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One field of the site. `label`: what names an option in Jira's objects."""

    id: str
    name: str
    kind: Kind
    label: str = "name"


@dataclass(frozen=True, slots=True, kw_only=True)
class Editing:
    """What may be done to a field of one issue. `options`: (id, name)."""

    required: bool = False
    settable: bool = True
    options: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """A JSON text as a field takes it (`wire`, to be sent as JSON), and what it equals."""

    wire: Any
    canonical: str


_NULL: Final = "null"
_LINE_LENGTH: Final = 255
_TEXT_LENGTH: Final = 32_767
TRANSITIONS: Final = frozenset({"status", "transition", "resolution"})
"""Changed by moving an issue through its workflow, which is refused for now."""
_RICH: Final = frozenset({"description", "environment"})
_BY_NAME: Final = frozenset({"priority", "securitylevel"})
_ITEMS_BY_NAME: Final = frozenset({"component", "version"})
_SIMPLE: Final = {
    "number": Kind.NUMBER,
    "date": Kind.DATE,
    "datetime": Kind.MOMENT,
    "user": Kind.USER,
}


def field_of(described: Mapping[str, Any]) -> Field:
    """Return a field as Jira's list of fields describes it."""
    identity, schema = str(described["id"]), described.get("schema") or {}
    kind, label = _kind(identity, schema)
    return Field(id=identity, name=str(described.get("name", identity)), kind=kind, label=label)


def _kind(identity: str, schema: Mapping[str, Any]) -> tuple[Kind, str]:
    shape, items = schema.get("type"), schema.get("items")
    if identity in TRANSITIONS:
        return Kind.OTHER, "name"
    if shape == "string":
        rich = identity in _RICH or str(schema.get("custom", "")).endswith(":textarea")
        return (Kind.TEXT if rich else Kind.LINE), "name"
    if shape == "option" or (shape == "array" and items == "option"):
        return (Kind.CHOICE if shape == "option" else Kind.CHOICES), "value"
    if shape in _BY_NAME:
        return Kind.CHOICE, "name"
    if shape == "array" and items in _ITEMS_BY_NAME:
        return Kind.CHOICES, "name"
    if shape == "array" and items == "string":
        return Kind.LABELS, "name"
    return _SIMPLE.get(str(shape), Kind.OTHER), "name"


def editing_of(described: Mapping[str, Any], field: Field) -> Editing:
    """Return what an issue's edit metadata say of a field."""
    options = tuple(
        (str(one["id"]), str(one[field.label]))
        for one in described.get("allowedValues") or ()
        if isinstance(one, dict) and "id" in one and field.label in one
    )
    return Editing(
        required=bool(described.get("required")),
        settable="set" in (described.get("operations") or ()),
        options=options,
    )


# From Jira


def shown(field: Field, raw: Any, *, cloud: bool) -> str:
    """Return Jira's value of a field as JSON text. Two equal values may still be two texts."""
    return json.dumps(_plain(field, raw, cloud=cloud), ensure_ascii=False, sort_keys=True)


def _plain(field: Field, raw: Any, *, cloud: bool) -> Any:
    if raw is None:
        return None
    match field.kind:
        case Kind.TEXT:
            return jira_text.plain(raw) or None
        case Kind.NUMBER if isinstance(raw, float) and raw.is_integer() and abs(raw) < 2**53:
            return int(raw)
        case Kind.CHOICE if isinstance(raw, dict):
            return raw.get(field.label)
        case Kind.CHOICES if isinstance(raw, list):
            return sorted(str(one.get(field.label)) for one in raw if isinstance(one, dict))
        case Kind.LABELS if isinstance(raw, list):
            return sorted(map(str, raw))
        case Kind.USER if isinstance(raw, dict):
            return raw.get("accountId" if cloud else "name")
        case _:
            return raw


# To Jira


def decode(field: Field, editing: Editing, text: str, *, cloud: bool) -> Value:
    """Return the JSON `text` as a value of `field` in an issue.

    Raises:
        BadValueError: the field cannot hold it exactly, or must not be written.
    """
    if field.kind is Kind.OTHER or not editing.settable:
        raise BadValueError(Code.NOT_SUPPORTED, f"{field.id}: fields of this type are not written")
    plain = _parsed(text)
    if _is_empty(field, plain):
        if editing.required:
            raise BadValueError(Code.NOT_NULL, f"{field.id} cannot be empty")
        return Value(wire=[] if field.kind in _LISTS else None, canonical=_NULL)
    value = _value(field, plain, text)
    match field.kind:
        case Kind.CHOICE:
            return Value(wire=_option(field, editing, plain), canonical=value.canonical)
        case Kind.CHOICES:
            wires = [_option(field, editing, one) for one in sorted(set(plain))]
            return Value(wire=wires, canonical=value.canonical)
        case Kind.USER:
            who = {"accountId" if cloud else "name": plain}
            return Value(wire=who, canonical=value.canonical)
        case Kind.TEXT:
            return Value(wire=_rich(field, plain, cloud=cloud), canonical=value.canonical)
        case _:
            return value


def canonical(field: Field, text: str) -> str:
    """Return a text that is equal for two JSON texts exactly if the field holds the same for both.

    A text that the field cannot hold equals only itself.
    """
    try:
        plain = _parsed(text)
        if _is_empty(field, plain):
            return _NULL
        return _value(field, plain, text).canonical
    except BadValueError:
        return "as is:" + text


def _parsed(text: str) -> Any:
    """Return the JSON value (numbers as floats are good enough: `columns` looks at the text)."""
    try:
        return json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise BadValueError(Code.BAD_TYPE, "the value is not JSON") from error


def _no_constant(_: str) -> None:
    raise ValueError("NaN and Infinity are no JSON numbers")


_LISTS: Final = frozenset({Kind.LABELS, Kind.CHOICES})
_TEXTS: Final = frozenset({Kind.LINE, Kind.TEXT})


def _is_empty(field: Field, plain: Any) -> bool:
    """Tell whether Jira keeps nothing for it: an empty text or list is no value."""
    return (
        plain is None
        or (field.kind in _TEXTS and plain == "")
        or (field.kind in _LISTS and plain == [])
    )


def _wrong(field: Field, wanted: str) -> BadValueError:
    return BadValueError(Code.BAD_TYPE, f"{field.id}: {wanted} is needed")


_COLUMN_KINDS: Final = {
    Kind.NUMBER: columns.Kind.DOUBLE,
    Kind.DATE: columns.Kind.DATE,
    Kind.MOMENT: columns.Kind.TIMESTAMPTZ,
}


def _value(field: Field, plain: Any, text: str) -> Value:
    """Return a value that is not empty, as far as it does not depend on the issue."""
    match field.kind:
        case Kind.LINE:
            _check_text(field, plain, _LINE_LENGTH)
            if "\n" in plain or "\r" in plain:
                raise BadValueError(Code.BAD_VALUE, f"{field.id}: one line only")
            return Value(wire=plain, canonical="text:" + plain)
        case Kind.TEXT:
            return Value(wire=None, canonical=_rich_canonical(field, plain))
        case Kind.NUMBER | Kind.DATE | Kind.MOMENT:
            held = columns.decode(_column(field), text)
            wire = json.loads(held.wire)
            return Value(
                wire=_moment(wire) if field.kind is Kind.MOMENT else wire,
                canonical=held.canonical,
            )
        case Kind.CHOICE | Kind.USER:
            _check_text(field, plain, None)
            return Value(wire=None, canonical="name:" + plain)
        case Kind.LABELS | Kind.CHOICES:
            return _names(field, plain)
        case _:
            return Value(wire=None, canonical="json:" + json.dumps(plain, sort_keys=True))


def _column(field: Field) -> Column:
    """Return the column that holds the same values (Jira keeps milliseconds and doubles)."""
    return Column(name=field.id, kind=_COLUMN_KINDS[field.kind], sql_type="", scale=3)


def _check_text(field: Field, plain: Any, most: int | None) -> None:
    column = Column(name=field.id, kind=columns.Kind.TEXT, sql_type="", length=most)
    if not isinstance(plain, str):
        raise _wrong(field, "a string")
    columns.decode(column, json.dumps(plain))


def _moment(iso: str) -> str:
    """Return `2026-11-24T10:00:00.000+0000`: milliseconds, no colon in the zone."""
    moment = datetime.fromisoformat(iso).astimezone(UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "+0000")


def _names(field: Field, plain: Any) -> Value:
    if not isinstance(plain, list):
        raise _wrong(field, "a list of strings")
    for one in plain:
        _check_text(field, one, _LINE_LENGTH)
        if field.kind is Kind.LABELS and (not one or any(map(str.isspace, one))):
            raise BadValueError(Code.BAD_VALUE, f"{field.id}: a label has no spaces")
    names = sorted(set(plain))
    return Value(wire=names, canonical="names:" + json.dumps(names))


def _option(field: Field, editing: Editing, name: Any) -> dict[str, str]:
    found = [identity for identity, known in editing.options if known == name]
    if len(found) != 1:
        why = "is ambiguous" if found else "does not exist"
        raise BadValueError(Code.BAD_VALUE, f"{field.id}: the option {why}")
    return {"id": found[0]}


def _rich_canonical(field: Field, plain: Any) -> str:
    if isinstance(plain, str):
        _check_text(field, plain, None)
    elif not jira_text.is_document(plain):
        raise _wrong(field, "a text, or a document in Atlassian Document Format,")
    return jira_text.canonical(plain)


def _rich(field: Field, plain: Any, *, cloud: bool) -> Any:
    """Return a text as this Jira takes it: a document for Cloud, wiki markup for Data Center."""
    if not cloud:
        if not isinstance(plain, str):
            raise _wrong(field, "a text")
        return plain
    document = (
        jira_text.document_of(plain.replace("\r\n", "\n")) if isinstance(plain, str) else plain
    )
    if len(json.dumps(document, ensure_ascii=False)) > _TEXT_LENGTH:
        raise BadValueError(Code.TOO_LONG, f"{field.id}: {_TEXT_LENGTH} characters fit")
    return document
