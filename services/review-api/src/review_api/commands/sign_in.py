"""Sign in and out. Every attempt is a control; names that fail are slowed down, known or not."""

from dataclasses import dataclass
from datetime import UTC, datetime

from contract.identity import Digester
from review_api import auth
from review_api.commands.attempts import Attempts
from review_api.commands.controls import control
from review_api.commands.reentry import PASSWORD
from review_api.hint import Hint
from review_api.problems import Code, ProblemError
from review_api.queries import QUERIES
from review_api.store import Actor, Row, Store, actor_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A session that was just opened. `token` goes into the cookie and is kept nowhere."""

    token: str
    csrf: str
    actor: Actor


class SignIn:
    """The use case, with what it needs."""

    def __init__(self, *, store: Store, hint: Hint, digester: Digester, attempts: Attempts) -> None:
        self._attempts = attempts
        self._store = store
        self._hint = hint
        self._digester = digester

    async def __call__(
        self,
        username: str,
        password: str,
        earlier: str | None,
        new_password: str | None = None,
    ) -> Session:
        """Open a session with a new token; `earlier`, the cookie that came along, ends.

        A password that an administrator was shown opens nothing by itself: it is exchanged for
        `new_password`. Anybody may exchange theirs so; their other sessions end.

        Raises:
            ProblemError: BAD_CREDENTIALS, SIGN_IN_LOCKED, PASSWORD_CHANGE_REQUIRED, BAD_PASSWORD.
        """
        name = await self._attempts.begin(username)
        row = await self._store.one("account_by_username", {"username": _searchable(username)})
        stored = None if row is None else row["password_hash"]
        if not await auth.verify_password(stored, password) or row is None:
            await self._attempts.failed(name, None if row is None else row["account_id"])
            raise ProblemError(Code.BAD_CREDENTIALS, "No account has this name and this password.")
        if new_password is not None:
            await self._choose(row, password, new_password)
        elif row["one_time"]:
            raise ProblemError(
                Code.PASSWORD_CHANGE_REQUIRED,
                "This password was made for you, and is good for one thing: choosing your own.",
            )
        await self._store.run(("forget_failures", {"name": name}))
        return await self.open(actor_of(row), earlier)

    async def _choose(self, row: Row, password: str, new_password: str) -> None:
        """Put one's own password in place of the one that was just typed."""
        auth.check_password(new_password)
        if auth.same(password, new_password):
            raise ProblemError(Code.BAD_PASSWORD, "It is the one you had.")
        actor = actor_of(row)
        account = str(actor.account_id)
        values = {
            "account": actor.account_id,
            "was": row["password_hash"],
            "password_hash": await auth.hash_password(new_password),
            "by": actor.name,
        }
        name, told = control(
            "PERSON_CHANGED",
            scope=str(actor.person_id),
            actor_id=account,
            role=actor.roles[0].value,
            at=datetime.now(UTC),
            digester=self._digester,
            detail={"change": "own-password", "account": account},
        )
        async with self._store.connection() as connection, connection.transaction():
            cursor = await connection.execute(QUERIES["choose_password"], values)
            if await cursor.fetchone() is None:
                raise ProblemError(Code.BAD_CREDENTIALS, "The password was changed meanwhile.")
            await connection.execute(QUERIES["close_sessions_of_account"], values)
            await connection.execute(QUERIES[name], told)

    async def open(self, actor: Actor, earlier: str | None, *, by: str = PASSWORD) -> Session:
        """Open a session for somebody who has just shown who they are; `by`: how."""
        token = auth.new_token()
        account = str(actor.account_id)
        opened = {
            "token": auth.token_hash(token),
            "account": actor.account_id,
            "seconds": auth.SESSION_SECONDS,
            "by": by,
        }
        await self._store.run(
            ("close_session", {"token": auth.token_hash(earlier or "")}),
            ("open_session", opened),
            ("forget_old_sessions", {}),
            control(
                "SIGNED_IN",
                scope=account,
                actor_id=account,
                role=actor.roles[0].value,
                at=datetime.now(UTC),
                digester=self._digester,
                detail={"by": by},
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
