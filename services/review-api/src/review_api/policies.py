"""Which policy is in force. Owns the way from an ordinal in the database to a policy in memory.

Whoever decides or takes items in reads the ordinal in the same round trip as everything else, and
asks here what it says: a text never changes under its ordinal, so it is read once. Pages show the
newest that this process knows, a second old at most; it is checked again where it counts.
"""

import asyncio
from typing import Any, Final

import structlog
from psycopg import Cursor

from review_api.policy import Policy, PolicyError, parse_policy
from review_api.problems import ProblemError
from review_api.queries import QUERIES
from review_api.store import Store

log = structlog.get_logger()

_PAUSE: Final = 1.0
INITIAL: Final = 0
"""The ordinal of the policy that a process was started with, while none was ever stored."""


class Policies:
    """Policies by ordinal. `latest` is the newest that this process has heard of."""

    def __init__(self, store: Store, initial: Policy) -> None:
        """Begin with the policy in `policy.toml`."""
        self._store = store
        self._known: dict[int, Policy] = {INITIAL: initial}
        self._following: asyncio.Task[None] | None = None

    def open(self) -> None:
        """Begin to ask, every second, whether there is a newer one."""
        self._following = asyncio.get_running_loop().create_task(self._follow())

    async def close(self) -> None:
        """Stop asking."""
        if self._following is not None:
            self._following.cancel()
            await asyncio.gather(self._following, return_exceptions=True)

    @property
    def latest(self) -> Policy:
        """Return the newest one known."""
        return self._known[max(self._known)]

    async def at(self, ordinal: int) -> Policy:
        """Return the policy of that ordinal.

        Raises:
            PolicyError: a newer release has saved it; deploy that one here too.
            ProblemError: UNAVAILABLE.
        """
        if ordinal not in self._known:
            row = await self._store.one("policy_text", {"ordinal": ordinal})
            assert row is not None  # rows are never deleted
            self._known[ordinal] = parse_policy(row["text"])
        return self._known[ordinal]

    async def current(self) -> Policy:
        """Return the newest one there is.

        Raises:
            PolicyError, ProblemError: as `at`.
        """
        row = await self._store.one("newest_policy")
        assert row is not None  # an aggregate has one row
        return await self.at(row["ordinal"])

    async def _follow(self) -> None:
        while True:
            before = self.latest.version
            try:
                now = (await self.current()).version
            except ProblemError:
                pass  # away: whoever needs it finds out
            except PolicyError:
                log.exception("policy_unreadable")  # deciding fails, and says so to whoever decides
            else:
                if now != before:
                    log.info("policy_in_force", policy=now)
            await asyncio.sleep(_PAUSE)


class PolicyInForce:
    """The policy of a transaction, for whoever holds a plain connection: ingest."""

    def __init__(self, initial: Policy) -> None:
        """Begin with the policy in `policy.toml`."""
        self._ordinal, self._policy = INITIAL, initial

    def read(self, cursor: Cursor[Any]) -> Policy:
        """Return what is in force, and stays it until the cursor's transaction ends.

        Raises:
            PolicyError: a newer release has saved it; deploy that one here too.
        """
        (ordinal,) = _one(cursor, "policy_in_force")
        if ordinal != self._ordinal:
            (text,) = _one(cursor, "policy_text", ordinal=ordinal)
            self._ordinal, self._policy = ordinal, parse_policy(text)
        return self._policy


def _one(cursor: Cursor[Any], query: str, **values: Any) -> tuple[Any, ...]:
    cursor.execute(QUERIES[query], values)
    row: tuple[Any, ...] | None = cursor.fetchone()
    assert row is not None
    return row
