"""Column types and JSON text: what a value becomes in a column, and when two values are the same.

Pure. Owns the decision whether a column can hold a value *exactly* (a number that would be rounded,
a text that would be cut, is refused, because the read-back would differ from what was approved).
Refuses to know SQL: the adapter sends `wire`, JSON that PostgreSQL itself converts.

JSON null is SQL NULL, also in json and jsonb columns. Numbers are decimals, never floats.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final

from dispatcher.writeback import Code


class Kind(StrEnum):
    """Families of column types that behave alike."""

    TEXT = "TEXT"
    INTEGER = "INTEGER"
    NUMERIC = "NUMERIC"
    DOUBLE = "DOUBLE"
    BOOLEAN = "BOOLEAN"
    TIMESTAMPTZ = "TIMESTAMPTZ"
    TIMESTAMP = "TIMESTAMP"
    DATE = "DATE"
    UUID = "UUID"
    JSON = "JSON"
    ENUM = "ENUM"
    TEXT_ARRAY = "TEXT_ARRAY"


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column as the catalogue describes it.

    `sql_type` is the type without its modifier (a cast to `varchar(5)` would cut silently).
    `length`: characters (text) or bits (integers). `precision`, `scale`: numeric(p, s);
    `scale` is also the number of decimals of seconds.
    """

    name: str
    kind: Kind
    sql_type: str
    nullable: bool = True
    length: int | None = None
    precision: int | None = None
    scale: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """A JSON text in a column's type: what to send, and what it equals."""

    wire: str
    canonical: str


class BadValueError(ValueError):
    """The column cannot hold this value. `detail` does not repeat it."""

    def __init__(self, code: Code, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


_NULL: Final = "null"
_INSTANT: Final = re.compile(
    r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?)(Z|[+-]\d\d(?::?\d\d)?)?"
)
_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d")
_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_INTEGER: Final = re.compile(r"0|-?[1-9][0-9]{0,18}")
_NUMERIC_DIGITS: Final = 131_072  # PostgreSQL's limits before and after the point
_NUMERIC_SCALE: Final = 16_383


def decode(column: Column, text: str) -> Value:
    """Return the JSON `text` as a value of `column`.

    Raises:
        BadValueError: the column cannot hold it exactly.
    """
    plain = _plain(text)
    if plain is None:
        if not column.nullable:
            raise BadValueError(Code.NOT_NULL, f"{column.name} cannot be null")
        return Value(wire=_NULL, canonical=_NULL)
    return _DECODERS[column.kind](column, plain, text)


def canonical(column: Column, text: str) -> str:
    """Return a text that is equal for two JSON texts exactly if `column` holds the same for both.

    A text that the column cannot hold (an infinite timestamp read back, say) equals only itself.
    """
    try:
        return decode(column, text).canonical
    except BadValueError:
        return _NULL if text == _NULL else "as is:" + text


def decode_key(column: Column, identifier: str) -> str:
    """Return `identifier` as JSON for the key column.

    Raises:
        BadValueError: it is not the one canonical form that the key has.
    """
    if column.kind is Kind.INTEGER:
        if not _INTEGER.fullmatch(identifier) or not _fits(int(identifier), column):
            raise BadValueError(Code.BAD_IDENTIFIER, "the key is an integer, without leading zeros")
        return identifier
    if column.kind is Kind.UUID:
        if not _UUID.fullmatch(identifier):
            raise BadValueError(Code.BAD_IDENTIFIER, "the key is a lower-case UUID")
        return f'"{identifier}"'
    if not _is_text(identifier):
        raise BadValueError(Code.BAD_IDENTIFIER, "the key holds characters no text column holds")
    return json.dumps(identifier)


def _plain(text: str) -> Any:
    try:
        return _JSON.decode(text)
    except (ValueError, ArithmeticError, RecursionError) as error:
        raise BadValueError(Code.BAD_TYPE, "the value is not JSON") from error


def _no_constant(_: str) -> None:
    raise ValueError("NaN and Infinity are no JSON numbers")


_JSON: Final = json.JSONDecoder(parse_float=Decimal, parse_int=Decimal, parse_constant=_no_constant)


def _is_text(value: str) -> bool:
    """Tell whether a text column can hold `value`: no U+0000, no lone surrogate."""
    try:
        value.encode()  # only a lone surrogate has no UTF-8
    except UnicodeEncodeError:
        return False
    return "\0" not in value


def _wrong(column: Column, wanted: str) -> BadValueError:
    return BadValueError(Code.BAD_TYPE, f"{column.name}: {wanted} is needed")


def _text(column: Column, plain: Any, text: str) -> Value:
    if not isinstance(plain, str):
        raise _wrong(column, "a string")
    if not _is_text(plain):
        raise BadValueError(Code.BAD_VALUE, f"{column.name}: U+0000 or a lone surrogate")
    if column.length is not None and len(plain) > column.length:
        raise BadValueError(
            Code.TOO_LONG, f"{column.name}: {len(plain)} characters, {column.length} fit"
        )
    return Value(wire=text, canonical="text:" + plain)


def _fits(number: int, column: Column) -> bool:
    bits = column.length or 64
    limit = 1 << (bits - 1)
    return -limit <= number < limit


def _number(column: Column, plain: Any) -> tuple[str, int, int]:
    """Return canonical text, number of decimals, and digits before the point."""
    if not isinstance(plain, Decimal):
        raise _wrong(column, "a number")
    return _shape(plain)


