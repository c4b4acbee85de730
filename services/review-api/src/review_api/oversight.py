"""Does somebody look before they approve? What is asked of them, and what is told of them. Pure.

Owns which approvals take a look at the evidence, and which pattern of decisions looks like a rubber
stamp. A pattern is shown to administrators with its numbers: nothing is decided by it, and nobody
is refused anything. What people did is counted elsewhere (`conduct`) and comes in as values.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from decimal import Decimal
from typing import Any, Final

from contract.events import ReviewItem


class OversightError(ValueError):
    """A value cannot be used. `key` names it."""

    def __init__(self, key: str, said: str) -> None:
        """Keep the key, for whoever finds its line."""
        super().__init__(said)
        self.key = key


@dataclass(frozen=True, slots=True, kw_only=True)
class Oversight:
    """`[oversight]` of a policy. Shares are from 0 to 1.

    `evidence_at_risk`: approving at this risk or more takes a look at the evidence; in the critical
    lane it always does. `control_rate`: so many control items for each item that comes in.
    The others say from where on a pattern is shown; see `signals`.
    """

    evidence_at_risk: float | None = None
    control_rate: float = 0.0
    least_decisions: int = 20
    dwell_seconds: float = 5.0
    approve_share: float = 0.98
    evidence_share: float = 0.2
    control_misses: int = 1


_MOST: Final = 1_000_000
_WHOLE: Final = frozenset({"least_decisions", "control_misses"})
_SECONDS: Final = frozenset({"dwell_seconds"})
KEYS: Final = tuple(one.name for one in fields(Oversight))


def parse_oversight(table: object) -> Oversight:
    """Return what `table`, as TOML has it, says.

    Raises:
        OversightError: an unknown key, an impossible value.
    """
    if not isinstance(table, Mapping):
        raise OversightError("oversight", "oversight is a table: [oversight]")
    for key in table.keys() - set(KEYS):
        raise OversightError(str(key), f"unknown {key!r}; oversight has {', '.join(KEYS)}")
    return Oversight(**{key: _value(key, value) for key, value in table.items()})


def _value(key: str, value: object) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | Decimal | float):
        raise OversightError(key, f"{key} is a number")
    if key in _WHOLE:
        if not isinstance(value, int) or not 1 <= value <= _MOST:
            raise OversightError(key, f"{key} is a whole number, at least 1")
        return value
    number = float(value)
    most = 86_400.0 if key in _SECONDS else 1.0
    if not 0 <= number <= most:
        raise OversightError(key, f"{key} is a number from 0 to {most:g}")
    return number


def wants_evidence(rules: Oversight, item: ReviewItem, *, critical: bool) -> bool:
    """Tell whether approving `item` takes a look at its evidence first. Without any it does not."""
    if not (item.retrieval or item.evidence):
        return False
    least = rules.evidence_at_risk
    return critical or (least is not None and item.risk.score >= least)


@dataclass(frozen=True, slots=True, kw_only=True)
class Conduct:
    """How somebody decided lately. `dwell`: seconds from first look to decision, the median.

    `looked`: approvals before which they had opened the evidence. `missed`: control items that were
    answered wrongly.
    """

    decided: int
    approved: int
    edited: int
    dwell: float | None
    looked: int
    controls: int
    missed: int

    @property
    def approve_share(self) -> float:
        """Return the share of approvals."""
        return self.approved / self.decided if self.decided else 0.0

    @property
    def edit_share(self) -> float:
        """Return the share of approvals with a value of their own."""
        return self.edited / self.approved if self.approved else 0.0

    @property
    def override_share(self) -> float:
        """Return how often they did something else than the model proposed."""
        return 1 - (self.approved - self.edited) / self.decided if self.decided else 0.0

    @property
    def evidence_share(self) -> float:
        """Return the share of approvals before which the evidence was opened."""
        return self.looked / self.approved if self.approved else 0.0


def signals(rules: Oversight, seen: Conduct) -> list[str]:
    """Return what looks like a rubber stamp, in words with the numbers; empty: nothing does.

    One missed control item too many is enough. Of the others (nearly always yes, within seconds,
    with the evidence closed) it takes two at once, and enough decisions to tell.
    """
    if seen.missed >= rules.control_misses:
        missed = [f"{seen.missed} of {seen.controls} control items answered wrongly"]
    else:
        missed = []
    found = []
    if seen.decided >= rules.least_decisions:
        if seen.approve_share >= rules.approve_share:
            found.append(f"{seen.approve_share:.0%} approved")
        if seen.dwell is not None and seen.dwell < rules.dwell_seconds:
            found.append(f"{seen.dwell:.1f} s from look to decision")
        if seen.approved and seen.evidence_share < rules.evidence_share:
            found.append(f"evidence opened before {seen.evidence_share:.0%} of approvals")
    return missed + (found if missed or len(found) > 1 else [])
