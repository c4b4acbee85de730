"""Bytes to events and back.

Owns the three framings a value can have, told apart by its first bytes:

- `C3 01` + 8-byte little-endian CRC-64-AVRO fingerprint + Avro body (Avro 1.11, "Single-object
  encoding"). Placet writes this. The writer's schema is found by fingerprint among all schemas ever
  released, so that old records stay readable.
- `00` + 4-byte big-endian schema id + Avro body: Confluent's wire format, resolved by a registry.
- `{`: plain JSON of a `ModelOutput`.

Refuses to know where bytes come from. Whatever the bytes are, nothing but `CodecError` is raised.
"""

import io
import math
import re
from collections.abc import Callable, Iterator
from datetime import datetime
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any, Final, cast

import msgspec
import orjson
from fastavro import parse_schema, schemaless_reader, schemaless_writer
from fastavro.schema import fingerprint, to_parsing_canonical_form

from contract.events import EVENTS, Event, ModelOutput
from contract.reasons import Reason

Schema = dict[str, Any]
ResolveSchemaId = Callable[[int], Schema]
"""Find the writer's schema of a Confluent schema id; raises `LookupError` where there is none."""

_SINGLE_OBJECT: Final = b"\xc3\x01"
_CONFLUENT: Final = b"\x00"
_JSON: Final = b"{"
_FINGERPRINT_END: Final = 10
_SCHEMA_ID_END: Final = 5


class CodecError(ValueError):
    """These bytes are no event. Park them; sending them again changes nothing."""

    def __init__(self, reason: Reason, message: str) -> None:
        """Keep the `reason` code beside the message for people."""
        super().__init__(message)
        self.reason = reason


class UnknownSchemaError(CodecError):
    """The writer's schema is not known here: perhaps a newer release wrote it."""

    def __init__(self, message: str) -> None:
        super().__init__(Reason.UNKNOWN_SCHEMA, message)


def _fingerprint_of(schema: Schema) -> bytes:
    """Return the 8 bytes that single-object encoding writes, little-endian."""
    little_endian = fingerprint(to_parsing_canonical_form(schema), "CRC-64-AVRO")
    return bytes.fromhex(little_endian)


def _avsc_files(folder: Traversable) -> Iterator[Traversable]:
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _avsc_files(entry)
        elif entry.name.endswith(".avsc"):
            yield entry


def _parse(schema: Schema) -> Schema:
    return cast("Schema", parse_schema(schema))  # records here, never bare types


def _current(name: str) -> Schema:
    plain: Schema = orjson.loads(_AVRO.joinpath(f"{name}.avsc").read_bytes())
    return plain


def _load(folder: Traversable) -> dict[bytes, tuple[str, Schema]]:
    schemas = {}
    for avsc in _avsc_files(folder):
        plain = orjson.loads(avsc.read_bytes())
        schemas[_fingerprint_of(plain)] = (plain["name"], _parse(plain))
    for name, current in READER.items():  # the very same object: `is` tells "nothing to resolve"
        schemas[_PREFIX[name][2:]] = (name, current)
    return schemas


_AVRO: Final = files("contract").joinpath("avro")
READER: Final[dict[str, Schema]] = {name: _parse(_current(name)) for name in EVENTS}
"""The current schema of each event, by event name."""
_PREFIX: Final = {name: _SINGLE_OBJECT + _fingerprint_of(_current(name)) for name in EVENTS}
_WRITER: Final = _load(_AVRO)
"""Every schema ever released, by fingerprint: the current ones, and those in `avro/history/`."""


def encode(event: Event) -> bytes:
    """Return `event` in Avro single-object encoding, under its current schema."""
    name = type(event).__name__
    out = io.BytesIO()
    out.write(_PREFIX[name])
    plain = msgspec.to_builtins(event, builtin_types=(datetime, bytes))
    schemaless_writer(out, READER[name], plain)
    return out.getvalue()


def fingerprint_hex(event_name: str) -> str:
    """Return the fingerprint of the current schema of an event, as on the wire, in hex."""
    return _PREFIX[event_name][2:].hex()


def decode(data: bytes) -> Event:
    """Return the event in `data`, written in single-object encoding by this or an older release.

    Raises:
        UnknownSchemaError: no release up to this one wrote it.
        CodecError: the bytes are no event.
    """
    if data[:2] != _SINGLE_OBJECT:
        raise CodecError(
            Reason.UNREADABLE, f"not Avro single-object encoding: begins with {data[:4].hex(' ')!r}"
        )
    known = _WRITER.get(data[2:_FINGERPRINT_END])
    if known is None:
        raise UnknownSchemaError(
            f"no schema has the fingerprint {data[2:_FINGERPRINT_END].hex()!r}; "
            "a newer release may have written it: upgrade this service first"
        )
    name, writer = known
    return _convert(name, _read(name, writer, data, _FINGERPRINT_END))


