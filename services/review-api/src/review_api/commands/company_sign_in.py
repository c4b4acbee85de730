"""Sign in at the company's provider: the way there, the way back, and whose account it is.

Owns that an answer is used once, by the browser that asked; that one identity (issuer, subject) is
one account of one person for ever; and that roles are the provider's at every sign-in. Every change
and every refusal is a control. What makes an answer genuine is `oidc`'s.
"""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID, uuid4

import psycopg

from contract.identity import Digester, derive
from review_api import auth
from review_api.commands.controls import control
from review_api.commands.sign_in import Session, SignIn
from review_api.hint import Hint
from review_api.oidc import LEEWAY, LONGEST_SUBJECT, Identity, UnknownKeyError, identity_of, refused
from review_api.problems import Code, ProblemError
from review_api.provider import Provider
from review_api.queries import QUERIES
from review_api.roles import Permission, Role, acting_role
from review_api.store import Actor, Row, Store

OIDC: Final = "oidc"
SECONDS: Final = 600
"""How long somebody may take at the provider."""
_TRIES: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Departure:
    """Somebody on their way: where to, and what their browser keeps meanwhile."""

    address: str
    browser: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Return:
    """Somebody who is back: where to, and their session; None: the one they have was proved."""

    back: str
    session: Session | None


