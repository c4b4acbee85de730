"""The issues a new Jira stand-in has, from `seed.toml`."""

import tomllib
from datetime import UTC, datetime
from importlib.resources import files

from sandbox.jira.accounts import BY_NAME
from sandbox.jira.documents import to_document
from sandbox.jira.records import FIRST_ID, Records
from sandbox.store import JsonObject, Store

PROJECT = "SUP"
FIXED: JsonObject = {
    "status": {"id": "1", "name": "Open"},
    "issuetype": {"id": "10002", "name": "Task", "subtask": False},
    "project": {"id": "10000", "key": PROJECT, "name": "Support"},
}
"""What every issue has and nobody edits."""
CREATED = datetime(2026, 10, 1, 9, 0, tzinfo=UTC).timestamp()


class Seeder:
    """Callable as `Store` wants it."""

    def __init__(self, *, cloud: bool) -> None:
        self._cloud = cloud

    def __call__(self, store: Store) -> None:
        records = Records(store)
        for number, issue in enumerate(_issues()):
            text = issue["description"]
            fields: JsonObject = {
                "summary": issue["summary"],
                "description": to_document(text) if self._cloud else text,
                "priority": issue["priority"],
                "labels": ["support"],
                "duedate": None,
                "assignee": BY_NAME["dana"].account_id,
                "reporter": BY_NAME["admin"].account_id,
                "customfield_10050": issue["category"],
                "customfield_10051": None,
                "customfield_10052": issue.get("refund"),
                "customfield_10053": issue.get("order"),
                "customfield_10054": None,
                **FIXED,
            }
            records.create(FIRST_ID + number, f"{PROJECT}-{number + 1}", fields, CREATED + number)


def _issues() -> list[JsonObject]:
    text = files("sandbox.jira").joinpath("seed.toml").read_text(encoding="utf-8")
    issues: list[JsonObject] = tomllib.loads(text)["issue"]
    return issues
