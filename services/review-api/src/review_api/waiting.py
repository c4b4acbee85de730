"""Why what was decided is not written yet, and until when that stays so.

Owns the choice of the one cause that people are told. Pure: the decision, its write-backs, how the
target is and what stands before it come in.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final


class Cause(StrEnum):
    """What a write waits for."""

    PAUSED = "TARGET_PAUSED"  # until somebody resumes the target
    SILENT = "DISPATCHER_SILENT"  # nobody who writes to the target says how it is
    AWAY = "TARGET_AWAY"  # until it answers
    TURN = "EARLIER_DECISIONS"  # on the same record
    RETRY = "RETRY"  # the last attempt failed
    PROBE = "PROBE"  # it is being found out whether the last attempt did it


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """One write's. `until`: its next attempt, where that has a time. `ahead`: decisions before it.

    `by` and `why` are those of whoever paused the target. `last`: what the last attempt ended with.
    """

    cause: Cause
    target: str
    until: datetime | None
    ahead: int
    by: str | None = None
    why: str | None = None
    last: str | None = None


_DUE: Final = ("RETRYING", "UNKNOWN", "WAITING")
_CAUSES: Final = {
    "paused": Cause.PAUSED,
    "away": Cause.AWAY,
    "unknown": Cause.SILENT,
    "standby": Cause.SILENT,
}


def due(
    decision: Mapping[str, Any], write_backs: Iterable[Mapping[str, Any]]
) -> Mapping[str, Any] | None:
    """Return the write that should have been made by now; None where there is none.

    Within the hold, nothing waits yet but for the hold itself.
    """
    if decision["taken_back_by"] is not None or decision["not_before"] > decision["now"]:
        return None
    found = {row["state"]: row for row in write_backs}
    return next((found[state] for state in _DUE if state in found), None)


def wait_of(
    write_back: Mapping[str, Any], *, state: str, before: Mapping[str, Any], now: datetime
) -> Wait | None:
    """Return what a write that is `due` waits for; None where it is just being begun.

    `state`: the target's, as its dispatcher says. `before`: what stands before it.
    """
    ahead: int = before["ahead"]
    cause = _CAUSES.get(state)
    if cause is None:
        own = {"RETRYING": Cause.RETRY, "UNKNOWN": Cause.PROBE}.get(write_back["state"])
        cause = own or (Cause.TURN if ahead else None)
    if cause is None:
        return None
    planned, paused = write_back["next_attempt_at"], cause is Cause.PAUSED
    told = write_back["state"] != "WAITING" and not paused
    return Wait(
        cause=cause,
        target=write_back["instance"],
        until=planned if told and planned is not None and planned > now else None,
        ahead=ahead,
        by=before["stopped_by"] if paused else None,
        why=before["stop_reason"] if paused else None,
        last=write_back["reason"],
    )
