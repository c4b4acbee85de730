"""Has whoever decides just proved who they are? The rule of critical lanes. Pure.

Owns when a password has to be entered again: an approval or an undo in a critical lane takes one
that is fresh, whatever was typed at sign-in; any other decision in that lane takes one where the
session was idle since. Knows no password: that it was the right one is `commands.reentry`'s to see.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from contract.events import Action
from review_api.policy import Lane
from review_api.problems import Code, ProblemError

IDLE: Final = timedelta(minutes=15)
"""So long without a request by a person, and the session is idle until its owner proves it anew."""
WINDOW: Final = timedelta(minutes=5)
"""How long a proof is fresh, where the settings say nothing else."""

_WRITES: Final = frozenset({Action.APPROVE, Action.UNDO})


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What a session has shown since sign-in. `by`: how its owner signed in, and proves it."""

    by: str
    at: datetime | None = None
    idle: bool = False

    def fresh(self, now: datetime, window: timedelta) -> bool:
        """Tell whether it counts at `now`."""
        return not self.idle and self.at is not None and now - self.at <= window


def needed(lane: Lane, action: Action, proof: Proof, now: datetime, window: timedelta) -> bool:
    """Tell whether `action` in `lane` takes a proof that `proof` is not."""
    if lane is not Lane.CRITICAL:
        return False
    return not proof.fresh(now, window) if action in _WRITES else proof.idle


def check(lane: Lane, action: Action, proof: Proof, now: datetime, window: timedelta) -> None:
    """Refuse a decision in a critical lane by somebody who has not just proved who they are.

    Raises:
        ProblemError: PASSWORD_NEEDED.
    """
    if needed(lane, action, proof, now, window):
        why = "nobody was there for a while" if proof.idle else "the lane is critical"
        raise ProblemError(
            Code.PASSWORD_NEEDED,
            f"Because {why}, it takes a proof of who you are. Nothing was decided.",
            prove=proof.by,
            window_seconds=int(window.total_seconds()),
        )
