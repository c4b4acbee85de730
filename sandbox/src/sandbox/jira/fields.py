"""The fields of the stand-in's one project: what each takes, keeps and gives back. Pure.

A value is kept in a canonical form (option and priority by id, date-times in UTC) and rendered
for the version that asks: what is read back need not equal, byte for byte, what was sent.
"""

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Any

from sandbox.jira import documents
from sandbox.jira.accounts import ACCOUNTS

MAX_STRING = 255
CUSTOM_TYPE = "com.atlassian.jira.plugin.system.customfieldtypes:"


class Kind(StrEnum):
    STRING = "string"
    TEXT = "text"
    NUMBER = "number"
    OPTION = "option"
    PRIORITY = "priority"
    LABELS = "array"
    DATE = "date"
    DATETIME = "datetime"
    USER = "user"
    FIXED = "fixed"  # shown, never edited: status, project, issue type


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    id: str
    name: str
    kind: Kind
    custom: str | None = None
    required: bool = False
    allowed: tuple[tuple[str, str], ...] = ()

    @property
    def schema(self) -> dict[str, Any]:
        kind = {Kind.TEXT: "string", Kind.FIXED: self.id}.get(self.kind, str(self.kind))
        schema: dict[str, Any] = {"type": kind}
        if self.kind is Kind.LABELS:
            schema["items"] = "string"
        if self.custom is None:
            return {**schema, "system": self.id}
        return {**schema, "custom": CUSTOM_TYPE + self.custom, "customId": int(self.id[12:])}


