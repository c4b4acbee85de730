"""Records of the audit log in words: records, parts, signatures, proofs. Pure.

Owns words and the order of things. Everything here came from outside; the template escapes it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import orjson

from review_api.chain import proof_state
from review_api.pages.view import WORDS as HAPPENINGS

KINDS: Final[Mapping[str, str]] = {
    "ReviewItem": "Item",
    "ReviewActivity": "Activity",
    "ReviewDecision": "Decision",
    "WriteBack": "Write-back",
    "Control": "Control",
    "DeadLetter": "Dead letter",
}
WORDS: Final[Mapping[str, str]] = {
    **HAPPENINGS,
    "CLAIMED": "Claimed",
    "RELEASED": "Released",
    "OPENED": "Opened",
    "EVIDENCE_OPENED": "Evidence opened",
    "SKIPPED": "Skipped",
    "EXPORTED": "Exported",
    "SIGNED_IN": "Signed in",
    "SIGNED_OUT": "Signed out",
    "SIGN_IN_FAILED": "Sign-in failed",
    "PERSON_CHANGED": "Account made or changed",
    "POLICY_CHANGED": "Policy changed",
    "PAUSED": "Writing stopped",
    "RESUMED": "Writing let go on",
    "UNSTUCK": "Stuck write resolved",
    "UNDO_DECLINED": "Undo declined",
    "CONTROL_ITEM_ADDED": "Control item added",
    "CONTROL_ITEM_ANSWERED": "Control item answered",
    "CONFLICT": "Conflict: nothing written",
    "RETRYING": "Trying again",
    "UNKNOWN": "Answer lost; finding out",
    "WAITING": "Waiting for its turn",
}
"""What codes are called; a code without a name is shown as it is."""

PROOFS: Final[Mapping[str, tuple[str, str]]] = {
    "proved": ("good", "proved"),
    "waits": ("warn", "not sealed yet"),
    "wrong": ("bad", "NOT VERIFIED"),
}
"""How a proof stands: its look and its word."""

_ORDER: Final = (
    *("prompt", "retrieval", "output", "reasoning", "evidence", "diff", "statement", "rationale"),
    *("detail", "divergence", "model", "received"),
)
_NAMES: Final[Mapping[str, str]] = {
    "retrieval": "Retrieved snippets",
    "diff": "What changes",
    "rationale": "Comment",
    "received": "Received bytes",
    "model": "Model",
    "statement": "Signed statement",
}
_SHORT: Final = 600
_MOST_ROWS: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A line of a part that is a list: what it is, and its text."""

    name: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PartView:
    """A payload part. `rows` where it is a list that can be read as one; else `text`."""

    name: str
    title: str
    size: str
    text: str | None
    rows: Sequence[Row]
    cut: bool
    open: bool
    there: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordView:
    """One record below the picture."""

    sequence: int
    fields: Mapping[str, Any]
    title: str
    kind: str
    proof_tone: str
    proof: str
    provable: bool
    facts: Sequence[tuple[str, str]]
    causes: Sequence[tuple[str, int | None]]
    signing: tuple[str, str] | None
    parts: Sequence[PartView] | None
    absent: str
    canonical: str
    problems: Sequence[str]


def when(text: Any) -> str:
    """Return a moment of a record, UTC, in the one form that these pages have."""
    try:
        moment = text if isinstance(text, datetime) else datetime.fromisoformat(str(text))
    except ValueError:
        return str(text)[:40]
    moment = moment.astimezone(UTC)
    return f"{moment:%Y-%m-%d %H:%M:%S}.{moment.microsecond // 1_000:03d}"


def title_of(fields: Mapping[str, Any]) -> str:
    """Return what a record says happened, in words."""
    code = str(fields.get("action_type") or fields.get("write_status") or "")
    if fields.get("type") == "ReviewItem":
        return f"Proposed, revision {fields.get('revision')}"
    return WORDS.get(code, code) or str(fields.get("type"))


def kind_of(fields: Mapping[str, Any]) -> str:
    """Return what kind of record it is."""
    return KINDS.get(str(fields.get("type")), str(fields.get("type")))


def records(chapters: Sequence[Mapping[str, Any]], size: int) -> list[RecordView]:
    """Return the records of a story, in order of sequence. `size`: how far the head reaches."""
    places = {chapter["record"].get("event_id"): chapter["sequence"] for chapter in chapters}
    return [_record(chapter, places, size) for chapter in chapters]


