"""The policy: what is in force, and another one tried before it is saved. Works without JavaScript.

Trying is a POST that changes nothing and answers with the page; saving is a POST, then 303. What is
saved is what was tried: a text that was edited after it was tried is tried again first.
"""

import hashlib
from dataclasses import dataclass
from typing import Any, Final

from fastapi import APIRouter, Request, Response
from starlette.datastructures import FormData
from starlette.responses import RedirectResponse

from review_api.api.bodies import checked_text
from review_api.api.guard import GuardedRoute, needs
from review_api.api.policy import LONGEST_REASON, known
from review_api.desk import desk_of
from review_api.pages.render import html
from review_api.policy import Rule, parse_policy
from review_api.problems import Code, ProblemError
from review_api.roles import Permission, may
from review_api.trial import Trial

router = APIRouter(route_class=GuardedRoute, include_in_schema=False)

_ELSEWHERE: Final = frozenset({Code.NOT_FOUND, Code.NOT_SIGNED_IN, Code.WRONG_ROLE})


@dataclass(frozen=True, slots=True, kw_only=True)
class Typed:
    """What somebody sent. `base`: the ordinal they began with; `tried`: the digest of the text that
    they saw the effects of.
    """

    text: str
    base: int
    reason: str = ""
    tried: str = ""

    @property
    def digest(self) -> str:
        """Return the digest of the text."""
        return hashlib.sha256(self.text.encode(errors="replace")).hexdigest()


@router.get("/policy", **needs(Permission.OVERSEE))
async def policy(request: Request, saved: str = "") -> Response:
    """Return the policy in force, those before it, and a form for another one."""
    return await _page(request, saved=bool(saved))


@router.post("/policy/preview", **needs(Permission.POLICY))
async def preview(request: Request) -> Response:
    """Show what saving a text would do to what waits."""
    return await _tried(request, _typed(await request.form()))


@router.post("/policy", **needs(Permission.POLICY))
async def save(request: Request) -> Response:
    """Put a text that was tried in force."""
    typed = _typed(await request.form())
    if typed.tried != typed.digest:
        return await _tried(request, typed, edited=bool(typed.tried))
    try:
        reason = checked_text("reason", typed.reason.strip(), LONGEST_REASON)
        await desk_of(request).policing.save(request.state.actor, typed.text, typed.base, reason)
    except ProblemError as problem:
        if problem.code in _ELSEWHERE:
            raise
        return await _tried(request, typed, problem=problem)
    return RedirectResponse("/policy?saved=1", 303)


@router.get("/policy/{ordinal}", **needs(Permission.OVERSEE))
async def earlier(request: Request, ordinal: int) -> Response:
    """Return one that was in force, as it was."""
    row = await desk_of(request).policing.policy(known(ordinal))
    return html(request, "policy_past.html", past=row, said=parse_policy(row["text"]), words=words)


async def _tried(
    request: Request,
    typed: Typed,
    *,
    edited: bool = False,
    problem: ProblemError | None = None,
) -> Response:
    trial = None
    try:
        trial = await desk_of(request).policing.preview(typed.text)
    except ProblemError as refused:
        if refused.code not in {Code.BAD_POLICY, Code.TEXT_TOO_LONG}:
            raise
        problem = problem or refused
    return await _page(request, typed, trial, edited=edited, problem=problem)


async def _page(
    request: Request,
    typed: Typed | None = None,
    trial: Trial | None = None,
    *,
    saved: bool = False,
    edited: bool = False,
    problem: ProblemError | None = None,
) -> Response:
    policing = desk_of(request).policing
    now = await policing.policy()
    typed = typed or Typed(text=now["text"], base=now["ordinal"])
    if problem is not None and problem.code is Code.POLICY_CHANGED:
        typed = Typed(text=typed.text, base=now["ordinal"], reason=typed.reason, tried="")
    return html(
        request,
        "policy.html",
        200 if problem is None else problem.kind.status,
        now=now,
        said=parse_policy(now["text"]),
        history=await policing.history(),
        typed=typed,
        trial=trial,
        warnings=[] if trial is None else policing.warnings(trial.policy),
        line=_line(typed.text, problem),
        saved=saved,
        edited=edited,
        problem=problem,
        request_id=request.scope.get("placet_request_id", ""),
        may_change=may(request.state.actor.roles, Permission.POLICY),
        words=words,
    )


def words(rule: Rule) -> str:
    """Return when a rule holds, in words."""
    conditions = []
    if rule.target is not None:
        conditions.append(f"the target is {rule.target}")
    if rule.amount_over is not None:
        conditions.append(f"{rule.field or 'any field'} becomes more than {rule.amount_over:,f}")
    elif rule.field is not None:
        conditions.append(f"{rule.field} changes")
    if rule.risk_at_least is not None:
        conditions.append(f"the risk is at least {rule.risk_at_least:g}")
    return " and ".join(conditions) or "always"


def _line(text: str, problem: ProblemError | None) -> str | None:
    """Return the line that a problem is about, as it was typed."""
    number: Any = None if problem is None else problem.extra.get("line")
    lines = text.splitlines()
    return lines[number - 1] if isinstance(number, int) and 0 < number <= len(lines) else None


def _typed(sent: FormData) -> Typed:
    base = _text(sent, "base")
    if not (base.isascii() and base.isdigit()):
        raise ProblemError(Code.BAD_BODY, "The form is incomplete.")
    return Typed(
        text=_text(sent, "text").replace("\r\n", "\n").replace("\r", "\n"),
        base=int(base[:9]),
        reason=_text(sent, "reason"),
        tried=_text(sent, "tried"),
    )


def _text(sent: FormData, name: str) -> str:
    value = sent.get(name, "")
    return value if isinstance(value, str) else ""
