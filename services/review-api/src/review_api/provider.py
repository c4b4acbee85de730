"""The company's provider over HTTP: where its addresses are, its keys, a code for a token.

Owns every request that this process makes outside of Placet: to the issuer that is configured, and
to no other host unless the operator named it. What it answers is looked at by `oidc`.
"""

import time
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
from authlib.oauth2.rfc6749.parameters import prepare_grant_uri
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from authlib.oidc.discovery import get_well_known_url
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from review_api.oidc import Company, refused
from review_api.problems import Code, ProblemError

_TIMEOUT: Final = 5.0
_LARGEST: Final = 262_144
_FRESH: Final = 600.0
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})


class Provider:
    """One company's. Connects when somebody signs in, and remembers what it was told."""

    def __init__(self, company: Company, callback: str) -> None:
        """`callback`: where the provider sends people back to."""
        self.company = company
        self._callback = callback
        self._http = httpx.AsyncClient(timeout=_TIMEOUT, trust_env=False, follow_redirects=False)
        self._known: tuple[float, Mapping[str, Any]] | None = None
        self._keys: KeySet | None = None

    async def close(self) -> None:
        """Close every connection."""
        await self._http.aclose()

    async def address(self, *, state: str, nonce: str, verifier: str, again: bool) -> str:
        """Return where somebody signs in; `again`: whoever they are there already.

        Raises:
            ProblemError: PROVIDER_AWAY, SIGN_IN_REFUSED.
        """
        metadata = await self._metadata()
        more = {"prompt": "login", "max_age": "0"} if again else {}
        address: str = prepare_grant_uri(
            metadata["authorization_endpoint"],
            self.company.client_id,
            "code",
            redirect_uri=self._callback,
            scope=self.company.scope,
            state=state,
            nonce=nonce,
            code_challenge=create_s256_code_challenge(verifier),
            code_challenge_method="S256",
            **more,
        )
        return address

    async def tokens(self, code: str, verifier: str) -> tuple[str, str]:
        """Exchange a code for an ID token and an access token.

        Raises:
            ProblemError: PROVIDER_AWAY; SIGN_IN_REFUSED, it was used before, say.
        """
        metadata = await self._metadata()
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._callback,
            "code_verifier": verifier,
            "client_id": self.company.client_id,
        }
        login = None
        if self.company.secret is not None:
            login = httpx.BasicAuth(self.company.client_id, self.company.secret)
        answer = await self._ask("POST", metadata["token_endpoint"], data=form, auth=login)
        token, access = answer.get("id_token"), answer.get("access_token", "")
        if not isinstance(token, str) or not isinstance(access, str):
            raise refused("it holds no ID token")
        return token, access

    async def keys(self, *, anew: bool = False) -> KeySet:
        """Return the keys it signs with; `anew`: it has newer ones than those known.

        Raises:
            ProblemError: PROVIDER_AWAY, SIGN_IN_REFUSED.
        """
        if self._keys is None or anew:
            found = await self._ask("GET", (await self._metadata())["jwks_uri"])
            try:
                self._keys = KeySet.import_key_set({"keys": found["keys"]})
            except (JoseError, KeyError, ValueError, TypeError) as error:
                raise refused("its keys cannot be read") from error
        return self._keys

    @property
    def sign_out_address(self) -> str | None:
        """Return where somebody signs out of the company too, where it is known."""
        found = None if self._known is None else self._known[1].get("end_session_endpoint")
        return found if isinstance(found, str) and self._may_ask(found) else None

    async def _metadata(self) -> Mapping[str, Any]:
        if self._known is not None and time.monotonic() - self._known[0] < _FRESH:
            return self._known[1]
        found = await self._ask("GET", get_well_known_url(self.company.issuer, external=True))
        if found.get("issuer") != self.company.issuer:
            raise refused("it calls itself by another name")
        for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
            if not isinstance(found.get(name), str) or not self._may_ask(found[name]):
                raise refused(f"its {name} is missing, or on a host that is not configured")
        self._known = time.monotonic(), found
        return found

    def _may_ask(self, address: str) -> bool:
        """Tell whether an address is the issuer's or on a host the operator named; and https."""
        parts, own = urlsplit(address), urlsplit(self.company.issuer)
        if parts.scheme != "https" and parts.hostname not in _LOOPBACK:
            return False
        return parts.netloc == own.netloc or parts.hostname in self.company.hosts

    async def _ask(self, method: str, address: str, **more: Any) -> Mapping[str, Any]:
        try:
            answer = await self._http.request(method, address, **more)
        except httpx.HTTPError as error:
            raise self._away() from error
        if answer.status_code >= 500 or answer.status_code == 429:  # noqa: PLR2004 - HTTP's
            raise self._away()
        try:
            found = answer.json() if len(answer.content) <= _LARGEST else None
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise refused("it is no JSON")
        if answer.is_error:
            # Its text is the provider's; its code is one of a short list (RFC 6749, 5.2).
            code = str(found.get("error", answer.status_code))
            raise refused(f"it said {code[:40]}" if code.isprintable() else "it said no")
        return found

    def _away(self) -> ProblemError:
        return ProblemError(
            Code.PROVIDER_AWAY,
            f"The sign-in of {self.company.name} does not answer. Nothing was changed.",
            retry_after=10,
        )
