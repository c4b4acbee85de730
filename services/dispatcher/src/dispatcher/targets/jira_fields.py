"""Jira's fields: which families there are, what an issue lets us do to them, how they are shown.

Pure. The values people decide on are the plain ones: an option or a priority is its name, a person
the account id (Cloud) or user name (Data Center), a rich text a text where it is one (`jira_text`),
a list of names is sorted. Turning them into Jira's objects is `jira_values`'s.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from dispatcher.targets import jira_text


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
