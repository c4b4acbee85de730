"""Crash points are found by what is called, and what is instrumented does what it did."""

import ast
import asyncio
import importlib.util
from fnmatch import fnmatchcase
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from tests.support.crash.law import ELSEWHERE, LAW
from tests.support.crash.places import CALL, LEAVE, instrumented, places_in
from tests.support.crash.rules import MODULES, RULES, Rule
from tests.support.crash.trigger import Trigger

SOURCE = """
class Desk:
    def save(self, rows):
        with self.connection.transaction() as transaction:
            self.cursor.execute(self.cursor.execute(rows))
            transaction.execute(1)

        def again():
            return self.cursor.execute(2)

        return again

async def ask(self):
    return await self._store.one("who")

connection.execute("at import")
"""


def source_of(module: str) -> str:
    spec = importlib.util.find_spec(module)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).read_text("utf-8")


def test_a_place_is_the_nth_such_call_of_its_function():
    assert [(place.id, place.leaves) for place in places_in(SOURCE, "m")] == [
        ("m:Desk.save:self.connection.transaction:1", True),
        ("m:Desk.save:self.cursor.execute:1", False),
        ("m:Desk.save:self.cursor.execute:2", False),
        ("m:Desk.save:transaction.execute:1", False),
        ("m:Desk.save.again:self.cursor.execute:1", False),
        ("m:ask:self._store.one:1", False),
    ]


def test_lines_above_and_other_calls_change_no_place():
    moved = SOURCE.replace("class Desk", "import os\n\n\nclass Desk").replace(
        "return again", "print(rows)\n        return again"
    )
    before, after = places_in(SOURCE, "m"), places_in(moved, "m")
    assert [one.id for one in before] == [one.id for one in after]
    assert [one.line for one in before] != [one.line for one in after]


@pytest.mark.parametrize("module", MODULES)
def test_every_module_has_places_and_compiles_with_them(module: str):
    source = source_of(module)
    assert places_in(source, module)
    compile(instrumented(source, module), module, "exec")


@pytest.fixture(scope="module")
def known() -> set[str]:
    """Every place there is."""
    return {place.id for module in MODULES for place in places_in(source_of(module), module)}


def test_every_rule_finds_something(known: set[str]):
    callees = {place.split(":")[2] for place in known}
    assert [one.callee for one in RULES if not any(map(one.finds, callees))] == []


def test_what_the_laws_rest_on_is_in_the_source(known: set[str]):
    named = {place for _, place, _ in LAW} | {behind for _, _, behind in LAW if behind}
    assert named - known == set()


def test_what_only_other_work_reaches_is_in_the_source(known: set[str]):
    unknown = [place for place, _ in ELSEWHERE if not any(fnmatchcase(one, place) for one in known)]
    assert unknown == []


class Recorder(Trigger):
    """Remembers what is passed, in one list with what is done."""

    def __init__(self) -> None:
        self.passed: list[Any] = []

    def hit(self, place: str, side: str) -> None:
        self.passed.append((place.split(":")[-2], side))


RULE = [Rule("work", ""), Rule("block", ""), Rule("*.work", "")]


def run(source: str, **names: Any) -> tuple[dict[str, Any], list[Any]]:
    """Run `source`, instrumented; returns its names and what was passed."""
    recorder = Recorder()
    scope: dict[str, Any] = {
        CALL: recorder.call,
        LEAVE: recorder.leave,
        "told": recorder.passed,
        **names,
    }
    exec(compile(instrumented(dedent(source), "m", RULE), "m", "exec"), scope)
    return scope, recorder.passed


def test_arguments_come_first_and_the_answer_is_the_same():
    scope, passed = run("""
        def work(*args, **kwargs):
            told.append("work")
            return args, kwargs
        def main():
            return work(told.append("argument"), *[2], place=3, **{"function": 4})
        """)
    assert scope["main"]() == ((None, 2), {"place": 3, "function": 4})
    assert passed == ["argument", ("work", "before"), "work", ("work", "after")]


def test_a_call_that_raises_has_no_second_side():
    scope, passed = run("""
        def work():
            raise KeyError
        def main():
            work()
        """)
    with pytest.raises(KeyError):
        scope["main"]()
    assert passed == [("work", "before")]


def test_what_is_awaited_lies_between_the_sides():
    scope, passed = run("""
        async def work():
            told.append("work")
            return 1
        async def main():
            waiting = work()
            told.append("made")
            return await waiting
        """)
    assert asyncio.run(scope["main"]()) == 1
    assert passed == [("work", "before"), "made", "work", ("work", "after")]


def test_what_is_never_awaited_can_be_closed():
    scope, passed = run("""
        async def work():
            told.append("work")
        async def main():
            work().close()
        """)
    asyncio.run(scope["main"]())
    assert passed == [("work", "before")]


BLOCK = """
    from contextlib import contextmanager
    @contextmanager
    def block():
        told.append("begin")
        try:
            yield 1
        except KeyError:
            told.append("rollback")
            raise
        else:
            told.append("commit")
    def main(error=None):
        with block() as one:
            told.append(one)
            if error:
                raise error
    """


def test_a_transaction_has_its_sides_around_its_commit():
    scope, passed = run(BLOCK)
    scope["main"]()
    assert passed == ["begin", 1, ("block", "before"), "commit", ("block", "after")]


def test_a_rollback_is_no_point_and_still_happens():
    scope, passed = run(BLOCK)
    with pytest.raises(KeyError):
        scope["main"](KeyError())
    assert passed == ["begin", 1, "rollback"]


def test_an_async_block_and_a_super_call_keep_working():
    scope, passed = run("""
        from contextlib import asynccontextmanager
        @asynccontextmanager
        async def block():
            yield 1
        class Base:
            def work(self):
                return 2
        class Derived(Base):
            def work(self):
                return super().work()
            async def main(self):
                async with block() as one:
                    return one + self.work()
        """)
    assert asyncio.run(scope["Derived"]().main()) == 3
    assert passed == [
        ("self.work", "before"),
        *(("super().work", "before"), ("super().work", "after")),
        ("self.work", "after"),
        *(("block", "before"), ("block", "after")),
    ]


def test_lines_stay_what_they_are():
    def lines(tree: ast.AST) -> list[int]:
        return sorted({node.lineno for node in ast.walk(tree) if isinstance(node, ast.stmt)})

    source = source_of("conveyor.relay")
    assert lines(instrumented(source, "conveyor.relay")) == lines(ast.parse(source))
