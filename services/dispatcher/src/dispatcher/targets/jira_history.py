"""Whose hand was on an issue's fields, and when: what the changelog says about one write. Pure.

Jira's edit is not conditional, so somebody's edit that lands between our reading and our writing is
overwritten. The changelog is what tells: our entry carries the write-back's id (`historyMetadata`),
and an edit of the same field before it, which we had not read, is one that we overwrote.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from dispatcher.targets.jira_fields import Field

METADATA_TYPE: Final = "placet"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One edit: by whom, of which fields, and for which write-back, if it was ours.

    `was`: what it found in them, as the history words it, as JSON text.
    """

    id: str
    author: str
    write_back_id: str | None
    fields: frozenset[str]
    was: Mapping[str, str] = field(default_factory=dict)


def metadata(write_back_id: str, decision_id: str) -> dict[str, Any]:
    """Return what an edit of ours says of itself in the changelog."""
    extra = {"write_back_id": write_back_id, "decision_id": decision_id}
    return {"type": METADATA_TYPE, "description": "Placet", "extraData": extra}


def entries(
    histories: Sequence[Mapping[str, Any]], fields: Mapping[str, Field], *, cloud: bool
) -> tuple[Entry, ...]:
    """Return an issue's histories, oldest first (Cloud gives the newest hundred, newest first).

    Raises:
        KeyError, TypeError, ValueError: they are not of the documented shape.
    """
    ordered = list(histories)[::-1] if cloud else list(histories)
    ordered.sort(key=lambda one: datetime.fromisoformat(one["created"]))
    return tuple(_entry(one, fields, cloud=cloud) for one in ordered)


def _entry(history: Mapping[str, Any], fields: Mapping[str, Field], *, cloud: bool) -> Entry:
    extra = (history.get("historyMetadata") or {}).get("extraData") or {}
    was: dict[str, str] = {}
    for item in history["items"]:
        identity = item.get("fieldId")
        found = json.dumps(item.get("fromString"), ensure_ascii=False)
        if identity is not None:
            was[identity] = found
        else:  # older Data Centers give the field's name alone
            was |= {f.id: found for f in fields.values() if item["field"] in (f.id, f.name)}
    author = history.get("author") or {}  # a deleted account has none
    return Entry(
        id=str(history["id"]),
        author=str(author.get("accountId" if cloud else "name")),
        write_back_id=extra.get("write_back_id"),
        fields=frozenset(was),
        was=was,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """By field: `overwritten` by us without our having read it; `later` edited by others.

    `lost`: what was overwritten, as JSON text, where the history says it.
    """

    found: bool
    overwritten: frozenset[str]
    later: frozenset[str]
    lost: Mapping[str, str] = field(default_factory=dict)


def judge(
    history: Sequence[Entry],
    names: Collection[str],
    *,
    write_back_id: str,
    me: str,
    since: str | None,
) -> Verdict:
    """Say what happened around a write-back's edit. `since`: the newest entry read before it.

    An entry of ours without metadata (a Jira that drops it) is known by its author. A write-back
    that changed nothing has no entry. Where an older hundred hides `since`, what is there counts.
    """
    known = [one.id for one in history]
    new = history[known.index(since) + 1 :] if since in known else history
    ours = [one.write_back_id == write_back_id for one in new]
    found = any(ours)
    if not found and since is not None:
        ours = [one.author == me and one.write_back_id is None for one in new]
    overwritten, later = set(), set()
    lost: dict[str, str] = {}
    for name in names:
        touches = [(mine, place) for place, (mine, one) in enumerate(zip(ours, new, strict=True))
                   if name in one.fields]  # fmt: skip
        mine = [place for own, place in touches if own]
        theirs = [place for own, place in touches if not own]
        if mine and theirs and theirs[0] < mine[-1]:
            overwritten.add(name)
            newest = max(place for place in theirs if place < mine[-1])
            over = new[min(place for place in mine if place > newest)]
            lost |= {name: over.was[name]} if name in over.was else {}
        if theirs and (not mine or theirs[-1] > mine[-1]):
            later.add(name)
    return Verdict(
        found=found, overwritten=frozenset(overwritten), later=frozenset(later), lost=lost
    )
