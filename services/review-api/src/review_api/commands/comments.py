"""Say something of an item without deciding it. The text stays here; that it was said is told.

One comment per person and key: a request sent again finds the comment that it made.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import psycopg

from contract.identity import Digester
from review_api.commands.activity import About, activity
from review_api.commands.statements import deciding_role
from review_api.problems import Code, ProblemError
from review_api.store import Actor, Store, actor_of

Admit = Callable[[Actor | None], Actor]


@dataclass(frozen=True, slots=True, kw_only=True)
class Comment:
    """A comment that is kept. `replayed`: it was made before, under the same key."""

    comment_id: UUID
    item_id: UUID
    revision: int
    name: str
    at: datetime
    replayed: bool = False


class Comments:
    """The use case, with what it needs."""

    def __init__(self, *, store: Store, digester: Digester) -> None:
        self._store = store
        self._digester = digester

    async def add(
        self, session: bytes, admit: Admit, item_id: UUID, text: str, key: str
    ) -> Comment:
        """Keep `text`. Durable on return, once per key.

        Raises:
            ProblemError: NOT_FOUND, IDEMPOTENCY_KEY_REUSED.
        """
        row = await self._store.one("claim_context", {"token": session, "item": item_id})
        actor = admit(None if row is None else actor_of(row))
        assert row is not None  # admit refuses nobody
        if row["state"] is None:
            raise ProblemError(Code.NOT_FOUND, f"There is no item {item_id}.")
        about = About(
            item_id=str(item_id),
            revision=row["revision"],
            correlation_id=row["correlation_id"],
            event_id=str(row["event_id"]),
        )
        # The text may name people; what goes on the topic proves it and does not repeat it.
        detail = {"text_digest": self._digester.of_bytes(text.encode()).hex()}
        told = activity(
            "COMMENTED", about, actor, at=row["now"], digester=self._digester, detail=detail
        )
        values = told | {
            "item": item_id,
            "revision": row["revision"],
            "person": actor.person_id,
            "name": actor.name,
            "role": deciding_role(actor).value,
            "text": text,
            "at": row["now"],
            "request_key": key,
        }
        try:
            await self._store.one("add_comment", values)
        except psycopg.errors.UniqueViolation:
            return await self._said(actor, item_id, text, key)
        return Comment(
            comment_id=UUID(told["id"]),
            item_id=item_id,
            revision=row["revision"],
            name=actor.name,
            at=row["now"],
        )

    async def _said(self, actor: Actor, item_id: UUID, text: str, key: str) -> Comment:
        asked = {"person": actor.person_id, "key": key}
        row = await self._store.one("comment_by_key", asked)
        if row is None or row["item_id"] != item_id or row["text"] != text:
            raise ProblemError(
                Code.KEY_REUSED, "This key belongs to another comment of yours. Nothing was kept."
            )
        return Comment(
            comment_id=row["comment_id"],
            item_id=item_id,
            revision=row["revision"],
            name=row["name"],
            at=row["said_at"],
            replayed=True,
        )
