"""The comment that a decision leaves on an issue: who approved, when, why, on what grounds.

Pure. Plain text with one form in each kind of Jira; what people wrote is shown as they wrote it and
never taken for markup (no mention, macro or image comes out of a review note).
"""

import json
from typing import Any, Final

from dispatcher.targets import jira_text
from dispatcher.targets.columns import BadValueError
from dispatcher.writeback import Code, WriteBack

COMMENT: Final = "comment"
"""The step's name, and the comment's name among a write-back's images."""
_MOST: Final = 32_767


def note_of(write_back: WriteBack) -> str:
    """Return the comment's text. The same for the same decision, whenever it is asked."""
    audit = write_back.audit
    who = ", ".join(audit.reviewers) or "a reviewer"
    parts = [write_back.comment] if write_back.comment else []
    parts.append(f"Approved by {who} at {audit.timestamp} (Placet decision {audit.decision_id}).")
    if audit.citations:
        parts.append("\n".join(["Sources:", *(f"• {one}" for one in audit.citations)]))
    return "\n\n".join(parts).replace("\r\n", "\n")


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
