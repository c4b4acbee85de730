"""The policy, as a value: which lane a change goes to, and which reasons there are.

Owns the reading of `policy.toml` and the rules in it. Pure: knows no item but the four things a
rule may ask for (target, field, risk, amount), no clock and no store. The version names the text
itself, so a changed file is another version even where nobody thought of it.
"""

import hashlib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Any, Final

DEFAULT_REASONS: Final = (
    "UNSUPPORTED",
    "WRONG",
    "INCOMPLETE",
    "POLICY",
    "DUPLICATE",
    "OTHER",
)


class PolicyError(ValueError):
    """`policy.toml` cannot be used. Its message names the rule and what to write instead."""


class Lane(StrEnum):
    """`ordinary` needs one decision, `critical` needs two different people."""

    ORDINARY = "ordinary"
    CRITICAL = "critical"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Every condition that is given must hold. Amounts are compared as decimals."""

    lane: Lane
    target: str | None = None
    field: str | None = None
    risk_at_least: float | None = None
    amount_over: Decimal | None = None

    def holds(self, target: str, risk: float, fields: Mapping[str, str]) -> bool:
        """Tell whether a change of `fields` (JSON text by name) is this rule's."""
        if self.target is not None and self.target != target:
            return False
        if self.risk_at_least is not None and risk < self.risk_at_least:
            return False
        named = {
            name: text for name, text in fields.items() if self.field is None or name == self.field
        }
        if self.field is not None and not named:
            return False
        return self.amount_over is None or any(
            _amount(text) > self.amount_over for text in named.values()
        )


def _amount(text: str) -> Decimal:
    """Return the number a field's JSON text is, in quotes or not; minus infinity for others."""
    try:
        amount = Decimal(text.strip().strip('"'))
    except InvalidOperation:
        return Decimal("-Infinity")
    return Decimal("-Infinity") if amount.is_nan() else amount


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What `policy.toml` says."""

    version: str
    rules: tuple[Rule, ...] = ()
    reasons: tuple[str, ...] = field(default=DEFAULT_REASONS)

    def lane(self, target: str, risk: float, fields: Mapping[str, str]) -> Lane:
        """Return the strictest lane of all rules that hold; `ordinary` where none does."""
        lanes = {rule.lane for rule in self.rules if rule.holds(target, risk, fields)}
        return Lane.CRITICAL if Lane.CRITICAL in lanes else Lane.ORDINARY


_KEYS: Final = frozenset({"version", "reasons", "rule"})
_CONDITIONS: Final = frozenset({"target", "field", "risk_at_least", "amount_over"})


def parse_policy(text: str) -> Policy:
    """Return the policy in `text` (TOML).

    Raises:
        PolicyError: not TOML, an unknown key, an impossible value.
    """
    try:
        table = tomllib.loads(text, parse_float=Decimal)
    except tomllib.TOMLDecodeError as error:
        raise PolicyError(f"policy: not TOML: {error}") from error
    unknown = table.keys() - _KEYS
    if unknown:
        raise PolicyError(f"policy: unknown {', '.join(sorted(unknown))}")
    reasons = tuple(table.get("reasons", DEFAULT_REASONS))
    if not reasons or not all(isinstance(reason, str) and reason for reason in reasons):
        raise PolicyError("policy: reasons is a list of codes, at least one")
    name = str(table.get("version", "1"))
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]
    rules = tuple(_rule(number, entry) for number, entry in enumerate(table.get("rule", []), 1))
    return Policy(version=f"{name}+{digest}", rules=rules, reasons=reasons)


def _rule(number: int, entry: Mapping[str, Any]) -> Rule:
    when = entry.get("when", {})
    unknown = (entry.keys() - {"when", "lane"}) | (when.keys() - _CONDITIONS)
    if unknown:
        raise PolicyError(f"policy: rule {number}: unknown {', '.join(sorted(unknown))}")
    try:
        risk, amount = when.get("risk_at_least"), when.get("amount_over")
        return Rule(
            lane=Lane(entry.get("lane", "")),
            target=when.get("target"),
            field=when.get("field"),
            risk_at_least=None if risk is None else float(risk),
            amount_over=None if amount is None else Decimal(str(amount)),
        )
    except (ValueError, InvalidOperation) as error:
        lanes = " or ".join(Lane)
        raise PolicyError(f"policy: rule {number}: {error}; lane is {lanes}") from error
