"""What a PostgreSQL target's errors mean. Pure: SQLSTATE in, outcome out, one table.

Details name the code, the constraint and the column, never the server's message: messages repeat
values, and values may be personal data. The operator's log has no more either.
"""

import re
from dataclasses import dataclass
from typing import Final

from dispatcher.writeback import Code, Refused, Unavailable


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerError:
    """What is kept of an error the server reported."""

    sqlstate: str
    constraint: str | None = None
    column: str | None = None

    @property
    def detail(self) -> str:
        """Return it in words without values."""
        parts = [f"SQLSTATE {self.sqlstate}"]
        if self.constraint:
            parts.append(f"constraint {self.constraint}")
        if self.column:
            parts.append(f"column {self.column}")
        return ", ".join(parts)


_REFUSED: Final = {
    "22001": Code.TOO_LONG,
    "22003": Code.BAD_VALUE,  # number out of range
    "22007": Code.BAD_TYPE,  # no such date or time
    "22P02": Code.BAD_TYPE,  # text that the type cannot read, an enum label
    "23502": Code.NOT_NULL,
    "23503": Code.CONSTRAINT,
    "23505": Code.CONSTRAINT,
    "23514": Code.CONSTRAINT,
    "23P01": Code.CONSTRAINT,
    "44000": Code.CONSTRAINT,  # WITH CHECK OPTION
    "54000": Code.BAD_VALUE,  # too large for an index row
}
_LATER: Final = {
    "25006": Code.TARGET_AWAY,  # read-only: we are on a standby after a failover
    "3D000": Code.LOGIN_REFUSED,  # no such database
    "42501": Code.PERMISSION_DENIED,
    "55P03": Code.RECORD_LOCKED,
    "57014": Code.TIMEOUT,
    "40001": Code.TARGET_BUSY,
    "40P01": Code.TARGET_BUSY,
}
_LATER_CLASS: Final = {
    "08": Code.TARGET_AWAY,
    "28": Code.LOGIN_REFUSED,
    "42": Code.TARGET_CHANGED,  # the statement no longer fits the table
    "53": Code.TARGET_BUSY,
    "57": Code.TARGET_AWAY,
    "58": Code.TARGET_AWAY,
    "XX": Code.TARGET_BUSY,
}
_WHOLE_TARGET: Final = frozenset({Code.TARGET_AWAY, Code.LOGIN_REFUSED, Code.TARGET_CHANGED})
"""No other write to this target would do better, so none is tried."""


_LOGIN: Final = re.compile(
    r"authentication failed|not permitted to log in|no pg_hba\.conf entry|no password supplied"
    r"|(?:role|database) \".*\" does not exist"
)


def is_login_refused(message: str) -> bool:
    """Tell whether a connection was refused for its login: libpq keeps no SQLSTATE of that.

    Known by the server's English words; in others it is a target that is away. Only the name of
    what is waited for depends on it.
    """
    return _LOGIN.search(message) is not None


def outcome_of(error: ServerError) -> Refused | Unavailable:
    """Return what an error means for a write whose transaction was rolled back by it.

    What nobody foresaw (a trigger's own SQLSTATE, say) is refused: never tried again blindly.
    """
    state = error.sqlstate
    later = _LATER.get(state) or (None if state in _REFUSED else _LATER_CLASS.get(state[:2]))
    if later is not None:
        return Unavailable(code=later, detail=error.detail, whole_target=later in _WHOLE_TARGET)
    return Refused(code=_REFUSED.get(state, _refused_class(state)), detail=error.detail)


def _refused_class(state: str) -> Code:
    if state.startswith("22"):
        return Code.BAD_VALUE
    if state.startswith("23"):
        return Code.CONSTRAINT
    return Code.TARGET_REFUSED


def is_rolled_back(severity: str | None, sqlstate: str | None) -> bool:
    """Tell whether this answer to COMMIT proves that nothing was committed.

    PostgreSQL raises an ERROR only before the commit record is written (a deferred constraint, a
    serialisation failure). No answer, or FATAL (terminated, a synchronous standby lost), proves
    nothing: the transaction may be committed, so it is a question for the key row.
    """
    return severity == "ERROR" and sqlstate != "40003" and (sqlstate or "08")[:2] != "08"
