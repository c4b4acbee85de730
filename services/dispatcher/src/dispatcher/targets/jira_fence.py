"""Put-if-absent for a comment: an issue property that only one attempt can take. Cloud only.

Jira's conditional property write runs as a task some time later, and its COMPLETE does not say who
won; the property does. Taking it keeps a second worker (a lost lease, a restart) from sending the
same comment. What it cannot do: stop a request that has left already, because adding a comment is
not conditional on anything. That is what sweeping is for (`jira_comments`).
"""

import json
import re
import time
from datetime import UTC, datetime
from typing import Any, Final

from dispatcher.targets.jira_client import Client, ReadFailedError, WriteFailedError
from dispatcher.targets.jira_issue import issue_path, marker_key
from dispatcher.targets.jira_prepared import Note
from dispatcher.targets.jira_site import unexpected
from dispatcher.writeback import Code, Outcome, Refused, Unavailable, Unknown

_ACCEPTED: Final = 303
_TASK: Final = re.compile(r"/task/([0-9]{1,18})/?$", re.ASCII)
_ENDED: Final = frozenset({"COMPLETE", "FAILED", "CANCELLED", "DEAD"})
_FIRST_PAUSE: Final = 0.06
_LONGEST_PAUSE: Final = 1.0


class NoFenceError(Exception):
    """This Jira refuses conditional writes to us: look at the comments instead."""


class Fence:
    """Takes fences for one adapter. `settle`: seconds until another's fence counts for nothing."""

    def __init__(self, holder: str, settle: float, limit: float) -> None:
        self._holder = holder
        self._settle = settle
        self._limit = limit

    def take(self, client: Client, note: Note) -> Outcome | None:
        """Return None once the fence is ours; otherwise why nothing may be sent now.

        Raises:
            ReadFailedError: Jira does not say who has it. Nothing was sent.
            NoFenceError: there are no conditional writes here.
        """
        held = note.held
        if isinstance(held, dict) and held.get("holder") == self._holder:
            return None
        if held is not None and not self._is_old(held):
            return Unknown(
                code=Code.COMMIT_ANSWER_LOST,
                detail="another attempt at this comment began a moment ago, and may still land",
            )
        key = marker_key(note.write_back.write_back_id)
        ours = {
            "write_back_id": note.write_back.write_back_id,
            "holder": self._holder,
            "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
        }
        condition = {"hasProperty": False} if held is None else {"currentValue": held}
        request = {"value": ours, "filter": {"entityIds": [int(note.issue_id)], **condition}}
        self._write(client, key, request)
        found = client.get(issue_path(note.issue_id, "properties", key))
        if isinstance(found, dict) and found.get("value") == ours:
            return None
        return Unavailable(code=Code.RECORD_LOCKED, detail="another worker adds this comment")

    def _is_old(self, held: Any) -> bool:
        """Tell whether whoever took it has had the time to finish. Nonsense is nobody's."""
        try:
            taken = datetime.fromisoformat(held["at"])
            return (datetime.now(UTC) - taken).total_seconds() >= self._settle
        except (KeyError, TypeError, ValueError):
            return True

    def _write(self, client: Client, key: str, request: dict[str, Any]) -> None:
        """Ask for the conditional write, and wait for its task to end."""
        body = json.dumps(request, sort_keys=True).encode()
        try:
            answer = client.write("PUT", f"issue/properties/{key}", body, done=_ACCEPTED)
        except WriteFailedError as failed:
            if isinstance(failed.outcome, Refused):
                raise NoFenceError(failed.outcome.detail) from None
            raise ReadFailedError(_nothing_sent(failed.outcome)) from None
        task = _TASK.search(answer.headers.get("Location", ""))
        if task is None:
            raise unexpected("a conditional property write")
        deadline, pause = time.monotonic() + self._limit, _FIRST_PAUSE
        while time.monotonic() < deadline:
            time.sleep(pause)  # a task never ends at once
            if _status(client.get(f"task/{task[1]}")) in _ENDED:
                return
            pause = min(pause * 2, _LONGEST_PAUSE)
        raise ReadFailedError(
            Unavailable(code=Code.TARGET_BUSY, detail="a task of Jira's does not end")
        )


def _status(task: Any) -> Any:
    if not isinstance(task, dict):
        raise unexpected("a task")
    return task.get("status")


def _nothing_sent(outcome: Unavailable | Unknown) -> Unavailable:
    """Return it as what it is: the fence may be there, the comment was not sent."""
    if isinstance(outcome, Unavailable):
        return outcome
    return Unavailable(code=outcome.code, detail=f"the fence: {outcome.detail}")
