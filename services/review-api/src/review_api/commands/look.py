"""Look at an item: the proposal, what its target holds, what has happened to it so far."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from contract.codec import decode
from contract.events import ReviewItem
from contract.identity import Digester
from contract.statement import from_text
from review_api.approval import First
from review_api.claim import Claim
from review_api.commands.approvals import first_of
from review_api.commands.claims import claim_of
from review_api.conflict import Conflict, conflict_of
from review_api.policy import Lane
from review_api.problems import Code, ProblemError
from review_api.proposal import Baseline, seen_digest
from review_api.review import UNDECIDED, State
from review_api.snapshots import Snapshots
from review_api.store import Row, Store, baseline_of
from review_api.target_states import TargetStates
from review_api.waiting import Wait, due, wait_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """One line of the history. `what` is a word of a closed list; the rest is there or not."""

    at: datetime
    what: str
    by: str | None = None
    role: str | None = None
    revision: int | None = None
    decision_id: str | None = None
    reason_code: str | None = None
    comment: str | None = None
    taken_back: bool = False
    void: bool = False
    step: str | None = None
    attempts: int | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """A decision and its write-backs, as rows. `wait`: what it is not written yet for."""

    row: Row
    write_backs: list[Row]
    wait: Wait | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """What somebody who opens an item sees. `fields` is what is proposed now: the first approval's
    where there is one, edits and all. `before` is the revision that this one takes the place of.
    """

    item: ReviewItem
    title: str
    state: State
    lane: Lane
    policy_version: str
    created_at: datetime
    version: int
    claim: Claim
    first: First | None
    fields: Mapping[str, str]
    baseline: Baseline | None
    stale: bool
    seen_digest: str
    before: ReviewItem | None
    history: list[Past]
    decision: Decision | None
    conflict: Conflict | None
    now: datetime


class Look:
    """The use case, with what it needs."""

    def __init__(
        self, *, store: Store, snapshots: Snapshots, states: TargetStates, digester: Digester
    ) -> None:
        self._store = store
        self._states = states
        self._snapshots = snapshots
        self._digester = digester

    async def item(self, item_id: UUID) -> Sight:
        """Return what there is to see of an item.

        Raises:
            ProblemError: NOT_FOUND.
        """
        row = await self._store.one("item", {"item": item_id})
        if row is None:
            raise ProblemError(Code.NOT_FOUND, f"There is no item {item_id}.")
        item = decode(row["event"])
        assert isinstance(item, ReviewItem)
        reading = await self._snapshots.current(
            row["instance"], row["identifier"], baseline_of(row), row["now"]
        )
        state = State(row["state"])
        opened = row["open_decision"]
        decision = None if opened is None else await self.decision(opened)
        first = first_of(row)
        fields = item.change.fields if first is None else first.fields
        return Sight(
            item=item,
            title=row["title"],
            state=state,
            lane=Lane(row["lane"]),
            policy_version=row["policy_version"],
            created_at=row["created_at"],
            version=row["version"],
            claim=claim_of(row),
            first=first,
            fields=fields,
            baseline=reading.baseline,
            stale=reading.stale,
            seen_digest=seen_digest(item, reading.baseline, self._digester, fields),
            before=await self._before(item),
            history=await self._history(row, item),
            decision=decision,
            conflict=None
            if decision is None or state is not State.CONFLICT
            else conflict_of(decision.row["statement"], decision.write_backs, reading.baseline),
            now=row["now"],
        )

    async def proposal(self, item_id: UUID) -> Mapping[str, str]:
        """Return the fields that an item proposes now, alone.

        Raises:
            ProblemError: NOT_FOUND.
        """
        row = await self._store.one("item_event", {"item": item_id})
        if row is None:
            raise ProblemError(Code.NOT_FOUND, f"There is no item {item_id}.")
        first = first_of(row)
        if first is not None:
            return first.fields
        item = decode(row["event"])
        assert isinstance(item, ReviewItem)
        return item.change.fields

    async def decision(self, decision_id: UUID) -> Decision:
        """Return a decision with the state of its write-backs.

        Raises:
            ProblemError: NOT_FOUND.
        """
        row = await self._store.one("decision", {"decision": decision_id})
        if row is None:
            raise ProblemError(Code.NOT_FOUND, f"There is no decision {decision_id}.")
        write_backs = await self._store.all("write_backs", {"decision": decision_id})
        return Decision(row=row, write_backs=write_backs, wait=await self._wait(row, write_backs))

    async def _wait(self, row: Row, write_backs: list[Row]) -> Wait | None:
        late = due(row, write_backs)
        if late is None:
            return None
        before = await self._store.one("before_write", {"decision": row["decision_id"]})
        assert before is not None
        state = await self._states.state(late["instance"])
        return wait_of(late, state=state, before=before, now=row["now"])

    async def _before(self, item: ReviewItem) -> ReviewItem | None:
        if item.revision == 1:
            return None
        asked = {"item": UUID(item.item_id), "revision": item.revision}
        row = await self._store.one("revision_before", asked)
        event = None if row is None else decode(row["event"])
        return event if isinstance(event, ReviewItem) else None

    async def _history(self, row: Row, item: ReviewItem) -> list[Past]:
        """Return everything so far. Most items are looked at before anything has happened."""
        asked = {"item": row["item_id"]}
        revisions = [row]
        if item.revision > 1:
            revisions = await self._store.all("item_revisions", asked)
        past = [
            Past(at=one["received_at"], what="PROPOSED", by=item.source, revision=one["revision"])
            for one in revisions
        ]
        if row["lane"] == Lane.CRITICAL:
            # Whoever gives the second approval does not read what the first one wrote.
            blind = State(row["state"]) in UNDECIDED
            firsts = await self._store.all("item_approvals", asked)
            undo = State(row["state"]) is State.SECOND_UNDO
            past += [_approved(one, blind=blind or (undo and one["waits"])) for one in firsts]
        past += [_said(one) for one in await self._store.all("item_comments", asked)]
        if row["decisions"]:
            past += [_decided(one) for one in await self._store.all("item_decisions", asked)]
            events = await self._store.all("item_write_back_events", asked)
            past += [_written(one) for one in events]
        if row["control_item"]:
            known = await self._store.one("control_item_result", asked)
            past += [] if known is None else [_known(known)]
        return sorted(past, key=lambda one: one.at)


def _decided(row: Mapping[str, Any]) -> Past:
    return Past(
        at=row["decided_at"],
        what=row["action"],
        by=row["name"],
        role=row["role"],
        revision=row["revision"],
        decision_id=str(row["decision_id"]),
        reason_code=row["reason_code"],
        comment=from_text(row["statement"]).comment,
        taken_back=row["taken_back_by"] is not None,
    )


def _known(row: Mapping[str, Any]) -> Past:
    """Return the line that says what a control item was; nobody is told before they answered."""
    return Past(
        at=row["decided_at"],
        what="CONTROL_ITEM",
        by=row["name"],
        role=row["role"],
        reason=f"Its known answer is {row['expected']}; {row['action']} was given. Nothing is "
        "written, and no pipeline hears of it.",
    )


def _said(row: Mapping[str, Any]) -> Past:
    return Past(
        at=row["said_at"],
        what="COMMENTED",
        by=row["name"],
        role=row["role"],
        revision=row["revision"],
        comment=row["text"],
    )


def _approved(row: Mapping[str, Any], *, blind: bool) -> Past:
    return Past(
        at=row["approved_at"],
        what="FIRST_APPROVAL" if row["action"] == "APPROVE" else "FIRST_UNDO",
        by=row["name"],
        role=row["role"],
        revision=row["revision"],
        comment=None if blind else from_text(row["statement"]).comment,
        void=not (row["waits"] or row["completed"]),
    )


def _written(row: Mapping[str, Any]) -> Past:
    return Past(
        at=row["at"],
        what=row["state"],
        decision_id=str(row["decision_id"]),
        step=row["step"],
        attempts=row["attempts"],
        reason_code=row["reason_code"],
        reason=row["reason"],
    )
