"""What people decided, as labelled data: every decision that stands, in the order of time.

Owns which decisions are labels and where a reader is in them. A decision is a label once it can no
longer be taken back and no transaction that is still running can commit an earlier one: so nothing
is passed over by somebody who reads on from a cursor. An export is on record before it begins.
Reads a few decisions at a time, however many there are.
"""

import base64
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

import orjson

from contract.codec import decode
from contract.controls import EXPORTED
from contract.events import ReviewItem
from contract.identity import Digester
from contract.statement import Statement, from_text, timestamp_text
from review_api.commands.controls import control
from review_api.hint import Hint
from review_api.problems import Code, ProblemError
from review_api.roles import Permission, acting_role
from review_api.store import Actor, Row, Store

SCOPE: Final = "labels"
SLACK: Final = timedelta(seconds=30)
"""No decision takes longer from the clock it is dated by to its commit: a connection is waited for
3 s and a statement for 5 s, and what waits longer is refused."""
AT_A_TIME: Final = 50
"""An item is at most 1 MiB, so a page of them is at most 50 MiB; most have a thousandth of that."""
_BEGINNING: Final = datetime(1, 1, 1, tzinfo=UTC)
_NOBODY: Final = UUID(int=0)

Place = tuple[datetime, UUID]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which labels: decided from `since` on, before `until`, after the place of a cursor."""

    since: datetime | None = None
    until: datetime | None = None
    source: str | None = None
    after: Place | None = None
    limit: int | None = None

    def told(self) -> dict[str, str]:
        """Return what was asked for, for the record."""
        asked = {
            "since": self.since and timestamp_text(self.since),
            "until": self.until and timestamp_text(self.until),
            "after": self.after and timestamp_text(self.after[0]),
            "source": self.source,
            "limit": self.limit and str(self.limit),
        }
        return {name: value for name, value in asked.items() if value}

    @property
    def start(self) -> Place:
        """Return the place that everything wanted comes after."""
        since = (self.since or _BEGINNING, _NOBODY)
        return since if self.after is None else max(since, self.after)


@dataclass(frozen=True, slots=True, kw_only=True)
class Undone:
    """Somebody wrote the old values back, or asked for it."""

    at: datetime
    role: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """One decision, with the proposal that it is about. `edited`: proposed and final JSON text."""

    decision_id: UUID
    item: ReviewItem
    statement: Statement
    decided_at: datetime
    lane: str
    undone: Undone | None
    edited: dict[str, tuple[str, str]] = field(default_factory=dict)

    @property
    def cursor(self) -> str:
        """Return what a reader goes on after."""
        place = orjson.dumps([timestamp_text(self.decided_at), str(self.decision_id)])
        return base64.urlsafe_b64encode(place).rstrip(b"=").decode()


def parse_cursor(text: str) -> Place:
    """Return the place that a cursor names; it comes back from outside.

    Raises:
        ProblemError: BAD_CURSOR.
    """
    try:
        moment, decision = orjson.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        return parse_moment(moment), UUID(decision)
    except (ValueError, TypeError, AttributeError) as error:
        raise ProblemError(Code.BAD_CURSOR, "It is of no label.") from error


def parse_moment(text: str) -> datetime:
    """Return a moment in ISO 8601; without a zone it is UTC.

    Raises:
        ValueError: it is none, or none that a calendar has in UTC.
    """
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        return moment.replace(tzinfo=UTC)
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError(f"{text} is out of range") from error


class Labels:
    """The use case, with what it needs."""

    def __init__(
        self,
        *,
        store: Store,
        hint: Hint,
        digester: Digester,
        hold: timedelta,
        at_a_time: int = AT_A_TIME,
    ) -> None:
        """`hold`: the longest there is. A younger decision than that may be taken back."""
        self._store = store
        self._hint = hint
        self._digester = digester
        self._settled = hold + SLACK
        self._at_a_time = at_a_time

    async def export(self, actor: Actor, wanted: Wanted) -> AsyncIterator[list[Label]]:
        """Put the export on record; return the labels, some at a time, the first of them read.

        Raises:
            ProblemError: UNAVAILABLE; here, or while the rest is read.
        """
        step = control(
            EXPORTED,
            scope=SCOPE,
            actor_id=str(actor.account_id),
            role=acting_role(actor.roles, Permission.EXPORT).value,
            at=datetime.now(UTC),
            digester=self._digester,
            detail=wanted.told(),
        )
        await self._store.run(step)
        self._hint()
        return self._rest(wanted, await self._rows(wanted, wanted.start))

    async def _rest(self, wanted: Wanted, rows: list[Row]) -> AsyncIterator[list[Label]]:
        left = wanted.limit
        while rows:
            found = [_label(row) for row in rows if row["event"] is not None][:left]
            if found:
                yield found
            left = None if left is None else left - len(found)
            if left == 0 or len(rows) < self._at_a_time:
                return
            rows = await self._rows(wanted, (rows[-1]["decided_at"], rows[-1]["decision_id"]))

    async def _rows(self, wanted: Wanted, after: Place) -> list[Row]:
        asked = {
            "after_at": after[0],
            "after_id": after[1],
            "until": wanted.until,
            "settled": self._settled.total_seconds(),
            "source": wanted.source,
            "limit": self._at_a_time,
        }
        return await self._store.all("labels", asked)


def _label(row: Row) -> Label:
    item, statement = decode(row["event"]), from_text(row["statement"])
    assert isinstance(item, ReviewItem)
    proposed = item.change.fields
    edited = {
        one.name: (proposed[one.name], one.value)
        for one in statement.fields
        if row["action"] == "APPROVE" and proposed.get(one.name) != one.value
    }
    undone = row["undone_at"]
    return Label(
        decision_id=row["decision_id"],
        item=item,
        statement=statement,
        decided_at=row["decided_at"],
        lane=row["lane"],
        undone=None if undone is None else Undone(at=undone, role=row["undone_role"]),
        edited=edited,
    )
