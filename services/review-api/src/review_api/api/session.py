"""Signing in and out, for scripts."""

import orjson
from fastapi import APIRouter, Request, Response

from contract.statement import timestamp_text
from review_api import auth
from review_api.api.bodies import ProofBody, SessionBody, documented, read
from review_api.api.guard import GuardedRoute, admission, needs, session_token
from review_api.commands.sign_in import Session
from review_api.desk import desk_of
from review_api.roles import Permission
from review_api.store import Actor

router = APIRouter(prefix="/api", route_class=GuardedRoute, tags=["session"])


@router.post("/session", **needs(Permission.PUBLIC, extra=documented(SessionBody)))
async def sign_in(request: Request) -> Response:
    """Sign in: a cookie, and the CSRF token to send as `X-CSRF-Token` with every write."""
    sent = await read(request, SessionBody)
    desk = desk_of(request)
    session = await desk.sign_in(
        sent.username, sent.password, session_token(request), sent.new_password
    )
    answer = _shown(session.actor, session.csrf)
    set_cookie(answer, session, secure=desk.secure)
    return answer


@router.get("/session", **needs(Permission.SIGNED_IN))
async def who(request: Request) -> Response:
    """Return who is signed in."""
    return _shown(request.state.actor, auth.csrf_of(session_token(request)))


@router.post("/session/proof", **needs(Permission.SIGNED_IN, extra=documented(ProofBody)))
async def prove(request: Request) -> Response:
    """Enter the password again: decisions in critical lanes ask for it."""
    sent = await read(request, ProofBody)
    reentry = desk_of(request).reentry
    session = auth.token_hash(session_token(request))
    at = await reentry(session, admission(request), sent.password)
    body = orjson.dumps(
        {"proved_at": timestamp_text(at), "until": timestamp_text(at + reentry.window)}
    )
    return Response(body, 200, {"Cache-Control": "no-store"}, media_type="application/json")


@router.delete("/session", status_code=204, **needs(Permission.SIGNED_IN))
async def sign_out(request: Request) -> Response:
    """End the session."""
    await desk_of(request).sign_in.out(session_token(request))
    answer = Response(status_code=204)
    answer.delete_cookie(auth.COOKIE, path="/")
    return answer


def set_cookie(answer: Response, session: Session, *, secure: bool) -> None:
    """Put the session into the browser, out of reach of scripts and of other sites' posts."""
    answer.set_cookie(
        auth.COOKIE,
        session.token,
        max_age=auth.SESSION_SECONDS,
        path="/",
        secure=secure,
        httponly=True,
        samesite="lax",
    )


def _shown(actor: Actor, csrf: str) -> Response:
    body = orjson.dumps(
        {
            "csrf_token": csrf,
            "username": actor.username,
            "name": actor.name,
            "roles": actor.roles,
            "person_id": str(actor.person_id),
            "actor_id": str(actor.account_id),
        }
    )
    return Response(body, 200, {"Cache-Control": "no-store"}, media_type="application/json")
