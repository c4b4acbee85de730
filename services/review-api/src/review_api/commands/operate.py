"""What operators do to stuck writes: one control each, through the outbox. Stopping is `stops`'.

Owns what may be asked for. The dispatcher of the target does it, usually within a second, and tells
of it as a write-back event; everything is on the topic, and so in the audit log.
"""

from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from contract.controls import UNSTUCK, Resolution
from contract.events import WriteBackState
from contract.identity import Digester
from review_api.commands.controls import control
from review_api.hint import Hint
from review_api.problems import Code, ProblemError
from review_api.roles import Permission, acting_role
from review_api.store import Actor, Store

_LONGEST_REASON: Final = 1_000


class Operate:
    """The use case, with what it needs."""

    def __init__(self, *, store: Store, hint: Hint, digester: Digester) -> None:
        self._store = store
        self._hint = hint
        self._digester = digester

    async def unstick(self, actor: Actor, write_back: UUID, action: str, reason: str) -> None:
        """Say what becomes of a write that is STUCK.

        Raises:
            ProblemError: NOT_FOUND; NOT_POSSIBLE, it is not stuck; BAD_VALUE; UNAVAILABLE.
        """
        row = await self._store.one("write_back_to_unstick", {"write_back": write_back})
        if row is None:
            raise ProblemError(Code.NOT_FOUND, f"There is no write-back {write_back}.")
        try:
            resolution = Resolution(action)
        except ValueError:
            raise ProblemError(
                Code.BAD_VALUE, f"action is one of {', '.join(Resolution)}."
            ) from None
        if row["state"] != WriteBackState.STUCK:
            raise ProblemError(
                Code.NOT_POSSIBLE,
                f"The write-back is {row['state']}, not STUCK.",
                state=row["state"],
            )
        detail = {"target": row["instance"], "action": resolution.value}
        await self._tell(actor, Permission.UNSTICK, UNSTUCK, str(write_back), reason, detail=detail)

    async def _tell(
        self,
        actor: Actor,
        permission: Permission,
        kind: str,
        scope: str,
        reason: str,
        **more: Any,
    ) -> None:
        if not reason.strip():
            raise ProblemError(Code.BAD_VALUE, "reason says why, for whoever asks later.")
        step = control(
            kind,
            scope=scope,
            actor_id=str(actor.account_id),
            role=acting_role(actor.roles, permission).value,
            at=datetime.now(UTC),
            digester=self._digester,
            reason=reason[:_LONGEST_REASON],
            **more,
        )
        await self._store.run(step)
        self._hint()