def _shape(number: Decimal) -> tuple[str, int, int]:
    sign, digits, exponent = number.as_tuple()
    stripped = "".join(map(str, digits)).rstrip("0")
    if not stripped:
        return "number:0", 0, 0
    shift = int(exponent) + len(digits) - len(stripped)
    text = f"number:{'-' if sign else ''}{stripped.lstrip('0')}e{shift}"
    return text, max(0, -shift), max(0, len(stripped.lstrip("0")) + shift)


def _integer(column: Column, plain: Any, _: str) -> Value:
    text, decimals, digits = _number(column, plain)
    if decimals:
        raise _wrong(column, "an integer")
    if digits > len(str(2**63)) or not _fits(int(plain), column):
        raise BadValueError(Code.BAD_VALUE, f"{column.name}: the number is out of range")
    return Value(wire=str(int(plain)), canonical=text)


def _numeric(column: Column, plain: Any, _: str) -> Value:
    text, decimals, digits = _number(column, plain)
    scale = _NUMERIC_SCALE if column.scale is None else column.scale
    whole = _NUMERIC_DIGITS if column.precision is None else column.precision - scale
    if decimals > scale:
        raise BadValueError(Code.BAD_VALUE, f"{column.name}: {scale} decimals at most")
    if digits > whole:
        raise BadValueError(Code.BAD_VALUE, f"{column.name}: the number is out of range")
    return Value(wire=str(plain), canonical=text)


def _double(column: Column, plain: Any, _: str) -> Value:
    text, _decimals, digits = _number(column, plain)
    held = repr(float(plain)) if digits < _NUMERIC_SCALE else "inf"
    if held in {"inf", "-inf"} or _shape(Decimal(held))[0] != text:
        raise BadValueError(
            Code.BAD_VALUE, f"{column.name}: double precision cannot hold this number exactly"
        )
    return Value(wire=held, canonical=text)


def _boolean(column: Column, plain: Any, _: str) -> Value:
    if not isinstance(plain, bool):
        raise _wrong(column, "true or false")
    wire = "true" if plain else "false"
    return Value(wire=wire, canonical=wire)


def _instant(column: Column, plain: Any, _: str) -> Value:
    zoned = column.kind is Kind.TIMESTAMPTZ
    wanted = "an ISO 8601 time " + ("with a zone" if zoned else "without a zone")
    match = _INSTANT.fullmatch(plain) if isinstance(plain, str) else None
    if match is None or (match[3] is not None) != zoned:
        raise _wrong(column, f"{wanted}, of microseconds at most,")
    try:
        moment = datetime.fromisoformat(plain)
        moment = moment.astimezone(UTC) if zoned else moment
    except (ValueError, OverflowError) as error:
        raise _wrong(column, wanted) from error
    if column.scale is not None and moment.microsecond % 10 ** (6 - column.scale):
        raise BadValueError(Code.BAD_VALUE, f"{column.name}: {column.scale} decimals of seconds")
    return Value(wire=f'"{moment.isoformat()}"', canonical="time:" + moment.isoformat())


def _date(column: Column, plain: Any, _: str) -> Value:
    if not isinstance(plain, str) or not _DATE.fullmatch(plain):
        raise _wrong(column, "a date like 2026-11-24")
    try:
        day = date.fromisoformat(plain)
    except ValueError as error:
        raise _wrong(column, "a date that exists") from error
    return Value(wire=f'"{day.isoformat()}"', canonical="date:" + day.isoformat())


def _uuid(column: Column, plain: Any, _: str) -> Value:
    if not isinstance(plain, str) or not _UUID.fullmatch(plain.lower()):
        raise _wrong(column, "a UUID")
    return Value(wire=f'"{plain.lower()}"', canonical="uuid:" + plain.lower())


def _json(column: Column, plain: Any, text: str) -> Value:
    try:
        return Value(wire=text, canonical="json:" + _structure(plain))
    except ValueError as error:
        raise BadValueError(
            Code.BAD_VALUE, f"{column.name}: U+0000 or a lone surrogate in a string"
        ) from error


def _structure(plain: Any) -> str:
    """Return JSON with sorted keys in which equal numbers are equal texts."""
    match plain:
        case Decimal():
            return _shape(plain)[0]
        case str():
            if not _is_text(plain):
                raise ValueError("no text")
            return json.dumps(plain)
        case list():
            return "[" + ",".join(map(_structure, plain)) + "]"
        case dict():
            pairs = sorted((_structure(key), _structure(value)) for key, value in plain.items())
            return "{" + ",".join(f"{key}:{value}" for key, value in pairs) + "}"
        case _:
            return json.dumps(plain)


def _enum(column: Column, plain: Any, text: str) -> Value:
    return _text(column, plain, text)


def _text_array(column: Column, plain: Any, text: str) -> Value:
    if not isinstance(plain, list) or not all(one is None or isinstance(one, str) for one in plain):
        raise _wrong(column, "a list of strings")
    return _json(column, plain, text)


_DECODERS: Final[dict[Kind, Callable[[Column, Any, str], Value]]] = {
    Kind.TEXT: _text,
    Kind.INTEGER: _integer,
    Kind.NUMERIC: _numeric,
    Kind.DOUBLE: _double,
    Kind.BOOLEAN: _boolean,
    Kind.TIMESTAMPTZ: _instant,
    Kind.TIMESTAMP: _instant,
    Kind.DATE: _date,
    Kind.UUID: _uuid,
    Kind.JSON: _json,
    Kind.ENUM: _enum,
    Kind.TEXT_ARRAY: _text_array,
}