class CompanySignIn:
    """The use case, with what it needs."""

    def __init__(
        self, *, store: Store, hint: Hint, digester: Digester, provider: Provider, sign_in: SignIn
    ) -> None:
        self._store = store
        self._hint = hint
        self._digester = digester
        self._sign_in = sign_in
        self.provider = provider

    async def close(self) -> None:
        """Close every connection."""
        await self.provider.close()

    async def leave(self, back: str, session: bytes | None) -> Departure:
        """Begin; `session`: its owner proves again who they are, and it goes on.

        Raises:
            ProblemError: PROVIDER_AWAY, SIGN_IN_REFUSED.
        """
        state, nonce, browser = (secrets.token_urlsafe(32) for _ in range(3))
        verifier = secrets.token_urlsafe(48)
        address = await self.provider.address(
            state=state, nonce=nonce, verifier=verifier, again=session is not None
        )
        begun = {
            "state": auth.token_hash(state),
            "browser": auth.token_hash(browser),
            "nonce": nonce,
            "verifier": verifier,
            "back": back,
            "session": session,
            "seconds": SECONDS,
        }
        await self._store.run(("forget_old_attempts", {}), ("begin_attempt", begun))
        return Departure(address=address, browser=browser)

    async def arrive(self, state: str, code: str, browser: str, earlier: str) -> Return:
        """End what `leave` began: with `earlier`'s session proved, or a new one in its place.

        Raises:
            ProblemError: SIGN_IN_REFUSED, NO_ROLE, BAD_ROLES, ACCOUNT_DISABLED, PROVIDER_AWAY.
        """
        try:
            return await self._arrive(state, code, browser, earlier)
        except ProblemError as problem:
            if problem.code not in {Code.PROVIDER_AWAY, Code.UNAVAILABLE}:
                await self._tell_failed(problem)
            raise

    async def _arrive(self, state: str, code: str, browser: str, earlier: str) -> Return:
        # Used from here on, whatever becomes of it: a crash leaves somebody to begin anew.
        begun = await self._store.one("end_attempt", {"state": auth.token_hash(state)})
        if begun is None:
            raise refused("it was used before, took too long, or nobody asked for it")
        if bytes(begun["browser_hash"]) != auth.token_hash(browser):
            raise refused("another browser asked for it")
        token, access = await self.provider.tokens(code, begun["verifier"])
        identity = await self._identity(token, access, begun["nonce"])
        if begun["session_hash"] is not None:
            await self._prove(begun, identity)
            return Return(back=begun["back"], session=None)
        actor = await self._actor(identity)
        session = await self._sign_in.open(actor, earlier, by=OIDC)
        return Return(back=begun["back"], session=session)

    async def _identity(self, token: str, access: str, nonce: str) -> Identity:
        company, now = self.provider.company, datetime.now(UTC)
        for anew in (False, True):
            keys = await self.provider.keys(anew=anew)
            try:
                return identity_of(company, token, keys, nonce=nonce, access_token=access, now=now)
            except UnknownKeyError:
                continue  # it may have rotated its keys
        raise refused("no key of the provider signed it")

    async def _prove(self, begun: Row, identity: Identity) -> None:
        """Take a fresh sign-in at the provider as the proof of the session's own owner."""
        session = {"token": bytes(begun["session_hash"])}
        row = await self._store.one("session_identity", session)
        if row is None or (row["issuer"], row["subject"]) != (identity.issuer, identity.subject):
            raise refused("it is about somebody else, or the session is over")
        if identity.proved_at is None or identity.proved_at < begun["started_at"] - LEEWAY:
            raise refused("it says nothing of a sign-in since you were asked")
        if await self._store.one("prove_session", session) is None:
            raise refused("the session is over")

    async def _actor(self, identity: Identity) -> Actor:
        """Return the account of `identity`, with the roles it has now; made where there is none."""
        who = {"issuer": identity.issuer, "subject": identity.subject}
        for _ in range(_TRIES):
            row = await self._store.one("account_of_identity", who)
            if row is None or row["account_id"] is None:
                try:
                    return await self._add(identity, None if row is None else row["person_id"])
                except psycopg.errors.UniqueViolation:
                    continue  # a moment earlier, in another tab; or a name that is taken
            if row["disabled_at"] is not None:
                raise ProblemError(Code.ACCOUNT_DISABLED, "It was closed by an administrator.")
            return await self._refreshed(row, identity)
        raise ProblemError(Code.UNAVAILABLE, "The account kept changing.", retry_after=1)

    async def _refreshed(self, row: Row, identity: Identity) -> Actor:
        before = tuple(Role(role) for role in row["roles"])
        if before != identity.roles:
            changed = {"account": row["account_id"], "roles": list(identity.roles), "by": OIDC}
            told = self._told(row["person_id"], row["account_id"], "roles", identity, before)
            await self._store.run(("refresh_roles", changed), told)
        return Actor(
            account_id=row["account_id"],
            person_id=row["person_id"],
            username=row["username"],
            name=row["name"],
            roles=identity.roles,
        )

    async def _add(self, identity: Identity, known: UUID | None) -> Actor:
        person = known or UUID(derive("person", identity.issuer, identity.subject))
        account, username = uuid4(), identity.username
        taken = await self._store.one("account_id_by_username", {"username": username})
        if taken is not None:
            own = hashlib.sha256(f"{identity.issuer} {identity.subject}".encode()).hexdigest()
            username = f"{username}-{own[:8]}"
        values: dict[str, Any] = {
            "account": account,
            "person": person,
            "username": username,
            "name": identity.name,
            "password_hash": None,
            "roles": list(identity.roles),
            "one_time": False,
            "by": OIDC,
            "issuer": identity.issuer,
            "subject": identity.subject,
        }
        async with self._store.connection() as connection, connection.transaction():
            for name in ("add_person", "add_account"):
                await connection.execute(QUERIES[name], values)
            cursor = await connection.execute(QUERIES["join_identity"], values)
            if await cursor.fetchone() is None:
                raise psycopg.errors.UniqueViolation("the identity has an account by now")
            name, told = self._told(person, account, "added", identity, ())
            await connection.execute(QUERIES[name], told)
        row = await self._store.one("has_person", {"person": person})
        assert row is not None  # just made, or there before
        return Actor(
            account_id=account,
            person_id=person,
            username=username,
            name=row["name"],
            roles=identity.roles,
        )

    def _told(
        self,
        person: UUID,
        account: UUID,
        what: str,
        identity: Identity,
        before: tuple[Role, ...],
    ) -> tuple[str, dict[str, Any]]:
        detail = {"change": what, "account": str(account), "roles": ",".join(identity.roles)}
        if before:
            detail["roles_before"] = ",".join(before)
        name, values = control(
            "PERSON_CHANGED",
            scope=str(person),
            actor_id=OIDC,
            role=OIDC,
            at=datetime.now(UTC),
            digester=self._digester,
            detail=detail,
        )
        return name, dict(values)

    async def say(self, account_id: UUID, subject: str, actor: Actor, reason: str | None) -> None:
        """Say whose an identity is, before they first come with it. Durable on return.

        Raises:
            ProblemError: NOT_FOUND, no such account; NOT_POSSIBLE, it is somebody's; BAD_VALUE.
        """
        if not 0 < len(subject) <= LONGEST_SUBJECT or "\0" in subject:
            raise ProblemError(Code.BAD_VALUE, f"subject has 1 to {LONGEST_SUBJECT} characters.")
        issuer = self.provider.company.issuer
        asked = {"account": account_id, "issuer": issuer, "subject": subject}
        if await self._store.one("has_account", asked) is None:
            raise ProblemError(Code.NOT_FOUND, "There is no such account.")
        async with self._store.connection() as connection, connection.transaction():
            cursor = await connection.execute(QUERIES["say_identity"], asked)
            row = await cursor.fetchone()
            if row is None:
                raise ProblemError(Code.NOT_POSSIBLE, "This subject is somebody's already.")
            name, told = control(
                "PERSON_CHANGED",
                scope=str(row["person_id"]),
                actor_id=str(actor.account_id),
                role=acting_role(actor.roles, Permission.PEOPLE).value,
                at=datetime.now(UTC),
                digester=self._digester,
                reason=reason,
                detail={"change": "identity", "account": str(account_id)},
            )
            await connection.execute(QUERIES[name], told)
        self._hint()

    async def subjects(self, person_id: UUID) -> list[str]:
        """Return what the provider knows a person by."""
        asked = {"person": person_id, "issuer": self.provider.company.issuer}
        rows = await self._store.all("identities_of_person", asked)
        return [row["subject"] for row in rows]

    async def _tell_failed(self, problem: ProblemError) -> None:
        told = control(
            "SIGN_IN_FAILED",
            scope="unknown",
            actor_id="unknown",
            role="",
            at=datetime.now(UTC),
            digester=self._digester,
            detail={"where": OIDC, "code": problem.code.value},
        )
        await self._store.run(told)
        self._hint()
