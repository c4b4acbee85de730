r"""Access tokens for a SharePoint site: the secret file, and tokens renewed before they expire.

OAuth 2.0 client credentials (RFC 6749, section 4.4) at the token endpoint the file names; nothing
is asked anywhere else. The secret file is a JSON object:

    {"client_id": "…", "token_url": "https://login.microsoftonline.com/<tenant>/oauth2/v2.0/token",
     "client_secret": "…"}                                   or, which SharePoint Online insists on,
     "private_key": "-----BEGIN PRIVATE KEY-----\n…", "thumbprint": "<SHA-1 of the certificate>"}

`scope` is optional: `<origin of the site>/.default`. No secret is ever logged or part of an error.
"""

import base64
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import jwt
import orjson

from dispatcher.targets.sharepoint_answers import Answer, LostError
from dispatcher.targets.sharepoint_http import NoAnswerError, Session, answer_of
from dispatcher.targets.target import StartRefusedError
from dispatcher.targets.watchdog import Watchdog
from dispatcher.writeback import Code, Unavailable

_MARGIN: Final = 300.0
"""Seconds before its end at which a token is renewed; half of its life where that is shorter."""
_ASSERTION_LIFE: Final = 300
_ASSERTION: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})
_OK: Final = 200
_BUSY: Final = frozenset({429, 503})
_SERVER_ERROR: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Secret:
    """Who this dispatcher is at the target. Its text form shows no secret."""

    client_id: str
    token_url: str
    scope: str
    client_secret: str | None = field(default=None, repr=False)
    private_key: str | None = field(default=None, repr=False)
    thumbprint: str | None = None


def require_tls(url: str, what: str) -> None:
    """Refuse an address that would send secrets in the clear.

    Raises:
        StartRefusedError: it is no https address, and not on this machine either.
    """
    parts = urlsplit(url)
    secure = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK)
    if not parts.hostname or not secure or parts.username is not None:
        raise StartRefusedError("BAD_URL", f"{what} has to be an https address")


def load_secret(path: Path, site: str) -> Secret:
    """Return the secret in the file at `path`, for the site at the URL `site`.

    Raises:
        StartRefusedError: there is none that can be used.
    """
    try:
        return parse_secret(path.read_text("utf-8"), site)
    except (OSError, UnicodeDecodeError):
        raise StartRefusedError("BAD_SECRET_FILE", "secret_file cannot be read") from None


def parse_secret(text: str, site: str) -> Secret:
    """Return what a secret file says.

    Raises:
        StartRefusedError: it is not what the module's docstring describes.
    """
    try:
        values = orjson.loads(text)
    except orjson.JSONDecodeError:
        values = None
    if not isinstance(values, dict) or not all(isinstance(one, str) for one in values.values()):
        raise StartRefusedError("BAD_SECRET_FILE", "secret_file is a JSON object of strings")
    origin = "{0.scheme}://{0.netloc}".format(urlsplit(site))
    try:
        secret = Secret(**{"scope": f"{origin}/.default", **values})
    except TypeError:
        raise StartRefusedError("BAD_SECRET_FILE", _WANTED) from None
    certificate = secret.private_key is not None and secret.thumbprint is not None
    if (secret.client_secret is not None) == certificate:
        raise StartRefusedError("BAD_SECRET_FILE", _WANTED)
    require_tls(secret.token_url, "token_url")
    if certificate:
        _assertion(secret)  # a key that cannot be used is found at the start
    return secret


_WANTED: Final = (
    "secret_file has client_id, token_url and either client_secret or private_key and thumbprint; "
    "scope may be there, nothing else"
)


class Tokens:
    """The current access token. Thread safe; one request for a new one at a time."""

    def __init__(
        self,
        secret: Callable[[], Secret],
        limit: float,
        clock: Callable[[], float] = time.monotonic,
        watchdog: Watchdog | None = None,
    ) -> None:
        """`secret` is asked for each new token: a rotated one is found. `limit`: seconds."""
        self._secret = secret
        self._limit = limit
        self._watchdog = watchdog or Watchdog(limit)
        self._clock = clock
        self._lock = threading.Lock()
        self._token: str | None = None
        self._renew_at = 0.0

    def current(self) -> str:
        """Return a token that holds for a while. May block for a request.

        Raises:
            LostError: there is none to be had.
        """
        with self._lock:
            if self._token is None or self._clock() >= self._renew_at:
                self._token = None
                self._token, life = _token_of(self._ask())
                self._renew_at = self._clock() + life - min(_MARGIN, life / 2)
            return self._token

    def spoilt(self, token: str) -> None:
        """Say that the target refused `token`: ask for another next time."""
        with self._lock:
            if self._token == token:
                self._token = None

    def _ask(self) -> Answer:
        try:
            secret = self._secret()
            form = {
                "grant_type": "client_credentials",
                "client_id": secret.client_id,
                "scope": secret.scope,
                **_proof(secret),
            }
            # A token an hour: a connection that is kept for the next would long be dead.
            with Session(secret.token_url, self._limit, self._watchdog) as session:
                return answer_of(lambda: session.post(secret.token_url, data=form))
        except StartRefusedError as refused:
            detail = f"the secret file cannot be used: {refused.code}"
            outcome = Unavailable(code=Code.LOGIN_REFUSED, detail=detail, whole_target=True)
            raise LostError(outcome) from refused
        except NoAnswerError as error:
            detail = f"token endpoint: {error.detail}"
            outcome = Unavailable(code=Code.TARGET_AWAY, detail=detail, whole_target=True)
            raise LostError(outcome) from error


def _token_of(answer: Answer) -> tuple[str, float]:
    """Return the token and its life in seconds."""
    document: Any = answer.document
    if answer.status == _OK and isinstance(document, dict):
        token, life = document.get("access_token"), document.get("expires_in")
        if (
            isinstance(token, str)
            and token.isascii()
            and token.isprintable()
            and isinstance(life, int | float)
        ):
            return token, float(life)
    code = Code.TARGET_AWAY if answer.status >= _SERVER_ERROR else Code.LOGIN_REFUSED
    raise LostError(
        Unavailable(
            code=Code.TARGET_BUSY if answer.status in _BUSY else code,
            detail=f"the token endpoint gave no token (HTTP {answer.status})",
            retry_after=answer.retry_after,
            whole_target=True,
        )
    )


def _proof(secret: Secret) -> dict[str, str]:
    if secret.client_secret is not None:
        return {"client_secret": secret.client_secret}
    return {"client_assertion_type": _ASSERTION, "client_assertion": _assertion(secret)}


def _assertion(secret: Secret) -> str:
    """Return a signed assertion (RFC 7523), in the form Microsoft Entra asks for."""
    now = int(time.time())
    claims = {
        "aud": secret.token_url,
        "iss": secret.client_id,
        "sub": secret.client_id,
        "jti": str(uuid.uuid4()),
        "nbf": now - 60,  # clocks differ
        "exp": now + _ASSERTION_LIFE,
    }
    try:
        digest = bytes.fromhex((secret.thumbprint or "").replace(":", ""))
        x5t = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        return jwt.encode(claims, secret.private_key or "", "RS256", headers={"x5t": x5t})
    except (ValueError, TypeError, jwt.PyJWTError):
        # Without the cause: its text may show parts of the key.
        raise StartRefusedError(
            "BAD_SECRET_FILE", "private_key is no PEM RSA key, or thumbprint is not hexadecimal"
        ) from None
