"""Where the correlation audit gets its facts: JSON lines of anybody's log, or the hot store.

Owns the mapping of field names and how lines are read: only the fields that matter are decoded.
Lines that are no JSON object, or hold another type than they should, are counted and named.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

import msgspec

from audit_sink.gaps import Beyond, Seen, Time
from audit_sink.locking import Absent
from audit_sink.lookup import HotStore, Question
from audit_sink.payload import PayloadError, unpack
from contract.codec import CodecError, decode
from contract.events import ReviewItem

NAMES: Final = tuple(Seen.__struct_fields__)
TYPES: Final = frozenset(
    {"ModelOutput", "ReviewItem", "ReviewDecision", "WriteBack", "Outcome", "DeadLetter"}
)
_PATH: Final = re.compile(r"[^.\s]+(\.[^.\s]+)*")
_LONGEST_LINE: Final = 8 * 1024 * 1024
_CHUNK: Final = 4_096
_BLOCK: Final = 1 << 20


class MappingError(ValueError):
    """A --map or --type option does not say what it should."""


@dataclass(slots=True, kw_only=True)
class Unread:
    """Lines that were not understood."""

    count: int = 0
    first: str = ""

    def note(self, where: str, why: str) -> None:
        """Count one."""
        self.count += 1
        self.first = self.first or f"{where}: {why}"


def parse_mapping(given: list[str]) -> dict[str, str]:
    """Return {our name: path of theirs} from `correlation_id=trace.id`. Raises MappingError."""
    mapping = {}
    for one in given:
        ours, _, theirs = one.partition("=")
        if ours not in NAMES or not _PATH.fullmatch(theirs):
            raise MappingError(f"{one[:80]!r}: say OURS=THEIRS, ours one of {', '.join(NAMES)}")
        mapping[ours] = theirs
    return mapping


def parse_types(given: list[str]) -> dict[str, str]:
    """Return {their type: ours} from `ReviewItem=proposed`. Raises MappingError."""
    types = {}
    for one in given:
        ours, _, theirs = one.partition("=")
        if ours not in TYPES or not theirs:
            raise MappingError(
                f"{one[:80]!r}: say OURS=THEIRS, ours one of {', '.join(sorted(TYPES))}"
            )
        types[theirs] = ours
    return types


def file_facts(
    path: Path, mapping: Mapping[str, str], types: Mapping[str, str], unread: Unread
) -> Iterator[Seen]:
    """Yield the facts in a file of JSON lines. Raises OSError."""
    read = _reader(mapping)
    with path.open("rb", buffering=_BLOCK) as file:
        for number, line in enumerate(iter(lambda: file.readline(_LONGEST_LINE), b""), 1):
            try:
                fact = read(line)
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
                if line.strip():
                    unread.note(f"{path.name}:{number}", str(error)[:200])
                continue
            if types and fact.type is not None:
                fact.type = types.get(fact.type, fact.type)
            yield fact


def _reader(mapping: Mapping[str, str]) -> Callable[[bytes], Seen]:
    """Return what decodes a line: into `Seen` itself where no name is nested."""
    fields = {name: Seen.__annotations__[name] for name in NAMES}
    if all("." not in theirs for theirs in mapping.values()):
        made = msgspec.defstruct(
            "Mapped",
            [(name, kind, None) for name, kind in fields.items()],
            rename={name: mapping.get(name, name) for name in NAMES},
            bases=(Seen,),
            kw_only=True,
            gc=False,
        )
        return cast("Callable[[bytes], Seen]", msgspec.json.Decoder(made).decode)
    return _nested_reader(mapping)


def _nested_reader(mapping: Mapping[str, str]) -> Callable[[bytes], Seen]:
    decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])
    inner = msgspec.json.Decoder(dict[str, msgspec.Raw])
    paths = {name: mapping.get(name, name).split(".") for name in NAMES}
    values = {name: msgspec.json.Decoder(Seen.__annotations__[name]) for name in NAMES}

    def read(line: bytes) -> Seen:
        opened: dict[tuple[str, ...], dict[str, Any]] = {(): decoder.decode(line)}
        fact = Seen()
        for name, path in paths.items():
            where: tuple[str, ...] = ()
            for step in path[:-1]:
                deeper = (*where, step)
                if deeper not in opened:
                    raw = opened[where].get(step)
                    opened[deeper] = {} if raw is None else _inner(inner, raw)
                where = deeper
            raw = opened[where].get(path[-1])
            if raw is not None:
                setattr(fact, name, values[name].decode(raw))
        return fact

    return read


def _inner(decoder: Any, raw: Any) -> dict[str, Any]:
    if bytes(raw)[:1] != b"{":
        return {}
    opened: dict[str, Any] = decoder.decode(raw)
    return opened


_RECORDS: Final = msgspec.json.Decoder(Seen)


def store_facts(store: HotStore, start: int, end: int) -> Iterator[Seen]:
    """Yield the facts in records [start, end). Raises UnavailableError; a hole is found later."""
    for at in range(start, end, _CHUNK):
        for _, record in store.records_at(range(at, min(end, at + _CHUNK))):
            yield _RECORDS.decode(record)


def store_beyond(store: HotStore) -> Beyond:
    """Return what the hot store knows outside the window, and in payloads."""

    def has_item(name: str) -> bool:
        return bool(store.search(Question(item_id=name, type="ReviewItem", limit=1)))

    return Beyond(
        has_decision=store.has_event,  # a decision's event has the decision's id
        has_item=has_item,
        due_at=lambda sequence: _due_at(store, sequence),
    )


def _due_at(store: HotStore, sequence: int | None) -> Time:
    if sequence is None:
        return None
    found = store.payloads([sequence])
    try:
        payload = found[sequence]
        if isinstance(payload, Absent):
            return None
        event = decode(unpack(payload.packed)["received"])
    except (KeyError, PayloadError, CodecError):
        return None
    if isinstance(event, ReviewItem) and event.due_at is not None:
        return event.due_at.isoformat()
    return None
