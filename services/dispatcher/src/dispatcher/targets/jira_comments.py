"""The step "comment": one POST that carries the comment and its marker; how to find and repair it.

Owns the order:

1. Cloud: take the fence (`jira_fence`). If it was new, no earlier attempt can have sent anything.
   Otherwise, and on Data Center, list the comments: one with our marker means AlreadyApplied;
2. one POST, answered by exactly 201. Any other end is looked into by listing, never by sending it
   once more;
3. list the comments with their properties: that is the read-back, and it finds a second copy of
   any comment of ours (a late request of an attempt that was given up). The first stays, later ones
   are deleted, or marked where the account may not delete, and each is reported.

A comment is found by its property, page by page, never by search.
"""

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import structlog

from dispatcher.targets import jira_note, jira_text
from dispatcher.targets.columns import BadValueError
from dispatcher.targets.jira_client import Client, ReadFailedError, WriteFailedError
from dispatcher.targets.jira_issue import issue_path
from dispatcher.targets.jira_site import Site, unexpected
from dispatcher.targets.target import Repair
from dispatcher.writeback import Code, Refused, Unavailable

log = structlog.get_logger()

PROPERTY: Final = "placet.write-back"
_PAGE: Final = 100
_TRIES: Final = 3
_SKEW: Final = timedelta(days=1)
_GONE: Final = 204
_CHANGED: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Comment:
    """A comment that carries our property (`marker`)."""

    id: str
    body: Any
    author: str
    updated: str
    marker: dict[str, Any]

    @property
    def write_back_id(self) -> str:
        return str(self.marker.get("write_back_id"))

    @property
    def text(self) -> str:
        """Return the body as JSON text."""
        return json.dumps(jira_text.plain(self.body), ensure_ascii=False, sort_keys=True)


def request_of(body: Any, marker: dict[str, Any]) -> bytes:
    """Return the request that adds or changes a comment."""
    properties = [{"key": PROPERTY, "value": marker}]
    return json.dumps({"body": body, "properties": properties}, sort_keys=True).encode()


def decided_at(timestamp: str) -> datetime | None:
    """Return the moment before which no comment of a decision can be, clocks being off."""
    try:
        moment = datetime.fromisoformat(timestamp)
    except ValueError:
        return None
    return None if moment.tzinfo is None else moment - _SKEW


def listed(client: Client, site: Site, identifier: str, after: datetime | None) -> list[Comment]:
    """Return the comments of ours that are not older than `after` (None: all), oldest first.

    Raises:
        ReadFailedError: Jira does not say; TARGET_BUSY where they change faster than they are read.
    """
    for _ in range(_TRIES):
        found = _pages(client, site, identifier, after)
        if found is not None:
            return sorted(found.values(), key=lambda one: int(one.id))
    raise ReadFailedError(
        Unavailable(code=Code.TARGET_BUSY, detail="the comments changed while they were read")
    )


def _pages(
    client: Client, site: Site, identifier: str, after: datetime | None
) -> dict[str, Comment] | None:
    """Read newest first; None where one was removed meanwhile, so that another may be missed."""
    found: dict[str, Comment] = {}
    start, total = 0, None
    while True:
        asked = {
            "expand": "properties",
            "orderBy": "-created",
            "startAt": str(start),
            "maxResults": str(_PAGE),
        }
        page = client.get(issue_path(identifier, "comment"), asked)
        try:
            if total is not None and page["total"] < total:
                return None
            total = page["total"]
            comments = page["comments"]
            for raw in comments:
                one = _comment(_with_properties(client, site, raw), site)
                if one is not None:
                    found[one.id] = one
            start += len(comments)
            old = after is not None and any(
                datetime.fromisoformat(raw["created"]) < after for raw in comments
            )
        except (KeyError, TypeError, ValueError, AttributeError):
            raise unexpected("comments") from None
        if old or not comments or start >= total:
            return found


