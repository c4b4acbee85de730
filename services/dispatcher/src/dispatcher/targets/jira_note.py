"""The comment that a decision leaves on an issue: who approved, when, why, on what grounds.

Pure. Plain text with one form in each kind of Jira; what people wrote is shown as they wrote it and
never taken for markup (no mention, macro or image comes out of a review note).
"""

import json
from dataclasses import replace
from typing import Any, Final

from dispatcher.targets import jira_text
from dispatcher.targets.columns import BadValueError
from dispatcher.writeback import Code, WriteBack

COMMENT: Final = "comment"
"""The step's name, and the comment's name among a write-back's images."""
_MOST: Final = 32_767
_LEFT_OUT: Final = "kept in Placet with the decision; the note and they are too long for a comment"


def note_of(write_back: WriteBack) -> str:
    """Return the comment's text. The same for the same decision, whenever it is asked."""
    audit = write_back.audit
    who = ", ".join(audit.reviewers) or "a reviewer"
    parts = [write_back.note] if write_back.note else []
    if write_back.comment:
        label = "Review note: " if parts else ""  # two people's words, told apart
        parts.append(label + write_back.comment)
    parts.append(f"Approved by {who} at {audit.timestamp} (Placet decision {audit.decision_id}).")
    if audit.citations:
        parts.append("\n".join(["Sources:", *(f"• {one}" for one in audit.citations)]))
    return "\n\n".join(parts).replace("\r\n", "\n")


def comment_of(write_back: WriteBack, *, cloud: bool) -> Any:
    """Return the comment as this Jira takes it.

    The fields are written by then: what does not fit is left out and said to be, never refused.

    Raises:
        BadValueError: even the review note alone is too long, or no text.
    """
    try:
        return body_of(note_of(write_back), cloud=cloud)
    except BadValueError as bad:
        if bad.code is not Code.TOO_LONG:
            raise
    audit = replace(write_back.audit, citations=(_LEFT_OUT,))
    return body_of(note_of(replace(write_back, note=None, audit=audit)), cloud=cloud)


def superseded(body: Any, write_back: WriteBack) -> Any:
    """Return a comment's `body` (as Jira has it) saying that its change was undone."""
    audit = write_back.audit
    who = ", ".join(audit.reviewers) or "a reviewer"
    head = (
        f"Superseded: the change was undone by {who} at {audit.timestamp} "
        f"(Placet decision {audit.decision_id})."
    )
    if not jira_text.is_document(body):
        whole: Any = f"{jira_text.escaped(head)}\n\n{body}"
        return whole if len(whole) <= _MOST else jira_text.escaped(head)
    note = jira_text.document_of(head)
    whole = {**body, "content": [*note["content"], *body["content"]]}
    return whole if len(json.dumps(whole, ensure_ascii=False)) <= _MOST else note


def body_of(text: str, *, cloud: bool) -> Any:
    """Return the text as this Jira takes a comment.

    Raises:
        BadValueError: it is too long, or no text.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        raise BadValueError(Code.BAD_VALUE, "the comment has a lone surrogate") from None
    if "\0" in text:
        raise BadValueError(Code.BAD_VALUE, "the comment has U+0000")
    body = jira_text.document_of(text) if cloud else jira_text.escaped(text)
    shape = json.dumps(body, ensure_ascii=False) if cloud else str(body)
    if len(shape) > _MOST:
        raise BadValueError(Code.TOO_LONG, f"the comment is too long: {_MOST} characters fit")
    return body
