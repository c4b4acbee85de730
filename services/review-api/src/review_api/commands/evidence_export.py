"""The evidence of one decision, taken away: on record before the first byte leaves.

Owns that order. What is in a bundle, and what proves it, is audit-sink's.
"""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Final

from contract.controls import EXPORTED
from contract.identity import Digester
from review_api.audit_client import AuditLog
from review_api.commands.controls import control
from review_api.hint import Hint
from review_api.roles import Permission, acting_role
from review_api.store import Actor, Store

SCOPE: Final = "evidence"
_LONGEST: Final = 200


class EvidenceExport:
    """The use case, with what it needs."""

    def __init__(self, *, store: Store, hint: Hint, digester: Digester, log: AuditLog) -> None:
        self._store = store
        self._hint = hint
        self._digester = digester
        self._log = log

    async def take(self, actor: Actor, name: str) -> AsyncIterator[bytes]:
        """Put the export on record; return the bundle of `name`, block by block.

        Raises:
            ProblemError: NOT_FOUND, before anything is on record; UNAVAILABLE, AUDIT_AWAY,
                NOT_SEALED_YET, NOT_VERIFIED.
        """
        await self._log.story(name, after=_ALL)  # there is such a thing, and the log answers
        step = control(
            EXPORTED,
            scope=SCOPE,
            actor_id=str(actor.account_id),
            role=acting_role(actor.roles, Permission.AUDIT).value,
            at=datetime.now(UTC),
            digester=self._digester,
            detail={"name": name[:_LONGEST]},
        )
        await self._store.run(step)
        self._hint()
        return await self._log.bundle(name)


_ALL: Final = 10**17
"""After every place there is: whether the story exists is asked, and none of it."""