def _with_properties(client: Client, site: Site, raw: dict[str, Any]) -> dict[str, Any]:
    """Ask for our property of a comment of ours, where the list does not give properties.

    That the list of an issue takes `expand=properties` is observed, not documented; this is.
    """
    if "properties" in raw or _author(raw, site) != site.me:
        return raw
    try:
        found = client.get(f"comment/{int(raw['id'])}/properties/{PROPERTY}")
    except ReadFailedError as failed:
        if _is_missing(failed):
            return raw
        raise
    return {**raw, "properties": [found]}


def _author(raw: dict[str, Any], site: Site) -> str:
    author = raw.get("author") or {}
    return str(author.get("accountId" if site.cloud else "name"))


def _is_missing(failed: ReadFailedError) -> bool:
    outcome = failed.outcome
    return isinstance(outcome, Refused) and outcome.code is Code.RECORD_NOT_FOUND


def one_comment(client: Client, site: Site, identifier: str, number: str) -> Comment | None:
    """Return a comment of ours, or None where it is gone.

    Raises:
        ReadFailedError: Jira does not say.
    """
    try:
        raw = client.get(issue_path(identifier, "comment", number), {"expand": "properties"})
    except ReadFailedError as failed:
        if _is_missing(failed):
            return None
        raise
    try:
        return _comment(_with_properties(client, site, raw), site)
    except (KeyError, TypeError, ValueError, AttributeError):
        raise unexpected("a comment") from None


def _comment(raw: dict[str, Any], site: Site) -> Comment | None:
    markers = [one["value"] for one in raw.get("properties") or () if one["key"] == PROPERTY]
    if not markers or not isinstance(markers[0], dict):
        return None
    return Comment(
        id=str(int(raw["id"])),
        body=raw["body"],
        author=_author(raw, site),
        updated=str(raw["updated"]),
        marker=markers[0],
    )


def of(comments: Sequence[Comment], write_back_id: str) -> list[Comment]:
    """Return the copies of one write-back's comment, the one that stays first."""
    return [
        one
        for one in comments
        if one.write_back_id == write_back_id and "duplicate_of" not in one.marker
    ]


def sweep(client: Client, site: Site, identifier: str, comments: Sequence[Comment]) -> list[str]:
    """Remove every later copy of a comment of ours, and return the ids of those removed.

    Which one stays does not depend on who sweeps: the lowest id. Somebody else's comment is never
    touched, whatever property it carries.
    """
    copies: dict[str, list[Comment]] = defaultdict(list)
    for one in comments:
        if "duplicate_of" not in one.marker:
            copies[one.write_back_id].append(one)
    repaired = []
    for write_back_id, (first, *later) in copies.items():
        for one in later:
            how = _remove(client, site, identifier, one, first.id) if one.author == site.me else ""
            log.warning(
                "jira_comment_duplicate",
                identifier=identifier,
                write_back_id=write_back_id,
                kept=first.id,
                duplicate=one.id,
                repair=how or "failed",
            )
            if how:
                repaired.append(one.id)
                detail = f"Jira had taken it twice: comment {one.id} was {how}, {first.id} stays"
                client.repaired(Repair(write_back_id=write_back_id, detail=detail))
    return repaired


def _remove(client: Client, site: Site, identifier: str, one: Comment, kept: str) -> str:
    path = issue_path(identifier, "comment", one.id)
    try:
        client.write("DELETE", path, b"", done=_GONE)
    except WriteFailedError as failed:
        outcome = failed.outcome
        if isinstance(outcome, Refused) and outcome.code is Code.RECORD_NOT_FOUND:
            return "deleted"
    else:
        return "deleted"
    text = f"Duplicate of an earlier comment ({kept}), sent twice by Placet. Please ignore it."
    marker = {**one.marker, "duplicate_of": kept}
    try:
        body = jira_note.body_of(text, cloud=site.cloud)
        client.write("PUT", path, request_of(body, marker), done=_CHANGED)
    except (WriteFailedError, BadValueError):
        return ""
    return "marked"
