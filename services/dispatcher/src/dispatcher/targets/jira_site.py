"""What kind of Jira a site is, what its fields are, and whether this account may be used there.

Owns the differences that are asked once: Cloud speaks API v3 with documents and account ids, Data
Center v2 with wiki markup and user names. Owns the checks at start, least privilege among them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from contract.targets import TargetConfig
from dispatcher.targets.jira_client import Client, ReadFailedError
from dispatcher.targets.jira_fields import Field, Kind, field_of
from dispatcher.targets.jira_secret import Secret
from dispatcher.targets.target import StartRefusedError
from dispatcher.writeback import Code, Refused, Unavailable

ASKED_IN: Final = "2"
"""The API version that both kinds have."""
_TOO_BROAD: Final = ("ADMINISTER", "SYSTEM_ADMIN")
_NEEDED: Final = ("BROWSE_PROJECTS", "EDIT_ISSUES", "ADD_COMMENTS", "EDIT_OWN_COMMENTS")
MAY_DELETE: Final = "DELETE_OWN_COMMENTS"


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """What was learned of a site. `me`: the account id (Cloud) or user name (Data Center)."""

    cloud: bool
    me: str
    fields: Mapping[str, Field]

    @property
    def version(self) -> str:
        """Return the API version to speak."""
        return "3" if self.cloud else "2"


def unexpected(what: str) -> ReadFailedError:
    """Return the failure of an answer that is JSON, but not what Jira documents."""
    return ReadFailedError(
        Unavailable(
            code=Code.TARGET_CHANGED, detail=f"{what}: not what Jira answers", whole_target=True
        )
    )


def learn(client: Client) -> Site:
    """Ask a site what it is. Three requests, all reading.

    Raises:
        ReadFailedError: it does not say.
    """
    info = client.get("serverInfo")
    me = client.get("myself")
    fields = client.get("field")
    try:
        cloud = info["deploymentType"] == "Cloud"
        return Site(
            cloud=cloud,
            me=me["accountId" if cloud else "name"],
            fields={one.id: one for one in map(field_of, fields)},
        )
    except (KeyError, TypeError, AttributeError):
        raise unexpected("serverInfo, myself or field") from None


def check_secret(site: Site, secret: Secret) -> None:
    """Check that the secret is of the kind that this site takes.

    Raises:
        StartRefusedError: it is not.
    """
    if site.cloud and secret.email is None:
        raise StartRefusedError("BAD_SECRET", 'Jira Cloud signs in with {"email", "token"}')
    if not site.cloud and secret.email is not None:
        raise StartRefusedError(
            "BAD_SECRET", 'Jira Data Center signs in with a personal access token: {"token"}'
        )


def check_columns(config: TargetConfig, site: Site) -> None:
    """Check that `columns` are ids of fields that can be written.

    Raises:
        StartRefusedError: one is not, or there are none.
    """
    if not config.columns:
        raise StartRefusedError(
            "CONFIG_INCOMPLETE", f"target {config.name!r}: columns lists the fields to change"
        )
    missing = [name for name in config.columns if name not in site.fields]
    if missing:
        raise StartRefusedError(
            "COLUMN_NOT_FOUND",
            f"there is no field with the id {', '.join(missing)} (ids, not names: summary, "
            "customfield_10050)",
        )
    fixed = [name for name in config.columns if site.fields[name].kind is Kind.OTHER]
    if fixed:
        raise StartRefusedError(
            "COLUMN_TYPE_NOT_SUPPORTED",
            f"fields of this type are not written: {', '.join(fixed)} (transitions are not "
            "supported; text, numbers, dates, people, labels, options, priorities are)",
        )


def check_rights(client: Client, account: str) -> None:
    """Check that the account can do what is needed, and is no administrator.

    Raises:
        StartRefusedError: its rights are broader or narrower.
        ReadFailedError: Jira does not say.
    """
    broad = [one for name in _TOO_BROAD for one in _held(client, name, optional=True)]
    if broad:
        raise StartRefusedError(
            "TOO_BROAD_RIGHTS",
            f"the account {account} is an administrator ({', '.join(broad)}): give the dispatcher "
            f"an account of its own with {', '.join(_NEEDED)} in its project and nothing else",
        )
    held = _held(client, ",".join((*_NEEDED, MAY_DELETE)))
    missing = [name for name in _NEEDED if name not in held]
    if missing:
        raise StartRefusedError(
            "MISSING_RIGHTS",
            f"the account {account} lacks {', '.join(missing)}: grant them in the project's "
            "permission scheme",
        )


def _held(client: Client, names: str, *, optional: bool = False) -> list[str]:
    """Return those of the permissions that the account has, in any project."""
    try:
        found = client.get("mypermissions", {"permissions": names})
    except ReadFailedError as failed:
        # Not every Jira has every permission; one that it does not know, nobody has.
        if optional and isinstance(failed.outcome, Refused):
            return []
        raise
    return _granted(found, names.split(","))


def _granted(found: Any, names: list[str]) -> list[str]:
    try:
        permissions = found["permissions"]
        return [name for name in names if permissions.get(name, {}).get("havePermission") is True]
    except (KeyError, TypeError, AttributeError):
        raise unexpected("mypermissions") from None


def sees_project(client: Client, key: str) -> bool:
    """Tell whether the account may look into the project of an issue that Jira calls missing.

    Raises:
        ReadFailedError: Jira does not say.
    """
    asked = {"projectKey": key.rpartition("-")[0], "permissions": "BROWSE_PROJECTS"}
    try:
        found = client.get("mypermissions", asked)
    except ReadFailedError as failed:
        if isinstance(failed.outcome, Refused):
            return False
        raise
    return _granted(found, ["BROWSE_PROJECTS"]) != []
