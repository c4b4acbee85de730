"""The policy, as a value: which lane a change goes to, and which reasons there are.

Owns the reading of a policy's text (TOML) and the rules in it. Pure: knows no item but the four
things a rule may ask for (target, field, risk, amount), no clock and no store. The version names
the text itself, so a changed text is another version even where nobody thought of it.
"""

import hashlib
import re
import tomllib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Final

from review_api.oversight import Oversight, OversightError, parse_oversight

DEFAULT_REASONS: Final = (
    "UNSUPPORTED",
    "WRONG",
    "INCOMPLETE",
    "POLICY",
    "DUPLICATE",
    "OTHER",
)


class PolicyError(ValueError):
    """A policy cannot be used. Its message names the place and what to write instead."""

    def __init__(self, said: str, line: int | None = None) -> None:
        """`line` counts from 1; None where the fault is in no line alone."""
        super().__init__(f"policy: {said}" if line is None else f"policy: line {line}: {said}")
        self.said = said
        self.line = line


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
    """What a policy's text says."""

    version: str
    rules: tuple[Rule, ...] = ()
    reasons: tuple[str, ...] = field(default=DEFAULT_REASONS)
    oversight: Oversight = field(default=Oversight())

    def lane(self, target: str, risk: float, fields: Mapping[str, str]) -> Lane:
        """Return the strictest lane of all rules that hold; `ordinary` where none does."""
        lanes = {rule.lane for rule in self.rules if rule.holds(target, risk, fields)}
        return Lane.CRITICAL if Lane.CRITICAL in lanes else Lane.ORDINARY

    def lane_again(
        self, assigned: Lane, target: str, risk: float, fields: Mapping[str, str]
    ) -> Lane:
        """Return the lane of an item that has been `assigned` one: it can only rise.

        Neither a pipeline nor an editor nor another policy talks an item out of the critical lane.
        """
        return assigned if assigned is Lane.CRITICAL else self.lane(target, risk, fields)


_KEYS: Final = frozenset({"version", "reasons", "rule", "oversight"})
_CONDITIONS: Final = frozenset({"target", "field", "risk_at_least", "amount_over"})
_LONGEST_NAME: Final = 64
_PLACE: Final = re.compile(r"^(.*) \(at line (\d+), column \d+\)$", re.DOTALL)
_RULE: Final = re.compile(r"\s*\[\[\s*[\"']?rule[\"']?\s*\]\]")


def parse_policy(text: str) -> Policy:
    """Return the policy in `text` (TOML).

    Raises:
        PolicyError: not TOML, an unknown key, an impossible value.
    """
    try:
        table = tomllib.loads(text, parse_float=Decimal)
    except (ValueError, ArithmeticError, RecursionError) as error:  # numbers no machine holds too
        raise _not_toml(error, text) from error
    for key in table.keys() - _KEYS:
        known = ", ".join(sorted(_KEYS))
        raise PolicyError(f"unknown {key!r}; a policy has {known}", _line(text, key))
    entries = table.get("rule", [])
    if not isinstance(entries, list):
        raise PolicyError("every rule begins with [[rule]]", _line(text, "rule"))
    name = _version(table.get("version", "1"), text)
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]
    return Policy(
        version=f"{name}+{digest}",
        rules=tuple(_rule(number, entry, text) for number, entry in enumerate(entries, 1)),
        reasons=_reasons(table.get("reasons", list(DEFAULT_REASONS)), text),
        oversight=_oversight(table.get("oversight", {}), text),
    )


def _not_toml(error: Exception, text: str) -> PolicyError:
    found = _PLACE.match(str(error))
    if found is None:  # at the end of the document
        return PolicyError(f"not TOML: {error}", max(1, len(text.splitlines())))
    return PolicyError(f"not TOML: {found[1]}", int(found[2]))


def _version(name: object, text: str) -> str:
    if isinstance(name, bool) or not isinstance(name, str | int):
        raise PolicyError('version is a name, like "7"', _line(text, "version"))
    if not 0 < len(str(name)) <= _LONGEST_NAME or not str(name).isprintable():
        raise PolicyError(f"version has 1 to {_LONGEST_NAME} characters", _line(text, "version"))
    return str(name)


