"""SharePoint columns and JSON text: what a value becomes in a column, and when two are the same.

Pure. Owns the decision whether a column can hold a value *exactly*, from what the list says of its
columns: SharePoint itself takes a choice outside its list, an empty required value and a value for
a read-only column in silence. Refuses to know how values travel: `Value.wire` is JSON text.

What SharePoint makes of values: an empty text is null, a time is kept in UTC to the second, numbers
are doubles, the order of several choices says nothing.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from dispatcher.targets import columns
from dispatcher.targets.columns import BadValueError, Column, Kind, Value
from dispatcher.writeback import Code

MAX_TEXT: Final = 255
MAX_NOTE: Final = 63_999
_NULL: Final = Value(wire="null", canonical="null")
_SCALARS: Final = {
    "Text": Kind.TEXT,
    "Note": Kind.TEXT,
    "Choice": Kind.TEXT,
    "Number": Kind.DOUBLE,
    "Currency": Kind.DOUBLE,
    "Boolean": Kind.BOOLEAN,
    "DateTime": Kind.TIMESTAMPTZ,
}
SUPPORTED: Final = (*_SCALARS, "MultiChoice", "URL")
_FIRST_YEAR, _LAST_YEAR = 1900, 8900  # what a date column holds
_SEPARATOR: Final = ";#"  # between the values of a MultiChoice, as SharePoint keeps them


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One column. `name` is its internal name, `json_name` the one that items have it under.

    `unwritable` says why nothing can be written to it, where nothing can.
    """

    name: str
    json_name: str
    type: str
    required: bool = False
    unwritable: str | None = None
    length: int | None = None
    choices: tuple[str, ...] | None = None
    low: float | None = None
    high: float | None = None


def field_of(row: Mapping[str, Any]) -> Field | None:
    """Return the column that one entry of `/fields` describes; None where it is no entry."""
    name, kind = row.get("InternalName"), row.get("TypeAsString")
    if not isinstance(name, str) or not isinstance(kind, str):
        return None
    length = row.get("MaxLength")
    return Field(
        name=name,
        json_name=str(row.get("EntityPropertyName") or name),
        type=kind,
        required=row.get("Required") is True,
        unwritable=_unwritable(kind, row),
        length={"Text": length if isinstance(length, int) else MAX_TEXT, "Note": MAX_NOTE}.get(
            kind, MAX_TEXT
        ),
        choices=_choices(row),
        low=_number(row.get("MinimumValue")),
        high=_number(row.get("MaximumValue")),
    )


def _unwritable(kind: str, row: Mapping[str, Any]) -> str | None:
    if row.get("ReadOnlyField") is True:
        return "read only"
    if kind not in SUPPORTED:
        return f"of type {kind}, which is not supported"
    if kind == "Note" and row.get("RichText") is True:
        return "rich text, which SharePoint rewrites"
    if kind == "Note" and row.get("AppendOnly") is True:
        return "append only, so nothing written can be undone"
    return None


def _choices(row: Mapping[str, Any]) -> tuple[str, ...] | None:
    """Return the only values a choice column takes; None where it takes others too."""
    choices = row.get("Choices")
    if not isinstance(choices, list) or row.get("FillInChoice") is True:
        return None
    return tuple(str(one) for one in choices)


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def decode(field: Field, text: str) -> Value:
    """Return the JSON `text` as a value of `field`.

    Raises:
        BadValueError: nothing can be written to the column, or not this exactly.
    """
    if field.unwritable is not None:
        raise BadValueError(Code.NOT_SUPPORTED, f"{field.name} is {field.unwritable}")
    value = _held(field, text)
    if value.canonical == _NULL.canonical:
        if field.required:
            raise BadValueError(Code.NOT_NULL, f"{field.name} must not be empty")
        return value
    _check(field, json.loads(value.wire))
    return value


def canonical(field: Field, text: str) -> str:
    """Return a text that is equal for two JSON texts exactly if `field` holds the same for both.

    A text of another type than the column's equals only itself.
    """
    try:
        return _held(field, text).canonical
    except BadValueError:
        return "as is:" + text


