"""One write-back's comment: prepared, sent, probed, superseded. The order is `jira_comments`'s."""

import json
from collections.abc import Sequence
from typing import Any, Final

from dispatcher.targets import jira_comments, jira_text
from dispatcher.targets.columns import BadValueError
from dispatcher.targets.jira_client import Client, ReadFailedError, WriteFailedError
from dispatcher.targets.jira_comments import Comment, decided_at, listed, one_comment, request_of
from dispatcher.targets.jira_fence import Fence, NoFenceError
from dispatcher.targets.jira_issue import fetch, issue_path, marker_key
from dispatcher.targets.jira_note import COMMENT, comment_of, superseded
from dispatcher.targets.jira_prepared import Note, Supersede
from dispatcher.targets.jira_site import Site
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
    Unknown,
    WriteBack,
)

_NOTHING: Final[Images] = {COMMENT: "null"}
_CREATED: Final = 201
_CHANGED: Final = 200


def prepare(client: Client, site: Site, write_back: WriteBack) -> Note | Outcome:
    """Look for the comment, and make the request. Adds nothing (a duplicate may be removed).

    Raises:
        ReadFailedError: Jira does not answer as expected.
    """
    try:
        body = comment_of(write_back, cloud=site.cloud)
    except BadValueError as bad:
        return Refused(code=bad.code, detail=bad.detail)
    key = write_back.write_back_id
    issue = fetch(client, site, write_back.target.identifier, (), marker=marker_key(key))
    if issue.marker is not None or not site.cloud:
        applied = _already(client, site, write_back)
        if applied is not None:
            return applied
    marker = {"write_back_id": key, "decision_id": write_back.audit.decision_id}
    return Note(
        write_back=write_back,
        before=_NOTHING,
        version=issue.updated,
        request=request_of(body, marker),
        issue_id=issue.id,
        held=issue.marker,
    )


def send(client: Client, site: Site, fence: Fence, note: Note) -> Outcome:
    """Take the fence, send once, then look.

    Raises:
        ReadFailedError: before anything was sent.
    """
    try:
        refused = fence.take(client, note) if site.cloud else None
    except NoFenceError:
        refused = _already(client, site, note.write_back)
    if refused is not None:
        return refused
    # A crash here: the fence is ours or old by then, and no comment carries the marker.
    failed: WriteFailedError | None = None
    path = issue_path(note.write_back.target.identifier, "comment")
    try:
        client.write("POST", path, note.request, done=_CREATED, fields=_NOTHING)
    except WriteFailedError as error:
        if not isinstance(error.outcome, Unknown):
            return error.outcome
        failed = error
    # A crash here, or a lost answer: the comment's own property tells.
    try:
        found, removed = _swept(client, site, note.write_back)
    except ReadFailedError as error:
        lost = Unknown(code=Code.READ_BACK_LOST, detail=f"written, not read back: {error}")
        return lost if failed is None else failed.outcome
    if not found and failed is not None:
        return failed.maybe_unavailable or failed.outcome
    return _applied(note, found, removed)


def probe(client: Client, site: Site, write_back: WriteBack) -> Probe:
    """Look for the comment. Adds nothing (a second copy of one is removed).

    Raises:
        ReadFailedError: Jira does not answer as expected.
    """
    return _already(client, site, write_back) or Absent()


def _swept(client: Client, site: Site, write_back: WriteBack) -> tuple[list[Comment], list[str]]:
    """Return this write-back's comment, and the ids of duplicates that were removed."""
    identifier = write_back.target.identifier
    comments = listed(client, site, identifier, decided_at(write_back.audit.timestamp))
    removed = jira_comments.sweep(client, site, identifier, comments)
    return jira_comments.of(comments, write_back.write_back_id), removed


def _already(client: Client, site: Site, write_back: WriteBack) -> AlreadyApplied | None:
    found, removed = _swept(client, site, write_back)
    if not found:
        return None
    after = {COMMENT: _image_of(found[0], removed)}
    return AlreadyApplied(version=found[0].updated, before=_NOTHING, after=after)


