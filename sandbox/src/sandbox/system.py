"""What the panel, the page and the fault layer need to know of a stand-in."""

from collections.abc import Mapping
from typing import Any, Protocol

from starlette.responses import Response

from sandbox.faults import Fault
from sandbox.store import JsonObject


class UnknownRecordError(LookupError):
    """No record has that name."""


class RefusedEditError(ValueError):
    """A person could not have made this edit either; the message says why."""


class System(Protocol):
    """One stand-in. Nothing here blocks for long; writes are durable on return."""

    name: str
    title: str
    record_word: str
    title_field: str

    def records(self) -> list[JsonObject]:
        """Each: record, title, url, version, fields {name: text}, markers {}, comments [{...}]."""

    def edit(self, record: str, fields: Mapping[str, Any], by: str) -> None:
        """Somebody changes the record in the browser.

        Raises:
            UnknownRecordError: there is no such record.
            RefusedEditError: the system would not let a person do that.
        """

    def delete(self, record: str, by: str) -> None:
        """Somebody deletes the record. Raises UnknownRecordError."""

    def refuse(self, fault: Fault) -> Response:
        """An error answer with the fault's status, worded as the system words it."""