class FieldValueError(ValueError):
    """The message is what Jira says of that field."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """How values look to this caller."""

    base: str
    version: str
    cloud: bool

    @property
    def documents(self) -> bool:
        return self.version == "3"

    def url(self, path: str) -> str:
        return f"{self.base}/rest/api/{self.version}/{path}"


FIELDS = {
    field.id: field
    for field in (
        Field(id="summary", name="Summary", kind=Kind.STRING, required=True),
        Field(id="description", name="Description", kind=Kind.TEXT),
        Field(
            id="priority",
            name="Priority",
            kind=Kind.PRIORITY,
            allowed=(
                ("1", "Highest"),
                ("2", "High"),
                ("3", "Medium"),
                ("4", "Low"),
                ("5", "Lowest"),
            ),
        ),
        Field(id="labels", name="Labels", kind=Kind.LABELS),
        Field(id="duedate", name="Due date", kind=Kind.DATE),
        Field(id="assignee", name="Assignee", kind=Kind.USER),
        Field(id="reporter", name="Reporter", kind=Kind.USER),
        Field(
            id="customfield_10050",
            name="Resolution category",
            kind=Kind.OPTION,
            custom="select",
            allowed=(
                ("10100", "Billing"),
                ("10101", "Delivery"),
                ("10102", "Account"),
                ("10103", "Other"),
            ),
        ),
        Field(id="customfield_10051", name="Answer", kind=Kind.TEXT, custom="textarea"),
        Field(id="customfield_10052", name="Refund amount", kind=Kind.NUMBER, custom="float"),
        Field(id="customfield_10053", name="Order number", kind=Kind.STRING, custom="textfield"),
        Field(id="customfield_10054", name="Call back at", kind=Kind.DATETIME, custom="datetime"),
        Field(id="status", name="Status", kind=Kind.FIXED),
        Field(id="issuetype", name="Issue Type", kind=Kind.FIXED),
        Field(id="project", name="Project", kind=Kind.FIXED),
    )
}


def unsettable(name: str) -> str:
    return f"Field '{name}' cannot be set. It is not on the appropriate screen, or unknown."


def parse(field: Field, raw: object, dialect: Dialect) -> object:
    """The canonical value of what somebody sent. Raises FieldValueError."""
    if raw is None or raw == "":
        if field.required:
            raise FieldValueError(f"You must specify a {field.name.lower()} of the issue.")
        return [] if field.kind is Kind.LABELS else None
    return _PARSERS[field.kind](field, raw, dialect)


def _string(field: Field, raw: object, dialect: Dialect) -> str:
    del dialect
    if not isinstance(raw, str):
        raise FieldValueError("Operation value must be a string")
    if field.id == "summary" and ("\n" in raw or "\r" in raw):
        raise FieldValueError("The summary is invalid because it contains newline characters.")
    if len(raw) > MAX_STRING:
        if field.id == "summary":
            raise FieldValueError("Summary can't exceed 255 characters.")
        raise FieldValueError(
            "The entered text is too long. It exceeds the allowed limit of 255 characters."
        )
    return raw


def _text(field: Field, raw: object, dialect: Dialect) -> object:
    del field
    if dialect.documents and not documents.is_document(raw):
        raise FieldValueError(
            "Operation value must be an Atlassian Document (see the Atlassian Document Format)"
        )
    if not dialect.documents and not isinstance(raw, str):
        raise FieldValueError("Operation value must be a string")
    if documents.too_long(raw):
        raise FieldValueError(
            "The entered text is too long. It exceeds the allowed limit of 32,767 characters."
        )
    return raw


def _number(field: Field, raw: object, dialect: Dialect) -> float:
    del field, dialect
    if isinstance(raw, bool) or not isinstance(raw, int | float):
        raise FieldValueError("Operation value must be a number")
    return float(raw)


def _choice(field: Field, raw: object, dialect: Dialect) -> str:
    del dialect
    if not isinstance(raw, dict):
        raise FieldValueError(f"Specify a valid 'id' or 'name' for {field.name}")
    named = raw.get("name" if field.kind is Kind.PRIORITY else "value")
    for number, name in field.allowed:
        if str(raw.get("id")) == number or named == name:
            return number
    if field.kind is Kind.PRIORITY:
        raise FieldValueError(f"The priority selected is invalid. '{named or raw.get('id')}'")
    raise FieldValueError(f"Option value '{named or raw.get('id')}' is not valid")


def _labels(field: Field, raw: object, dialect: Dialect) -> list[str]:
    del field, dialect
    if not isinstance(raw, list) or not all(isinstance(label, str) for label in raw):
        raise FieldValueError("data was not an array")
    for label in raw:
        if any(character.isspace() for character in label):
            raise FieldValueError(f"The label '{label}' contains spaces which is invalid.")
        if len(label) > MAX_STRING:
            raise FieldValueError(
                f"The label '{label}' exceeds the maximum length of 255 characters."
            )
    return sorted(set(raw))


def _date(field: Field, raw: object, dialect: Dialect) -> str:
    del field, dialect
    try:
        return date.fromisoformat(str(raw)).isoformat()
    except ValueError as error:
        raise FieldValueError(f"Error parsing date string: {raw}") from error


def _datetime(field: Field, raw: object, dialect: Dialect) -> float:
    del field, dialect
    try:
        moment = datetime.fromisoformat(str(raw))
    except ValueError as error:
        raise FieldValueError(f"Error parsing time: {raw}") from error
    if moment.tzinfo is None:
        raise FieldValueError(f"Error parsing time: {raw}")
    return moment.timestamp()


def _user(field: Field, raw: object, dialect: Dialect) -> str:
    del field
    if not isinstance(raw, dict):
        raise FieldValueError("data was not an object")
    wanted = raw.get("accountId") or raw.get("id") if dialect.cloud else raw.get("name")
    for account in ACCOUNTS:
        if wanted == (account.account_id if dialect.cloud else account.name):
            return account.account_id
    raise FieldValueError(f"User '{wanted}' does not exist.")


def _fixed(field: Field, raw: object, dialect: Dialect) -> object:
    del raw, dialect
    raise FieldValueError(unsettable(field.id))


_PARSERS = {
    Kind.STRING: _string,
    Kind.TEXT: _text,
    Kind.NUMBER: _number,
    Kind.OPTION: _choice,
    Kind.PRIORITY: _choice,
    Kind.LABELS: _labels,
    Kind.DATE: _date,
    Kind.DATETIME: _datetime,
    Kind.USER: _user,
    Kind.FIXED: _fixed,
}
