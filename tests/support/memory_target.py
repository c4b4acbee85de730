"""A target in memory, with the promises of `targets.target.Target`.

The conformance suite runs on it as on the real ones, so it cannot drift. `away` makes everything
unavailable; `lose_next` makes the next write happen and its answer get lost.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from dispatcher.targets.columns import BadValueError, Column, canonical, decode
from dispatcher.targets.target import Promises, Snapshot
from dispatcher.writeback import (
    Absent,
    AlreadyApplied,
    Applied,
    Code,
    Conflict,
    Images,
    Outcome,
    Probe,
    Refused,
    Unavailable,
    Unknown,
    WriteBack,
)

_AWAY = Unavailable(code=Code.TARGET_AWAY, detail="away", whole_target=True)


class MemoryTarget:
    """Records by identifier: version and fields as JSON text."""

    promises = Promises(batch=200, key_in_write=True, settle=0.0, comment=False, undo=True)

    def __init__(self, columns: Mapping[str, Column]) -> None:
        self.columns = columns
        self.records: dict[str, tuple[int, dict[str, str]]] = {}
        self.keys: dict[str, tuple[str, int, Images]] = {}
        self.effects: list[tuple[str, str]] = []
        self.away = False
        self.lose_next = False

    def add(self, identifier: str, fields: Mapping[str, str]) -> None:
        self.records[identifier] = (1, dict.fromkeys(self.columns, "null") | dict(fields))

    def change(self, identifier: str, field: str, value: str) -> None:
        """As somebody else would."""
        version, fields = self.records[identifier]
        self.records[identifier] = (version + 1, fields | {field: value})

    def inspect(self) -> None:
        pass

    def ready(self) -> Unavailable | None:
        return _AWAY if self.away else None

    def read(self, identifier: str) -> Snapshot | Refused | Unavailable:
        if self.away:
            return _AWAY
        if identifier not in self.records:
            return Refused(code=Code.RECORD_NOT_FOUND, detail="no such record")
        version, fields = self.records[identifier]
        return Snapshot(
            identifier=identifier,
            fields=dict(fields),
            version=str(version),
            read_at=datetime.now(UTC),
        )

    def apply_batch(self, write_backs: Sequence[WriteBack]) -> list[Outcome]:
        if len({one.target.identifier for one in write_backs}) < len(write_backs):
            raise ValueError("two write-backs for one record in one batch")
        return [self.apply(one) for one in write_backs]

    def apply(self, write_back: WriteBack) -> Outcome:
        if self.away:
            return _AWAY
        try:
            for name, text in write_back.fields.items():
                decode(self._column(name), text)
        except BadValueError as bad:
            return Refused(code=bad.code, detail=bad.detail)
        identifier = write_back.target.identifier
        known = self.keys.get(write_back.write_back_id)
        if known is not None:
            if known[0] != identifier:
                return Refused(code=Code.KEY_REUSED, detail="another record's key")
            return AlreadyApplied(version=str(known[1]), before=known[2])
        if identifier not in self.records:
            return Refused(code=Code.RECORD_NOT_FOUND, detail="no such record")
        return self._write(write_back)

    def _write(self, write_back: WriteBack) -> Outcome:
        identifier = write_back.target.identifier
        version, fields = self.records[identifier]
        moved = tuple(
            name
            for name in write_back.fields
            if (seen := write_back.seen.get(name)) is None
            or self.normalise(name, seen) != self.normalise(name, fields[name])
        )
        before = {name: fields[name] for name in write_back.fields}
        if moved:
            return Conflict(current=before, version=str(version), fields=moved)
        after = {
            name: decode(self.columns[name], text).wire for name, text in write_back.fields.items()
        }
        self.records[identifier] = (version + 1, fields | after)
        self.keys[write_back.write_back_id] = (identifier, version + 1, before)
        self.effects.append((identifier, write_back.write_back_id))
        if self.lose_next:
            self.lose_next = False
            return Unknown(code=Code.COMMIT_ANSWER_LOST, detail="lost")
        return Applied(before=before, after=after, version=str(version + 1))

    def probe(self, write_back: WriteBack) -> Probe:
        if self.away:
            return _AWAY
        known = self.keys.get(write_back.write_back_id)
        if known is None:
            return Absent()
        return AlreadyApplied(version=str(known[1]), before=known[2])

    def undo(self, write_back: WriteBack, before: Images, after: Images) -> Outcome:
        return self.apply(replace(write_back, fields=before, seen=dict(after)))

    def normalise(self, field: str, value: str) -> str:
        return canonical(self._column(field), value)

    def _column(self, name: str) -> Column:
        if name not in self.columns:
            raise BadValueError(Code.UNKNOWN_FIELD, "not a field")
        return self.columns[name]

    def interrupt(self) -> None:
        """Do nothing: whoever waits is a thread that may be left behind."""

    def close(self) -> None:
        pass
