"""What stands between reading an issue and writing to it: the request, ready to be sent once.

A dispatcher commits it as an intent before it is sent, so that a crash in between is known.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dispatcher.targets.jira_values import Value
from dispatcher.writeback import Images, WriteBack


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A write that may go ahead: nothing of it is in the target, and nothing has moved on.

    `request`: the bytes to be sent; the same write-back gives the same unless the record changed.
    """

    write_back: WriteBack
    before: Images
    version: str
    request: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit(Prepared):
    """Fields and marker, in one PUT. `since`: the newest entry of the history that was read."""

    values: Mapping[str, Value]
    since: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Note(Prepared):
    """A comment and its marker, in one POST. `held`: who has the fence, as read."""

    issue_id: str
    held: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Supersede(Prepared):
    """A comment's new text, in one PUT to that comment."""

    comment_id: str
