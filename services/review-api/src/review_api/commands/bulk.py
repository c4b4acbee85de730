"""Reject or ask about several items at once: each is a decision of its own.

Owns what may be asked of many (never an approval), under which key each item is decided, and what
is told of each. Nothing is decided here: that is `Decide`, with all its checks, item by item, so
one that somebody else has decided, claimed or revised is passed over and the others are not.

Whoever decides from a list has not seen what the target holds, so the statement says that nobody
did: its `seen` values are null, and `seen_digest` covers item, revision, evidence and proposal.
Sending the same request again does nothing twice: the key of each item comes from the request's.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

import orjson
import psycopg

from contract.codec import decode
from contract.events import Action, ReviewItem
from contract.identity import Digester, derive
from review_api.commands.approvals import first_of
from review_api.commands.decide import Admit, Answer, Decide
from review_api.commands.judgement import Order
from review_api.policy import Lane
from review_api.problems import Code, ProblemError
from review_api.proposal import seen_digest
from review_api.store import Actor, Row, Store

MOST: Final = 200
"""What one page of the queue shows at most: nobody decides what was not on their screen."""
ACTIONS: Final = (Action.REJECT, Action.NEED_INFO)
_TOGETHER: Final = 20
"""So many are read and decided at a time: an item may be 1 MiB."""
_PASSED_OVER: Final = frozenset(
    {
        Code.ALREADY_DECIDED,
        Code.NOT_POSSIBLE,
        Code.CLAIMED,
        Code.CLAIM_STALE,
        Code.REVISION_SUPERSEDED,
        Code.SEEN_STALE,
        Code.NOT_FOUND,
        Code.KEY_REUSED,
    }
)
"""Final for an item; after anything else the same request may be sent again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Picked:
    """An item as it was on screen."""

    item_id: UUID
    revision: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BulkOrder:
    """What somebody asks for, of items they selected."""

    action: str
    items: Sequence[Picked]
    reason_code: str | None
    comment: str | None = None

    def digest(self, digester: Digester) -> bytes:
        """Return what tells this request from another one under the same key."""
        items = [[str(one.item_id), one.revision] for one in self.items]
        return digester.of_value(["bulk", self.action, items, self.reason_code, self.comment])


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What became of one item: `answer` as of a single decision, or why there is none."""

    picked: Picked
    answer: Answer | None = None
    problem: ProblemError | None = None

    @property
    def word(self) -> str:
        """Return DECIDED, SKIPPED, or UNSURE, where sending again finds out."""
        if self.problem is None:
            return "DECIDED"
        return "SKIPPED" if self.problem.code in _PASSED_OVER else "UNSURE"


class Bulk:
    """The use case, with what it needs."""

    def __init__(
        self,
        *,
        store: Store,
        decide: Decide,
        digester: Digester,
        reasons: Callable[[], Sequence[str]],
    ) -> None:
        """`reasons`: the codes of the policy that is in force."""
        self._store = store
        self._decide = decide
        self._digester = digester
        self._reasons = reasons
        self._running: set[tuple[UUID, str]] = set()

    async def __call__(
        self, session: bytes, actor: Actor, admit: Admit, key: str, order: BulkOrder
    ) -> Answer:
        """Decide each item of `order`, or say why not. What is told as decided is durable.

        The answer is kept under `key` unless something in it is unsure.

        Raises:
            ProblemError: nothing at all was decided.
        """
        check(order, self._reasons())
        digest = order.digest(self._digester)
        known = await self.stored(actor, key)
        if known is not None:
            return _again(known, digest)
        running = (actor.person_id, key)
        if running in self._running:
            raise ProblemError(Code.KEY_IN_USE, "Nothing is decided twice.", retry_after=1)
        self._running.add(running)
        try:
            await self._check_proof(session, order)
            results = await self._each(session, admit, key, order)
            answer = Answer(status=200, body=_body(order, results))
            if not any(one.word == "UNSURE" for one in results):
                await self._keep(actor, key, digest, answer)
            return answer
        finally:
            self._running.discard(running)

    async def proves(self, session: bytes, rows: Sequence[Row]) -> str | None:
        """Return how the session's owner proves who they are, where `rows` need it first."""
        if not any(row["lane"] == Lane.CRITICAL for row in rows):
            return None
        row = await self._store.one("session_proof", {"token": session})
        return str(row["signed_in_by"]) if row is not None and row["idle"] else None

    async def _check_proof(self, session: bytes, order: BulkOrder) -> None:
        """Refuse all of it at once: of several critical items none would be decided."""
        rows = await self.listed([one.item_id for one in order.items])
        how = await self.proves(session, rows)
        if how is not None:
            raise ProblemError(
                Code.PASSWORD_NEEDED,
                "Nobody was there for a while, and something critical is among them. Nothing was "
                "decided.",
                prove=how,
            )

    async def stored(self, actor: Actor, key: str) -> Row | None:
        """Return the row of an answer that was given before."""
        return await self._store.one("stored_answer", {"person": actor.person_id, "key": key})

    async def listed(self, items: Sequence[UUID]) -> list[Row]:
        """Return what a list shows of `items`, those that there are, in their order."""
        return await self._store.all("bulk_items", {"items": list(items)})

    async def _each(self, session: bytes, admit: Admit, key: str, order: BulkOrder) -> list[Result]:
        results: list[Result] = []
        for at in range(0, len(order.items), _TOGETHER):
            some = order.items[at : at + _TOGETHER]
            seen = await self._seen(some)
            results += await asyncio.gather(
                *(
                    self._one(session, admit, key, _order(order, one, seen.get(one.item_id, "")))
                    for one in some
                )
            )
        return results

    async def _one(self, session: bytes, admit: Admit, key: str, order: Order) -> Result:
        picked = Picked(item_id=order.item_id, revision=order.revision)
        try:
            answer = await self._decide(session, admit, item_key(key, order.item_id), order)
        except ProblemError as problem:
            return Result(picked=picked, problem=problem)
        return Result(picked=picked, answer=answer)

    async def _seen(self, some: Sequence[Picked]) -> dict[UUID, str]:
        """Return the digest of what a list of these shows: the proposal, over nothing seen."""
        rows = await self._store.all("bulk_events", {"items": [one.item_id for one in some]})
        return {row["item_id"]: self._digest(row) for row in rows}

    def _digest(self, row: Row) -> str:
        item, first = decode(row["event"]), first_of(row)
        assert isinstance(item, ReviewItem)
        return seen_digest(item, None, self._digester, None if first is None else first.fields)

    async def _keep(self, actor: Actor, key: str, digest: bytes, answer: Answer) -> None:
        kept = {
            "person": actor.person_id,
            "key": key,
            "request_digest": digest,
            "status": answer.status,
            "body": answer.body,
        }
        try:
            await self._store.run(("store_answer", kept))
        except (psycopg.errors.UniqueViolation, ProblemError):
            # Kept a moment earlier, or not now: asked again, each item says the same.
            return


