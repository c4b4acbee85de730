"""Reading one issue: fields as JSON text, marker, edit metadata and history, in one request.

Owns what an issue's name may look like and what "missing" means: gone, or hidden from us.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from dispatcher.targets.jira_client import Client, ReadFailedError
from dispatcher.targets.jira_fields import Editing, editing_of, shown
from dispatcher.targets.jira_history import Entry, entries
from dispatcher.targets.jira_site import Site, sees_project, unexpected
from dispatcher.writeback import Code, Refused, Unavailable

_KEY: Final = re.compile(r"[A-Z][A-Z0-9_]{1,254}-[1-9][0-9]{0,17}", re.ASCII)
MARKER: Final = "placet"
NOT_FOUND: Final = Refused(code=Code.RECORD_NOT_FOUND, detail="there is no such issue")
BAD_IDENTIFIER: Final = Refused(
    code=Code.BAD_IDENTIFIER, detail="an issue's name is its key, like SUP-1"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Issue:
    """An issue as read. `marker`: the value of the property that was asked for, or None.

    `editing`: by field; None where the account may edit nothing of it.
    """

    id: str
    key: str
    fields: Mapping[str, str]
    updated: str
    marker: Any = None
    editing: Mapping[str, Editing] | None = None
    history: tuple[Entry, ...] = ()


def is_key(identifier: str) -> bool:
    """Tell whether it is an issue's key in its canonical form (Jira takes others, too)."""
    return _KEY.fullmatch(identifier) is not None


def issue_path(identifier: str, *more: str) -> str:
    """Return the path of an issue, or of something below it."""
    return "/".join(["issue", *(quote(part, safe="") for part in (identifier, *more))])


def marker_key(write_back_id: str) -> str:
    """Return the key of the issue property that says: this write-back is in here."""
    return f"{MARKER}.{write_back_id}"


def fetch(
    client: Client,
    site: Site,
    identifier: str,
    names: Collection[str],
    *,
    marker: str | None = None,
    expand: str = "",
) -> Issue:
    """Read an issue. `expand`: "editmeta", "changelog", or both with a comma.

    Raises:
        ReadFailedError: Refused(RECORD_NOT_FOUND) where there is none, or it has another key now.
    """
    asked = {"fields": ",".join(["updated", *names])}
    if marker is not None:
        asked["properties"] = marker
    if expand:
        asked["expand"] = expand
    try:
        found = client.get(issue_path(identifier), asked)
    except ReadFailedError as failed:
        missing = isinstance(failed.outcome, Refused) and (
            failed.outcome.code is Code.RECORD_NOT_FOUND
        )
        if missing and not sees_project(client, identifier):
            raise _hidden() from None
        raise
    try:
        issue = _issue(found, site, names, marker)
    except (KeyError, TypeError, ValueError, AttributeError):
        raise unexpected("an issue") from None
    if issue.key != identifier and issue.marker is None:
        raise ReadFailedError(
            Refused(code=Code.RECORD_NOT_FOUND, detail="the issue was moved to another key")
        )
    return issue


def _hidden() -> ReadFailedError:
    return ReadFailedError(
        Unavailable(
            code=Code.PERMISSION_DENIED,
            detail="no such project, or the account may not look into it",
        )
    )


def _issue(found: Any, site: Site, names: Collection[str], marker: str | None) -> Issue:
    values = found["fields"]
    properties = found.get("properties") or {}
    described = (found.get("editmeta") or {}).get("fields")
    return Issue(
        id=str(int(found["id"])),
        key=found["key"],
        fields={
            name: shown(site.fields[name], values.get(name), cloud=site.cloud) for name in names
        },
        updated=str(values["updated"]),
        marker=None if marker is None else properties.get(marker),
        editing={name: editing_of(described[name], site.fields[name])
                 for name in names if name in described} if described else None,
        history=entries(
            (found.get("changelog") or {}).get("histories") or (), site.fields, cloud=site.cloud
        ),
    )  # fmt: skip
