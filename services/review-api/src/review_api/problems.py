"""Every way the desk says no. One closed list: code, HTTP status, title, what to do next.

Pure: raised by commands and edges, rendered by `api.errors` (RFC 9457) and `pages.errors` (HTML).
A code is for ever; texts may change. Details never hold what somebody else typed.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final


class Code(StrEnum):
    """The codes, as scripts see them."""

    NOT_SIGNED_IN = "NOT_SIGNED_IN"
    BAD_CREDENTIALS = "BAD_CREDENTIALS"
    PASSWORD_NEEDED = "PASSWORD_NEEDED"  # noqa: S105 - a code
    WRONG_PASSWORD = "WRONG_PASSWORD"  # noqa: S105 - a code
    SIGN_IN_LOCKED = "SIGN_IN_LOCKED"
    SIGN_IN_REFUSED = "SIGN_IN_REFUSED"
    NO_ROLE = "NO_ROLE"
    ACCOUNT_DISABLED = "ACCOUNT_DISABLED"
    PROVIDER_AWAY = "PROVIDER_AWAY"
    WRONG_ROLE = "WRONG_ROLE"
    BAD_CSRF = "BAD_CSRF"
    NOT_FOUND = "NOT_FOUND"
    METHOD_NOT_ALLOWED = "METHOD_NOT_ALLOWED"
    BAD_REQUEST = "BAD_REQUEST"
    BAD_BODY = "BAD_BODY"
    BODY_TOO_LARGE = "BODY_TOO_LARGE"
    BAD_TEXT = "BAD_TEXT"
    TEXT_TOO_LONG = "TEXT_TOO_LONG"
    BAD_VALUE = "BAD_VALUE"
    BAD_CURSOR = "BAD_CURSOR"
    BAD_SORT = "BAD_SORT"
    SEARCH_TOO_BROAD = "SEARCH_TOO_BROAD"
    KEY_REQUIRED = "IDEMPOTENCY_KEY_REQUIRED"
    KEY_BAD = "IDEMPOTENCY_KEY_BAD"
    KEY_REUSED = "IDEMPOTENCY_KEY_REUSED"
    KEY_IN_USE = "IDEMPOTENCY_KEY_IN_USE"
    ALREADY_DECIDED = "ALREADY_DECIDED"
    CLAIMED = "CLAIMED"
    CLAIM_STALE = "CLAIM_STALE"
    NOT_POSSIBLE = "NOT_POSSIBLE"
    REVISION_SUPERSEDED = "REVISION_SUPERSEDED"
    SEEN_STALE = "SEEN_STALE"
    EVIDENCE_NOT_OPENED = "EVIDENCE_NOT_OPENED"
    SECOND_APPROVAL_REQUIRED = "SECOND_APPROVAL_REQUIRED"
    NOT_SUPPORTED = "NOT_SUPPORTED"
    TOO_MANY_ITEMS = "TOO_MANY_ITEMS"
    REASON_REQUIRED = "REASON_REQUIRED"
    BAD_REASON = "BAD_REASON"
    UNKNOWN_FIELD = "UNKNOWN_FIELD"
    FIELDS_NOT_ALLOWED = "FIELDS_NOT_ALLOWED"
    BASELINE_UNKNOWN = "BASELINE_UNKNOWN"
    RECORD_NOT_FOUND = "RECORD_NOT_FOUND"
    UNKNOWN_TARGET = "UNKNOWN_TARGET"
    NOT_YOURS = "NOT_YOURS"
    HOLD_OVER = "HOLD_OVER"
    BAD_ROLES = "BAD_ROLES"
    BAD_USERNAME = "BAD_USERNAME"
    BAD_PASSWORD = "BAD_PASSWORD"  # noqa: S105 - a code
    PASSWORD_CHANGE_REQUIRED = "PASSWORD_CHANGE_REQUIRED"  # noqa: S105 - a code
    USERNAME_TAKEN = "USERNAME_TAKEN"
    ACCOUNT_CHANGED = "ACCOUNT_CHANGED"
    OWN_ACCOUNT = "OWN_ACCOUNT"
    LAST_ADMIN = "LAST_ADMIN"
    BAD_POLICY = "BAD_POLICY"
    POLICY_CHANGED = "POLICY_CHANGED"
    NOT_SEALED_YET = "NOT_SEALED_YET"
    NOT_VERIFIED = "NOT_VERIFIED"
    AUDIT_AWAY = "AUDIT_AWAY"
    UNAVAILABLE = "UNAVAILABLE"
    INTERNAL = "INTERNAL"


@dataclass(frozen=True, slots=True)
class Kind:
    """What is the same for every problem of a code."""

    status: int
    title: str
    next_step: str


_FIX = "Correct the request and send it again."
_LOOK = "Open the item again, look, and decide anew if it still needs you."
_SAME = "Send the same request again, with the same Idempotency-Key."

KINDS: Final[dict[Code, Kind]] = {
    Code.NOT_SIGNED_IN: Kind(401, "Not signed in", "Sign in, then send the same request again."),
    Code.BAD_CREDENTIALS: Kind(401, "Wrong name or password", "Check both and try again."),
    Code.PASSWORD_NEEDED: Kind(
        403,
        "Prove again who you are",
        "Enter your password (or sign in at your company's again) and send the same request.",
    ),
    Code.WRONG_PASSWORD: Kind(
        403, "That is not your password", "Type it again and send the same request."
    ),
    Code.SIGN_IN_LOCKED: Kind(429, "Too many failed sign-ins", "Wait, then try again."),
    Code.SIGN_IN_REFUSED: Kind(
        400, "You were not signed in", "Begin again; if it goes on, ask whoever runs Placet."
    ),
    Code.NO_ROLE: Kind(
        403, "You have no role here", "Ask whoever gives access at your company for one."
    ),
    Code.ACCOUNT_DISABLED: Kind(403, "Your account is closed", "Ask an administrator of Placet."),
    Code.PROVIDER_AWAY: Kind(
        503, "Your company's sign-in does not answer", "Try again in a moment."
    ),
    Code.WRONG_ROLE: Kind(403, "Your role may not do this", "Ask somebody who holds the role."),
    Code.BAD_CSRF: Kind(
        403, "The request did not come from a page of yours", "Reload the page and try again."
    ),
    Code.NOT_FOUND: Kind(404, "There is no such thing", "Check the address."),
    Code.METHOD_NOT_ALLOWED: Kind(405, "This address does not take that method", _FIX),
    Code.BAD_REQUEST: Kind(422, "The request cannot be used", _FIX),
    Code.BAD_BODY: Kind(422, "The body cannot be used", _FIX),
    Code.BODY_TOO_LARGE: Kind(413, "The body is too large", "Send less."),
    Code.BAD_TEXT: Kind(422, "Text that nothing can hold", "Remove the character, send again."),
    Code.TEXT_TOO_LONG: Kind(422, "The text is too long", "Shorten it and send it again."),
    Code.BAD_VALUE: Kind(422, "A value cannot be used", _FIX),
    Code.BAD_CURSOR: Kind(422, "The cursor is of no page", "Start again at the first page."),
    Code.BAD_SORT: Kind(422, "There is no such order", _FIX),
    Code.SEARCH_TOO_BROAD: Kind(422, "The search finds too much", "Add a word or a filter."),
    Code.KEY_REQUIRED: Kind(
        400, "Idempotency-Key is missing", "Send a new random key with every new decision."
    ),
    Code.KEY_BAD: Kind(400, "Idempotency-Key cannot be used", "Use 1 to 200 printable characters."),
    Code.KEY_REUSED: Kind(
        422, "The Idempotency-Key was used for another request", "Use a new key for a new request."
    ),
    Code.KEY_IN_USE: Kind(409, "The first request with this key is still running", _SAME),
    Code.ALREADY_DECIDED: Kind(409, "Somebody has decided", _LOOK),
    Code.CLAIMED: Kind(409, "Somebody else is at it", "Take the next item, or wait."),
    Code.CLAIM_STALE: Kind(409, "Your claim is over", "Claim the item again, look, and decide."),
    Code.NOT_POSSIBLE: Kind(409, "Not possible in this state", _LOOK),
    Code.REVISION_SUPERSEDED: Kind(409, "There is another revision of this item", _LOOK),
    Code.SEEN_STALE: Kind(409, "What you saw has changed", _LOOK),
    Code.SECOND_APPROVAL_REQUIRED: Kind(
        403, "This change needs two people", "Take the next item: another approver has to decide."
    ),
    Code.EVIDENCE_NOT_OPENED: Kind(
        403,
        "Look at the evidence first",
        "Open it (a POST to the address in `open`, or the button), look, and approve again.",
    ),
    Code.NOT_SUPPORTED: Kind(422, "Not supported yet", "See what the documentation offers."),
    Code.TOO_MANY_ITEMS: Kind(
        422, "Too many items at once", "Select what one page shows, at most 200."
    ),
    Code.REASON_REQUIRED: Kind(422, "A reason code is required", "Choose one and send again."),
    Code.BAD_REASON: Kind(422, "The policy has no such reason", "Choose one of the list."),
    Code.UNKNOWN_FIELD: Kind(422, "The change has no such field", _FIX),
    Code.FIELDS_NOT_ALLOWED: Kind(422, "Only an approval can edit fields", "Leave fields out."),
    Code.BASELINE_UNKNOWN: Kind(
        503, "What the target holds is not known", "Open the item again when the target answers."
    ),
    Code.RECORD_NOT_FOUND: Kind(
        409, "The target has no such record", "Reject it, or create the record and look again."
    ),
    Code.UNKNOWN_TARGET: Kind(409, "No such target is configured", "Ask whoever runs Placet."),
    Code.NOT_YOURS: Kind(403, "Only its author may take a decision back", "Ask its author."),
    Code.HOLD_OVER: Kind(409, "Too late to take it back", "Follow the write; undo it afterwards."),
    Code.BAD_ROLES: Kind(422, "These roles cannot be given", _FIX),
    Code.BAD_USERNAME: Kind(422, "The user name cannot be used", _FIX),
    Code.BAD_PASSWORD: Kind(422, "The password cannot be used", "Use 8 to 1,024 characters."),
    Code.PASSWORD_CHANGE_REQUIRED: Kind(
        403, "Choose a password of your own", "Sign in again, with a new_password beside this one."
    ),
    Code.USERNAME_TAKEN: Kind(409, "The user name is taken", "Choose another one."),
    Code.ACCOUNT_CHANGED: Kind(
        409, "The account has changed", "Look at the account as it is now, and decide anew."
    ),
    Code.OWN_ACCOUNT: Kind(
        409, "Nobody takes their own way in away", "Ask another administrator to do it."
    ),
    Code.LAST_ADMIN: Kind(
        409, "There must be an administrator", "Make another administrator first."
    ),
    Code.BAD_POLICY: Kind(
        422, "The policy cannot be used", "Correct the line and send it again. Nothing was saved."
    ),
    Code.POLICY_CHANGED: Kind(
        409, "There is another policy by now", "Look at the one in force, and bring yours to it."
    ),
    Code.NOT_SEALED_YET: Kind(409, "It is not sealed yet", "Try again in a second."),
    Code.NOT_VERIFIED: Kind(
        500,
        "The log is not what was sealed",
        "Run `placet audit verify`: it names the first record that is wrong. Keep a copy.",
    ),
    Code.AUDIT_AWAY: Kind(
        503,
        "The audit log is away",
        "Try again in a moment. Deciding goes on, and so does `placet audit verify --from FILES`.",
    ),
    Code.UNAVAILABLE: Kind(503, "Something Placet needs is away", _SAME),
    Code.INTERNAL: Kind(500, "Something went wrong here", _SAME),
}


class ProblemError(Exception):
    """A request is refused, and nothing was changed unless `detail` says so."""

    def __init__(
        self, code: Code, detail: str, *, retry_after: int | None = None, **extra: Any
    ) -> None:
        """`extra` becomes members of the problem document; `retry_after` is in seconds."""
        super().__init__(detail)
        self.code = code
        self.kind = KINDS[code]
        self.detail = detail
        self.retry_after = retry_after
        self.extra = extra
