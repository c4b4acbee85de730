"""The step "fields": one PUT that carries the fields, the marker and a note in the changelog.

Owns the order that makes one effect, and what an issue says of it afterwards:

1. read fields, marker, edit metadata and history in one request. A marker, or an entry of the
   history with this write-back's id, means AlreadyApplied;
2. compare what the reviewer saw with what is there, field by field: different means Conflict;
3. one PUT, answered by exactly 204. Any other end of it is looked into by reading, never by sending
   again: the marker is certain; its absence proves nothing while the request may be on its way;
4. read back: values, and in the history whether somebody's edit got between 1 and 3.
"""

import json
from collections.abc import Collection, Mapping
from typing import Any, Final

from dispatcher.targets import jira_values
from dispatcher.targets.columns import BadValueError
from dispatcher.targets.jira_client import Client, ReadFailedError, WriteFailedError
from dispatcher.targets.jira_fields import TRANSITIONS
from dispatcher.targets.jira_history import Verdict, judge, metadata
from dispatcher.targets.jira_issue import Issue, fetch, issue_path, marker_key
from dispatcher.targets.jira_note import comment_of
from dispatcher.targets.jira_prepared import Edit
from dispatcher.targets.jira_site import Site
from dispatcher.targets.jira_values import Value, canonical
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
    Unavailable,
    Unknown,
    WriteBack,
)

_MOST_MARKER: Final = 30_000  # of the 32,768 characters that a property holds
_DONE: Final = 204
_NOT_EDITABLE: Final = Unavailable(
    code=Code.PERMISSION_DENIED, detail="the account may not edit this issue"
)


def prepare(
    client: Client, site: Site, columns: Collection[str], write_back: WriteBack
) -> Edit | Outcome:
    """Do steps 1 and 2. Changes nothing.

    Raises:
        ReadFailedError: Jira does not answer as expected.
    """
    refused = _refused_by_name(site, columns, write_back)
    if refused is not None:
        return refused
    issue = _fetch(client, site, write_back, write_back.fields, "editmeta,changelog")
    applied = _already(site, issue, write_back)
    if applied is not None:
        return applied
    if issue.editing is None:
        return _NOT_EDITABLE
    try:
        values = {name: _value(site, issue, name, text) for name, text in write_back.fields.items()}
    except BadValueError as bad:
        return Refused(code=bad.code, detail=bad.detail)
    moved = tuple(
        name
        for name in write_back.fields
        if (seen := write_back.seen.get(name)) is None
        or canonical(site.fields[name], seen) != canonical(site.fields[name], issue.fields[name])
    )
    if moved:
        return Conflict(current=issue.fields, version=issue.updated, fields=moved)
    since = issue.history[-1].id if issue.history else None
    return Edit(
        write_back=write_back,
        before=issue.fields,
        version=issue.updated,
        request=_request(write_back, values, issue.fields, since),
        values=values,
        since=since,
    )


def send(client: Client, site: Site, edit: Edit) -> Outcome:
    """Do steps 3 and 4: send once, then look."""
    failed: WriteFailedError | None = None
    path = issue_path(edit.write_back.target.identifier)
    try:
        client.write("PUT", path, edit.request, done=_DONE, fields=edit.values)
    except WriteFailedError as error:
        if not isinstance(error.outcome, Unknown):
            return error.outcome
        failed = error
    # A crash here, or a lost answer: the marker in the issue tells.
    try:
        issue = _fetch(client, site, edit.write_back, edit.values, "changelog")
    except ReadFailedError as error:
        lost = Unknown(code=Code.READ_BACK_LOST, detail=f"written, not read back: {error}")
        return lost if failed is None else failed.outcome
    return _read_back(site, edit, issue, failed)


def _read_back(site: Site, edit: Edit, issue: Issue, failed: WriteFailedError | None) -> Outcome:
    write_back = edit.write_back
    verdict = judge(issue.history, list(edit.values), write_back_id=write_back.write_back_id,
                    me=site.me, since=edit.since)  # fmt: skip
    if failed is not None and issue.marker is None and not verdict.found:
        return failed.maybe_unavailable or failed.outcome
    return Applied(
        before=edit.before,
        # Somebody's later edit is theirs: what we wrote is what counts.
        after={
            name: write_back.fields[name] if name in verdict.later else issue.fields[name]
            for name in edit.values
        },
        version=issue.updated,
        differs=_differs(site, issue, write_back.fields, verdict.later),
        overwrote=_overwrote(verdict),
    )


