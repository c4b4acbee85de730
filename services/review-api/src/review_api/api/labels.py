"""Decisions as labelled data, over HTTP: one JSON object a line, for whoever trains on them.

Owns the line's form. It says in which roles people decided and never who they are, so there is no
name, no account, and no comment: a comment is free text, in which people name each other and those
they decide about. The reason code says why. The record's identifier stays out as well: whoever may
read it finds it by `item_id`.
"""

from collections.abc import AsyncIterator
from typing import Annotated, Any, Final

import msgspec
import orjson
import structlog
from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse

from contract.events import Action
from contract.statement import timestamp_text
from review_api.api.guard import GuardedRoute, needs
from review_api.commands.labels import Label, Wanted, parse_cursor, parse_moment
from review_api.desk import desk_of
from review_api.problems import Code, ProblemError
from review_api.roles import Permission

log = structlog.get_logger()
router = APIRouter(prefix="/api", route_class=GuardedRoute, tags=["labels"])

JSON_LINES: Final = "application/jsonl"
Text = Annotated[str, Query()]
_LONGEST_LIMIT = 9  # digits


@router.get(
    "/labels",
    response_class=Response,
    responses={200: {"content": {JSON_LINES: {}}}},
    **needs(Permission.EXPORT),
)
async def labels(
    request: Request,
    *,
    since: Text = "",
    until: Text = "",
    source: Text = "",
    cursor: Text = "",
    limit: Text = "",
) -> Response:
    """Return every decision that stands, oldest first, as JSON lines; each holds its `cursor`.

    `since` is included, `until` is not; without a zone they are UTC. A decision that can still be
    taken back is not there yet. An answer that breaks off is gone on with: `cursor` of the last
    whole line. Being asked for is an event of the audit log.
    """
    wanted = Wanted(
        since=_moment("since", since),
        until=_moment("until", until),
        source=_source(source),
        after=parse_cursor(cursor) if cursor else None,
        limit=_limit(limit),
    )
    found = await desk_of(request).labels.export(request.state.actor, wanted)
    headers = {
        "Cache-Control": "no-store",
        "Content-Disposition": 'attachment; filename="labels.jsonl"',
    }
    request_id = request.scope.get("placet_request_id", "")
    return StreamingResponse(_lines(found, request_id), 200, headers, JSON_LINES)


async def _lines(found: AsyncIterator[list[Label]], request_id: str) -> AsyncIterator[bytes]:
    try:
        async for some in found:
            yield b"".join(line(label) for label in some)
    except ProblemError as problem:
        # Lines are on their way: all that can still be said is that this is not the end of them.
        log.warning("export_broken_off", request_id=request_id, code=problem.code)
        raise


def line(label: Label) -> bytes:
    """Return a label as it is exported. Values of fields are JSON, every digit kept."""
    item, statement = label.item, label.statement
    return orjson.dumps(
        {
            "decision_id": str(label.decision_id),
            "item_id": item.item_id,
            "source": item.source,
            "external_id": item.external_id,
            "revision": item.revision,
            "correlation_id": item.correlation_id,
            "proposed_at": timestamp_text(item.timestamp),
            "decided_at": timestamp_text(label.decided_at),
            "model": {
                "name": item.model.name,
                "version": item.model.version,
                "hash": item.model.hash,
            },
            "prompt": item.prompt,
            "retrieval": msgspec.to_builtins(item.retrieval),
            "output": item.output,
            "confidence": item.confidence,
            "divergence": item.divergence.score,
            "risk": item.risk.score,
            "target": {
                "system": item.change.target.system,
                "instance": item.change.target.instance,
            },
            "fields": {
                name: orjson.Fragment(text) for name, text in sorted(item.change.fields.items())
            },
            "decision": statement.action.value,
            "edited_fields": {
                name: {"proposed": orjson.Fragment(before), "final": orjson.Fragment(after)}
                for name, (before, after) in sorted(label.edited.items())
            },
            "reason_code": statement.reason_code,
            "roles": [one.role for one in statement.approvers],
            "lane": label.lane,
            "policy_version": statement.policy_version,
            "undone": _undone(label),
            "undoes": statement.undoes if statement.action is Action.UNDO else None,
            "cursor": label.cursor,
        },
        option=orjson.OPT_APPEND_NEWLINE,
    )


def _undone(label: Label) -> dict[str, Any] | None:
    if label.undone is None:
        return None
    return {"at": timestamp_text(label.undone.at), "role": label.undone.role}


def _moment(name: str, text: str) -> Any:
    try:
        return parse_moment(text) if text else None
    except ValueError:
        raise ProblemError(
            Code.BAD_VALUE, f"{name} is a moment, such as 2026-11-24 or 2026-11-24T10:00:00Z."
        ) from None


def _source(text: str) -> str | None:
    if "\0" in text:
        raise ProblemError(Code.BAD_TEXT, "source holds U+0000.")
    return text or None


def _limit(text: str) -> int | None:
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= _LONGEST_LIMIT and int(text)):
        raise ProblemError(Code.BAD_VALUE, "limit is a number, 1 or more.")
    return int(text)
