"""The columns of a list: what each takes, keeps and gives back. Pure.

As in SharePoint: an empty text is kept as null, fractions of a second are dropped, times become
UTC, a choice outside its list and a missing required value are taken (only the forms check them).
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from enum import IntEnum
from typing import Any

from sandbox.sharepoint.errors import BAD_TEXT, SharePointError, bad_query
from sandbox.sharepoint.odata import Complex, Many

MAX_TEXT = 255
MAX_NOTE = 63_999


class Kind(IntEnum):
    """The numbers are SharePoint's FieldTypeKind."""

    TEXT = 2
    NOTE = 3
    DATETIME = 4
    COUNTER = 5
    CHOICE = 6
    BOOLEAN = 8
    NUMBER = 9
    CURRENCY = 10
    URL = 11
    MULTICHOICE = 15


TYPE_NAMES = {Kind.DATETIME: "DateTime", Kind.URL: "URL", Kind.MULTICHOICE: "MultiChoice"}
CLASS_NAMES = {
    Kind.TEXT: "SP.FieldText",
    Kind.NOTE: "SP.FieldMultiLineText",
    Kind.DATETIME: "SP.FieldDateTime",
    Kind.CHOICE: "SP.FieldChoice",
    Kind.NUMBER: "SP.FieldNumber",
    Kind.CURRENCY: "SP.FieldCurrency",
    Kind.URL: "SP.FieldUrl",
    Kind.MULTICHOICE: "SP.FieldMultiChoice",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """`name` is the internal name, which is the property's; `title` is what people see."""

    name: str
    title: str
    kind: Kind
    required: bool = False
    unique: bool = False
    indexed: bool = False
    read_only: bool = False
    choices: tuple[str, ...] = ()

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Column":
        return cls(**{**values, "kind": Kind(values["kind"]), "choices": tuple(values["choices"])})

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def type_name(self) -> str:
        return TYPE_NAMES.get(self.kind, self.kind.name.capitalize())

    @property
    def class_name(self) -> str:
        return CLASS_NAMES.get(self.kind, "SP.Field")

    def properties(self, guid: str) -> dict[str, Any]:
        """What `/fields` says of it."""
        values: dict[str, Any] = {
            "CanBeDeleted": not self.read_only,
            "DefaultValue": None,
            "Description": "",
            "EnforceUniqueValues": self.unique,
            "EntityPropertyName": self.name,
            "FieldTypeKind": int(self.kind),
            "Filterable": self.kind is not Kind.NOTE,
            "FromBaseType": self.read_only,
            "Group": "Custom Columns",
            "Hidden": False,
            "Id": guid,
            "Indexed": self.indexed,
            "InternalName": self.name,
            "ReadOnlyField": self.read_only,
            "Required": self.required,
            "Sealed": False,
            "Sortable": self.kind is not Kind.NOTE,
            "StaticName": self.name,
            "Title": self.title,
            "TypeAsString": self.type_name,
            "TypeDisplayName": self.type_name,
        }
        if self.kind is Kind.TEXT:
            values["MaxLength"] = MAX_TEXT
        if self.kind in {Kind.CHOICE, Kind.MULTICHOICE}:
            values["Choices"] = Many("Edm.String", self.choices)
            values["FillInChoice"] = False
        if self.kind is Kind.NOTE:
            values |= {"NumberOfLines": 6, "RichText": False, "AppendOnly": False}
        return values


def parse(column: Column, raw: Any) -> Any:
    """The canonical value of what somebody sent. Raises SharePointError."""
    return None if raw is None else _PARSERS[column.kind](raw)


def _text(raw: Any, limit: int = MAX_TEXT) -> str | None:
    if not isinstance(raw, str):
        raise _cannot_convert("Edm.String")
    if len(raw) > limit:
        message = (
            "Invalid text value.\n\nA text field contains invalid data. "
            "Please check the value and try again."
        )
        raise SharePointError(500, BAD_TEXT, message)
    return raw or None


def _note(raw: Any) -> str | None:
    return _text(raw, MAX_NOTE)


def _number(raw: Any) -> float:
    if isinstance(raw, bool) or not isinstance(raw, int | float):
        raise _cannot_convert("Edm.Double")
    return float(raw)


def _boolean(raw: Any) -> bool:
    if not isinstance(raw, bool):
        raise _cannot_convert("Edm.Boolean")
    return raw


def _moment(raw: Any) -> str:
    try:
        moment = datetime.fromisoformat(raw)
    except (TypeError, ValueError) as error:
        raise _cannot_convert("Edm.DateTime") from error
    zoned = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return f"{zoned.astimezone(UTC):%Y-%m-%dT%H:%M:%S}Z"


def _many(raw: Any) -> list[str]:
    values = raw.get("results") if isinstance(raw, dict) else raw
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise bad_query("A 'StartArray' node was expected when reading the value of the property.")
    return values


def _url(raw: Any) -> dict[str, str]:
    if not isinstance(raw, dict) or not isinstance(raw.get("Url"), str):
        raise _cannot_convert("SP.FieldUrlValue")
    return {"Description": str(raw.get("Description") or raw["Url"]), "Url": raw["Url"]}


def _cannot_convert(kind: str) -> SharePointError:
    return bad_query(
        f"Cannot convert a primitive value to the expected type '{kind}'. "
        "See the inner exception for more details."
    )


_PARSERS: dict[Kind, Callable[[Any], Any]] = {
    Kind.TEXT: _text,
    Kind.NOTE: _note,
    Kind.CHOICE: _text,
    Kind.NUMBER: _number,
    Kind.CURRENCY: _number,
    Kind.BOOLEAN: _boolean,
    Kind.DATETIME: _moment,
    Kind.MULTICHOICE: _many,
    Kind.URL: _url,
}


def shown(column: Column, value: Any) -> Any:
    """The canonical value as an answer holds it."""
    if value is None:
        return None
    if column.kind is Kind.MULTICHOICE:
        return Many("Edm.String", tuple(value))
    return Complex("SP.FieldUrlValue", value) if column.kind is Kind.URL else value


def plain(value: Any) -> str:
    """What a person reads of it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "Yes" if value else "No"
    if isinstance(value, float):
        return f"{value:.15g}"
    if isinstance(value, list):
        return ", ".join(value)
    return str(value["Url"]) if isinstance(value, dict) else str(value)
