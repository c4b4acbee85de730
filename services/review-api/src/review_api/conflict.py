"""A write that found something else than was seen: what was seen, what is there, what was wanted.

Owns the comparison that a person decides on again. Pure: the decision, its write-backs and the
last reading come in.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from contract.events import Action
from contract.statement import Statement, from_text
from review_api.proposal import Baseline

_STATE = "CONFLICT"


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One field, JSON text each. `now` is None where it could not be read; `moved`: it differs."""

    name: str
    seen: str | None
    now: str | None
    wanted: str
    moved: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflict:
    """A decision of which nothing was written. `by` took it."""

    decision_id: str
    action: Action
    by: str
    fields: tuple[Field, ...]

    def of(self, name: str) -> Field | None:
        """Return the field of that name, if somebody else changed it."""
        return next((one for one in self.fields if one.name == name and one.moved), None)


def conflict_of(
    statement: str, write_backs: Iterable[Mapping[str, Any]], baseline: Baseline | None
) -> Conflict | None:
    """Return what stood in the way of a decision's `statement`; None where nothing did."""
    stopped = [one for one in write_backs if one["state"] == _STATE]
    if not stopped:
        return None
    said = from_text(statement)
    moved = {name for one in stopped for name in one["conflicting"] or ()}
    now = {} if baseline is None else baseline.fields
    return Conflict(
        decision_id=said.decision_id,
        action=said.action,
        by=_who(said),
        fields=tuple(
            Field(
                name=one.name,
                seen=one.seen,
                now=now.get(one.name),
                wanted=one.value,
                moved=one.name in moved,
            )
            for one in said.fields
        ),
    )


def _who(said: Statement) -> str:
    return " and ".join(one.name for one in said.approvers)