def _held(field: Field, text: str) -> Value:
    """Return what the column's type makes of `text`, whatever its settings allow."""
    if field.type == "MultiChoice":
        return _many(field, _plain(text))
    if field.type == "URL":
        return _url(field, _plain(text))
    kind = _SCALARS.get(field.type)
    if kind is None:
        raise BadValueError(Code.NOT_SUPPORTED, f"{field.name}: type {field.type}")
    scale = 0 if kind is Kind.TIMESTAMPTZ else None
    value = columns.decode(Column(name=field.name, kind=kind, sql_type="", scale=scale), text)
    if value.canonical in {"text:", _NULL.canonical}:
        return _NULL
    if kind is Kind.TEXT:
        _refuse_unstorable(field, value.canonical)
    if kind is Kind.TIMESTAMPTZ:
        return replace(value, wire=value.wire.replace("+00:00", "Z"))
    return value


def _plain(text: str) -> Any:
    try:
        return json.loads(text, parse_float=Decimal)
    except (ValueError, RecursionError) as error:
        raise BadValueError(Code.BAD_TYPE, "the value is not JSON") from error


def _many(field: Field, plain: Any) -> Value:
    if plain is None or plain == []:
        return _NULL
    if not isinstance(plain, list) or not all(isinstance(one, str) for one in plain):
        raise BadValueError(Code.BAD_TYPE, f"{field.name}: a list of strings is needed")
    for one in plain:
        _refuse_unstorable(field, one)
        if not one or _SEPARATOR in one:
            raise BadValueError(Code.BAD_VALUE, f"{field.name}: empty, or with {_SEPARATOR}")
    if len(set(plain)) < len(plain):
        raise BadValueError(Code.BAD_VALUE, f"{field.name}: a choice is named twice")
    return Value(wire=_json(plain), canonical="choices:" + _json(sorted(plain)))


def _url(field: Field, plain: Any) -> Value:
    """A link has an address and words; the words are the address where there are none."""
    if plain is None:
        return _NULL
    if isinstance(plain, dict):
        plain = {name: value for name, value in plain.items() if not _is_annotation(name)}
    if (
        not isinstance(plain, dict)
        or not set(plain) <= {"Url", "Description"}
        or not isinstance(plain.get("Url"), str)
        or not isinstance(plain.get("Description"), str | None)
        or not plain["Url"]
    ):
        wanted = 'an object like {"Url": "https://…", "Description": "…"} is needed'
        raise BadValueError(Code.BAD_TYPE, f"{field.name}: {wanted}")
    link = {"Description": plain.get("Description") or plain["Url"], "Url": plain["Url"]}
    for one in link.values():
        _refuse_unstorable(field, one)
    return Value(wire=_json(link), canonical="link:" + _json(link))


def _is_annotation(name: str) -> bool:
    return name == "__metadata" or "odata." in name


def _refuse_unstorable(field: Field, text: str) -> None:
    """SharePoint keeps values in XML, which has no control characters."""
    if any(one < " " and one not in "\t\n\r" for one in text) or not {
        "\ufffe",
        "\uffff",
    }.isdisjoint(text):
        raise BadValueError(Code.BAD_VALUE, f"{field.name}: a control character")
    try:
        text.encode()  # only a lone surrogate has no UTF-8
    except UnicodeEncodeError as error:
        raise BadValueError(Code.BAD_VALUE, f"{field.name}: a lone surrogate") from error


def _check(field: Field, plain: Any) -> None:
    """Refuse what the column's settings do not allow."""
    match plain:
        case str() if field.type == "DateTime":
            if not _FIRST_YEAR <= datetime.fromisoformat(plain).year <= _LAST_YEAR:
                raise BadValueError(Code.BAD_VALUE, f"{field.name}: the year is out of range")
        case str():
            _check_length(field, plain)
            _check_choices(field, [plain])
        case list():
            _check_choices(field, plain)
        case dict():
            for one in plain.values():
                _check_length(field, one)
        case float() | int() if not isinstance(plain, bool):
            low, high = field.low, field.high
            if (low is not None and plain < low) or (high is not None and plain > high):
                raise BadValueError(Code.BAD_VALUE, f"{field.name}: the number is out of range")


def _check_length(field: Field, text: str) -> None:
    """SharePoint counts UTF-16 code units."""
    length = len(text.encode("utf-16-le")) // 2
    if field.length is not None and length > field.length:
        detail = f"{field.name}: {length} characters, {field.length} fit"
        raise BadValueError(Code.TOO_LONG, detail)


def _check_choices(field: Field, chosen: list[str]) -> None:
    if field.choices is not None and not set(chosen) <= set(field.choices):
        raise BadValueError(Code.BAD_VALUE, f"{field.name}: not among the column's choices")


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
