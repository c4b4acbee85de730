"""What somebody has typed and not sent: kept per person and item, so that nothing typed is lost.

Owns its form. Nobody else ever reads it, and nothing is decided by it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import UUID

import msgspec
import orjson

from review_api.problems import Code, ProblemError
from review_api.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Typed:
    """The text in the fields, by name, as it was typed."""

    fields: Mapping[str, str] = field(default_factory=dict)
    comment: str = ""
    reason_code: str = ""


class Drafts:
    """Keeps and gives drafts."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def save(self, person_id: UUID, item_id: UUID, revision: int, typed: Typed) -> None:
        """Keep `typed` in place of what was kept. Durable on return.

        Raises:
            ProblemError: NOT_FOUND.
        """
        values = {
            "person": person_id,
            "item": item_id,
            "revision": revision,
            "body": orjson.dumps(msgspec.to_builtins(typed)).decode(),
        }
        if await self._store.one("save_draft", values) is None:
            raise ProblemError(Code.NOT_FOUND, f"There is no item {item_id}.")

    async def said(self, person_id: UUID, item_id: UUID) -> None:
        """Take the comment out of what is kept: it has been said. The rest stays."""
        asked = {"person": person_id, "item": item_id}
        row = await self._store.one("draft", asked)
        if row is not None:
            kept = msgspec.json.decode(row["body"], type=Typed)
            rest = Typed(fields=kept.fields, reason_code=kept.reason_code)
            await self.save(person_id, item_id, row["revision"], rest)

    async def read(self, person_id: UUID, item_id: UUID) -> Typed:
        """Return what is kept, or nothing typed. Of an earlier revision the comment alone."""
        row = await self._store.one("draft", {"person": person_id, "item": item_id})
        if row is None:
            return Typed()
        kept = msgspec.json.decode(row["body"], type=Typed)
        return kept if row["current"] else Typed(comment=kept.comment)
