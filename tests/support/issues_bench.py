"""The Jira stand-in as a bench of the conformance suite."""

import json
from pathlib import Path
from typing import Any

from tests.support import issues
from tests.support.renamed_target import RenamedTarget
from tests.support.sandbox import Sandbox

from dispatcher.targets.jira import JiraTarget
from dispatcher.targets.target import Snapshot

IDENTIFIERS = {"a": "SUP-1", "b": "SUP-2", "c": "SUP-3", "d": "SUP-4", "e": "SUP-5"}
FIELDS = {
    "answer": "customfield_10051",
    "status": "summary",
    "price": "customfield_10052",
    "short": "customfield_10053",
}


def renamed(inner: JiraTarget) -> RenamedTarget:
    """Versions are moments: they are counted in the order in which they are first told."""
    told: dict[str, str] = {}
    return RenamedTarget(
        inner=inner,
        identifiers={**IDENTIFIERS, "1": "SUP-1"},  # an id of every kind of target
        fields=FIELDS,
        version=lambda moment: told.setdefault(moment, str(len(told) + 1)),
        empty=frozenset({"answer"}),
        stretch={"short": lambda text: text * 50},  # the shortest field takes 255
    )


class JiraBench:
    """Issues 1 to 5 as the suite wants them: version 1, status draft, everything else empty."""

    holds: tuple[dict[str, Any], ...] = (
        {"answer": (None, "")},  # the field is not required
        {"price": (1.234, None)},  # numbers are doubles
        {"price": (123456789012, None)},
    )
    knows_every_key = False  # a key is looked for in its own issue

    def __init__(self, sandbox: Sandbox, folder: Path) -> None:
        self._sandbox = sandbox
        for one in IDENTIFIERS.values():
            fields = dict.fromkeys(FIELDS.values()) | {"summary": "draft"}
            sandbox.post("edit", record=one, fields=fields)
        self.target = renamed(issues.target(sandbox, folder))
        assert isinstance(self.target.read("a"), Snapshot)

    def edit(self, identifier: str, field: str, text: str) -> None:
        fields = {FIELDS[field]: json.loads(text)}
        self._sandbox.post("edit", record=IDENTIFIERS[identifier], fields=fields)

    def effects(self) -> int:
        return sum(one["via"] == "api" for one in self._sandbox.effects())