def probe(client: Client, site: Site, write_back: WriteBack) -> Probe:
    """Ask for the marker. Changes nothing.

    Raises:
        ReadFailedError: Jira does not answer as expected; RECORD_NOT_FOUND among that.
    """
    known = [name for name in write_back.fields if name in site.fields]
    issue = _fetch(client, site, write_back, known, "changelog")
    return _already(site, issue, write_back) or Absent()


def _fetch(
    client: Client, site: Site, write_back: WriteBack, names: Collection[str], expand: str
) -> Issue:
    marker = marker_key(write_back.write_back_id)
    return fetch(client, site, write_back.target.identifier, names, marker=marker, expand=expand)


def _refused_by_name(site: Site, columns: Collection[str], write_back: WriteBack) -> Refused | None:
    """Refuse what can be refused without asking, the notes of the next step among it."""
    try:
        comment_of(write_back, cloud=site.cloud)
    except BadValueError as bad:
        return Refused(code=bad.code, detail=bad.detail)
    for name in write_back.fields:
        if name in TRANSITIONS:
            return Refused(
                code=Code.NOT_SUPPORTED, detail=f"{name}: transitions are not supported yet"
            )
        if name not in columns or name not in site.fields:
            return Refused(
                code=Code.UNKNOWN_FIELD, detail="a field is not among the configured columns"
            )
    return None


def _value(site: Site, issue: Issue, name: str, text: str) -> Value:
    editing = (issue.editing or {}).get(name)
    if editing is None:
        raise BadValueError(Code.UNKNOWN_FIELD, f"{name} is not on this issue's edit screen")
    return jira_values.decode(site.fields[name], editing, text, cloud=site.cloud)


def _request(
    write_back: WriteBack, values: Mapping[str, Value], before: Images, since: str | None
) -> bytes:
    key, decision = write_back.write_back_id, write_back.audit.decision_id
    marker: dict[str, Any] = {
        "write_back_id": key,
        "decision_id": decision,
        "since": since,
        "before": dict(before),
    }
    if len(json.dumps(marker, ensure_ascii=False)) > _MOST_MARKER:
        del marker["before"]  # the ledger has it
    body = {
        "fields": {name: value.wire for name, value in values.items()},
        "properties": [{"key": marker_key(key), "value": marker}],
        "historyMetadata": metadata(key, decision),
    }
    return json.dumps(body, sort_keys=True).encode()


def _already(site: Site, issue: Issue, write_back: WriteBack) -> AlreadyApplied | None:
    """Return what the marker or the history proves, or None.

    Both are asked: Atlassian does not promise that an edit and its properties are one.
    """
    marker = issue.marker if isinstance(issue.marker, dict) else {}
    since, before = marker.get("since"), marker.get("before")
    verdict = judge(
        issue.history,
        list(issue.fields),
        write_back_id=write_back.write_back_id,
        me=site.me,
        since=since if isinstance(since, str) else None,
    )
    if issue.marker is None and not verdict.found:
        return None
    return AlreadyApplied(
        version=None if verdict.later else issue.updated,
        before=before if _is_images(before) else None,
        differs=_differs(site, issue, write_back.fields, verdict.later),
        overwrote=_overwrote(verdict),
    )


def _is_images(value: Any) -> bool:
    """Whoever may edit the issue may edit the marker: its shape is not to be relied on."""
    return isinstance(value, dict) and all(isinstance(one, str) for one in value.values())


def _overwrote(verdict: Verdict) -> Images:
    """Return what we wrote over without anybody having seen it; null where nobody knows it."""
    return {name: verdict.lost.get(name, "null") for name in sorted(verdict.overwritten)}


def _differs(site: Site, issue: Issue, wanted: Images, later: Collection[str]) -> tuple[str, ...]:
    """Name the fields that are not as approved, and that nobody else has edited since."""
    return tuple(
        name
        for name in issue.fields
        if name not in later
        and canonical(site.fields[name], issue.fields[name])
        != canonical(site.fields[name], wanted[name])
    )
