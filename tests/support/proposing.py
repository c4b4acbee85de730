"""Proposals on records of the three targets: published as pipelines do, decided by several people.

Owns how a campaign over many records is driven: eight at a time, every wait with a deadline.
"""

import json
import uuid
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

import httpx
from tests.support.desk import Person, Placet, as_json, output, wait_for
from tests.support.target_people import System, Values

from contract.identity import item_id

PEOPLE = 8
T = TypeVar("T")
R = TypeVar("R")


@dataclass(kw_only=True)
class Proposal:
    """A change of `record` to `wanted`; `before` is what the fields held when it was made."""

    at: System
    record: str
    wanted: Values
    before: Values
    external: str = field(default_factory=lambda: f"e2e-{uuid.uuid4().hex[:16]}")

    @property
    def item_id(self) -> str:
        return item_id("e2e", self.external)

    def message(self) -> bytes:
        fields = {name: json.dumps(value) for name, value in self.wanted.items()}
        change = {"target": self.at.target(self.record), "fields": fields}
        return as_json(output(self.external, self.record, change=change))

    def __str__(self) -> str:
        return f"{self.at.instance} {self.record} ({self.item_id})"


def everybody(what: Callable[[T], R], on: Iterable[T]) -> list[R]:
    """Do `what` on each, eight people at once; raises what the first of them raised."""
    with ThreadPoolExecutor(PEOPLE) as pool:
        return list(pool.map(what, on))


def publish(placet: Placet, person: Person, proposals: Sequence[Proposal]) -> None:
    """Publish, and return when everything can be decided and shows what the record holds."""
    placet.publish([one.message() for one in proposals])
    everybody(lambda one: readable(person, one), proposals)


def readable(person: Person, one: Proposal) -> dict[str, Any]:
    """Return the item once somebody can decide on it."""

    def known() -> dict[str, Any] | None:
        answer = person.http.get(f"/api/items/{one.item_id}")
        item = answer.json() if answer.status_code == 200 else None
        there = item and all(each["readable"] for each in item["change"]["fields"].values())
        return item if there else None

    item = wait_for(f"{one} readable in the queue", known, seconds=120)
    seen = {name: each["current"] for name, each in item["change"]["fields"].items()}
    assert seen == {name: one.before[name] for name in seen}, f"{one}: the page shows another value"
    return item


def in_state(person: Person, one: Proposal, state: str, *, seconds: float = 240) -> dict[str, Any]:
    """Return the item when it is in `state`. The desk may be away meanwhile."""
    last: dict[str, Any] = {}

    def there() -> bool:
        nonlocal last
        try:
            last = person.item(one.item_id)
        except httpx.TransportError:
            return False
        except httpx.HTTPStatusError as error:
            if error.response.status_code < httpx.codes.INTERNAL_SERVER_ERROR:
                raise
            return False
        return bool(last["state"] == state)

    try:
        wait_for(f"{one} {state}", there, seconds=seconds)
    except AssertionError as late:
        raise AssertionError(f"{late}: {last.get('state')}, {last.get('decision')}") from late
    return last
