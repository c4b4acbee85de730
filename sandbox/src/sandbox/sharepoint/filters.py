"""The `$filter` a look-up needs: comparisons, startswith, substringof, joined by `and`. Pure."""

import re
from collections.abc import Mapping
from typing import Any

from sandbox.sharepoint.errors import bad_query

LITERAL = r"(datetime'[^']*'|guid'[^']*'|'(?:[^']|'')*'|-?\d+(?:\.\d+)?|true|false|null)"
COMPARISON = re.compile(
    rf"\s*\(*\s*(\w+)\s+(eq|ne|lt|le|gt|ge)\s+{LITERAL}\s*\)*\s*", re.IGNORECASE
)
STARTS = re.compile(rf"\s*startswith\(\s*(\w+)\s*,\s*{LITERAL}\s*\)\s*", re.IGNORECASE)
CONTAINS = re.compile(rf"\s*substringof\(\s*{LITERAL}\s*,\s*(\w+)\s*\)\s*", re.IGNORECASE)
AND = re.compile(r"and\b", re.IGNORECASE)


def matches(expression: str, values: Mapping[str, Any]) -> bool:
    """Raises SharePointError 400 for what it cannot read. Text compares without case."""
    position, holds = 0, True
    while True:
        end, result = _clause(expression, position, values)
        holds = holds and result
        if end == len(expression):
            return holds
        joint = AND.match(expression, end)
        if joint is None:
            raise bad_query(f'The expression "{expression}" is not valid.')
        position = joint.end()


def _clause(text: str, position: int, values: Mapping[str, Any]) -> tuple[int, bool]:
    if match := STARTS.match(text, position):
        mine = _value(values, match[1])
        return match.end(), str(mine or "").lower().startswith(str(_literal(match[2])).lower())
    if match := CONTAINS.match(text, position):
        mine = _value(values, match[2])
        return match.end(), str(_literal(match[1])).lower() in str(mine or "").lower()
    if match := COMPARISON.match(text, position):
        return match.end(), _compare(_value(values, match[1]), match[2].lower(), _literal(match[3]))
    raise bad_query(f'The expression "{text}" is not valid.')


def _value(values: Mapping[str, Any], name: str) -> Any:
    by_lower = {known.lower(): known for known in values}
    if name.lower() not in by_lower:
        raise bad_query(
            f"Column '{name}' does not exist. It may have been deleted by another user."
        )
    return values[by_lower[name.lower()]]


def _literal(text: str) -> Any:
    lowered = text.lower()
    if lowered in {"true", "false", "null"}:
        return {"true": True, "false": False, "null": None}[lowered]
    if text.endswith("'"):
        return text[text.index("'") + 1 : -1].replace("''", "'")
    return float(text)


def _compare(mine: Any, operator: str, wanted: Any) -> bool:
    if isinstance(mine, str) and isinstance(wanted, str):
        mine, wanted = mine.lower(), wanted.lower()
    if operator in {"eq", "ne"}:
        return bool((mine == wanted) is (operator == "eq"))
    if mine is None or wanted is None or isinstance(mine, str) is not isinstance(wanted, str):
        return False
    return bool(
        {"lt": mine < wanted, "le": mine <= wanted, "gt": mine > wanted, "ge": mine >= wanted}[
            operator
        ]
    )
