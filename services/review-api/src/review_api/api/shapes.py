"""The JSON that scripts depend on (contract.md, "Shapes"). Owns their form; reads nothing.

Field values are JSON text inside and JSON values here: the text is put in as it stands, so numbers
keep every digit.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
import orjson

from contract.events import Passage, ReviewItem
from contract.statement import timestamp_text
from contract.targets import LIMITS
from review_api.approval import First
from review_api.commands.look import Decision, Past, Sight
from review_api.conflict import Conflict
from review_api.listing import Page
from review_api.waiting import Wait


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else timestamp_text(moment)


def page(found: Page) -> bytes:
    """Return a page of the queue."""
    return orjson.dumps({"items": [_listed(row) for row in found.rows], "next": found.next})


def _listed(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "item_id": str(row["item_id"]),
        "source": row["source"],
        "external_id": row["external_id"],
        "revision": row["revision"],
        "state": row["state"],
        "lane": row["lane"],
        "target": {
            "system": row["system"],
            "instance": row["instance"],
            "identifier": row["identifier"],
        },
        "risk": row["risk"],
        "divergence": row["divergence"],
        "due_at": _time(row["due"]),
        "claim": None
        if row["claimed_by"] is None
        else _claim(row["claimed_by"], row["claim_person"], row["claim_until"]),
        "skipped": row["skipped"],
        "title": row["title"],
        "created_at": _time(row["created_at"]),
    }


def _claim(name: str, person_id: UUID | None, until: datetime | None) -> dict[str, Any]:
    return {"by": name, "person_id": str(person_id), "until": _time(until)}


def item(sight: Sight) -> bytes:
    """Return an item, whole."""
    shown = sight.item
    known, held = sight.baseline, sight.claim
    return orjson.dumps(
        {
            "item_id": shown.item_id,
            "source": shown.source,
            "external_id": shown.external_id,
            "revision": shown.revision,
            "state": sight.state.value,
            "lane": sight.lane.value,
            "policy_version": sight.policy_version,
            "target": msgspec.to_builtins(shown.change.target),
            "risk": shown.risk.score,
            "risk_reasons": shown.risk.reasons,
            "due_at": _time(shown.due_at),
            "claim": _claim(held.name, held.person_id, held.until)
            if held.live(sight.now)
            else None,
            "title": sight.title,
            "created_at": _time(sight.created_at),
            "timestamp": _time(shown.timestamp),
            "correlation_id": shown.correlation_id,
            "change": _change(sight),
            "first_approval": None if sight.first is None else _first(sight.first),
            "baseline": {
                "read_at": None if known is None else _time(known.read_at),
                "version": None if known is None else known.version,
                "stale": sight.stale or known is None,
                "missing": known is not None and known.missing,
            },
            "divergence": _divergence(shown),
            "prompt": shown.prompt,
            "output": shown.output,
            "reasoning": shown.reasoning,
            "model": msgspec.to_builtins(shown.model),
            "retrieval": msgspec.to_builtins(shown.retrieval),
            "evidence": msgspec.to_builtins(shown.evidence),
            "confidence": shown.confidence,
            "labels": shown.labels,
            "changed_since": _changed_since(sight),
            "history": [_past(one) for one in sight.history],
            "decision": None if sight.decision is None else _decision(sight.decision),
            "conflict": None if sight.conflict is None else _conflict(sight.conflict),
            "seen_digest": sight.seen_digest,
        }
    )


def _changed_since(sight: Sight) -> dict[str, Any] | None:
    """Return what the revision before proposed where this one proposes something else."""
    before = sight.before
    if before is None:
        return None
    now = sight.item.change.fields
    return {
        "revision": before.revision,
        "fields": {
            name: orjson.Fragment(text)
            for name, text in sorted(before.change.fields.items())
            if now.get(name) != text
        },
        "output": None if before.output == sight.item.output else before.output,
    }


def _first(first: First) -> dict[str, Any]:
    """Return who approved first, and when; not what they wrote."""
    return {
        "by": first.name,
        "person_id": str(first.person_id),
        "role": first.role,
        "at": _time(first.at),
    }


def _change(sight: Sight) -> dict[str, Any]:
    shown = sight.item
    seen = {} if sight.baseline is None else sight.baseline.fields
    return {
        "target": msgspec.to_builtins(shown.change.target),
        "fields": {
            name: {
                "current": orjson.Fragment(seen[name]) if name in seen else None,
                "proposed": orjson.Fragment(text),
                "readable": name in seen,
            }
            for name, text in sorted(sight.fields.items())
        },
        "comment": shown.change.comment,
        "limits": LIMITS.get(shown.change.target.system, ()),
    }


def _conflict(conflict: Conflict) -> dict[str, Any]:
    """Return what was seen, what is there now and what was to be written, for each field."""
    return {
        "decision_id": conflict.decision_id,
        "action": conflict.action.value,
        "by": conflict.by,
        "fields": {
            one.name: {
                "seen": _json(one.seen),
                "now": _json(one.now),
                "wanted": _json(one.wanted),
                "moved": one.moved,
            }
            for one in conflict.fields
        },
    }


def _json(text: str | None) -> orjson.Fragment | None:
    return None if text is None else orjson.Fragment(text)


def _divergence(shown: ReviewItem) -> dict[str, Any]:
    measured = shown.divergence
    return {
        "score": measured.score,
        "unsupported_ratio": measured.unsupported_ratio,
        "sentences": [
            {
                "start": sentence.start,
                "end": sentence.end,
                "support": sentence.support,
                "best": None if sentence.best is None else _best(shown, sentence.best),
            }
            for sentence in measured.sentences
        ],
        "novel_numbers": measured.novel_numbers,
        "novel_names": measured.novel_names,
    }


def _best(shown: ReviewItem, best: Passage) -> dict[str, Any]:
    known = 0 <= best.retrieval < len(shown.retrieval)
    return {
        "doc_id": shown.retrieval[best.retrieval].doc_id if known else None,
        "retrieval": best.retrieval,
        "start": best.start,
        "end": best.end,
    }


def _past(one: Past) -> dict[str, Any]:
    plain = {
        "at": timestamp_text(one.at),
        "event": one.what,
        "by": one.by,
        "role": one.role,
        "revision": one.revision,
        "decision_id": one.decision_id,
        "reason_code": one.reason_code,
        "comment": one.comment,
        "taken_back": one.taken_back or None,
        "void": one.void or None,
        "step": one.step,
        "attempts": one.attempts,
        "reason": one.reason,
    }
    return {name: value for name, value in plain.items() if value is not None}


def decision(found: Decision) -> bytes:
    """Return a decision with its write-backs."""
    return orjson.dumps(_decision(found))


def _decision(found: Decision) -> dict[str, Any]:
    row = found.row
    return {
        "decision_id": str(row["decision_id"]),
        "item_id": str(row["item_id"]),
        "revision": row["revision"],
        "action": row["action"],
        "by": row["name"],
        "role": row["role"],
        "reason_code": row["reason_code"],
        "decided_at": _time(row["decided_at"]),
        "not_before": _time(row["not_before"]),
        "now": _time(row["now"]),
        "state": row["state"],
        "taken_back_by": None if row["taken_back_by"] is None else str(row["taken_back_by"]),
        "target_ordinal": row["target_ordinal"],
        "statement": row["statement"],
        "signatures": [
            {
                "key_id": row["key_id"],
                "algorithm": "Ed25519",
                "signature": bytes(row["signature"]).hex(),
            }
        ],
        "write_backs": [_write_back(one) for one in found.write_backs],
        "waits": None if found.wait is None else _wait(found.wait),
    }


def _wait(wait: Wait) -> dict[str, Any]:
    """Return what a decision's write waits for; `until` is null where nobody knows."""
    return {
        "for": wait.cause.value,
        "until": _time(wait.until),
        "earlier_decisions": wait.ahead,
        "paused_by": wait.by,
        "reason": wait.why,
    }


def _write_back(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "write_back_id": str(row["write_back_id"]),
        "target": {
            "system": row["system"],
            "instance": row["instance"],
            "identifier": row["identifier"],
        },
        "step": row["step"],
        "state": row["state"],
        "attempts": row["attempts"],
        "next_attempt_at": _time(row["next_attempt_at"]),
        "reason_code": row["reason_code"],
        "reason": row["reason"],
        "target_version": row["target_version"],
        "conflicting": row["conflicting"],
        "changed_at": _time(row["changed_at"]),
    }