def _reasons(codes: object, text: str) -> tuple[str, ...]:
    line = _line(text, "reasons")
    if not isinstance(codes, list) or not codes:
        raise PolicyError("reasons is a list of codes, at least one", line)
    for code in codes:
        if not isinstance(code, str) or not _is_name(code):
            raise PolicyError(f"reasons: {code!r} is no code; write one like WRONG", line)
    if len(set(codes)) < len(codes):
        raise PolicyError("reasons: a code is there twice", line)
    return tuple(codes)


def _oversight(table: object, text: str) -> Oversight:
    try:
        return parse_oversight(table)
    except OversightError as error:
        raise PolicyError(f"{error}", _line(text, error.key)) from error


def _is_name(text: str) -> bool:
    return 0 < len(text) <= _LONGEST_NAME and text.isprintable() and text == text.strip()


def _rule(number: int, entry: object, text: str) -> Rule:
    def wrong(said: str, key: str | None = None) -> PolicyError:
        return PolicyError(f"rule {number}: {said}", _line_in_rule(text, number, key))

    if not isinstance(entry, Mapping):
        raise wrong("it begins with [[rule]]")
    when = entry.get("when", {})
    if not isinstance(when, Mapping):
        raise wrong("when is a table, like { risk_at_least = 0.8 }", "when")
    for keys, known in ((entry.keys(), {"when", "lane"}), (when.keys(), _CONDITIONS)):
        for key in keys - known:
            raise wrong(f"unknown {key!r}; known are {', '.join(sorted(known))}", key)
    if entry.get("lane") not in list(Lane):
        raise wrong(f"lane is {' or '.join(repr(str(lane)) for lane in Lane)}", "lane")
    for key, is_right, meant in _CHECKS:
        if key in when and not is_right(when[key]):
            raise wrong(f"{key} is {meant}", key)
    risk = _number(when.get("risk_at_least"))
    return Rule(
        lane=Lane(entry["lane"]),
        target=when.get("target"),
        field=when.get("field"),
        risk_at_least=None if risk is None else float(risk),
        amount_over=_number(when.get("amount_over")),
    )


def _is_text(value: object) -> bool:
    return isinstance(value, str) and value != ""


def _is_risk(value: object) -> bool:
    number = _number(value)
    return number is not None and 0 <= number <= 1


_CHECKS: Final[tuple[tuple[str, Callable[[object], bool], str], ...]] = (
    ("target", _is_text, "a name in quotes"),
    ("field", _is_text, "a name in quotes"),
    ("risk_at_least", _is_risk, "a number from 0 to 1"),
    ("amount_over", lambda value: _number(value) is not None, "a number"),
)


def _number(value: object) -> Decimal | None:
    """Return a finite number, in quotes or not; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | Decimal | str):
        return None
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def _line(text: str, key: str) -> int | None:
    """Return the line that begins with `key`, or None where none does."""
    begins = re.compile(rf"\s*(\[\[?\s*)?[\"']?{re.escape(key)}\b")
    lines = enumerate(text.splitlines(), 1)
    return next((number for number, line in lines if begins.match(line)), None)


def _line_in_rule(text: str, number: int, key: str | None) -> int | None:
    """Return the line of `key` in the rule of that number; its first line where it is not there."""
    lines = text.splitlines()
    heads = [at for at, line in enumerate(lines) if _RULE.match(line)]
    if number > len(heads):
        return _line(text, "rule")
    first = heads[number - 1]
    last = heads[number] if number < len(heads) else len(lines)
    word = re.compile(rf"(?<![\w-]){re.escape(key)}(?![\w-])" if key else r"(?!)")
    found = (at for at in range(first, last) if word.search(lines[at].split("#")[0]))
    return next(found, first) + 1


def unknown_targets(policy: Policy, known: Collection[str]) -> list[str]:
    """Return the targets that rules name and nobody has configured: those rules never hold."""
    return sorted({rule.target for rule in policy.rules if rule.target} - set(known))
