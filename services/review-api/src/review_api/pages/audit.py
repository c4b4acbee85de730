"""`/audit`: search, the chain of one decision, its evidence, and what decisions say about models.

Owns addresses and forms. Reading is `audit_client`'s, the picture `chain`'s, words `audit_view`'s.
"""

import re
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote, urlencode

import structlog
from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse
from starlette.responses import RedirectResponse

from review_api.api.guard import GuardedRoute, needs
from review_api.audit_client import AuditLog
from review_api.chain import BOX_HEIGHT, BOX_WIDTH, BOX_X, WIDTH, chain
from review_api.charts import HEIGHT
from review_api.charts import WIDTH as CHART_WIDTH
from review_api.desk import desk_of
from review_api.forensics import BAR, WINDOWS
from review_api.pages import audit_view as view
from review_api.pages.render import html, span
from review_api.problems import Code, ProblemError
from review_api.roles import Permission

log = structlog.get_logger()
router = APIRouter(route_class=GuardedRoute, include_in_schema=False)

_FILTERS: Final = ("q", "id", "actor", "kind", "since", "until")
_ASKED: Final[Mapping[str, str]] = {
    "q": "words",
    "actor": "actor",
    "kind": "type",
    "since": "since",
    "until": "until",
}
_BY_ID: Final = ("item", "decision", "correlation")
_LONGEST: Final = 200
_PAGE: Final = "50"
_SAFE_NAME: Final = re.compile(r"[^A-Za-z0-9._-]")
_NO_STORE: Final = {"Cache-Control": "no-store"}
_DEFAULT_WEEKS: Final = 12
_UNUSABLE: Final = 422


@router.get("/audit", **needs(Permission.AUDIT))
async def search(request: Request) -> Response:
    """Return what a search finds, newest first, and how far the log is sealed."""
    asked = {name: request.query_params.get(name, "").strip()[:_LONGEST] for name in _FILTERS}
    before = request.query_params.get("before", "")
    audit_log = desk_of(request).audit_log
    problem = None
    try:
        found = await _find(audit_log, asked, before)
    except ProblemError as error:
        if error.kind.status != _UNUSABLE:
            raise
        problem, found = error, {"records": [], "next": None, "not_indexed": 0}
    if asked["id"] and not problem and not found["records"] and not before:
        return RedirectResponse(f"/audit/items/{quote(asked['id'], safe='')}", 303)
    older = {name: text for name, text in asked.items() if text} | {"before": found["next"]}
    return html(
        request,
        "audit.html",
        200 if problem is None else problem.kind.status,
        asked=asked,
        problem=problem,
        records=found["records"],
        not_indexed=found["not_indexed"],
        older=f"/audit?{urlencode(older)}" if found["next"] is not None else None,
        newest=bool(before),
        first=f"/audit?{urlencode({n: t for n, t in asked.items() if t})}",
        head=await audit_log.status(),
        kinds=view.KINDS,
        view=view,
        age=_age,
    )


async def _find(audit_log: AuditLog, asked: Mapping[str, str], before: str) -> dict[str, Any]:
    terms = {_ASKED[name]: text for name, text in asked.items() if text and name in _ASKED}
    terms |= {"limit": _PAGE} | ({"before": before} if before else {})
    if not asked["id"]:
        return await audit_log.search(terms)
    found: dict[str, Any] = {}
    for by in _BY_ID:
        found = await audit_log.search(terms | {by: asked["id"]})
        if found["records"]:
            break
    return found


@router.get("/audit/forensics", **needs(Permission.AUDIT))
async def forensics(request: Request) -> Response:
    """Return where models and people disagree."""
    text = request.query_params.get("weeks", "")
    weeks = next((one for one in WINDOWS if str(one) == text), _DEFAULT_WEEKS)
    return html(
        request,
        "audit_forensics.html",
        found=await desk_of(request).forensics.read(weeks),
        weeks=weeks,
        windows=WINDOWS,
        width=CHART_WIDTH,
        height=HEIGHT,
        bar=BAR,
        view=view,
    )


@router.get("/audit/items/{item_id}", **needs(Permission.AUDIT))
async def story(request: Request, item_id: str) -> Response:
    """Return the chain of an item, a decision, or whatever else goes by that name."""
    after = request.query_params.get("after", "")
    known = int(after) if after.isascii() and after.isdigit() and len(after) < 18 else -1  # noqa: PLR2004
    told = await desk_of(request).audit_log.story(item_id[:_LONGEST], known)
    chapters = told["chapters"]
    items = {one["record"].get("item_id") for one in chapters} - {None}
    return html(
        request,
        "audit_chain.html",
        name=item_id,
        told=told,
        item=items.pop() if len(items) == 1 else None,
        whole=known < 0 and told["next"] is None,
        chain=chain(chapters, view.WORDS, whole=told["next"] is None),
        records=view.records(chapters, told["records"]),
        wrong=[one["sequence"] for one in chapters if one["problems"]],
        box={"x": BOX_X, "width": BOX_WIDTH, "height": BOX_HEIGHT},
        width=WIDTH,
        proofs=view.PROOFS,
        view=view,
        address=f"/audit/items/{quote(item_id, safe='')}",
    )


@router.post("/audit/items/{item_id}/evidence", **needs(Permission.AUDIT))
async def evidence(request: Request, item_id: str) -> Response:
    """Put the export on record, then return the bundle."""
    name = item_id[:_LONGEST]
    blocks = await desk_of(request).evidence_export.take(request.state.actor, name)
    request_id = request.scope.get("placet_request_id", "")
    headers = _NO_STORE | _named(f"evidence-{name}.zip")
    return StreamingResponse(_told(blocks, request_id), 200, headers, "application/zip")


async def _told(blocks: AsyncIterator[bytes], request_id: str) -> AsyncIterator[bytes]:
    try:
        async for block in blocks:
            yield block
    except ProblemError as problem:
        # The zip's directory comes last: a bundle that breaks off is one that nothing opens.
        log.warning("export_broken_off", request_id=request_id, code=problem.code)
        raise


@router.get("/audit/records/{sequence}/parts/{part}", **needs(Permission.AUDIT))
async def part(request: Request, sequence: int, part: str) -> Response:
    """Return a payload part, byte for byte as it was sealed."""
    data = await desk_of(request).audit_log.part(_place(sequence), part[:_LONGEST])
    headers = _NO_STORE | _named(f"record-{sequence}-{part[:40]}.bin")
    return Response(data, 200, headers, "application/octet-stream")


@router.get("/audit/records/{sequence}/proof", **needs(Permission.AUDIT))
async def proof(request: Request, sequence: int) -> Response:
    """Return a record's inclusion proof: one C2SP file that holds the record as well."""
    data = await desk_of(request).audit_log.proof(_place(sequence))
    headers = _NO_STORE | _named(f"record-{sequence}.tlog-proof")
    return Response(data, 200, headers, "application/octet-stream")


def _place(sequence: int) -> int:
    if not 0 <= sequence < 10**18:
        raise ProblemError(Code.NOT_FOUND, "No record has that number.")
    return sequence


def _named(name: str) -> dict[str, str]:
    """Return the header that saves an answer as a file; nothing else gets into its name."""
    return {"Content-Disposition": f'attachment; filename="{_SAFE_NAME.sub("_", name)}"'}


def _age(text: str) -> str:
    """Return how long ago a moment of the log's was."""
    seconds = (datetime.now(UTC) - datetime.fromisoformat(text)).total_seconds()
    return "just now" if seconds < 1 else f"{span(seconds)} ago"
