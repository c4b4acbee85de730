"""How a dispatcher signs in to Jira: the secret file and the address it may be sent to.

The file is JSON: `{"email": "...", "token": "..."}` for Cloud (an API token, Basic) or
`{"token": "..."}` for Data Center (a personal access token, Bearer). It is read again whenever a
session is opened, so that a new token needs no restart. Nothing of it is ever printed: not in logs,
not in errors, not in reprs.
"""

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from dispatcher.targets.target import StartRefusedError

_LOOPBACK: Final = re.compile(r"localhost|127(?:\.\d{1,3}){3}|::1")
_FORM: Final = 'JSON {"email", "token"} for Cloud, {"token"} for Data Center'


@dataclass(frozen=True, slots=True, kw_only=True)
class Secret:
    """`email` is None for a personal access token."""

    email: str | None = field(repr=False)
    token: str = field(repr=False)


def read_secret(path: Path) -> Secret:
    """Return what is in the file now.

    Raises:
        StartRefusedError: it is missing, or not of the form in the module's docstring.
    """
    try:
        found: Any = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise StartRefusedError(
            "BAD_SECRET", f"secret_file {path.name!r} cannot be read: {error.strerror}"
        ) from None
    except ValueError:
        raise StartRefusedError("BAD_SECRET", f"secret_file {path.name!r} is not {_FORM}") from None
    usable = (
        isinstance(found, dict)
        and set(found) in ({"email", "token"}, {"token"})
        and all(
            isinstance(one, str) and one.isascii() and one.isprintable() and one
            for one in found.values()
        )
        and ":" not in found.get("email", "")
    )
    if not usable:
        raise StartRefusedError("BAD_SECRET", f"secret_file {path.name!r} is not {_FORM}")
    return Secret(email=found.get("email"), token=found["token"])


def checked_url(name: str, url: str | None) -> str:
    """Return the site's address, if a secret may be sent there.

    Raises:
        StartRefusedError: it is missing, not an address alone, or unencrypted.
    """
    parts = urlsplit(url or "")
    if parts.scheme not in {"https", "http"} or not parts.hostname:
        raise StartRefusedError(
            "CONFIG_INCOMPLETE", f"target {name!r}: url is the site's address, https://..."
        )
    if parts.username is not None or parts.query or parts.fragment:
        raise StartRefusedError(
            "CONFIG_INCOMPLETE", f"target {name!r}: url has no user, query or fragment"
        )
    if parts.scheme == "http" and not _LOOPBACK.fullmatch(parts.hostname):
        raise StartRefusedError(
            "INSECURE_URL", f"target {name!r}: credentials are not sent over http; use https"
        )
    return (url or "").rstrip("/")
