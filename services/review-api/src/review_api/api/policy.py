"""The policy: what is in force, what was, what another one would do, and saving it."""

from typing import Any

import msgspec
import orjson
from fastapi import APIRouter, Request, Response

from contract.statement import timestamp_text
from review_api.api.bodies import PolicyBody, PolicyTextBody, checked_text, documented, read
from review_api.api.guard import GuardedRoute, needs
from review_api.desk import Desk, desk_of
from review_api.policy import Policy, Rule, parse_policy
from review_api.problems import Code, ProblemError
from review_api.roles import Permission
from review_api.store import Row
from review_api.trial import Trial

router = APIRouter(prefix="/api", route_class=GuardedRoute, tags=["policy"])

LONGEST_REASON = 1_000
_LARGEST = 2**31 - 1
_NO_STORE = {"Cache-Control": "no-store"}


@router.get("/policy", **needs(Permission.OVERSEE))
async def policy(request: Request) -> Response:
    """Return the policy in force. Another one is made from its `ordinal`."""
    return await _found(desk_of(request), None)


@router.get("/policy/history", **needs(Permission.OVERSEE))
async def history(request: Request) -> Response:
    """Return the newest fifty policies, without their texts."""
    rows = await desk_of(request).policing.history()
    return _answer({"policies": [_told(row) for row in rows]})


@router.get("/policy/{ordinal}", **needs(Permission.OVERSEE))
async def earlier(request: Request, ordinal: int) -> Response:
    """Return one that was in force."""
    return await _found(desk_of(request), known(ordinal))


@router.post("/policy/preview", **needs(Permission.POLICY, extra=documented(PolicyTextBody)))
async def preview(request: Request) -> Response:
    """Return what saving a policy would do to what waits. Changes nothing."""
    sent = await read(request, PolicyTextBody)
    desk = desk_of(request)
    trial = await desk.policing.preview(sent.text)
    return _answer(_tried(trial) | {"unknown_targets": desk.policing.warnings(trial.policy)})


@router.post("/policy", status_code=201, **needs(Permission.POLICY, extra=documented(PolicyBody)))
async def save(request: Request) -> Response:
    """Put a policy in force, at once and everywhere. Lanes of what waits only rise."""
    sent = await read(request, PolicyBody)
    desk = desk_of(request)
    reason = checked_text("reason", sent.reason.strip(), LONGEST_REASON)
    ordinal = await desk.policing.save(request.state.actor, sent.text, sent.base, reason)
    return await _found(desk, ordinal, 201)


def known(ordinal: int) -> int:
    """Return an ordinal that a policy can have.

    Raises:
        ProblemError: NOT_FOUND.
    """
    if not 0 < ordinal <= _LARGEST:
        raise ProblemError(Code.NOT_FOUND, "There is no such policy.")
    return ordinal


async def _found(desk: Desk, ordinal: int | None, status: int = 200) -> Response:
    row = await desk.policing.policy(ordinal)
    body = _told(row) | _said(parse_policy(row["text"])) | {"text": row["text"]}
    return _answer(body, status)


def _told(row: Row) -> dict[str, Any]:
    saved, swept = row["saved_at"], row["finished_at"]
    return {
        "ordinal": row["ordinal"],
        "version": row["version"],
        "digest": row["digest"].hex(),
        "saved_at": None if saved is None else timestamp_text(saved),
        "by": row["name"],
        "reason": row["reason"],
        "waiting": None
        if swept is None
        else {
            "examined": row["examined"],
            "raised": row["raised"],
            "finished_at": timestamp_text(swept),
        },
    }


def _said(policy: Policy) -> dict[str, Any]:
    return {
        "rules": [_rule(rule) for rule in policy.rules],
        "reasons": policy.reasons,
        "oversight": msgspec.to_builtins(policy.oversight),
    }


def _rule(rule: Rule) -> dict[str, Any]:
    when = {
        "target": rule.target,
        "field": rule.field,
        "risk_at_least": rule.risk_at_least,
        "amount_over": None if rule.amount_over is None else str(rule.amount_over),
    }
    return {
        "lane": rule.lane,
        "when": {name: value for name, value in when.items() if value is not None},
    }


def _tried(trial: Trial) -> dict[str, Any]:
    return {
        "version": trial.policy.version,
        **_said(trial.policy),
        "examined": trial.examined,
        "complete": trial.complete,
        "lanes": {
            lane.value: {"now": trial.now[lane], "then": trial.then[lane]} for lane in trial.now
        },
        "rising": trial.rising,
        "staying": trial.staying,
        "items": [
            {
                "item_id": str(one.item_id),
                "title": one.title,
                "target": {"instance": one.instance, "identifier": one.identifier},
                "lane": {"now": one.now, "then": one.then, "if_new": one.new},
            }
            for one in trial.changing
        ],
    }


def _answer(body: dict[str, Any], status: int = 200) -> Response:
    return Response(orjson.dumps(body), status, _NO_STORE, media_type="application/json")
