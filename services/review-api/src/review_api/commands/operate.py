"""What operators do to targets and to stuck writes: one control each, through the outbox.

Owns what may be asked for. The dispatcher of the target does it, usually within a second, and tells
of it as a write-back event; everything is on the topic, and so in the audit log.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from contract.controls import PAUSED, RESUMED, UNSTUCK, Resolution
from contract.events import WriteBackState
from contract.identity import Digester
from contract.targets import TargetConfig
from review_api.commands.controls import control
from review_api.hint import Hint
from review_api.problems import Code, ProblemError
from review_api.roles import Permission, acting_role
from review_api.store import Actor, Store

_LONGEST_REASON: Final = 1_000


class Operate:
    """The use cases, with what they need."""

    def __init__(
        self,
        *,
        store: Store,
        hint: Hint,
        digester: Digester,
        targets: Mapping[str, TargetConfig],
    ) -> None:
        self._store = store
        self._hint = hint
        self._digester = digester
        self._targets = targets

    async def pause(self, actor: Actor, target: str, reason: str) -> None:
        """Have nothing more written to `target`; decisions are still taken, and wait.

        Raises:
            ProblemError: NOT_FOUND, BAD_VALUE (no reason), UNAVAILABLE.
        """
        await self._target(actor, PAUSED, target, reason)

    async def resume(self, actor: Actor, target: str, reason: str) -> None:
        """Have `target` written to again.

        Raises:
            ProblemError: as `pause`.
        """
        await self._target(actor, RESUMED, target, reason)

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

    async def _target(self, actor: Actor, kind: str, target: str, reason: str) -> None:
        if target not in self._targets:
            raise ProblemError(Code.NOT_FOUND, "There is no target of that name.")
        await self._tell(actor, Permission.PAUSE, kind, target, reason)

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
