"""Intents in the ledger: what may be on its way to a target whose requests carry no transaction.

Owns the guard that two workers cannot pass for one attempt: a step is moved on only from the
transition it was read at. Refuses to know when anything is sent.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from dispatcher.ledger import Ledger, Transaction
from dispatcher.ledger_rows import Move
from dispatcher.writeback import Code, Images, Next, State, move


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """A step about to be sent: what the record held, and the digest of the request."""

    write_back_id: str
    identifier: str
    state: State
    transition: int
    attempts: int
    before: Images
    digest: bytes


def hold(ledger: Ledger, transaction: Transaction, seen: Mapping[str, int]) -> set[str]:
    """Lock the steps that are still at the transition in `seen`, and return their ids."""
    rows = [{"write_back_id": key, "transition": number} for key, number in seen.items()]
    return {row[0] for row in ledger.run(transaction, "hold", rows=_document(rows)).fetchall()}


def intend(ledger: Ledger, transaction: Transaction, intents: Sequence[Intent]) -> None:
    """Make steps that are held SENDING, with their before-images, and tell."""
    if not intents:
        return
    moves = [
        Move(
            write_back_id=one.write_back_id,
            identifier=one.identifier,
            transition=one.transition + 1,
            attempts=one.attempts,
            next=Next(state=move(one.state, State.SENDING), before=one.before),
        )
        for one in intents
    ]
    rows = [
        {
            "write_back_id": one.write_back_id,
            "transition": one.transition + 1,
            "attempts": one.attempts,
            "digest": one.digest.hex(),
        }
        for one in intents
    ]
    ledger.run(transaction, "intend", rows=_document(rows))
    ledger.keep_images(transaction, moves)
    ledger.tell(transaction, moves)


def interrupt(ledger: Ledger, busy: Sequence[str], settle: float) -> int:
    """Make UNKNOWN what is SENDING and not `busy` here: whoever sent it is gone.

    Its probe is due once nothing of it can arrive any more, `settle` seconds from now.
    """
    with ledger.transaction() as transaction:
        moves = [
            Move(
                write_back_id=row[0],
                identifier=row[1],
                transition=row[2] + 1,
                attempts=row[3],
                next=Next(
                    state=move(State.SENDING, State.UNKNOWN),
                    delay=settle,
                    code=Code.INTERRUPTED,
                    detail="the dispatcher ended before the target's answer was recorded",
                ),
            )
            for row in ledger.run(transaction, "interrupted", busy=list(busy)).fetchall()
        ]
        ledger.record(transaction, moves)
    return len(moves)


def images_of(
    ledger: Ledger, transaction: Transaction, *, identifier: str, decision_id: str, step: str
) -> tuple[Images, Images]:
    """Return what a step of an earlier decision found and left; empty where that is not known."""
    place = {"identifier": identifier, "decision_id": decision_id, "step": step}
    row = ledger.run(transaction, "images_of", **place).fetchone()
    if row is None:
        return {}, {}
    before, after = (None if one is None else orjson.loads(one) for one in row)
    return before or {}, after or {}


def _document(rows: Sequence[Mapping[str, Any]]) -> str:
    return orjson.dumps(rows).decode()