def check(order: BulkOrder, reasons: Sequence[str]) -> None:
    """Refuse what may not be asked of many, before anything is decided.

    Raises:
        ProblemError: NOT_SUPPORTED, TOO_MANY_ITEMS, BAD_VALUE, REASON_REQUIRED, BAD_REASON.
    """
    if order.action == Action.APPROVE:
        raise ProblemError(
            Code.NOT_SUPPORTED,
            "APPROVE is for one item at a time: open it, look at the change, approve it there.",
        )
    if order.action not in ACTIONS:
        raise ProblemError(Code.BAD_VALUE, f"action is one of {', '.join(ACTIONS)}.")
    if not order.items:
        raise ProblemError(Code.BAD_VALUE, "Nothing is selected.")
    if len(order.items) > MOST:
        raise ProblemError(
            Code.TOO_MANY_ITEMS,
            f"{len(order.items):,} items were sent; {MOST} is what one page shows. Nothing was "
            "decided.",
            most=MOST,
        )
    if len({one.item_id for one in order.items}) != len(order.items):
        raise ProblemError(Code.BAD_VALUE, "An item is named twice. Nothing was decided.")
    if not order.reason_code:
        raise ProblemError(
            Code.REASON_REQUIRED, f"{order.action} needs a reason_code.", reasons=list(reasons)
        )
    if order.reason_code not in reasons:
        raise ProblemError(
            Code.BAD_REASON, f"reason_code is one of {', '.join(reasons)}.", reasons=list(reasons)
        )


def item_key(key: str, item_id: UUID) -> str:
    """Return the key that one item of a request is decided under."""
    return f"bulk-{derive('bulk', key, str(item_id))}"


def _order(order: BulkOrder, one: Picked, seen: str) -> Order:
    return Order(
        item_id=one.item_id,
        action=order.action,
        revision=one.revision,
        seen_digest=seen,
        comment=order.comment,
        reason_code=order.reason_code,
        from_list=True,
    )


def _again(known: Row, digest: bytes) -> Answer:
    if bytes(known["request_digest"]) != digest:
        raise ProblemError(
            Code.KEY_REUSED, "This key belongs to another request of yours. Nothing was decided."
        )
    return Answer(status=known["status"], body=bytes(known["body"]), replayed=True)


def _body(order: BulkOrder, results: Sequence[Result]) -> bytes:
    words = [one.word for one in results]
    return orjson.dumps(
        {
            "action": order.action,
            "reason_code": order.reason_code,
            "decided": words.count("DECIDED"),
            "skipped": words.count("SKIPPED"),
            "unsure": words.count("UNSURE"),
            "results": [_told(one) for one in results],
        }
    )


def _told(one: Result) -> dict[str, Any]:
    plain: dict[str, Any] = {
        "item_id": str(one.picked.item_id),
        "revision": one.picked.revision,
        "result": one.word,
    }
    if one.problem is not None:
        problem = one.problem
        why = {"code": problem.code.value, "title": problem.kind.title, "detail": problem.detail}
        return plain | why | problem.extra
    if one.answer is not None:
        decided = orjson.loads(one.answer.body)
        names = ("decision_id", "action", "state", "decided_at", "not_before")
        plain |= {name: decided[name] for name in names}
    return plain