def _record(chapter: Mapping[str, Any], places: Mapping[Any, int], size: int) -> RecordView:
    fields = chapter["record"]
    tone, word = PROOFS[proof_state(chapter)]
    named = fields.get("causation_ids")
    return RecordView(
        sequence=chapter["sequence"],
        fields=fields,
        title=title_of(fields),
        kind=kind_of(fields),
        proof_tone=tone,
        proof=f"{word} in a tree of {size:,}" if tone == "good" else word,
        provable=chapter["proved_in"] is not None,
        facts=_facts(fields),
        causes=[(str(one), places.get(one)) for one in (named if isinstance(named, list) else [])],
        signing=_signing(chapter["signing"]),
        absent=str(chapter.get("absent") or "not at hand"),
        parts=None if chapter["parts"] is None else _parts(chapter["parts"]),
        canonical=chapter["canonical"],
        problems=chapter["problems"],
    )


def _facts(fields: Mapping[str, Any]) -> list[tuple[str, str]]:
    target, origin = fields.get("target"), fields.get("origin")
    found = [
        ("Happened", when(fields.get("timestamp"))),
        ("Sealed", when(fields.get("recorded_at"))),
        ("By", " · ".join(str(fields[name]) for name in ("role", "actor") if fields.get(name))),
        ("Target", _joined(target, ("system", "instance", "identifier"), " / ")),
        ("Model hash", fields.get("model")),
        ("Decision", fields.get("decision_id")),
        ("Event", fields.get("event_id")),
        ("Correlation", fields.get("correlation_id")),
        ("Read from", _joined(origin, ("topic", "partition", "offset"), " / ")),
    ]
    return [(name, str(value)) for name, value in found if value]


def _joined(value: Any, names: Sequence[str], between: str) -> str:
    return between.join(str(value.get(one)) for one in names) if isinstance(value, dict) else ""


def _signing(signed: Mapping[str, Any] | None) -> tuple[str, str] | None:
    """Return look and words of a signature."""
    if signed is None:
        return None
    keys = ", ".join(str(one) for one in signed["key_ids"])
    if signed["problem"]:
        return "bad", f"Signature: {signed['problem']}"
    if not signed["checked"]:
        return "warn", f"Signature not checked: audit-sink is told of no decision keys (by {keys})"
    return "good", f"Signature verified, key {keys}"


def _parts(parts: Mapping[str, Mapping[str, Any]]) -> list[PartView]:
    rank = {name: at for at, name in enumerate(_ORDER)}
    names = sorted(parts, key=lambda name: (rank.get(name, len(rank)), name))
    return [_part(name, parts[name]) for name in names]


def _part(name: str, part: Mapping[str, Any]) -> PartView:
    text, size = part["text"], part["bytes"]
    rows = [] if text is None or part["cut"] else _rows(name, text)
    shown = name in {"prompt", "retrieval", "output", "diff", "rationale"}
    return PartView(
        name=name,
        title=_NAMES.get(name, name.capitalize()),
        size="destroyed" if size is None else f"{size:,} bytes",
        text=text,
        rows=rows,
        cut=part["cut"],
        open=shown and text is not None and len(text) <= _SHORT,
        there=size is not None,
    )


def _rows(name: str, text: str) -> list[Row]:
    """Return a part that is a list of known form, line by line; empty where it is none."""
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return []
    if name == "retrieval" and isinstance(value, list):
        return [_snippet(one) for one in value[:_MOST_ROWS] if isinstance(one, dict)]
    if name == "diff" and isinstance(value, dict):
        return [
            Row(name=str(field), text=str(to)) for field, to in list(value.items())[:_MOST_ROWS]
        ]
    if name == "diff" and isinstance(value, list):
        return [_change(one) for one in value[:_MOST_ROWS] if isinstance(one, dict)]
    return []


def _snippet(one: Mapping[str, Any]) -> Row:
    score = one.get("score")
    said = [str(one[key]) for key in ("source", "doc_id") if one.get(key)]
    if isinstance(score, int | float):
        said.append(f"score {score:.2f}")
    return Row(name=" · ".join(said) or "a snippet", text=str(one.get("snippet", "")))


def _change(one: Mapping[str, Any]) -> Row:
    seen = one.get("seen")
    return Row(
        name=str(one.get("name", "")),
        text=f"seen: {'(nothing)' if seen is None else seen}\napproved: {one.get('value', '')}",
    )
