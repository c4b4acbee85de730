"""What a SharePoint target is: its list, columns and rights, as the site describes them.

Owns the refusals at start: what is missing, and what is too broad. Changes nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from contract.targets import TargetConfig
from dispatcher.targets.sharepoint_answers import Answer, LostError, later, missing
from dispatcher.targets.sharepoint_client import Client
from dispatcher.targets.sharepoint_fields import Field, field_of
from dispatcher.targets.target import StartRefusedError

MARKER: Final = "PlacetWriteBack"
"""The column that every write puts its idempotency key into, with the fields, in one request."""

# SharePoint's permission bits (SP.PermissionKind), low word.
VIEW_ITEMS, EDIT_ITEMS, VIEW_VERSIONS = 0x1, 0x4, 0x40
_NEEDED: Final = {VIEW_ITEMS: "ViewListItems", EDIT_ITEMS: "EditListItems",
                  VIEW_VERSIONS: "ViewVersions"}  # fmt: skip
_BROAD: Final = {0x800: "ManageLists", 0x2000000: "ManagePermissions", 0x40000000: "ManageWeb"}
_KEY_LENGTH: Final = 36


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemList:
    """A target list, checked. `fields` are the configured ones, by internal name."""

    fields: Mapping[str, Field]
    marker: Field

    @property
    def names(self) -> tuple[str, ...]:
        """Return what the configured columns and the marker are called in an item's JSON."""
        return (*(field.json_name for field in self.fields.values()), self.marker.json_name)


def check_config(config: TargetConfig) -> None:
    """Refuse a configuration that cannot be a SharePoint target's.

    Raises:
        StartRefusedError: the message says what to write instead.
    """
    if not config.url or not config.table or not config.secret_file or not config.columns:
        raise StartRefusedError(
            "CONFIG_INCOMPLETE",
            f"target {config.name!r}: url (the site's), table (the list's title), secret_file and "
            "columns (internal names of what may be changed) are needed",
        )
    if config.version_column is not None or config.key_column is not None:
        raise StartRefusedError(
            "CONFIG_INCOMPLETE",
            f"target {config.name!r}: key_column and version_column are for SQL; items have ids "
            "and ETags",
        )
    if MARKER in config.columns or "?" in config.url or "#" in config.url:
        raise StartRefusedError(
            "CONFIG_INCOMPLETE",
            f"target {config.name!r}: {MARKER} is the dispatcher's own column, and the url is the "
            "site's, without a query",
        )


def inspect(client: Client, config: TargetConfig) -> ItemList:
    """Return the list that `config` names, after every check. Three requests.

    Raises:
        StartRefusedError: it must not be worked with; the message says what to do.
        LostError: the target is away, or refuses even to be looked at.
    """
    web = _object(client.web_rights(), "SITE_NOT_FOUND", f"there is no site at {config.url}")
    _refuse_broad_rights(_rights(web))
    settings = _object(
        client.list_settings(),
        "LIST_NOT_FOUND",
        f"the site has no list {config.table!r} for this login",
    )
    _refuse_broad_rights(_rights(settings))
    lacking = [name for bit, name in _NEEDED.items() if not _rights(settings) & bit]
    if lacking:
        raise StartRefusedError(
            "MISSING_RIGHTS", f"the login lacks {', '.join(lacking)} on the list {config.table!r}"
        )
    if settings.get("EnableVersioning") is not True:
        raise StartRefusedError(
            "NO_VERSIONS",
            f"turn on version history for the list {config.table!r}: it tells what was written "
            "before a later write",
        )
    return _item_list(config, _fields(client.fields()))


def _object(answer: Answer, code: str, message: str) -> dict[str, Any]:
    document = answer.document
    if missing(answer):
        raise StartRefusedError(code, message)
    if answer.status != 200 or not isinstance(document, dict) or answer.error:  # noqa: PLR2004
        raise LostError(replace(later(answer), whole_target=True))
    return document


def _fields(answer: Answer) -> dict[str, Field]:
    rows = _object(answer, "LIST_NOT_FOUND", "the list went away").get("value")
    if not isinstance(rows, list):
        raise LostError(later(answer))
    found = (field_of(row) for row in rows if isinstance(row, dict))
    return {field.name: field for field in found if field is not None}


def _rights(document: Mapping[str, Any]) -> int:
    rights = document.get("EffectiveBasePermissions")
    low = rights.get("Low") if isinstance(rights, dict) else None
    return int(low) if isinstance(low, str | int) and str(low).isdecimal() else 0


def _refuse_broad_rights(rights: int) -> None:
    broad = [name for bit, name in _BROAD.items() if rights & bit]
    if broad:
        raise StartRefusedError(
            "TOO_BROAD_RIGHTS",
            f"the dispatcher's login can do more than edit items: {', '.join(broad)}. Grant its "
            "app Sites.Selected (or Lists.SelectedOperations.Selected) with the role write",
        )


def _item_list(config: TargetConfig, fields: Mapping[str, Field]) -> ItemList:
    absent = [name for name in config.columns if name not in fields]
    if absent:
        raise StartRefusedError(
            "COLUMN_NOT_FOUND",
            f"{config.table} has no column with the internal name {', '.join(absent)}",
        )
    unwritable = [
        f"{name} is {fields[name].unwritable}"
        for name in config.columns
        if fields[name].unwritable is not None
    ]
    if unwritable:
        raise StartRefusedError("COLUMN_NOT_WRITABLE", "; ".join(unwritable))
    marker = fields.get(MARKER)
    if marker is None or marker.type != "Text" or marker.unwritable or marker.required:
        raise StartRefusedError(
            "NO_MARKER_COLUMN",
            f"add a column {MARKER} to {config.table}: a single line of text, not required. It may "
            "be hidden from every view",
        )
    if (marker.length or 0) < _KEY_LENGTH:
        raise StartRefusedError("NO_MARKER_COLUMN", f"{MARKER} holds less than {_KEY_LENGTH}")
    return ItemList(fields={name: fields[name] for name in config.columns}, marker=marker)
