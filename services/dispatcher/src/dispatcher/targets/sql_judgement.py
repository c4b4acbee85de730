"""What a SQL target does with one write-back, given what it holds. Pure.

Owns the comparison of what the reviewer saw, what is there and what was approved. Refuses to know
how records are read and written (`sql`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import orjson

from dispatcher.targets.columns import BadValueError, Column, Value, canonical, decode, decode_key
from dispatcher.writeback import (
    AlreadyApplied,
    Code,
    Conflict,
    Images,
    Outcome,
    Refused,
    WriteBack,
)

Results = dict[int, Outcome]
"""Outcomes by their write-back's place in the batch."""
Columns = Mapping[str, Column]


@dataclass(frozen=True, slots=True)
class Item:
    """A write-back whose values were found to fit: what to send, by field. `key`: as JSON."""

    index: int
    write_back: WriteBack
    key: str
    values: Mapping[str, Value]

    @property
    def identifier(self) -> str:
        """Return the record's name."""
        return self.write_back.target.identifier


@dataclass(frozen=True, slots=True)
class Record:
    """One record as read: version (None: NULL) and columns as JSON text."""

    version: str | None
    fields: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Key:
    """A key row: an effect that is there."""

    identifier: str
    version: str | None
    before: Images | None


NOT_FOUND = Refused(code=Code.RECORD_NOT_FOUND, detail="there is no such record")


def item_of(
    key: Column, columns: Columns, index: int, write_back: WriteBack, results: Results
) -> Item | None:
    """Return the write-back with its values decoded, or put the refusal into `results`."""
    try:
        name = decode_key(key, write_back.target.identifier)
        values = {name: _value(columns, name, text) for name, text in write_back.fields.items()}
    except BadValueError as bad:
        results[index] = Refused(code=bad.code, detail=bad.detail)
        return None
    return Item(index, write_back, name, values)


def _value(columns: Columns, name: str, text: str) -> Value:
    column = columns.get(name)
    if column is None:
        raise BadValueError(Code.UNKNOWN_FIELD, "a field is not among the configured columns")
    return decode(column, text)


def may_write(
    columns: Columns,
    item: Item,
    record: Record | None,
    key: Key | None,
    results: Results,
) -> bool:
    """Return True where it may be written now; otherwise say in `results` why not."""
    if key is not None:
        results[item.index] = _already(columns, item, record, key)
    elif record is None:
        results[item.index] = NOT_FOUND
    elif record.version is None:
        results[item.index] = Refused(code=Code.VERSION_IS_NULL, detail="the record has no version")
    else:
        moved = _moved(columns, item, record)
        if not moved:
            return True
        results[item.index] = Conflict(
            current=image(item, record), version=record.version, fields=moved
        )
    return False


def _already(
    columns: Columns, item: Item, record: Record | None, key: Key
) -> AlreadyApplied | Refused:
    if key.identifier != item.identifier:
        return Refused(code=Code.KEY_REUSED, detail="the key was used for another record")
    untouched = record is not None and record.version == key.version
    differs = differing(columns, item, record) if record is not None and untouched else ()
    return AlreadyApplied(version=key.version, before=key.before, differs=differs)


def _moved(columns: Columns, item: Item, record: Record) -> tuple[str, ...]:
    """Name the changed fields that are not as the reviewer saw them."""
    return tuple(
        name
        for name in item.values
        if (seen := item.write_back.seen.get(name)) is None
        or not _same(columns[name], seen, record.fields[name])
    )


def _same(column: Column, left: str, right: str) -> bool:
    """Tell whether two JSON texts are one value in a column; most are one text, too."""
    return left == right or canonical(column, left) == canonical(column, right)


def differing(columns: Columns, item: Item, record: Record) -> tuple[str, ...]:
    """Name the fields that do not hold what was approved."""
    return tuple(
        name
        for name, value in item.values.items()
        if value.wire != record.fields[name]
        and value.canonical != canonical(columns[name], record.fields[name])
    )


def image(item: Item, record: Record) -> Images:
    """Return the changed fields as `record` has them."""
    return {name: record.fields[name] for name in item.values}


def input_row(item: Item, names: Sequence[str], record: Record) -> str:
    """Return one object of the write's JSON input: values go as the decision spelt them."""
    before = orjson.dumps(image(item, record)).decode()
    values = "".join(f',"c{i}":{item.values[name].wire}' for i, name in enumerate(names))
    return (
        f'{{"id":"{item.write_back.write_back_id}","key":{item.key},"version":{record.version},'
        f'"before":{before}{values}}}'
    )
