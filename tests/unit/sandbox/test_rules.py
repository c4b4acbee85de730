"""Fault rules, the store and the limiter, without a socket."""

import sqlite3
from pathlib import Path

import pytest

from sandbox.faults import Fault, FaultBook, Kind, When
from sandbox.limits import Limiter
from sandbox.store import Effect, Store


def store(path: Path | None = None) -> Store:
    return Store(path, "CREATE TABLE IF NOT EXISTS thing (id INTEGER PRIMARY KEY);", seed, {"a": 1})


def seed(fresh: Store) -> None:
    fresh.execute("INSERT INTO thing (id) VALUES (1)")


def fault(**values: object) -> Fault:
    return Fault(**{"kind": Kind.DROP, "when": When.AFTER, **values})  # type: ignore[arg-type]


def struck(book: FaultBook, count: int, path: str = "/x") -> list[bool]:
    return [book.strike("PUT", path) is not None for _ in range(count)]


def test_a_fault_strikes_as_often_as_it_says() -> None:
    book = FaultBook(store())
    book.add(fault(times=2, skip=1))
    assert struck(book, 5) == [False, True, True, False, False]


def test_a_fault_without_a_number_strikes_for_ever() -> None:
    book = FaultBook(store())
    book.add(fault(times=None))
    assert all(struck(book, 10))


def test_method_is_matched_whole_and_path_anywhere() -> None:
    rule = fault(method="PUT|POST", path=r"issue/SUP-1$")
    assert rule.matches("put", "/rest/issue/sup-1")
    assert not rule.matches("PUTS", "/rest/issue/SUP-1")
    assert not rule.matches("PUT", "/rest/issue/SUP-12")


def test_the_first_rule_that_strikes_wins() -> None:
    book = FaultBook(store())
    book.add(fault(kind=Kind.HOLD))
    book.add(fault(kind=Kind.CUT))
    kinds = [getattr(book.strike("GET", "/"), "kind", None) for _ in range(3)]
    assert kinds == [Kind.HOLD, Kind.CUT, None]


def test_a_share_is_drawn_from_the_seed() -> None:
    draws = []
    for _ in range(2):
        book = FaultBook(store())
        book.add(fault(times=None, share=0.05, seed=3))
        draws.append(struck(book, 2000))
    assert draws[0] == draws[1]
    assert 60 < sum(draws[0]) < 140


def test_rules_and_their_counts_survive_a_restart(tmp_path: Path) -> None:
    first = store(tmp_path / "s.sqlite3")
    FaultBook(first).add(fault(times=2))
    FaultBook(first).strike("PUT", "/x")
    first.close()
    again = store(tmp_path / "s.sqlite3")
    assert struck(FaultBook(again), 3) == [True, False, False]
    again.close()


def write_twice(kept: Store) -> None:
    with kept.transaction():
        kept.note(Effect(operation="edit", record="1", actor="x", fields={"a": (1, 2)}))
        kept.execute("INSERT INTO thing (id) VALUES (1)")


def test_a_transaction_is_all_or_nothing() -> None:
    kept = store()
    with pytest.raises(sqlite3.IntegrityError):
        write_twice(kept)
    assert kept.effects() == []


def test_effects_are_numbered_and_filtered() -> None:
    kept = store()
    for record in ("1", "2", "1"):
        kept.note(
            Effect(operation="edit", record=record, actor="x", fields={"a": (1, 2)}, marker="m")
        )
    assert [e["sequence"] for e in kept.effects(record="1")] == [1, 3]
    assert [e["sequence"] for e in kept.effects(after=1)] == [2, 3]
    assert kept.last_effects(1)[0]["sequence"] == 3
    assert kept.effects()[0]["fields"] == {"a": {"before": 1, "after": 2}}


def test_reset_brings_back_the_first_day() -> None:
    kept = store()
    kept.note(Effect(operation="edit", record="1", actor="x", fields={}))
    kept.change_settings({"a": 2})
    kept.execute("DELETE FROM thing")
    kept.reset()
    assert kept.effects() == []
    assert kept.settings() == {"a": 1}
    assert len(kept.rows("SELECT id FROM thing")) == 1


def test_an_unknown_setting_changes_nothing() -> None:
    kept = store()
    with pytest.raises(KeyError):
        kept.change_settings({"a": 2, "b": 3})
    assert kept.settings() == {"a": 1}


def test_a_bucket_empties_and_fills_again() -> None:
    limiter = Limiter()
    assert [limiter.take("k", 2, now=0).retry_after for _ in range(3)] == [None, None, 1]
    assert limiter.take("other", 2, now=0).retry_after is None
    assert limiter.take("k", 2, now=0.6).retry_after is None
    assert limiter.take("slow", 0.1, now=0).retry_after is None
    assert limiter.take("slow", 0.1, now=1).retry_after == 9
