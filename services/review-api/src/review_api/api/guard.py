"""The one choke point: who may call what. Every route of the desk is a `GuardedRoute`.

A route declares its permission with `needs(...)`; a route without one fails when it is made, which
is at import. Who has the permission is `roles.GRANTS`. Only a session cookie signs anybody in:
there are no service tokens here, so nothing but a person can decide (law 7). Writes also need the
session's CSRF token, in `X-CSRF-Token` or in the form field `csrf`.
"""

from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Final

from fastapi import Request, Response
from fastapi.routing import APIRoute

from review_api import auth
from review_api.problems import Code, ProblemError
from review_api.roles import Permission, may
from review_api.store import Actor

PERMISSION: Final = "x-placet-permission"
_DEFERRED: Final = "x-placet-checked-by-command"
_BY_ITSELF: Final = "x-placet-sent-by-page"
_SAFE: Final = frozenset({"GET", "HEAD"})
_OWN_SITE: Final = frozenset({"", "same-origin", "none"})


class UnguardedRouteError(Exception):
    """A route declares no permission. Say `**needs(Permission.…)`; the release is not usable."""


def needs(
    permission: Permission,
    *,
    by_command: bool = False,
    by_itself: bool = False,
    extra: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Return what a route decorator takes to be guarded.

    `by_command`: the command asks `admission(request)` itself, with the actor that it read in the
    same round trip as everything else. Such a route takes the request alone, and returns a
    Response. `by_itself`: pages send it without anybody doing anything, so it keeps no session
    from being idle.
    """
    return {
        "openapi_extra": {
            **(extra or {}),
            PERMISSION: permission.value,
            _DEFERRED: by_command,
            _BY_ITSELF: by_itself,
        }
    }


class GuardedRoute(APIRoute):
    """A route that nobody passes without the permission it declares."""

    @property
    def permission(self) -> Permission:
        """Return what the route declares."""
        declared = (self.openapi_extra or {}).get(PERMISSION)
        if declared is None:
            raise UnguardedRouteError(f"{self.methods} {self.path} declares no permission")
        return Permission(declared)

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler behind the guard."""
        permission = self.permission
        deferred = (self.openapi_extra or {}).get(_DEFERRED, False)
        by_itself = (self.openapi_extra or {}).get(_BY_ITSELF, False)
        # A route of the hot path takes the request and nothing else: no dependencies to solve.
        inner = self.endpoint if deferred else super().get_route_handler()

        async def guarded(request: Request) -> Response:
            request.state.permission = permission
            if permission is Permission.PUBLIC:
                _same_site(request)
            else:
                request.state.csrf = await _csrf_sent(request)
                if not by_itself and (token := session_token(request)):
                    await request.app.state.desk.sessions.used(auth.token_hash(token))
                if not deferred:
                    await _signed_in(request)
            answer: Response = await inner(request)
            return answer

        return guarded


async def _signed_in(request: Request) -> None:
    token = request.cookies.get(auth.COOKIE)
    actor = None
    if token:
        actor = await request.app.state.desk.store.actor(auth.token_hash(token))
    request.state.actor = admit(request, actor)
    # Beside the actor: a command that asks again reads who they are, and nothing for pages.
    request.state.keymap = request.state.actor.keymap


def session_token(request: Request) -> str:
    """Return the session cookie; empty where there is none."""
    return request.cookies.get(auth.COOKIE, "")


def admission(request: Request) -> Callable[[Actor | None], Actor]:
    """Return the check for a command that reads the actor itself."""
    return partial(admit, request)


def admit(request: Request, actor: Actor | None) -> Actor:
    """Return `actor` where they may call this route.

    Raises:
        ProblemError: NOT_SIGNED_IN, WRONG_ROLE, BAD_CSRF.
    """
    permission: Permission = request.state.permission
    if actor is None:
        raise ProblemError(Code.NOT_SIGNED_IN, "Nobody is signed in, or the session has ended.")
    if not may(actor.roles, permission):
        roles = ", ".join(actor.roles)
        raise ProblemError(
            Code.WRONG_ROLE, f"{roles} does not have {permission}.", permission=permission.value
        )
    if request.method not in _SAFE:
        _check_csrf(request)
    request.state.actor = actor
    return actor


def _check_csrf(request: Request) -> None:
    expected = auth.csrf_of(session_token(request))
    if not auth.same(request.state.csrf, expected):
        raise ProblemError(
            Code.BAD_CSRF, "X-CSRF-Token is missing, or not this session's. Nothing was done."
        )


async def _csrf_sent(request: Request) -> str:
    if request.method in _SAFE:
        return ""
    sent = request.headers.get("x-csrf-token")
    if sent is None and _is_form(request):
        field = (await request.form()).get("csrf", "")
        sent = field if isinstance(field, str) else ""
    return sent or ""


def _is_form(request: Request) -> bool:
    return request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded")


def _same_site(request: Request) -> None:
    """Refuse a sign-in that another site makes somebody's browser send."""
    site = request.headers.get("sec-fetch-site", "")
    if request.method not in _SAFE and site not in _OWN_SITE:
        raise ProblemError(Code.BAD_CSRF, f"The request came from a {site} page.")
