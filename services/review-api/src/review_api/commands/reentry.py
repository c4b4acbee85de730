"""Prove again who one is, in a session that is open: for decisions in a critical lane.

Owns what makes a proof: the account's own password, entered now. Guesses are slowed down as at
sign-in (`attempts`). When a proof is needed, and how long it is fresh, is `proof`'s.
"""

from datetime import datetime, timedelta
from typing import Any, Final

from review_api import auth
from review_api.commands.attempts import Attempts
from review_api.commands.claims import Admit
from review_api.problems import Code, ProblemError
from review_api.proof import Proof
from review_api.store import Row, Store, actor_of

PASSWORD: Final = "password"  # noqa: S105 - the name of a way


class Reentry:
    """The use case, with what it needs. `window`: how long a proof is fresh."""

    def __init__(self, *, store: Store, attempts: Attempts, window: timedelta) -> None:
        self._store = store
        self._attempts = attempts
        self.window = window

    async def __call__(self, session: bytes, admit: Admit, password: str) -> datetime:
        """Take `password` as the proof of the session's owner. Durable on return: when it was.

        Raises:
            ProblemError: WRONG_PASSWORD, SIGN_IN_LOCKED, NOT_POSSIBLE (they have none here).
        """
        row = await self._store.one("session_password", {"token": session})
        admit(None if row is None else actor_of(row))
        assert row is not None  # admit refuses nobody
        if row["password_hash"] is None or row["signed_in_by"] != PASSWORD:
            raise ProblemError(
                Code.NOT_POSSIBLE, "This session has no password: sign in again at your company's."
            )
        name = await self._attempts.begin(row["username"])
        if not await auth.verify_password(row["password_hash"], password):
            await self._attempts.failed(name, row["account_id"], {"where": "re-entry"})
            raise ProblemError(
                Code.WRONG_PASSWORD, f"{row['username']} has another one. Nothing was decided."
            )
        await self._store.run(("forget_failures", {"name": name}))
        proved = await self._store.one("prove_session", {"token": session})
        if proved is None:
            raise ProblemError(Code.NOT_SIGNED_IN, "The session has ended meanwhile.")
        at: datetime = proved["proved_at"]
        return at

    async def proof(self, session: bytes) -> tuple[Proof, datetime] | None:
        """Return what a session has shown so far and the clock that counts; None: it is over."""
        row = await self._store.one("session_proof", {"token": session})
        return None if row is None else (proof_of(row), row["now"])


def proof_of(row: Row | dict[str, Any]) -> Proof:
    """Return the proof in a row that has its columns."""
    return Proof(by=row["signed_in_by"], at=row["proved_at"], idle=row["idle"])
