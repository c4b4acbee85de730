"""Who signs in, with what, and what they may do. The secrets are published: it is a stand-in.

Cloud takes e-mail and API token (Basic); Data Center a password (Basic) or a personal access
token (Bearer). An expired token makes the caller anonymous, as on Cloud: issues then look missing.
"""

import base64
import binascii
from dataclasses import dataclass
from enum import StrEnum

from sandbox.jira.errors import NOT_AUTHENTICATED, JiraError, PlainJiraError

LOGIN_REASON = "X-Seraph-LoginReason"
FAILED = {LOGIN_REASON: "AUTHENTICATED_FAILED"}


class Permission(StrEnum):
    BROWSE = "BROWSE_PROJECTS"
    CREATE = "CREATE_ISSUES"
    EDIT = "EDIT_ISSUES"
    COMMENT = "ADD_COMMENTS"
    EDIT_OWN_COMMENTS = "EDIT_OWN_COMMENTS"
    EDIT_ALL_COMMENTS = "EDIT_ALL_COMMENTS"
    DELETE_OWN_COMMENTS = "DELETE_OWN_COMMENTS"
    ADMINISTER = "ADMINISTER"


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    account_id: str
    name: str
    email: str
    display_name: str
    secret: str
    permissions: frozenset[Permission]

    def may(self, permission: Permission) -> bool:
        return permission in self.permissions


WRITER = frozenset(Permission) - {Permission.ADMINISTER, Permission.EDIT_ALL_COMMENTS}

PLACET = Account(
    account_id="5f1c0a7e9b2d4e0068a1b001",
    name="placet",
    email="placet@example.test",
    display_name="Placet",
    secret="jira-sandbox-token",  # noqa: S106 -- published on purpose
    permissions=WRITER - {Permission.CREATE},
)
ACCOUNTS = (
    PLACET,
    Account(
        account_id="5f1c0a7e9b2d4e0068a1b002",
        name="reader",
        email="reader@example.test",
        display_name="Read Only",
        secret="jira-reader-token",  # noqa: S106
        permissions=frozenset({Permission.BROWSE}),
    ),
    Account(
        account_id="5f1c0a7e9b2d4e0068a1b003",
        name="outsider",
        email="outsider@example.test",
        display_name="No Project",
        secret="jira-outsider-token",  # noqa: S106
        permissions=frozenset(),
    ),
    Account(
        account_id="5f1c0a7e9b2d4e0068a1b004",
        name="admin",
        email="admin@example.test",
        display_name="Jira Admin",
        secret="jira-admin-token",  # noqa: S106
        permissions=frozenset(Permission),
    ),
    Account(
        account_id="5f1c0a7e9b2d4e0068a1b005",
        name="dana",
        email="dana@example.test",
        display_name="Dana Kowalski",
        secret="jira-dana-token",  # noqa: S106
        permissions=WRITER,
    ),
)
EXPIRED_SECRET = "jira-expired-token"  # noqa: S105
LOCKED_NAME = "locked"
ANONYMOUS = Account(
    account_id="",
    name="",
    email="",
    display_name="Anonymous",
    secret="",
    permissions=frozenset(),
)
BY_ID = {account.account_id: account for account in ACCOUNTS}
BY_NAME = {account.name: account for account in ACCOUNTS}


@dataclass(frozen=True, slots=True)
class Caller:
    account: Account
    headers: dict[str, str]


def sign_in(authorization: str | None, *, cloud: bool) -> Caller:
    """Raises JiraError 401 for credentials that are not, 403 for an account that is locked out."""
    if authorization is None:
        return Caller(ANONYMOUS, {LOGIN_REASON: "OUT"})
    scheme, _, credentials = authorization.partition(" ")
    if scheme.lower() == "bearer":
        return _bearer(credentials, cloud=cloud)
    user, _, secret = _decoded(credentials).partition(":")
    if user == LOCKED_NAME and not cloud:
        raise _locked()
    for account in ACCOUNTS:
        known = account.email if cloud else account.name
        if user == known and secret == account.secret:
            return Caller(account, {LOGIN_REASON: "OK", "X-AUSERNAME": account.name})
        if user == known and secret == EXPIRED_SECRET and cloud:
            return Caller(ANONYMOUS, FAILED)
    raise _unauthorised(cloud=cloud)


def _bearer(token: str, *, cloud: bool) -> Caller:
    """Only Data Center has personal access tokens; Cloud's bearer tokens are OAuth's, not ours."""
    for account in ACCOUNTS:
        if token == account.secret and not cloud:
            return Caller(account, {LOGIN_REASON: "OK", "X-AUSERNAME": account.name})
    raise _unauthorised(cloud=cloud)


def _decoded(credentials: str) -> str:
    try:
        return base64.b64decode(credentials, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return ""


def _unauthorised(*, cloud: bool) -> JiraError:
    realm = "OAuth" if cloud else 'OAuth realm="jira"'
    return PlainJiraError(401, NOT_AUTHENTICATED, headers={**FAILED, "WWW-Authenticate": realm})


def _locked() -> JiraError:
    reason = "CAPTCHA_CHALLENGE; login-url=http://127.0.0.1/login.jsp"
    headers = {LOGIN_REASON: "AUTHENTICATION_DENIED", "X-Authentication-Denied-Reason": reason}
    return PlainJiraError(
        403, "Basic Authentication Failure - Reason : AUTHENTICATION_DENIED", headers=headers
    )
