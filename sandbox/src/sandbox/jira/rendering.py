"""How values, people and moments look in Jira's answers. Pure."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from sandbox.jira import documents
from sandbox.jira.accounts import BY_ID, Account
from sandbox.jira.fields import Dialect, Field, Kind


def render(field: Field, value: Any, dialect: Dialect) -> object:
    """What this caller sees of a canonical value."""
    if value is None:
        return [] if field.kind is Kind.LABELS else None
    match field.kind:
        case Kind.TEXT:
            return documents.to_document(value) if dialect.documents else documents.to_wiki(value)
        case Kind.OPTION:
            return {
                "self": dialect.url(f"customFieldOption/{value}"),
                "value": dict(field.allowed)[value],
                "id": value,
            }
        case Kind.PRIORITY:
            name = dict(field.allowed)[value]
            icon = f"{dialect.base}/images/icons/priorities/{name.lower()}.svg"
            return {
                "self": dialect.url(f"priority/{value}"),
                "iconUrl": icon,
                "name": name,
                "id": value,
            }
        case Kind.DATETIME:
            return timestamp(value)
        case Kind.USER:
            return user(BY_ID[value], dialect)
        case _:
            return value


def shown(field: Field, value: Any) -> str | None:
    """What the changelog and the page say of a canonical value."""
    if value is None or value == []:
        return None
    match field.kind:
        case Kind.OPTION | Kind.PRIORITY:
            return dict(field.allowed)[value]
        case Kind.LABELS:
            return " ".join(value)
        case Kind.DATETIME:
            return timestamp(value)
        case Kind.USER:
            return BY_ID[value].display_name
        case Kind.NUMBER:
            return f"{value:.15g}"
        case Kind.FIXED:
            return str(value.get("name"))
        case _:
            return documents.plain(value)


def change_item(field: Field, before: Any, after: Any) -> dict[str, Any]:
    """One line of a history. Ids appear where the value is one, as Jira does."""
    has_id = field.kind in {Kind.OPTION, Kind.PRIORITY, Kind.USER}
    return {
        "field": field.id if field.custom is None else field.name,
        "fieldtype": "jira" if field.custom is None else "custom",
        "fieldId": field.id,
        "from": before if has_id else None,
        "fromString": shown(field, before),
        "to": after if has_id else None,
        "toString": shown(field, after),
    }


def user(account: Account, dialect: Dialect) -> dict[str, Any]:
    common = {"displayName": account.display_name, "active": True, "timeZone": "Etc/UTC",
              "emailAddress": account.email}  # fmt: skip
    if dialect.cloud:
        link = dialect.url(f"user?accountId={account.account_id}")
        return {"self": link, "accountId": account.account_id, "accountType": "atlassian", **common}
    link = dialect.url(f"user?username={account.name}")
    return {"self": link, "name": account.name, "key": account.name, **common}


def timestamp(seconds: float) -> str:
    """`2026-11-24T10:00:00.000+0000`: milliseconds, no colon in the zone."""
    moment = datetime.fromtimestamp(seconds, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}+0000"


def edit_metadata(field: Field, dialect: Dialect) -> Mapping[str, Any]:
    operations = ["add", "set", "remove"] if field.kind is Kind.LABELS else ["set"]
    metadata: dict[str, Any] = {
        "required": field.required,
        "schema": field.schema,
        "name": field.name,
        "key": field.id,
        "operations": operations,
    }
    if field.allowed:
        metadata["allowedValues"] = [render(field, number, dialect) for number, _ in field.allowed]
    return metadata
