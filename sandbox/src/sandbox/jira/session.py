"""One request to Jira: who calls, in which version, and what this deployment lets them do.

Every route starts here, so that signing in, permissions, limits and due tasks are the same for all.
"""

import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fastapi import Request

from sandbox.jira.accounts import ANONYMOUS, Caller, Permission, sign_in
from sandbox.jira.errors import NOT_JSON, JiraError, issue_missing
from sandbox.jira.fields import Dialect
from sandbox.jira.records import Author, Issue, Records
from sandbox.limits import Limiter, Verdict
from sandbox.store import parse_json

ANY_VERSION = ("2", "3", "latest")


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """The deployment, shared by all requests."""

    records: Records
    cloud: bool
    limiter: Limiter
    run_due_tasks: Callable[[], None]

    def open(self, request: Request, version: str) -> "Session":
        """Raises JiraError for a version it does not have, bad credentials, or a limit reached."""
        if version not in ANY_VERSION or (version == "3" and not self.cloud):
            raise JiraError(404, f"null for uri: {request.url}")
        caller = sign_in(request.headers.get("authorization"), cloud=self.cloud)
        request.state.headers = caller.headers
        self.run_due_tasks()
        self._limit(request)
        spoken = ("3" if self.cloud else "2") if version == "latest" else version
        dialect = Dialect(base=str(request.base_url).rstrip("/"), version=spoken, cloud=self.cloud)
        return Session(site=self, request=request, caller=caller, dialect=dialect)

    def _limit(self, request: Request) -> None:
        now, settings = self.records.store.now(), self.records.store.settings()
        per_second = settings["requests_per_second"]
        if per_second:
            route = request.scope.get("route")
            key = f"{request.method} {getattr(route, 'path', request.url.path)}"
            verdict = self.limiter.take(key, per_second, now)
            if verdict.retry_after:
                raise self.too_many(verdict, "jira-burst-based")

    def limit_writes(self, issue: Issue) -> None:
        """Cloud's limit on writes to one issue. Raises JiraError 429."""
        per_second = self.records.store.setting("writes_per_issue_per_second")
        if per_second:
            verdict = self.limiter.take(f"issue {issue.id}", per_second, self.records.store.now())
            if verdict.retry_after:
                raise self.too_many(verdict, "jira-per-issue-on-write")

    def too_many(self, verdict: Verdict, reason: str) -> JiraError:
        wait = verdict.retry_after or 1
        headers = {
            "Retry-After": str(wait),
            "X-RateLimit-Limit": str(verdict.limit),
            "X-RateLimit-Remaining": str(verdict.remaining),
        }
        if self.cloud:
            headers["RateLimit-Reason"] = reason
        else:
            headers |= {
                "X-RateLimit-FillRate": str(verdict.limit),
                "X-RateLimit-Interval-Seconds": "1",
            }
        return JiraError(429, "Rate limit exceeded.", headers=headers)


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    site: Site
    request: Request
    caller: Caller
    dialect: Dialect

    @property
    def records(self) -> Records:
        return self.site.records

    @property
    def author(self) -> Author:
        return Author(account=self.caller.account, request_id=request_id(self.request))

    def issue(self, name: str) -> Issue:
        """Raises JiraError 404 where it is missing, or not for this caller's eyes."""
        issue = self.records.find(name)
        if issue is None or not self.caller.account.may(Permission.BROWSE):
            raise issue_missing()
        return issue

    def require_sign_in(self) -> None:
        if self.caller.account is ANONYMOUS:
            raise JiraError(
                401, "You are not authenticated. Authentication required to perform this operation."
            )

    def may(self, permission: Permission) -> bool:
        return self.caller.account.may(permission)

    async def json(self) -> Any:
        """The request's body. Raises JiraError 400 for what is not JSON."""
        body = await self.request.body()
        try:
            return parse_json(body)
        except ValueError as error:
            raise JiraError(400, NOT_JSON) from error

    async def json_object(self) -> dict[str, Any]:
        value = await self.json()
        if not isinstance(value, dict):
            raise JiraError(400, NOT_JSON)
        return value


def request_id(request: Request) -> str:
    """The caller's own, or one drawn for it."""
    if not hasattr(request.state, "id"):
        request.state.id = request.headers.get("x-request-id") or uuid.uuid4().hex
    return str(request.state.id)


def whole_number(text: object, default: int) -> int:
    """What a query parameter says; `default` where it is missing or no number."""
    digits = str(text)
    return int(digits) if digits.isdecimal() and len(digits) <= MAX_DIGITS else default


def property_list(body: dict[str, Any]) -> dict[str, Any]:
    """`properties: [{key, value}]` of an edit or a comment. Raises JiraError 400."""
    given = body.get("properties") or []
    if not isinstance(given, list):
        raise JiraError(400, "The properties must be a list.")
    values: dict[str, Any] = {}
    for entry in given:
        if not isinstance(entry, dict) or "key" not in entry or "value" not in entry:
            raise JiraError(400, "A property needs a key and a value.")
        check_property(entry["key"], entry["value"])
        values[entry["key"]] = entry["value"]
    return values


MAX_DIGITS = 15
MAX_KEY = 255
MAX_VALUE = 32_768


def check_property(key: object, value: object) -> None:
    """Raises JiraError 400."""
    if not isinstance(key, str) or not 0 < len(key) <= MAX_KEY:
        raise JiraError(400, "The property key must be between 1 and 255 characters long.")
    if len(json.dumps(value, ensure_ascii=False)) > MAX_VALUE:
        raise JiraError(400, "The property value cannot be longer than 32768 characters.")