def _image_of(comment: Comment, removed: Sequence[str]) -> str:
    """Return what an undo has to know of a comment, and an audit of its copies, as JSON text."""
    image: dict[str, Any] = {"id": comment.id, "body": jira_text.plain(comment.body)}
    if removed:
        image["duplicates_removed"] = list(removed)
    return json.dumps(image, ensure_ascii=False, sort_keys=True)


def _applied(note: Note, found: Sequence[Comment], removed: Sequence[str]) -> Applied:
    if not found:  # it was there (201), and somebody removed it at once
        return Applied(before=note.before, after=_NOTHING, version=note.version, differs=(COMMENT,))
    kept = found[0]
    sent = json.loads(note.request)["body"]
    same = jira_text.canonical(sent) == jira_text.canonical(kept.body)
    return Applied(
        before=note.before,
        after={COMMENT: _image_of(kept, removed)},
        version=kept.updated,
        differs=() if same else (COMMENT,),
    )


# Undo: the comment stays, and says that its change was undone.


def prepare_undo(
    client: Client, site: Site, write_back: WriteBack, after: Images
) -> Supersede | Outcome:
    """Find the comment that `after` names, and make the request. Changes nothing.

    Raises:
        ReadFailedError: Jira does not answer as expected.
    """
    number, text = _image(after)
    if number is None:
        return Refused(code=Code.NOT_SUPPORTED, detail="which comment to mark is not known")
    issue = fetch(client, site, write_back.target.identifier, ())
    comment = one_comment(client, site, write_back.target.identifier, number)
    if comment is None:
        return Conflict(current=_NOTHING, version=issue.updated, fields=(COMMENT,))
    if comment.marker.get("superseded_by") == write_back.write_back_id:
        return AlreadyApplied(version=comment.updated, after={COMMENT: comment.text})
    if jira_text.canonical(comment.body) != jira_text.canonical(text):
        current = {COMMENT: comment.text}
        return Conflict(current=current, version=issue.updated, fields=(COMMENT,))
    marker = {**comment.marker, "superseded_by": write_back.write_back_id}
    return Supersede(
        write_back=write_back,
        before={COMMENT: comment.text},
        version=comment.updated,
        request=request_of(superseded(comment.body, write_back), marker),
        comment_id=number,
    )


def _image(after: Images) -> tuple[str | None, Any]:
    try:
        found = json.loads(after[COMMENT])
        return str(int(found["id"])), found["body"]
    except (KeyError, TypeError, ValueError):
        return None, None


def send_undo(client: Client, site: Site, mark: Supersede) -> Outcome:
    """Change the comment, once, then look. Sending the same twice would change nothing more."""
    failed: WriteFailedError | None = None
    identifier = mark.write_back.target.identifier
    path = issue_path(identifier, "comment", mark.comment_id)
    try:
        client.write("PUT", path, mark.request, done=_CHANGED)
    except WriteFailedError as error:
        if not isinstance(error.outcome, Unknown):
            return error.outcome
        failed = error
    try:
        comment = one_comment(client, site, identifier, mark.comment_id)
    except ReadFailedError as error:
        lost = Unknown(code=Code.READ_BACK_LOST, detail=f"written, not read back: {error}")
        return lost if failed is None else failed.outcome
    marked = comment is not None and (
        comment.marker.get("superseded_by") == mark.write_back.write_back_id
    )
    if failed is not None and not marked:
        return failed.maybe_unavailable or failed.outcome
    sent = json.loads(mark.request)["body"]
    same = comment is not None and (jira_text.canonical(comment.body) == jira_text.canonical(sent))
    return Applied(
        before=mark.before,
        after=_NOTHING if comment is None else {COMMENT: comment.text},
        version=mark.version if comment is None else comment.updated,
        differs=() if same else (COMMENT,),
    )
