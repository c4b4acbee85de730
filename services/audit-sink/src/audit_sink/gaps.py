"""The correlation audit: which chains from a model's output to its effect have a link missing.

Owns what a gap is. Pure, and in any order: facts are collected as they come, from however many
files or topics, and compared at the end; nothing is a gap because it was read too early. Refuses to
know where facts come from. Time is passed in.

A chain: output → item → decision → write-back → outcome. Facts are linked by item and decision id;
a log that has none is linked by its correlation id alone.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final

import msgspec

_NO_WRITE: Final = frozenset({"REJECT", "NEED_INFO", "TAKE_BACK"})
_TAKE_BACK: Final = "TAKE_BACK"
_CONTROL_ANSWER: Final = "CONTROL_ITEM_ANSWERED"
_EPOCHS: Final = ((1e17, 1e9), (1e14, 1e6), (1e11, 1e3))
"""What a number over the first is a multiple of seconds by: nano-, micro-, milliseconds."""

Key = str | int | None
Time = str | int | float | None


class Kind(StrEnum):
    """What may be missing."""

    OUTPUT = "output without item"
    ITEM = "item without decision, past due"
    DECISION = "decision without write-back"
    WRITE_BACK = "write-back without decision"
    CAUSE = "decision without item"
    OUTCOME = "outcome without cause"
    HOLE = "hole in the sequence"
    UNCOVERED = "output that nobody accounts for"


class Seen(msgspec.Struct, kw_only=True, gc=False):
    """What the audit needs of one fact; a field that a log doesn't have is None."""

    type: str | None = None
    correlation_id: Key = None
    item_id: Key = None
    decision_id: Key = None
    revision: int | None = None
    action_type: str | None = None
    timestamp: Time = None
    due_at: Time = None
    sequence: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """One missing link: of whom, and since when."""

    kind: Kind
    name: str
    at: datetime | None = None
    sequence: int | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """When something missing is a gap."""

    now: datetime
    since: datetime | None = None
    until: datetime | None = None
    grace: timedelta = timedelta(hours=1)
    """How long the next link may take."""
    overdue: timedelta = timedelta(days=7)
    """How long an item without a due date may wait."""


@dataclass(slots=True, kw_only=True)
class Beyond:
    """What the window does not hold; by default there is nothing outside it."""

    has_decision: Callable[[str], bool] = lambda _: False
    has_item: Callable[[str], bool] = lambda _: False
    due_at: Callable[[int | None], Time] = lambda _: None
    """When the item at that place in the log is due, where its record does not say."""


_Fact = tuple[Time, int | None]


