"""Control items: items whose answer is known. Say that one comes; keep what somebody answered.

Owns what an answer becomes: the item is closed, the answer is kept beside the known one and told as
an activity. It is no decision: nothing is signed, no ordinal is drawn, no target, pipeline or label
hears of it. Until it is answered nothing tells such an item from others.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

import orjson

from contract.events import Action
from contract.identity import Digester, ItemId, item_id
from review_api import review
from review_api.commands.activity import About, activity
from review_api.commands.controls import control
from review_api.commands.judgement import Order, Verdict, body_of
from review_api.commands.statements import deciding_role
from review_api.hint import Hint
from review_api.problems import Code, ProblemError
from review_api.queries import QUERIES
from review_api.review import Happening
from review_api.roles import Permission, acting_role
from review_api.store import Actor, Row, Store

ANSWERS: Final = (Action.APPROVE, Action.REJECT)
_LONGEST: Final = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """An item that is to come, and its answer."""

    source: str
    external_id: str
    expected: str


class ControlItems:
    """The use cases, with what they need."""

    def __init__(self, *, store: Store, hint: Hint, digester: Digester) -> None:
        self._store = store
        self._hint = hint
        self._digester = digester

    async def add(self, known: Known, actor: Actor) -> ItemId:
        """Say that an item which is to come is one, before it comes. Twice is as once.

        Raises:
            ProblemError: BAD_VALUE; NOT_POSSIBLE, there is such an item already, or another answer.
        """
        if known.expected not in ANSWERS:
            raise ProblemError(Code.BAD_VALUE, f"expected is one of {', '.join(ANSWERS)}.")
        for text in (known.source, known.external_id):
            if not 0 < len(text) <= _LONGEST or "\0" in text:
                raise ProblemError(Code.BAD_VALUE, f"An id has 1 to {_LONGEST} characters.")
        item = item_id(known.source, known.external_id)
        values = {
            "item": UUID(item),
            "source": known.source,
            "external_id": known.external_id,
            "expected": known.expected,
            "by": actor.name,
        }
        name, told = control(
            "CONTROL_ITEM_ADDED",
            scope=item,
            actor_id=str(actor.account_id),
            role=acting_role(actor.roles, Permission.POLICY).value,
            at=datetime.now(UTC),
            digester=self._digester,
            detail={"expected": known.expected},
        )
        async with self._store.connection() as connection, connection.transaction():
            cursor = await connection.execute(QUERIES["add_control_item"], values)
            if await cursor.fetchone() is not None:
                await connection.execute(QUERIES[name], told)
                self._hint()
                return item
        row = await self._store.one("control_item_answer", {"item": UUID(item)})
        if row is None or row["expected"] != known.expected:
            raise ProblemError(Code.NOT_POSSIBLE, "It is an item, or has another answer, already.")
        return item

    async def all(self) -> list[Row]:
        """Return the newest, with what was answered."""
        return await self._store.all("control_items")


def is_right(expected: str, action: str) -> bool:
    """Tell whether `action` is the known answer; asking is no approval, so it is as good as no."""
    return (action == Action.APPROVE) is (expected == Action.APPROVE)


def answer_of(
    order: Order, actor: Actor, verdict: Verdict, *, row: Row, expected: str, digester: Digester
) -> dict[str, Any]:
    """Return what query `answer_control_item` takes but for the request's key and digest."""
    action = verdict.action.value
    right = is_right(expected, action)
    item = verdict.item
    told = activity(
        "CONTROL_ITEM_ANSWERED",
        About(
            item_id=item.item_id,
            revision=item.revision,
            correlation_id=item.correlation_id,
            event_id=item.event_id,
        ),
        actor,
        at=verdict.at,
        digester=digester,
        detail={"expected": expected, "given": action, "right": str(right).lower()},
    )
    closed = review.after(review.State(row["state"]), Happening.REJECT)
    return told | {
        "item": order.item_id,
        "version": row["version"],
        "state": closed.value,
        "person": actor.person_id,
        "name": actor.name,
        "role": deciding_role(actor).value,
        "action": action,
        "at": verdict.at,
        "claim": order.claim_token,
        "body": _body(verdict, closed.value, {"expected": expected, "right": right}),
    }


def _body(verdict: Verdict, state: str, known: Mapping[str, Any]) -> bytes:
    plain = orjson.loads(body_of(verdict))
    nothing: dict[str, Any] = {"decision_id": None, "state": state, "write_backs": []}
    return orjson.dumps(plain | nothing | {"control_item": known})
