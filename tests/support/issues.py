"""Jira issues of the stand-in as a target: its configuration, its secrets, write-backs for it."""

import json
import uuid
from pathlib import Path
from typing import Any

from tests.support.sandbox import Sandbox

from contract.events import Target as Place
from contract.targets import TargetConfig
from dispatcher.targets.jira import JiraTarget
from dispatcher.writeback import Audit, WriteBack

INSTANCE = "jira-demo"
CLOUD = {"email": "placet@example.test", "token": "jira-sandbox-token"}
DATA_CENTER = {"token": "jira-sandbox-token"}
COLUMNS = (
    "summary",
    "description",
    "priority",
    "labels",
    "duedate",
    "assignee",
    "customfield_10050",
    "customfield_10051",
    "customfield_10052",
    "customfield_10053",
    "customfield_10054",
)
AUDIT = Audit(
    decision_id="8f0e7b6a-0000-4000-8000-000000000001",
    correlation_id="c",
    reviewers=("Rita Reviewer",),
    timestamp="2026-11-24T10:00:00.000000Z",
    citations=("Handbook, page 4", "https://example.test/a_b"),
)


def config(url: str, **more: Any) -> TargetConfig:
    values: dict[str, Any] = {
        "columns": COLUMNS,
        "identifier_pattern": "SUP-[0-9]+",
        "dispatcher_url": "http://127.0.0.1:1",
        **more,
    }
    return TargetConfig(name=INSTANCE, kind="jira", url=url, **values)


def write_secret(folder: Path, secret: Any = CLOUD) -> Path:
    path = folder / "jira.secret"
    path.write_text(json.dumps(secret))
    return path


def target(
    sandbox: Sandbox, folder: Path, secret: Any = None, *, settle: float = 0.0, limit: float = 2.0
) -> JiraTarget:
    """`settle` 0: whatever took a fence before may be taken over at once."""
    if secret is None:
        secret = DATA_CENTER if "data-center" in sandbox.arguments else CLOUD
    path = write_secret(folder, secret)
    return JiraTarget(config(sandbox.url), path, limit=limit, settle=settle)


def change(
    identifier: str,
    step: str = "fields",
    comment: str | None = None,
    /,
    **fields: tuple[Any, Any],
) -> WriteBack:
    """`fields`: name -> (value, seen) as Python values."""
    return WriteBack(
        write_back_id=str(uuid.uuid4()),
        target=Place(system="jira", instance=INSTANCE, identifier=identifier),
        step=step,
        fields={name: json.dumps(value) for name, (value, _) in fields.items()},
        seen={name: json.dumps(seen) for name, (_, seen) in fields.items()},
        comment=comment,
        audit=AUDIT,
    )


def note(identifier: str, comment: str = "Refund is due.") -> WriteBack:
    return change(identifier, "comment", comment)
