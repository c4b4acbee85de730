"""What a decision is about: the changed fields, what the target held, and the digest of both.

Owns JSON text: a field's value is kept byte for byte unless a person edits it; numbers are never
read as floats, so `1.10` and 2**60 survive. Pure.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import orjson

from contract.events import ReviewItem
from contract.identity import Digester
from contract.statement import FieldChange

_NUL: Final = "\x00"


class ValueRefusedError(ValueError):
    """A value that a person sent cannot be used. `code` is the answer's."""

    def __init__(self, code: str, message: str) -> None:
        """Keep the code beside the message for people."""
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """What the target held when it was last read: JSON text by field name.

    `missing`: the target answered that it has no such record. `expires_at`: ask again after it.
    """

    fields: Mapping[str, str] = field(default_factory=dict)
    version: str | None = None
    read_at: datetime
    expires_at: datetime
    missing: bool = False


@dataclass(frozen=True, slots=True)
class _Number:
    """A JSON number as it was written."""

    text: str


def _no_constant(name: str) -> Any:
    raise ValueRefusedError("BAD_VALUE", f"{name} is no JSON number")


def parse(text: str | bytes) -> Any:
    """Return the value that JSON `text` means, numbers kept as they are written.

    Raises:
        ValueRefusedError: no JSON, or JSON that holds U+0000 or a lone surrogate.
    """
    try:
        value = json.loads(
            text, parse_float=_Number, parse_int=_Number, parse_constant=_no_constant
        )
    except UnicodeDecodeError as error:
        raise ValueRefusedError("BAD_TEXT", f"invalid UTF-8: {error}") from error
    except (ValueError, RecursionError) as error:
        if isinstance(error, ValueRefusedError):
            raise
        raise ValueRefusedError("BAD_VALUE", f"not JSON: {error}") from error
    return value


def compact(value: Any) -> str:
    """Return `value` (from `parse`, or a str) as compact JSON text.

    Raises:
        ValueRefusedError: it holds U+0000 or a lone surrogate.
    """
    if _holds_nul(value):
        raise ValueRefusedError("BAD_TEXT", "U+0000 is not allowed in text")
    try:
        passed = orjson.OPT_PASSTHROUGH_DATACLASS
        return orjson.dumps(value, default=_as_written, option=passed).decode()
    except TypeError as error:  # orjson's word for a lone surrogate and for nesting too deep
        raise ValueRefusedError("BAD_TEXT", f"text that no target can hold: {error}") from error


def _as_written(number: Any) -> Any:
    if isinstance(number, _Number):
        return orjson.Fragment(number.text)
    raise TypeError(f"{type(number).__name__} is no JSON value")


def _holds_nul(value: Any) -> bool:
    match value:
        case str():
            return _NUL in value
        case list():
            return any(_holds_nul(one) for one in value)
        case dict():
            return any(_NUL in name or _holds_nul(one) for name, one in value.items())
        case _:
            return False


def edited(proposed: Mapping[str, str], edits: Mapping[str, bytes]) -> dict[str, str]:
    """Return the final fields: `proposed` (JSON text by name) with `edits` (raw JSON) over it.

    A value that means the same as the proposed one is no edit: its bytes stay.

    Raises:
        ValueRefusedError: a field that the change does not have, or a value that is no JSON.
    """
    unknown = sorted(edits.keys() - proposed.keys())
    if unknown:
        raise ValueRefusedError(
            "UNKNOWN_FIELD", f"the change has no field {unknown[0]!r}: it has {sorted(proposed)}"
        )
    final = dict(proposed)
    for name, raw in edits.items():
        value = parse(raw)
        if value != parse(proposed[name]):
            final[name] = compact(value)
    return final


def changes(final: Mapping[str, str], baseline: Baseline | None) -> list[FieldChange]:
    """Return the fields to write with the values that were seen, sorted by name."""
    seen = baseline.fields if baseline is not None else {}
    return [
        FieldChange(name=name, value=final[name], seen=seen.get(name)) for name in sorted(final)
    ]


def seen_digest(
    item: ReviewItem,
    baseline: Baseline | None,
    digester: Digester,
    fields: Mapping[str, str] | None = None,
) -> str:
    """Return the digest of what a reviewer of `item` sees, in hex.

    Covers item, revision, evidence, and proposed and seen value per changed field; never when the
    target was read, its version or whether that is old: looking again changes nothing by itself.
    `fields` is what is proposed where a first approval has edited it.
    """
    return digester.of_value(
        {
            "item_id": item.item_id,
            "revision": item.revision,
            "evidence": [{"title": link.title, "uri": link.uri} for link in item.evidence],
            "fields": [
                {"name": change.name, "proposed": change.value, "seen": change.seen}
                for change in changes(fields or item.change.fields, baseline)
            ],
        }
    ).hex()
