"""A SharePoint list as somebody else runs it (the stand-in's), and write-backs to its items."""

import json
import uuid
from pathlib import Path
from typing import Any

from tests.support.sandbox import Sandbox

from contract.events import Target as Place
from contract.targets import TargetConfig
from dispatcher.targets.sharepoint import SharePointTarget
from dispatcher.writeback import Audit, WriteBack

INSTANCE = "articles"
PLACET = ("0b7c2f3e-5d1a-4c55-9a0e-000000000001", "sharepoint-sandbox-secret")
READER = ("0b7c2f3e-5d1a-4c55-9a0e-000000000002", "sharepoint-reader-secret")
OUTSIDER = ("0b7c2f3e-5d1a-4c55-9a0e-000000000003", "sharepoint-outsider-secret")
OWNER = ("0b7c2f3e-5d1a-4c55-9a0e-000000000004", "sharepoint-owner-secret")
COLUMNS = (
    "Title",
    "Answer",
    "Category",
    "Audience",
    "RefundLimit",
    "Published",
    "ReviewedOn",
    "Source",
)
ITEM = r"getItemById\(\d+\)(\?|$)"
AUDIT = Audit(decision_id="d", correlation_id="c", reviewers=("Rita",), timestamp="t")


def config(base: str, **changes: Any) -> TargetConfig:
    values: dict[str, Any] = {
        "name": INSTANCE,
        "kind": "sharepoint",
        "dispatcher_url": "http://127.0.0.1:1",
        "url": f"{base}/sites/support",
        "secret_file": "secret.json",
        "table": "Knowledge articles",
        "columns": COLUMNS,
    }
    return TargetConfig(**(values | changes))


def write_secret(folder: Path, url: str, app: tuple[str, str] = PLACET, **changes: str) -> Path:
    values = {
        "client_id": app[0],
        "client_secret": app[1],
        "token_url": f"{url}/tenant/oauth2/v2.0/token",
    }
    path = folder / "secret.json"
    path.write_text(json.dumps(values | changes), encoding="utf-8")
    return path


def target(
    sandbox: Sandbox,
    folder: Path,
    app: tuple[str, str] = PLACET,
    *,
    limit: float = 5.0,
    **changes: Any,
) -> SharePointTarget:
    secret = write_secret(folder, sandbox.url, app)
    return SharePointTarget(config(sandbox.url, **changes), secret, limit=limit)


def change(identifier: str, **fields: tuple[Any, Any]) -> WriteBack:
    """`fields`: name -> (value, seen) as Python values."""
    return WriteBack(
        write_back_id=str(uuid.uuid4()),
        target=Place(system="sharepoint", instance=INSTANCE, identifier=identifier),
        step="fields",
        fields={name: json.dumps(value) for name, (value, _) in fields.items()},
        seen={name: json.dumps(seen) for name, (_, seen) in fields.items()},
        comment=None,
        audit=AUDIT,
    )


def ours(sandbox: Sandbox, record: str | None = None) -> list[dict[str, Any]]:
    """The effects of the dispatcher, from the stand-in's own log."""
    return [one for one in sandbox.effects(record) if one["via"] == "api"]


def sent(sandbox: Sandbox, method: str | None = None) -> list[dict[str, Any]]:
    """Requests to the site itself, as the stand-in counted them."""
    return [
        one
        for one in sandbox.requests()
        if "_api" in one["path"] and method in (None, one["method"])
    ]
