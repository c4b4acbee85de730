"""JSON text into Jira's fields: what a value becomes, and when two values are the same.

Pure. Owns the decision whether a field can hold a value *exactly*. Refuses to know how values
travel and what Jira's own objects look like when they come back (`jira_fields`).
"""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from dispatcher.targets import columns, jira_text
from dispatcher.targets.columns import BadValueError, Column
from dispatcher.targets.jira_fields import Editing, Field, Kind
from dispatcher.writeback import Code

_NULL: Final = "null"
_LINE_LENGTH: Final = 255
_TEXT_LENGTH: Final = 32_767


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """A JSON text as a field takes it (`wire`, to be sent as JSON), and what it equals."""

    wire: Any
    canonical: str


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
