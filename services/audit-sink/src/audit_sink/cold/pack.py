"""Payload rows as one object, from which single rows can be read by range.

Owns the form. Pure: refuses to know what the columns mean; what is encrypted stays so.

    8 bytes    "PLCTPAK1"
    4 bytes    length of the header, big-endian
    header     JSON: {"columns": [names], "count": n, "first": sequence of the first row}
    8 x (n+1)  where each row begins, counted from the start of the object; the last is its end
    rows       MessagePack arrays of the columns' values; a row of no bytes: the payload was
               destroyed before it was archived
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from audit_sink.cold.manifest import MAX_BATCH

_MAGIC: Final = b"PLCTPAK1"
_HEAD: Final = 4_096
"""Bytes that surely hold magic and header."""
_MAX_COLUMNS: Final = 64
_MAX_ROW: Final = 80 * 1024 * 1024

Row = Mapping[str, Any]
"""A payload row by its columns; without `sequence`."""
ReadRange = Callable[[int, int], bytes]
"""Returns at most so many bytes from a place on."""


class PackError(ValueError):
    """These bytes are no pack of payloads, or not the one that was asked for."""


class _Header(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    columns: list[str]
    count: int
    first: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Pack:
    """Where the rows of a pack are."""

    columns: Sequence[str]
    first: int
    count: int
    at: int
    """Where the list of beginnings begins."""


def pack(first: int, count: int, columns: Sequence[str], rows: Mapping[int, Row]) -> bytes:
    """Return the rows of the records [first, first + count) that are in `rows`."""
    header = msgspec.json.encode(_Header(columns=list(columns), count=count, first=first))
    start = len(_MAGIC) + 4 + len(header)
    if start > _HEAD:
        raise PackError(f"{len(columns)} columns are more than a header has room for")
    at = start + 8 * (count + 1)
    beginnings, bodies = [at], []
    for sequence in range(first, first + count):
        row = rows.get(sequence)
        body = b"" if row is None else msgspec.msgpack.encode([row[name] for name in columns])
        bodies.append(body)
        at += len(body)
        beginnings.append(at)
    index = b"".join(one.to_bytes(8) for one in beginnings)
    return b"".join((_MAGIC, len(header).to_bytes(4), header, index, *bodies))


def open_pack(read: ReadRange) -> Pack:
    """Return what the head of a pack says. Raises PackError, and what `read` raises."""
    head = read(0, _HEAD)
    length = int.from_bytes(head[8:12])
    if head[:8] != _MAGIC or length > _HEAD - 12:
        raise PackError("no pack of payloads")
    try:
        header = msgspec.json.decode(head[12 : 12 + length], type=_Header)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise PackError(f"no header of a pack: {error}") from error
    if not 0 < header.count <= MAX_BATCH or header.first < 0:
        raise PackError(f"{header.count} rows from {header.first} on are no pack")
    if len(header.columns) > _MAX_COLUMNS:
        raise PackError(f"{len(header.columns)} columns")
    return Pack(columns=header.columns, first=header.first, count=header.count, at=12 + length)


def read_row(found: Pack, read: ReadRange, sequence: int) -> dict[str, Any] | None:
    """Return one row by two short reads; None where its payload was destroyed before.

    Raises:
        PackError: it is not in this pack, or the pack is damaged there.
    """
    place = sequence - found.first
    if not 0 <= place < found.count:
        raise PackError(f"record {sequence} is not in this pack")
    ends = read(found.at + 8 * place, 16)
    start, end = int.from_bytes(ends[:8]), int.from_bytes(ends[8:])
    if len(ends) != 16 or not 0 <= end - start <= _MAX_ROW:  # noqa: PLR2004 - two beginnings
        raise PackError(f"the place of record {sequence} is no place")
    if start == end:
        return None
    body = read(start, end - start)
    if len(body) != end - start:
        raise PackError(f"record {sequence} is cut off")
    return _row(found, sequence, body)


def read_all(data: bytes) -> dict[int, dict[str, Any]]:
    """Return every row of a whole pack. Raises PackError where a byte is not accounted for."""

    def read(start: int, count: int) -> bytes:
        return data[start : start + count]

    found = open_pack(read)
    rows: dict[int, dict[str, Any]] = {}
    at = found.at + 8 * (found.count + 1)
    for place in range(found.count):
        where = found.at + 8 * place
        start, end = (
            int.from_bytes(data[where : where + 8]),
            int.from_bytes(data[where + 8 : where + 16]),
        )
        if start != at or end < start or end > len(data):
            raise PackError(f"record {found.first + place} is not where it should be")
        if end > start:
            sequence = found.first + place
            rows[sequence] = _row(found, sequence, data[start:end])
        at = end
    if at != len(data):
        raise PackError("something follows the last row")
    return rows


def _row(found: Pack, sequence: int, body: bytes) -> dict[str, Any]:
    try:
        values = msgspec.msgpack.decode(body, type=list[Any])
        return dict(zip(found.columns, values, strict=True))
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise PackError(f"record {sequence}: no row: {error}") from error