def decode_model_output(
    data: bytes, resolve: ResolveSchemaId | None = None
) -> tuple[ModelOutput, Any]:
    """Return a pipeline's `ModelOutput` in any framing, and the plain value it was decoded from.

    The plain value (dicts and lists) is what `content_digest` covers. `resolve` answers Confluent
    schema ids; without it such records are unknown.

    Raises:
        UnknownSchemaError: nobody here knows the writer's schema.
        CodecError: anything else that is wrong with the bytes.
    """
    if data[:1] == _JSON:
        return _from_json(data)
    if data[:1] == _CONFLUENT:
        writer = _by_schema_id(data, resolve)
        plain = _read("ModelOutput", writer, data, _SCHEMA_ID_END)
        event = _convert("ModelOutput", plain)
    else:
        event = decode(data)
    if not isinstance(event, ModelOutput):
        raise CodecError(Reason.UNREADABLE, f"a {type(event).__name__}, not a ModelOutput")
    return event, msgspec.to_builtins(event)


def _by_schema_id(data: bytes, resolve: ResolveSchemaId | None) -> Schema:
    if len(data) < _SCHEMA_ID_END:
        raise CodecError(Reason.TRUNCATED, "ends inside the schema id")
    number = int.from_bytes(data[1:_SCHEMA_ID_END])
    if resolve is None:
        raise UnknownSchemaError(
            f"schema id {number}, but no schema registry is configured: "
            "set PLACET_SCHEMA_REGISTRY_URL, or send plain JSON"
        )
    try:
        return _parse(resolve(number))
    except LookupError as error:
        raise UnknownSchemaError(f"the registry has no schema {number}") from error


def _read(name: str, writer: Schema, data: bytes, start: int) -> Any:
    reader = READER[name]
    source = io.BytesIO(data)
    source.seek(start)
    try:
        plain = schemaless_reader(source, writer, None if writer is reader else reader)
    except UnicodeDecodeError as error:
        raise CodecError(Reason.BAD_TEXT, f"invalid UTF-8 in a string: {error}") from error
    except (EOFError, IndexError) as error:
        raise CodecError(Reason.TRUNCATED, "the Avro body ends early") from error
    except Exception as error:  # what a decoder raises on hostile bytes is open-ended
        raise CodecError(Reason.UNREADABLE, f"no Avro {name}: {error!r}") from error
    if source.tell() != len(data):
        rest = len(data) - source.tell()
        raise CodecError(Reason.TRUNCATED, f"{rest} bytes follow the Avro body")
    return plain


def _convert(name: str, plain: Any) -> Event:
    try:
        return msgspec.convert(plain, EVENTS[name])
    except msgspec.ValidationError as error:
        raise CodecError(_reason_of(str(error)), str(error)) from error


_LONE_SURROGATE: Final = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F])"
    rb"|(?<!\\u[dD][89abAB][0-9a-fA-F]{2})\\u[dD][c-fC-F][0-9a-fA-F]{2}"
)


def _from_json(data: bytes) -> tuple[ModelOutput, Any]:
    try:
        event = msgspec.json.decode(data, type=ModelOutput)
    except msgspec.ValidationError as error:
        raise CodecError(_reason_of(str(error)), str(error)) from error
    except UnicodeDecodeError as error:
        raise CodecError(Reason.BAD_TEXT, f"invalid UTF-8: {error}") from error
    except (msgspec.DecodeError, RecursionError) as error:
        raise CodecError(*_why_bad_json(data, error)) from error
    return event, msgspec.to_builtins(event)


def _why_bad_json(data: bytes, error: Exception) -> tuple[Reason, str]:
    try:
        data.decode()
    except UnicodeDecodeError as invalid:
        return Reason.BAD_TEXT, f"invalid UTF-8: {invalid}"
    if _LONE_SURROGATE.search(data):
        return Reason.BAD_TEXT, "a lone surrogate in a string"
    if re.search(rb"[:\[,]\s*-?(NaN|Infinity)\b", data):
        return Reason.NOT_FINITE, "NaN and Infinity are no JSON numbers"
    return Reason.BAD_JSON, f"not JSON: {error}"


def _reason_of(message: str) -> Reason:
    """Name what msgspec found wrong; its message says where."""
    if "missing required field" in message:
        return Reason.MISSING_FIELD
    if "unknown field" in message:
        return Reason.UNKNOWN_FIELD
    if "timezone" in message or ("`int`" in message and ("<=" in message or ">=" in message)):
        return Reason.BAD_VALUE
    if "out of range" in message:
        return Reason.NOT_FINITE
    return Reason.BAD_TYPE


def is_finite(value: float | None) -> bool:
    """Tell whether a number that may be absent is neither NaN nor infinite."""
    return value is None or math.isfinite(value)
