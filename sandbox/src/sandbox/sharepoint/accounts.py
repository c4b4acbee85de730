"""Apps that sign in, what they may do, and the tokens they get. The secrets are published.

The token endpoint is Microsoft Entra's, client credentials flow. `office365` refuses an authority
without TLS, so clients fetch the token themselves and hand it over (`with_access_token`).
"""

import base64
import hashlib
import hmac
import json
from dataclasses import dataclass

from sandbox.sharepoint.errors import PlainError

SIGNING_KEY = b"placet sandbox: not a secret"
AUDIENCE = "00000003-0000-0ff1-ce00-000000000000"

# SharePoint's permission bits, low word.
VIEW, ADD, EDIT, DELETE, OPEN_ITEMS, VERSIONS = 1, 2, 4, 8, 32, 64
READ = VIEW | OPEN_ITEMS | VERSIONS
FULL = 0xFFFFFFFF


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    client_id: str
    secret: str
    name: str
    permissions: int

    def may(self, bit: int) -> bool:
        return bool(self.permissions & bit)


PLACET = App(
    client_id="0b7c2f3e-5d1a-4c55-9a0e-000000000001",
    secret="sharepoint-sandbox-secret",  # noqa: S106 -- published on purpose
    name="Placet",
    permissions=READ | ADD | EDIT,
)
APPS = (
    PLACET,
    App(
        client_id="0b7c2f3e-5d1a-4c55-9a0e-000000000002",
        secret="sharepoint-reader-secret",  # noqa: S106
        name="Read Only",
        permissions=READ,
    ),
    App(
        client_id="0b7c2f3e-5d1a-4c55-9a0e-000000000003",
        secret="sharepoint-outsider-secret",  # noqa: S106
        name="No Site",
        permissions=0,
    ),
    App(
        client_id="0b7c2f3e-5d1a-4c55-9a0e-000000000004",
        secret="sharepoint-owner-secret",  # noqa: S106
        name="Site Owner",
        permissions=FULL,
    ),
)
BY_ID = {app.client_id: app for app in APPS}


def token_for(client_id: str, secret: str, expires: float) -> str:
    """Raises PlainError 401 as the token endpoint does."""
    app = BY_ID.get(client_id)
    if app is None or app.secret != secret:
        reason = (
            "AADSTS7000215: Invalid client secret provided. Ensure the secret being sent in the "
            "request is the client secret value, not the client secret ID."
        )
        raise PlainError(401, reason, json={"error": "invalid_client", "error_description": reason})
    head = _part({"typ": "JWT", "alg": "HS256"})
    body = _part({"aud": AUDIENCE, "appid": client_id, "exp": int(expires)})
    return f"{head}.{body}.{_signature(f'{head}.{body}')}"


def sign_in(authorization: str | None, now: float) -> App:
    """Raises PlainError: 403 without a token, 401 with a bad or expired one."""
    if authorization is None:
        raise PlainError(403, "403 FORBIDDEN")
    scheme, _, token = authorization.partition(" ")
    signed, _, signature = token.rpartition(".")
    if scheme.lower() != "bearer" or not hmac.compare_digest(signature, _signature(signed)):
        raise _invalid(
            '3000006;reason="Token contains invalid signature.";category="invalid_client"'
        )
    claims = json.loads(_decoded(signed.partition(".")[2]))
    if claims["exp"] <= now:
        raise _invalid('3000008;reason="The token has expired.";category="invalid_client"')
    return BY_ID[claims["appid"]]


def _invalid(diagnostics: str) -> PlainError:
    challenge = (
        f'Bearer realm="placet-sandbox",client_id="{AUDIENCE}",trusted_issuers="{AUDIENCE}@*"'
    )
    return PlainError(
        401,
        "Invalid issuer or signature.",
        json={"error_description": "Invalid issuer or signature."},
        headers={"WWW-Authenticate": challenge, "x-ms-diagnostics": diagnostics},
    )


def _part(claims: dict[str, object]) -> str:
    return base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")


def _decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def _signature(text: str) -> str:
    digest = hmac.digest(SIGNING_KEY, text.encode("utf-8", "replace"), hashlib.sha256)
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def form_digest(issued: int) -> str:
    """`0x…,time`: SharePoint's guard for writes from a browser."""
    digest = hmac.digest(SIGNING_KEY, f"digest {issued}".encode(), hashlib.sha512)
    return f"0x{digest.hex().upper()},{issued}"


def digest_holds(text: str, now: float, lifetime: float) -> bool:
    issued = text.rpartition(",")[2]
    known = issued.isdecimal() and hmac.compare_digest(
        text.encode(), form_digest(int(issued)).encode()
    )
    return known and now < int(issued) + lifetime
