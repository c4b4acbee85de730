"""Passwords that are typed: how often a name may be wrong, and what is told of it.

Owns the slowing down, the same for known and unknown names, for sign-in and for re-entry alike:
whoever has somebody's session gets no second set of guesses. What was typed is kept nowhere.
"""

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from uuid import UUID

from contract.identity import Digester
from review_api import auth
from review_api.commands.controls import control
from review_api.hint import Hint
from review_api.problems import Code, ProblemError
from review_api.store import Store


class Attempts:
    """Counts failures by a keyed digest of the name."""

    def __init__(self, *, store: Store, hint: Hint, digester: Digester) -> None:
        self._store = store
        self._hint = hint
        self._digester = digester

    async def begin(self, username: str) -> bytes:
        """Return what stands for `username` here, where it may be tried now.

        Raises:
            ProblemError: SIGN_IN_LOCKED.
        """
        typed = username.lower().encode(errors="replace")
        name = self._digester.of_bytes(b"sign-in\0" + typed)
        locked = await self._store.one("locked_for", {"name": name})
        if locked is not None and locked["seconds"] > 0:
            raise _locked(locked["seconds"])
        return name

    async def failed(
        self, name: bytes, account_id: UUID | None, detail: Mapping[str, str] | None = None
    ) -> None:
        """Count a failure, and tell it. Durable on return.

        Raises:
            ProblemError: SIGN_IN_LOCKED, it was one too many.
        """
        counted = await self._store.one("count_failure", {"name": name, "free": auth.FREE_FAILURES})
        who = "unknown" if account_id is None else str(account_id)
        told = control(
            "SIGN_IN_FAILED",
            scope=who,
            actor_id=who,
            role="",
            at=datetime.now(UTC),
            digester=self._digester,
            detail=detail,
        )
        await self._store.run(told, ("forget_old_failures", {}))
        self._hint()
        if counted is not None and counted["seconds"] > 0:
            raise _locked(counted["seconds"])


def _locked(seconds: float) -> ProblemError:
    wait = max(1, math.ceil(seconds))
    return ProblemError(
        Code.SIGN_IN_LOCKED, f"This name can try again in {wait} s.", retry_after=wait
    )
