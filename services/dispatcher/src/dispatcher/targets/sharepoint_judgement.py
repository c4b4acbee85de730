"""What a SharePoint target does with one write-back, given what the item holds. Pure.

Owns the comparison of what the reviewer saw, what is there and what was approved, and the search
for a key in an item and its history. Refuses to know how items are read and written.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from dispatcher.targets.columns import BadValueError, Value
from dispatcher.targets.sharepoint_answers import Answer
from dispatcher.targets.sharepoint_fields import Field, canonical, decode
from dispatcher.targets.sharepoint_list import ItemList
from dispatcher.writeback import AlreadyApplied, Code, Conflict, Images, Refused, WriteBack

NOT_FOUND: Final = Refused(code=Code.RECORD_NOT_FOUND, detail="there is no such item")
BAD_IDENTIFIER: Final = Refused(
    code=Code.BAD_IDENTIFIER, detail="an item's id is a positive integer, without leading zeros"
)
_IDENTIFIER: Final = re.compile(r"[1-9][0-9]{0,9}")
_LAST: Final = 2**31 - 1
_ETAG: Final = re.compile(r'(?:W/)?"[\x21\x23-\x7e]{1,200}"')
_OK: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One item as read: its ETag, the key of the last write of ours, columns as JSON text."""

    etag: str
    marker: str | None
    fields: Images


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A write-back that may be sent: read, compared, nothing changed yet.

    `request` is what will be sent, `before` what the changed fields hold, `version` the ETag.
    """

    write_back: WriteBack
    item: Item
    values: Mapping[str, Value]
    request: bytes

    @property
    def before(self) -> Images:
        """Return the changed fields as they are before the write."""
        return image(self.write_back, self.item)

    @property
    def version(self) -> str:
        """Return the version that the write is bound to."""
        return self.item.etag


def item_id(identifier: str) -> int | None:
    """Return the number that `identifier` is the one canonical form of, or None."""
    if not _IDENTIFIER.fullmatch(identifier) or int(identifier) > _LAST:
        return None
    return int(identifier)


def item_of(answer: Answer, known: ItemList) -> Item | None:
    """Return the item in an answer; None where it holds none, or not all that was asked for."""
    document = answer.document
    if answer.status != _OK or not isinstance(document, dict) or "Id" not in document:
        return None
    # The body's, where both are there: a proxy that compresses may change the header's.
    etag = document.get("odata.etag", answer.headers.get("etag"))
    if not isinstance(etag, str) or not _ETAG.fullmatch(etag):
        return None
    if not all(name in document for name in known.names):
        return None
    marker = document[known.marker.json_name]
    return Item(
        etag=etag,
        marker=marker if isinstance(marker, str) else None,
        fields={name: _text(document[field.json_name]) for name, field in known.fields.items()},
    )


def _text(value: object) -> str:
    return orjson.dumps(value).decode()


def values_of(known: ItemList, write_back: WriteBack) -> dict[str, Value]:
    """Return what to write, by field.

    Raises:
        BadValueError: a field is not among the configured ones, or cannot hold its value.
    """
    values = {}
    for name, text in write_back.fields.items():
        field = known.fields.get(name)
        if field is None:
            raise BadValueError(Code.UNKNOWN_FIELD, "a field is not among the configured columns")
        values[name] = decode(field, text)
    return values


def moved(known: ItemList, write_back: WriteBack, item: Item) -> Conflict | None:
    """Return the conflict where a changed field is not as the reviewer saw it."""
    names = tuple(
        name
        for name in write_back.fields
        if (seen := write_back.seen.get(name)) is None
        or not _same(known.fields[name], seen, item.fields[name])
    )
    if not names:
        return None
    return Conflict(current=image(write_back, item), version=item.etag, fields=names)


def _same(field: Field, left: str, right: str) -> bool:
    return left == right or canonical(field, left) == canonical(field, right)


def image(write_back: WriteBack, item: Item) -> Images:
    """Return the changed fields as `item` has them."""
    return {name: item.fields[name] for name in write_back.fields if name in item.fields}


def differing(known: ItemList, write_back: WriteBack, there: Images) -> tuple[str, ...]:
    """Name the changed fields that do not hold what was approved."""
    return tuple(
        name
        for name, text in write_back.fields.items()
        if name in known.fields
        and name in there
        and not _same(known.fields[name], text, there[name])
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """A write of ours, found in an item's history. `current`: nothing was changed after it.

    `before` is what the version before it held; None where that version is not kept any more.
    """

    current: bool
    before: Images | None
    after: Images


def keys_of(answer: Answer, known: ItemList) -> frozenset[str]:
    """Return the markers of all versions."""
    markers = (_value(row, known.marker.json_name) for row in _versions(answer))
    return frozenset(marker for marker in markers if isinstance(marker, str))


def effect_of(answer: Answer, known: ItemList, key: str) -> Effect | None:
    """Return what the write with this `key` did, None where the history has no such write.

    A marker stays in every later version until another write replaces it, and somebody may bring
    an old version back: the oldest version that has it is the write.
    """
    versions = _versions(answer)
    ours = [
        place for place, row in enumerate(versions) if _value(row, known.marker.json_name) == key
    ]
    if not ours:
        return None
    place = ours[-1]
    older = versions[place + 1] if place + 1 < len(versions) else None
    return Effect(
        current=place == 0,
        before=None if older is None else _image(known, older),
        after=_image(known, versions[place]),
    )


def _versions(answer: Answer) -> Sequence[Mapping[str, Any]]:
    """Return the versions, newest first."""
    document = answer.document
    rows = document.get("value") if isinstance(document, dict) else None
    found = [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
    return sorted(found, key=lambda row: _number(row.get("VersionId")), reverse=True)


def has_versions(answer: Answer) -> bool:
    """Tell whether it is an item's history at all."""
    return answer.status == _OK and bool(_versions(answer))


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0


def _image(known: ItemList, row: Mapping[str, Any]) -> Images:
    return {name: _text(_value(row, field.json_name)) for name, field in known.fields.items()}


def _value(row: Mapping[str, Any], name: str) -> Any:
    """Return a version's value: its names have every underscore escaped once more."""
    return row[name] if name in row else row.get(name.replace("_", "_x005f_"))


def already(
    known: ItemList, write_back: WriteBack, item: Item, effect: Effect | None
) -> AlreadyApplied:
    """Return what is known of an effect that was there before."""
    names = write_back.fields
    before = None if effect is None or effect.before is None else effect.before
    untouched = effect is not None and effect.current
    return AlreadyApplied(
        version=item.etag if untouched else None,
        before=None if before is None else {n: before[n] for n in names if n in before},
        differs=differing(known, write_back, item.fields) if untouched else (),
    )