@dataclass(slots=True)
class Chains:
    """All facts so far."""

    events: int = 0
    outputs: dict[Key, _Fact] = field(default_factory=dict)
    answered: set[Key] = field(default_factory=set)
    """Correlation ids that an item or a dead letter accounts for."""
    items: dict[Key, tuple[int, Time, Time, int | None]] = field(default_factory=dict)
    decided: dict[Key, int] = field(default_factory=dict)
    decisions: dict[Key, tuple[Time, int | None, Key, bool]] = field(default_factory=dict)
    write_backs: dict[Key, _Fact] = field(default_factory=dict)
    outcomes: dict[Key, tuple[Time, int | None, Key]] = field(default_factory=dict)
    runs: list[list[int]] = field(default_factory=list)

    def add(self, facts: Iterable[Seen]) -> None:
        """Take facts in, in any order."""
        for fact in facts:
            self.events += 1
            sequence = fact.sequence
            if sequence is not None:
                self._count(sequence)
            self._take(fact, sequence)

    def _take(self, fact: Seen, sequence: int | None) -> None:
        kind = fact.type
        if kind == "WriteBack":
            key = fact.decision_id or fact.correlation_id
            if key not in self.write_backs:
                self.write_backs[key] = (fact.timestamp, sequence)
        elif kind == "ReviewItem":
            self._item(fact)
        elif kind == "ReviewDecision":
            self._decision(fact)
        elif kind == "Outcome":
            key = fact.decision_id or fact.item_id or fact.correlation_id
            self.outcomes[key] = (fact.timestamp, sequence, fact.item_id)
        elif kind == "ModelOutput":
            self.outputs[fact.correlation_id] = (fact.timestamp, sequence)
        elif kind == "DeadLetter":
            self.answered.add(fact.correlation_id)
        elif fact.action_type == _CONTROL_ANSWER:  # an activity: no decision, and all there is
            self._answer(fact, fact.item_id or fact.correlation_id)

    def _count(self, sequence: int) -> None:
        runs = self.runs
        if runs and runs[-1][1] == sequence:
            runs[-1][1] = sequence + 1
        else:
            runs.append([sequence, sequence + 1])

    def _item(self, fact: Seen) -> None:
        self.answered.add(fact.correlation_id)
        key = fact.item_id or fact.correlation_id
        revision = fact.revision or 0
        known = self.items.get(key)
        if known is None or known[0] <= revision:
            self.items[key] = (revision, fact.timestamp, fact.due_at, fact.sequence)

    def _decision(self, fact: Seen) -> None:
        item = fact.item_id or fact.correlation_id
        action = fact.action_type
        if action != _TAKE_BACK:  # taken back within its hold: the item waits again
            self._answer(fact, item)
        key = fact.decision_id or fact.correlation_id
        writes = action not in _NO_WRITE
        self.decisions[key] = (fact.timestamp, fact.sequence, item, writes)

    def _answer(self, fact: Seen, item: Key) -> None:
        revision = fact.revision or 0
        if self.decided.get(item, -1) < revision:
            self.decided[item] = revision

    def newest(self) -> datetime | None:
        """Return the latest time that any fact says."""
        times = [fact[0] for fact in (*self.outputs.values(), *self.write_backs.values())]
        times += [fact[0] for fact in (*self.decisions.values(), *self.outcomes.values())]
        times += [fact[1] for fact in self.items.values()]
        texts = max((one for one in times if isinstance(one, str)), default=None)
        numbers = max((one for one in times if isinstance(one, int | float)), default=None)
        parsed = [one for one in (moment(texts), moment(numbers)) if one is not None]
        return max(parsed, default=None)

    def gaps(self, terms: Terms, beyond: Beyond | None = None) -> Iterator[Gap]:
        """Yield what is missing, kind by kind."""
        outside = beyond or Beyond()
        yield from self._without_item(terms)
        yield from self._undecided(terms, outside)
        yield from self._not_written(terms)
        yield from self._without_cause(terms, outside)
        yield from self._holes()

    def _without_item(self, terms: Terms) -> Iterator[Gap]:
        for key, fact in self.outputs.items():
            if key not in self.answered:
                yield from _gap(Kind.OUTPUT, key, fact, terms, terms.grace)

    def _undecided(self, terms: Terms, beyond: Beyond) -> Iterator[Gap]:
        for key, (revision, at, said, sequence) in self.items.items():
            if self.decided.get(key, -1) >= revision:
                continue
            due = moment(said) or moment(beyond.due_at(sequence))
            if due is None:
                yield from _gap(Kind.ITEM, key, (at, sequence), terms, terms.overdue)
            elif due < terms.now:
                detail = f"due {due.isoformat(timespec='seconds')}"
                for gap in _gap(Kind.ITEM, key, (at, sequence), terms):
                    yield replace(gap, detail=detail)

    def _not_written(self, terms: Terms) -> Iterator[Gap]:
        for key, (at, sequence, _, writes) in self.decisions.items():
            if writes and key not in self.write_backs:
                yield from _gap(Kind.DECISION, key, (at, sequence), terms, terms.grace)

    def _without_cause(self, terms: Terms, beyond: Beyond) -> Iterator[Gap]:
        for key, fact in self.write_backs.items():
            if key not in self.decisions and not beyond.has_decision(str(key)):
                yield from _gap(Kind.WRITE_BACK, key, fact, terms)
        for key, (at, sequence, item, _) in self.decisions.items():
            if item not in self.items and not beyond.has_item(str(item)):
                yield from _gap(Kind.CAUSE, key, (at, sequence), terms)
        for key, (at, sequence, item) in self.outcomes.items():
            known = key in self.decisions or key in self.items or item in self.items
            if not known and not beyond.has_decision(str(key)):
                yield from _gap(Kind.OUTCOME, key, (at, sequence), terms)

    def _holes(self) -> Iterator[Gap]:
        runs = sorted(self.runs)
        end = runs[0][0] if runs else 0
        for start, stop in runs:
            if start > end:
                name = str(end) if start == end + 1 else f"{end} to {start - 1}"
                yield Gap(kind=Kind.HOLE, name=name, sequence=end)
            end = max(end, stop)


def _gap(
    kind: Kind, key: Key, fact: _Fact, terms: Terms, after: timedelta = timedelta()
) -> Iterator[Gap]:
    """Yield the gap if its subject lies in the window and has had the time it may take."""
    at, sequence = fact
    when = moment(at)
    if when is not None:
        if terms.since is not None and when < terms.since:
            return
        if (terms.until is not None and when >= terms.until) or when + after > terms.now:
            return
    yield Gap(kind=kind, name=str(key), at=when, sequence=sequence)


def moment(value: Time) -> datetime | None:
    """Return a time as logs write it: ISO 8601, or seconds to nanoseconds since 1970."""
    try:
        if isinstance(value, str):
            parsed = datetime.fromisoformat(value)
            return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)
        if value is None:
            return None
        seconds = float(value)
        for over, unit in _EPOCHS:
            if seconds > over:
                seconds /= unit
                break
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None
