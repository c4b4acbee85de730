"""Sign in and out. Every attempt is a control; names that fail are slowed down, known or not."""

import math
from dataclasses import dataclass
from datetime import UTC, datetime

from contract.identity import Digester
from review_api import auth
from review_api.commands.controls import control
from review_api.hint import Hint
from review_api.problems import Code, ProblemError
from review_api.store import Actor, Row, Store, actor_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A session that was just opened. `token` goes into the cookie and is kept nowhere."""

    token: str
    csrf: str
    actor: Actor


class SignIn:
    """The use case, with what it needs."""

    def __init__(self, *, store: Store, hint: Hint, digester: Digester) -> None:
        self._store = store
        self._hint = hint
        self._digester = digester

    async def __call__(self, username: str, password: str, earlier: str | None) -> Session:
        """Open a session with a new token; `earlier`, the cookie that came along, ends.

        Raises:
            ProblemError: BAD_CREDENTIALS, SIGN_IN_LOCKED.
        """
        name = self._digester.of_bytes(b"sign-in\0" + username.lower().encode(errors="replace"))
        locked = await self._store.one("locked_for", {"name": name})
        if locked is not None and locked["seconds"] > 0:
            raise _locked(locked["seconds"])
        row = await self._store.one("account_by_username", {"username": _searchable(username)})
        stored = None if row is None else row["password_hash"]
        if not await auth.verify_password(stored, password) or row is None:
            await self._failed(name, row)
        assert row is not None
        return await self._open(actor_of(row), name, earlier)

    async def _failed(self, name: bytes, row: Row | None) -> None:
        counted = await self._store.one("count_failure", {"name": name, "free": auth.FREE_FAILURES})
        who = "unknown" if row is None else str(row["account_id"])
        failed = control(
            "SIGN_IN_FAILED",
            scope=who,
            actor_id=who,
            role="",
            at=datetime.now(UTC),
            digester=self._digester,
        )
        await self._store.run(failed, ("forget_old_failures", {}))
        self._hint()
        if counted is not None and counted["seconds"] > 0:
            raise _locked(counted["seconds"])
        raise ProblemError(Code.BAD_CREDENTIALS, "No account has this name and this password.")

    async def _open(self, actor: Actor, name: bytes, earlier: str | None) -> Session:
        token = auth.new_token()
        account = str(actor.account_id)
        opened = {
            "token": auth.token_hash(token),
            "account": actor.account_id,
            "seconds": auth.SESSION_SECONDS,
        }
        await self._store.run(
            ("close_session", {"token": auth.token_hash(earlier or "")}),
            ("open_session", opened),
            ("forget_failures", {"name": name}),
            ("forget_old_sessions", {}),
            control(
                "SIGNED_IN",
                scope=account,
                actor_id=account,
                role=actor.roles[0].value,
                at=datetime.now(UTC),
                digester=self._digester,
            ),
        )
        self._hint()
        return Session(token=token, csrf=auth.csrf_of(token), actor=actor)

    async def out(self, token: str) -> None:
        """End the session. Ending one that is over is no error."""
        await self._store.run(("close_session", {"token": auth.token_hash(token)}))


def _searchable(username: str) -> str:
    """Return the name as accounts have it; what no account can have finds none."""
    return username.lower().replace("\0", " ").encode(errors="replace").decode()


def _locked(seconds: float) -> ProblemError:
    wait = max(1, math.ceil(seconds))
    return ProblemError(
        Code.SIGN_IN_LOCKED, f"This name can try again in {wait} s.", retry_after=wait
    )
