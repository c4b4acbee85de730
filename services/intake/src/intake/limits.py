"""The limits of the contract, each with its reason code. Pure.

Owns what a proposal must not be: too large, not text, nameless, personal where it names things,
impossible, or a change that no target would take. Each check raises `RefusedError` at the first
thing that is wrong and says where it stands; none repairs anything.
"""

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final, NoReturn

import orjson

from contract.events import ModelOutput
from contract.identity import sorted_json
from contract.reasons import Reason
from contract.targets import TargetConfig

MAX_RECORD: Final = 1_048_576
"""Bytes of a record's value."""
MAX_TEXT: Final = 262_144
"""Bytes of UTF-8 of the prompt, the output and each snippet."""
MAX_IDENTIFIER: Final = 512
"""Characters of whatever names something."""
MAX_RETRIEVALS: Final = 100
MAX_FIELDS: Final = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """Why a record becomes a dead letter instead; `message` is for the pipeline's people."""

    reason: Reason
    message: str


class RefusedError(Exception):
    """Carries a refusal out of the checks; `normalise` makes a value of it."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.refused = Refused(reason=reason, message=message)


def _refuse(reason: Reason, message: str) -> NoReturn:
    raise RefusedError(reason, message)


def in_utc(moment: datetime, name: str) -> datetime:
    """Return `moment` in UTC, where the calendar has it."""
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        _refuse(Reason.BAD_VALUE, f"{name}: lies outside the years 1 to 9999 in UTC")


# --- texts ---------------------------------------------------------------------------------------


def check_texts(output: ModelOutput, plain: Any) -> bytes:
    """Check the sizes and characters of every string; return the canonical JSON of all."""
    if len(output.retrieval) > MAX_RETRIEVALS:
        _refuse(
            Reason.TOO_MANY_RETRIEVALS,
            f"{len(output.retrieval)} retrieval entries; there may be {MAX_RETRIEVALS}",
        )
    _check_length("prompt", output.prompt)
    _check_length("output", output.output)
    for number, entry in enumerate(output.retrieval):
        _check_length(f"retrieval[{number}].snippet", entry.snippet)
    try:
        canonical = sorted_json(plain)
    except orjson.JSONEncodeError:
        _refuse(Reason.BAD_TEXT, f"{_bad_text(plain) or 'a string'}: a lone surrogate")
    # U+0000 is always escaped in JSON, so its absence is seen at once; a hit may be innocent.
    if b"\\u0000" in canonical and (place := _bad_text(plain)):
        _refuse(Reason.BAD_TEXT, f"{place}: U+0000 or a lone surrogate")
    return canonical


def _check_length(name: str, text: str) -> None:
    if len(text) * 4 <= MAX_TEXT:
        return
    size = len(text.encode(errors="surrogatepass"))
    if size > MAX_TEXT:
        _refuse(Reason.TEXT_TOO_LONG, f"{name}: {size} bytes of UTF-8; it may have {MAX_TEXT}")


_BAD_CHARACTER: Final = re.compile("[\\x00\ud800-\udfff]")


def _bad_text(value: Any, place: str = "") -> str | None:
    """Return where a string (a key counts) holds U+0000 or a lone surrogate."""
    match value:
        case str():
            return (place or "it") if _BAD_CHARACTER.search(value) else None
        case dict():
            pairs: Iterator[tuple[str, Any]] = iter(value.items())
            for key, inside in pairs:
                if _BAD_CHARACTER.search(key):
                    return f"a key in {place or 'the record'}"
                if found := _bad_text(inside, f"{place}.{key}" if place else key):
                    return found
        case list():
            for number, inside in enumerate(value):
                if found := _bad_text(inside, f"{place}[{number}]"):
                    return found
    return None


# --- names ---------------------------------------------------------------------------------------

_EMAIL: Final = re.compile(
    r"(?<=[\w.+-])(?:@|%40)[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){0,8}\.[A-Za-z]{2,24}\b"
)
_PHONE: Final = re.compile(r"(?<![\w])\+[1-9][0-9]{8,14}(?![0-9])")


def _names(output: ModelOutput) -> Iterator[tuple[str, str | None]]:
    """Yield whatever names something, with the place where it stands."""
    yield "source", output.source
    yield "external_id", output.external_id
    yield "correlation_id", output.correlation_id
    yield "model.name", output.model.name
    yield "model.version", output.model.version
    yield "model.hash", output.model.hash
    target = output.change.target
    yield "change.target.system", target.system
    yield "change.target.instance", target.instance
    yield "change.target.identifier", target.identifier
    for name in output.change.fields:
        yield "a name in change.fields", name
    for name in output.labels:
        yield "a name in labels", name
    for number, entry in enumerate(output.retrieval):
        yield f"retrieval[{number}].doc_id", entry.doc_id
        yield f"retrieval[{number}].source", entry.source
        yield f"retrieval[{number}].snapshot", entry.snapshot


def check_identifiers(output: ModelOutput, key: bytes | None) -> None:
    """Check the length of whatever names something, and that it holds no personal data."""
    for place, name in _names(output):
        if name is None:
            continue
        if len(name) > MAX_IDENTIFIER:
            _refuse(
                Reason.IDENTIFIER_TOO_LONG,
                f"{place}: {len(name)} characters; it may have {MAX_IDENTIFIER}",
            )
        _check_personal(place, name)
    if output.subject is not None and len(output.subject) > MAX_IDENTIFIER:
        _refuse(Reason.IDENTIFIER_TOO_LONG, f"subject: may have {MAX_IDENTIFIER} characters")
    for place, name in (("source", output.source), ("external_id", output.external_id)):
        if not name:
            _refuse(Reason.BAD_VALUE, f"{place}: an empty text names nothing")
    for label, value in output.labels.items():
        _check_personal(f"labels.{label}", value)
    for number, evidence in enumerate(output.evidence):
        _check_personal(f"evidence[{number}].uri", evidence.uri)
    if key:
        _check_personal("the record's key", key.decode(errors="replace"))


def _check_personal(place: str, name: str) -> None:
    """Refuse e-mail addresses and international telephone numbers: they would be in every store.

    The message doesn't repeat them: it is logged.
    """
    if ("@" in name or "%40" in name) and _EMAIL.search(name):
        _refuse(Reason.PII_IN_IDENTIFIER, f"{place}: holds an e-mail address")
    if "+" in name and _PHONE.search(name):
        _refuse(Reason.PII_IN_IDENTIFIER, f"{place}: holds a telephone number")


# --- values --------------------------------------------------------------------------------------


def check_values(output: ModelOutput) -> None:
    """Check that numbers are possible."""
    _check_finite("risk.score", output.risk.score)
    _check_finite("confidence", output.confidence)
    if not 0.0 <= output.risk.score <= 1.0:
        _refuse(Reason.BAD_VALUE, f"risk.score: {output.risk.score} lies outside [0, 1]")
    if output.revision < 1:
        _refuse(Reason.BAD_VALUE, f"revision: counts from 1, not {output.revision}")
    for number, entry in enumerate(output.retrieval):
        _check_finite(f"retrieval[{number}].score", entry.score)
        start = 0 if entry.start is None else entry.start
        if start < 0 or (entry.end is not None and entry.end < start):
            _refuse(
                Reason.BAD_VALUE,
                f"retrieval[{number}]: no span of a document runs from {start} to {entry.end}",
            )


def _check_finite(name: str, number: float | None) -> None:
    if number is not None and not math.isfinite(number):
        _refuse(Reason.NOT_FINITE, f"{name}: {number} is no finite number")


# --- change --------------------------------------------------------------------------------------


def check_change(output: ModelOutput, targets: Mapping[str, TargetConfig]) -> None:
    """Check that some target takes the change: its fields, its record, its columns."""
    change = output.change
    if not change.fields:
        _refuse(Reason.NO_FIELDS, "change.fields: a change names at least one field")
    if len(change.fields) > MAX_FIELDS:
        _refuse(
            Reason.TOO_MANY_FIELDS,
            f"change.fields: {len(change.fields)}; there may be {MAX_FIELDS}",
        )
    for name, text in change.fields.items():
        _check_json(name, text)
    target = targets.get(change.target.instance)
    if target is None or target.system != change.target.system:
        _refuse(
            Reason.UNKNOWN_TARGET,
            f"no target is called {change.target.system}/{change.target.instance} here",
        )
    if not target.names(change.target.identifier):
        _refuse(
            Reason.BAD_IDENTIFIER,
            f"change.target.identifier: does not match {target.identifier_pattern!r}, "
            f"the form that {target.name} gives its records",
        )
    for name in change.fields:
        if target.columns and name not in target.columns:
            _refuse(
                Reason.BAD_VALUE,
                f"change.fields: {target.name} lets nobody change {name!r}, "
                f"only {', '.join(target.columns)}",
            )


def _check_json(name: str, text: str) -> None:
    try:
        value = _FIELD_VALUE.decode(text)
    except (ValueError, RecursionError) as error:
        _refuse(Reason.BAD_FIELD_VALUE, f"change.fields.{name}: no JSON text: {error}")
    if "\\u" in text and _bad_text(value):
        _refuse(Reason.BAD_TEXT, f"change.fields.{name}: U+0000 or a lone surrogate")


def _each_name_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("a name occurs twice in an object")
    return value


def _no_number(name: str) -> NoReturn:
    message = f"{name} is no JSON number"
    raise ValueError(message)


_FIELD_VALUE: Final = json.JSONDecoder(
    parse_float=Decimal, parse_constant=_no_number, object_pairs_hook=_each_name_once
)
"""Decimals stay exact, and what JSON leaves open (NaN, names used twice) is refused."""
