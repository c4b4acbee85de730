"""Finds crash points in source text, and rewrites it so that it tells when it passes one. Pure.

A place is a call that a rule names: `module:function:callee:n`, the n-th such call of its function.
Lines are not in it, so it survives edits elsewhere. Each has two sides, before and after; a call in
the head of a `with` counts where the block is left, because that is where a transaction commits.
"""

import ast
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tests.support.crash.rules import RULES, Rule

CALL: Final = "__crash_call__"
LEAVE: Final = "__crash_leave__"
BEFORE: Final = "before"
AFTER: Final = "after"
SIDES: Final = (BEFORE, AFTER)


@dataclass(frozen=True, slots=True)
class Place:
    """A call that sends, receives or makes durable."""

    id: str
    what: str
    line: int
    leaves: bool


def places_in(source: str, module: str, rules: Sequence[Rule] = RULES) -> list[Place]:
    """Return the places of a module, in the order of its text."""
    finder = _Finder(module, rules)
    finder.visit(ast.parse(source))
    return finder.found


def instrumented(source: str, module: str, rules: Sequence[Rule] = RULES) -> ast.Module:
    """Return the module with `__crash_call__` and `__crash_leave__` around its places."""
    tree: ast.Module = _Finder(module, rules).visit(ast.parse(source))
    return ast.fix_missing_locations(tree)


class _Finder(ast.NodeTransformer):
    def __init__(self, module: str, rules: Sequence[Rule]) -> None:
        self._module = module
        self._rules = rules
        self._inside: list[str] = []
        self._times: Counter[str] = Counter()
        self.found: list[Place] = []

    def _scope(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> ast.AST:
        self._inside.append(node.name)
        self.generic_visit(node)
        self._inside.pop()
        return node

    visit_FunctionDef = visit_AsyncFunctionDef = visit_ClassDef = _scope  # noqa: N815 - ast's names

    def visit_withitem(self, node: ast.withitem) -> ast.AST:
        """Mark where the block is left."""
        call = node.context_expr
        if isinstance(call, ast.Call) and (place := self._place(call, leaves=True)):
            self.generic_visit(call)
            node.context_expr = _wrapped(LEAVE, place, [call])
            return node
        return self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        """Mark the call itself. Arguments are evaluated before its first side."""
        place = self._place(node, leaves=False)
        self.generic_visit(node)
        if place is None:
            return node
        return ast.copy_location(
            _wrapped(CALL, place, [node.func, *node.args], node.keywords), node
        )

    def _place(self, call: ast.Call, *, leaves: bool) -> Place | None:
        callee = ast.unparse(call.func)
        rule = next((one for one in self._rules if one.finds(callee)), None)
        if rule is None or not self._inside:
            return None
        name = f"{self._module}:{'.'.join(self._inside)}:{callee}"
        self._times[name] += 1
        place = Place(f"{name}:{self._times[name]}", rule.what, call.lineno, leaves)
        self.found.append(place)
        return place


def _wrapped(
    function: str,
    place: Place,
    arguments: list[ast.expr],
    keywords: list[ast.keyword] | None = None,
) -> ast.Call:
    return ast.Call(
        func=ast.Name(function, ast.Load()),
        args=[ast.Constant(place.id), *arguments],
        keywords=keywords or [],
    )
