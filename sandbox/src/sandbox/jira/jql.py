"""The little JQL a probe or a page needs: clauses joined by AND, and an order. Pure.

`field = value`, `!=`, `~`, `in (...)`, `is [not] EMPTY`; everything else is an error, as is a field
that is unknown or not indexed, such as `issue.property[...]` without an index module.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

TOKEN = re.compile(r'\s*("(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)*\'|!=|[=~(),]|[^\s=~(),!]+)')
FIELD_NAMES = {"key", "issuekey", "issue", "id", "project", "status", "summary", "text", "labels",
               "priority", "description"}  # fmt: skip


class JqlError(ValueError):
    """The message is the one Jira shows."""


@dataclass(frozen=True, slots=True)
class Clause:
    field: str
    operator: str
    values: tuple[str, ...]

    def holds(self, row: Mapping[str, tuple[str, ...]]) -> bool:
        """`row` maps a field to its values in lower case."""
        mine, wanted = row.get(self.field, ()), tuple(v.lower() for v in self.values)
        match self.operator:
            case "is":
                return not mine
            case "is not":
                return bool(mine)
            case "!=":
                return bool(mine) and not set(mine) & set(wanted)
            case "~":
                return any(w in m for w in wanted for m in mine)
            case _:
                return bool(set(mine) & set(wanted))


@dataclass(frozen=True, slots=True)
class Query:
    clauses: tuple[Clause, ...]
    order: str
    descending: bool

    def holds(self, row: Mapping[str, tuple[str, ...]]) -> bool:
        return all(clause.holds(row) for clause in self.clauses)


def parse(text: str) -> Query:
    """Raises JqlError."""
    tokens = _tokens(text)
    order, descending = "key", False
    for position in range(len(tokens) - 1):
        if tokens[position].lower() == "order" and tokens[position + 1].lower() == "by":
            rest = tokens[position + 2 :]
            order = rest[0].lower() if rest else "key"
            descending = [word.lower() for word in rest[1:2]] == ["desc"]
            tokens = tokens[:position]
            break
    return Query(tuple(_clauses(tokens)), order, descending)


def _tokens(text: str) -> list[str]:
    tokens, position, text = [], 0, text.strip()
    while position < len(text):
        match = TOKEN.match(text, position)
        if match is None:
            raise JqlError(f"Error in the JQL Query: unexpected character at position {position}.")
        tokens.append(match[1])
        position = match.end()
    return tokens


def _clauses(tokens: list[str]) -> list[Clause]:
    clauses: list[Clause] = []
    while tokens:
        if clauses:
            if tokens[0].lower() != "and":
                raise JqlError(
                    f"Error in the JQL Query: Expecting either 'AND' but got '{tokens[0]}'."
                )
            tokens = tokens[1:]
        clause, tokens = _clause(tokens)
        clauses.append(clause)
    return clauses


def _clause(tokens: list[str]) -> tuple[Clause, list[str]]:
    if len(tokens) < 3:  # noqa: PLR2004 -- field, operator, value
        raise JqlError("Error in the JQL Query: Expecting an operator and a value.")
    field, operator, rest = _plain(tokens[0]).lower(), tokens[1].lower(), tokens[2:]
    if field not in FIELD_NAMES:
        raise JqlError(
            f"Field '{_plain(tokens[0])}' does not exist or you do not have permission to view it."
        )
    if operator == "is":
        negative = rest[0].lower() == "not"
        return Clause(field, "is not" if negative else "is", ()), rest[2 if negative else 1 :]
    if operator == "in":
        if ")" not in rest:
            raise JqlError("Error in the JQL Query: Expecting ')'.")
        end = rest.index(")")
        values = tuple(_plain(t) for t in rest[1:end] if t != ",")
        return Clause(field, "in", values), rest[end + 1 :]
    if operator not in {"=", "!=", "~"}:
        raise JqlError(f"Error in the JQL Query: Expecting operator but got '{tokens[1]}'.")
    return Clause(field, operator, (_plain(rest[0]),)), rest[1:]


def _plain(token: str) -> str:
    if token[:1] in {'"', "'"}:
        return re.sub(r"\\(.)", r"\1", token[1:-1])
    return token
