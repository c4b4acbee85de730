"""What may go wrong, for which requests, how often: rules and the book that keeps them.

The rules survive a restart; a request that is being held does not. Nothing here touches a socket.
"""

import json
import random
import re
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any

from sandbox.store import JsonObject, Store


class Kind(StrEnum):
    """`when` says whether the record's work happens before or after the fault strikes."""

    DROP = "drop"  # no byte of an answer; the connection ends
    CUT = "cut"  # half of the answer's body, then the connection ends
    TRUNCATE = "truncate"  # a well-formed answer around half a JSON document
    HOLD = "hold"  # nothing happens until somebody releases it
    DELAY = "delay"
    STATUS = "status"  # an error answer in the words of the system
    REDIRECT = "redirect"
    PAGE = "page"  # 200 with an HTML page, as a proxy or a sign-in wall gives


class When(StrEnum):
    BEFORE = "before"
    AFTER = "after"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Strikes the next `times` requests (None: all) whose method and path match, after `skip`.

    `share` < 1 strikes that part of them, drawn from `seed` and the count: the same every run.
    """

    kind: Kind
    method: str = ".*"
    path: str = ".*"
    times: int | None = 1
    skip: int = 0
    share: float = 1.0
    seed: int = 0
    when: When
    status: int = 500
    retry_after: int | None = None
    seconds: float = 1.0
    location: str = ""
    reset: bool = False

    def matches(self, method: str, path: str) -> bool:
        return bool(
            re.fullmatch(self.method, method, re.IGNORECASE)
            and re.search(self.path, path, re.IGNORECASE)
        )


# A dropped or cut answer is only interesting when the work was done; the rest strikes first.
AFTER_BY_DEFAULT = frozenset({Kind.DROP, Kind.CUT, Kind.TRUNCATE})


@dataclass(slots=True, kw_only=True)
class Entry:
    id: int
    fault: Fault
    seen: int
    struck: int

    @property
    def spent(self) -> bool:
        return self.fault.times is not None and self.struck >= self.fault.times

    def wants(self) -> bool:
        """Whether the request just counted in `seen` is one to strike."""
        if self.spent or self.seen <= self.fault.skip:
            return False
        draw = random.Random(f"{self.fault.seed}/{self.seen}")  # noqa: S311 -- repeatable on purpose
        return self.fault.share >= 1 or draw.random() < self.fault.share


class FaultBook:
    """The active rules, in the order in which they were added; the first that strikes wins."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.load()

    def load(self) -> None:
        rows = self._store.rows("SELECT id, rule, seen, struck FROM fault ORDER BY id")
        self._entries = [
            Entry(
                id=r["id"], fault=_fault(json.loads(r["rule"])), seen=r["seen"], struck=r["struck"]
            )
            for r in rows
        ]

    def add(self, fault: Fault) -> int:
        """Durable on return."""
        rule = json.dumps(asdict(fault))
        number = self._store.execute("INSERT INTO fault (rule) VALUES (?)", rule)
        self._entries.append(Entry(id=number, fault=fault, seen=0, struck=0))
        return number

    def clear(self) -> None:
        self._store.execute("DELETE FROM fault")
        self._entries.clear()

    def remove(self, number: int) -> None:
        self._store.execute("DELETE FROM fault WHERE id = ?", number)
        self._entries = [entry for entry in self._entries if entry.id != number]

    def strike(self, method: str, path: str) -> Fault | None:
        for entry in self._entries:
            if entry.spent or not entry.fault.matches(method, path):
                continue
            entry.seen += 1
            struck = entry.wants()
            entry.struck += struck
            self._store.execute(
                "UPDATE fault SET seen = ?, struck = ? WHERE id = ?",
                entry.seen,
                entry.struck,
                entry.id,
            )
            if struck:
                return entry.fault
        return None

    def as_json(self) -> list[JsonObject]:
        return [
            {"id": e.id, "seen": e.seen, "struck": e.struck, "spent": e.spent, **asdict(e.fault)}
            for e in self._entries
        ]


def _fault(rule: dict[str, Any]) -> Fault:
    fault = Fault(**rule)
    return replace(fault, kind=Kind(fault.kind), when=When(fault.when))
