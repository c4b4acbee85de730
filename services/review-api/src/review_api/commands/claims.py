"""Claim an item, give it back, pass it over. One transaction each; what happened goes on its topic.

Two round trips, as everywhere: read who and what, decide on values (`claim`), compare and set. The
compare is on token and end of lease, so of fifty people at once one gets it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from contract.identity import Digester
from contract.statement import timestamp_text
from review_api.claim import LEASE, Claim, next_token
from review_api.commands.activity import About, activity
from review_api.problems import Code, ProblemError
from review_api.review import OPEN, State
from review_api.store import Actor, Store, actor_of

_TRIES: Final = 6
SKIP_REASONS: Final = ("NOT_MY_FIELD", "CONFLICT_OF_INTEREST", "LATER", "OTHER")
"""A closed list: what is passed over tells of people, and goes on a topic."""

Admit = Callable[[Actor | None], Actor]
Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A claim that was given. `now` is the clock that `until` is of."""

    item_id: UUID
    token: int
    name: str
    until: datetime
    now: datetime


def claim_of(row: Row) -> Claim:
    """Return the claim in a row that has its columns."""
    return Claim(
        token=row["claims"],
        person_id=row["claim_person"],
        name=row["claim_name"] or "",
        until=row["claim_until"],
    )


class Claims:
    """The use cases, with what they need."""

    def __init__(self, *, store: Store, digester: Digester) -> None:
        self._store = store
        self._digester = digester

    async def claim(
        self, session: bytes, admit: Admit, item_id: UUID, token: int | None = None
    ) -> Held:
        """Claim the item for 90 seconds, or renew the claim `token`.

        Raises:
            ProblemError: CLAIMED, CLAIM_STALE, NOT_POSSIBLE (nothing is left to decide), NOT_FOUND.
        """
        for _ in range(_TRIES):
            row, actor = await self._read(session, admit, item_id)
            await self._open(row, actor)
            if State(row["state"]) not in OPEN:
                raise ProblemError(
                    Code.NOT_POSSIBLE, f"The item is {row['state']}.", state=row["state"]
                )
            given = next_token(claim_of(row), actor.person_id, token, row["now"])
            held = Held(
                item_id=item_id,
                token=given,
                name=actor.name,
                until=row["now"] + LEASE,
                now=row["now"],
            )
            if await self._store.one("claim", self._claiming(row, actor, held)) is not None:
                return held
        raise ProblemError(Code.UNAVAILABLE, "Too many people reach for it.", retry_after=1)

    async def release(
        self,
        session: bytes,
        admit: Admit,
        item_id: UUID,
        token: int,
        until: datetime | None = None,
    ) -> None:
        """Give a claim back. One that is over or somebody else's is none to give: nothing happens.

        Nor does it where the claim was renewed since it was `until` then.

        Raises:
            ProblemError: NOT_FOUND.
        """
        row, actor = await self._read(session, admit, item_id)
        values = self._leaving(row, actor, token, until)
        await self._store.one("release", values)

    async def skip(self, session: bytes, admit: Admit, item_id: UUID, reason: str) -> None:
        """Pass the item over, for `reason`, and give back the claim, where there is one.

        Raises:
            ProblemError: BAD_REASON, NOT_FOUND.
        """
        row, actor = await self._read(session, admit, item_id)
        if reason not in SKIP_REASONS:
            reasons = list(SKIP_REASONS)
            raise ProblemError(
                Code.BAD_REASON, f"reason is one of {', '.join(reasons)}.", reasons=reasons
            )
        told = self._told("SKIPPED", row, actor, {"reason": reason})
        await self._store.run(
            ("skip", _who(row, actor) | told | {"reason": reason}),
            ("release", self._leaving(row, actor, row["claims"])),
        )

    async def opened(self, session: bytes, admit: Admit, item_id: UUID) -> None:
        """Note that somebody who may decide looks at the item; once per person and revision."""
        await self._open(*await self._read(session, admit, item_id))

    async def evidence(self, session: bytes, admit: Admit, item_id: UUID) -> int:
        """Note that somebody who may decide opens the evidence; return the revision it is of.

        Told once per person and revision. Durable on return: an approval may rest on it.

        Raises:
            ProblemError: NOT_FOUND.
        """
        row, actor = await self._read(session, admit, item_id)
        await self._open(row, actor)
        told = self._told("EVIDENCE_OPENED", row, actor, {})
        await self._store.one("open_evidence", _who(row, actor) | told)
        revision: int = row["revision"]
        return revision

    async def _open(self, row: Row, actor: Actor) -> None:
        if not row["opened"]:
            values = _who(row, actor) | self._told("OPENED", row, actor, {})
            await self._store.one("open_item", values)

    async def _read(self, session: bytes, admit: Admit, item_id: UUID) -> tuple[Row, Actor]:
        row = await self._store.one("claim_context", {"token": session, "item": item_id})
        actor = admit(None if row is None else actor_of(row))
        assert row is not None  # admit refuses nobody
        if row["state"] is None:
            raise ProblemError(Code.NOT_FOUND, f"There is no item {item_id}.")
        return row, actor

    def _claiming(self, row: Row, actor: Actor, held: Held) -> dict[str, Any]:
        detail = {"claim": str(held.token), "until": timestamp_text(held.until)}
        return (
            _who(row, actor)
            | self._told("CLAIMED", row, actor, detail)
            | {
                "given": held.token,
                "name": held.name,
                "until": held.until,
                "was": row["claims"],
                "was_until": row["claim_until"],
                "is_new": held.token != row["claims"],
                "states": [state.value for state in OPEN],
            }
        )

    def _leaving(
        self, row: Row, actor: Actor, token: int, until: datetime | None = None
    ) -> dict[str, Any]:
        told = self._told("RELEASED", row, actor, {"claim": str(token)})
        return _who(row, actor) | told | {"given": token, "until": until}

    def _told(self, kind: str, row: Row, actor: Actor, detail: Mapping[str, str]) -> dict[str, Any]:
        about = About(
            item_id=str(row["item_id"]),
            revision=row["revision"],
            correlation_id=row["correlation_id"],
            event_id=str(row["event_id"]),
        )
        return activity(kind, about, actor, at=row["now"], digester=self._digester, detail=detail)


def _who(row: Row, actor: Actor) -> dict[str, Any]:
    return {
        "item": row["item_id"],
        "revision": row["revision"],
        "person": actor.person_id,
    }
