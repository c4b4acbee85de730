"""A real target under the names that the conformance suite uses for its records and fields."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from contract.events import Target as Place
from dispatcher.targets.target import Promises, Snapshot, Target
from dispatcher.writeback import (
    Absent,
    AlreadyApplied,
    Applied,
    Conflict,
    Images,
    Outcome,
    Probe,
    Refused,
    Unavailable,
    Unknown,
    WriteBack,
)


@dataclass(kw_only=True)
class RenamedTarget:
    """`identifiers` and `fields` map the suite's names to the target's; what is missing is itself.

    `empty`: the suite's texts that the target shows as null. `stretch`: what a value of a field
    becomes, where the suite's would not be too long. `version`: the suite's name of a version.
    """

    inner: Target
    identifiers: Mapping[str, str]
    fields: Mapping[str, str]
    version: Callable[[str], str] = str
    empty: frozenset[str] = frozenset()
    stretch: Mapping[str, Callable[[Any], Any]] = field(default_factory=dict)

    @property
    def promises(self) -> Promises:
        return self.inner.promises

    def inspect(self) -> None:
        self.inner.inspect()

    def ready(self) -> Unavailable | None:
        return self.inner.ready()

    def close(self) -> None:
        self.inner.close()

    def normalise(self, field: str, value: str) -> str:
        return self.inner.normalise(self.fields.get(field, field), value)

    def read(self, identifier: str) -> Snapshot | Refused | Unavailable:
        found = self.inner.read(self.identifiers.get(identifier, identifier))
        if not isinstance(found, Snapshot):
            return found
        return replace(
            found,
            identifier=identifier,
            fields=self._back(found.fields),
            version=self.version(found.version),
        )

    def apply(self, write_back: WriteBack) -> Outcome:
        outcome: Outcome = self._outcome(self.inner.apply(self._there(write_back)))
        return outcome

    def apply_batch(self, write_backs: Sequence[WriteBack]) -> list[Outcome]:
        outcomes = self.inner.apply_batch([self._there(one) for one in write_backs])
        return [self._outcome(one) for one in outcomes]

    def probe(self, write_back: WriteBack) -> Probe:
        found = self._outcome(self.inner.probe(self._there(write_back)))
        assert isinstance(found, AlreadyApplied | Absent | Unavailable | Unknown)
        return found

    def undo(self, write_back: WriteBack, before: Images, after: Images) -> Outcome:
        there = self._there(write_back), self._values(before), self._values(after)
        outcome: Outcome = self._outcome(self.inner.undo(*there))
        return outcome

    def _there(self, write_back: WriteBack) -> WriteBack:
        place = write_back.target
        identifier = self.identifiers.get(place.identifier, place.identifier)
        return replace(
            write_back,
            target=Place(system=place.system, instance=place.instance, identifier=identifier),
            fields=self._values(write_back.fields),
            seen={self.fields.get(n, n): value for n, value in write_back.seen.items()},
        )

    def _values(self, values: Images) -> Images:
        return {self.fields.get(name, name): self._value(name, v) for name, v in values.items()}

    def _value(self, name: str, text: str) -> str:
        return json.dumps(self.stretch[name](json.loads(text))) if name in self.stretch else text

    def _outcome(self, outcome: Any) -> Any:
        match outcome:
            case Applied():
                return replace(
                    outcome,
                    before=self._back(outcome.before),
                    after=self._back(outcome.after),
                    version=self.version(outcome.version),
                )
            case AlreadyApplied():
                return replace(
                    outcome,
                    before=None if outcome.before is None else self._back(outcome.before),
                    version=None if outcome.version is None else self.version(outcome.version),
                )
            case Conflict():
                names = {there: name for name, there in self.fields.items()}
                return replace(
                    outcome,
                    current=self._back(outcome.current),
                    fields=tuple(names.get(one, one) for one in outcome.fields),
                    version=self.version(outcome.version),
                )
            case _:
                return outcome

    def _back(self, images: Images) -> Images:
        names = {there: name for name, there in self.fields.items()}
        named = {names.get(name, name): text for name, text in images.items()}
        return {
            name: '""' if name in self.empty and text == "null" else text
            for name, text in named.items()
        }
