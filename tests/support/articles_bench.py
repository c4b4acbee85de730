"""The SharePoint stand-in as a bench of the conformance suite."""

import json
from pathlib import Path
from typing import Any

from tests.support import articles
from tests.support.renamed_target import RenamedTarget
from tests.support.sandbox import Sandbox

IDENTIFIERS = {"a": "1", "b": "2", "c": "3", "d": "4", "e": "5"}
FIELDS = {"answer": "Answer", "status": "Title", "price": "RefundLimit", "short": "PlacetKey"}


class SharePointBench:
    """Items 1 to 5 as the suite wants them: version 1, status draft, everything else empty."""

    holds: tuple[dict[str, Any], ...] = (
        {"answer": (None, "")},  # the column is not required
        {"price": (1.234, None)},  # numbers are doubles
        {"price": (123456789012, None)},
    )
    knows_every_key = False  # a key is looked for in its own item

    def __init__(self, sandbox: Sandbox, folder: Path) -> None:
        self._sandbox = sandbox
        for one in IDENTIFIERS.values():
            fields = {"Title": "draft", "Answer": "", "RefundLimit": None}
            sandbox.post("edit", record=one, fields=fields)
        inner = articles.target(sandbox, folder, columns=tuple(FIELDS.values()))
        self.target = RenamedTarget(
            inner=inner,
            identifiers=IDENTIFIERS,
            fields=FIELDS,
            # Counted from the edit above. An ETag is `"<guid>,<count>"`.
            version=lambda etag: str(int(etag.rpartition(",")[2].strip('"')) - 1),
            empty=frozenset({"answer"}),
            stretch={"short": lambda text: text * 50},  # the shortest column takes 255
        )

    def edit(self, identifier: str, field: str, text: str) -> None:
        fields = {FIELDS[field]: json.loads(text)}
        self._sandbox.post("edit", record=IDENTIFIERS[identifier], fields=fields)

    def effects(self) -> int:
        return len(articles.ours(self._sandbox))
