"""What decisions say about models, counted as they settle. Owns what counts as what, and the loop.

Made from the desk's own tables and not from sealed facts: a decision is a label only when it can no
longer be taken back, and who decides that is the desk; the log is where an outlier is looked at,
with proofs. A page of decisions and the place after it commit together, so nothing counts twice.
"""

import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final
from uuid import UUID

import structlog
from psycopg import Connection
from psycopg.rows import dict_row

from contract.codec import decode
from contract.events import Action, ReviewItem
from contract.statement import Statement, from_text
from contract.targets import TargetConfig
from conveyor.database import connect, unavailable_database
from conveyor.errors import UnavailableError
from review_api.commands.labels import SLACK
from review_api.queries import QUERIES

log = structlog.get_logger()

AT_A_TIME: Final = 50
OUTLIER: Final = 0.7
"""How far measure and person are apart where a decision is worth a look."""
NOT_NAMED: Final = "not named"
EVERYTHING: Final = "all"
_TEMPLATE: Final = "prompt_template"
_LONGEST: Final = 200
_PAUSE: Final = 5.0
_COUNTED: Final = frozenset({Action.APPROVE, Action.REJECT})

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One decision that counts: what it was about, and whether the person overrode the model."""

    decision_id: UUID
    item_id: str
    decided_at: datetime
    model: str
    template: str
    sources: frozenset[str]
    divergence: float
    overridden: bool

    @property
    def week(self) -> date:
        """Return the Monday of its week, UTC."""
        day = self.decided_at.astimezone(UTC).date()
        return day - timedelta(days=day.weekday())

    @property
    def surprise(self) -> float:
        """Return how far the measure and the person are apart: 0 not at all, 1 wholly."""
        return abs(self.divergence - (1.0 if self.overridden else 0.0))

    def places(self) -> Iterator[tuple[str, str]]:
        """Yield dimension and value of each place where it counts."""
        yield EVERYTHING, ""
        yield "model", self.model
        yield "template", self.template
        for source in sorted(self.sources):
            yield "source", source


def longest_hold(targets: Mapping[str, TargetConfig]) -> timedelta:
    """Return how long any decision may be taken back."""
    return timedelta(seconds=max((one.hold for one in targets.values()), default=0))


def finding(row: Row) -> Finding | None:
    """Return what a row of `labels` says; None where it is no approval and no rejection."""
    if row["event"] is None or row["action"] not in _COUNTED:
        return None
    item, statement = decode(row["event"]), from_text(row["statement"])
    assert isinstance(item, ReviewItem)
    return Finding(
        decision_id=row["decision_id"],
        item_id=item.item_id,
        decided_at=row["decided_at"],
        model=_key(f"{item.model.name} {item.model.version}"),
        template=_key(item.labels.get(_TEMPLATE) or item.model.config.get(_TEMPLATE)),
        sources=frozenset(_key(one.source) for one in item.retrieval),
        divergence=item.divergence.score,
        overridden=_overridden(item, statement),
    )


def _overridden(item: ReviewItem, statement: Statement) -> bool:
    proposed = item.change.fields
    edited = any(proposed.get(one.name) != one.value for one in statement.fields)
    return statement.action is Action.REJECT or edited


def _key(text: str | None) -> str:
    return (text or NOT_NAMED).replace("\0", "\N{REPLACEMENT CHARACTER}")[:_LONGEST]


def counts(found: Iterable[Finding]) -> dict[tuple[date, str, str], list[float]]:
    """Return decided, overridden and the sum of divergence by week, dimension and value."""
    made: dict[tuple[date, str, str], list[float]] = {}
    for one in found:
        for dimension, value in one.places():
            sums = made.setdefault((one.week, dimension, value), [0, 0, 0.0])
            sums[0] += 1
            sums[1] += one.overridden
            sums[2] += one.divergence
    return made


class Tally:
    """The worker's loop."""

    def __init__(self, dsn: str, hold: timedelta) -> None:
        """`hold`: the longest there is. Connects at the first turn."""
        self._dsn = dsn
        self._settled = (hold + SLACK).total_seconds()

    def run(self, stop: threading.Event) -> None:
        """Count what has settled, every few seconds, until `stop`."""
        while not stop.is_set():
            try:
                with unavailable_database(), closing(self._connect()) as connection:
                    while not stop.is_set():
                        if self.step(connection) < AT_A_TIME:
                            stop.wait(_PAUSE)
            except UnavailableError as error:
                log.warning("unavailable", error=str(error))
                stop.wait(_PAUSE)

    def now(self) -> None:
        """Count everything that has settled."""
        with closing(self._connect()) as connection:
            while self.step(connection) == AT_A_TIME:
                pass

    def step(self, connection: Connection[Row]) -> int:
        """Count the next decisions and return how many were looked at; durable on return."""
        with connection.transaction():
            place = connection.execute(QUERIES["forensic_place"]).fetchone()
            if place is None:  # another worker counts
                return 0
            asked = {
                "after_at": place["decided_at"],
                "after_id": place["decision_id"],
                "until": None,
                "settled": self._settled,
                "source": None,
                "limit": AT_A_TIME,
            }
            rows = connection.execute(QUERIES["labels"], asked).fetchall()
            if not rows:
                return 0
            _keep(connection, [one for one in map(finding, rows) if one is not None])
            last = rows[-1]
            connection.execute(
                QUERIES["move_forensic_place"],
                {"decided_at": last["decided_at"], "decision_id": last["decision_id"]},
            )
            return len(rows)

    def _connect(self) -> Connection[Row]:
        return connect(self._dsn, "review-tally", row_factory=dict_row)


def _keep(connection: Connection[Row], found: list[Finding]) -> None:
    made = sorted(counts(found).items())
    connection.execute(
        QUERIES["add_forensic_counts"],
        {
            "week": [key[0] for key, _ in made],
            "dimension": [key[1] for key, _ in made],
            "value": [key[2] for key, _ in made],
            "decided": [sums[0] for _, sums in made],
            "overridden": [sums[1] for _, sums in made],
            "divergence": [sums[2] for _, sums in made],
        },
    )
    for one in found:
        if one.surprise >= OUTLIER:
            connection.execute(
                QUERIES["add_forensic_outlier"],
                {
                    "decision_id": one.decision_id,
                    "item_id": one.item_id,
                    "week": one.week,
                    "decided_at": one.decided_at,
                    "model": one.model,
                    "divergence": one.divergence,
                    "overridden": one.overridden,
                    "surprise": one.surprise,
                },
            )
