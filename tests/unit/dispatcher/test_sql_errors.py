"""The table of SQLSTATEs: every class PostgreSQL documents has a meaning somebody chose."""

import pytest

from dispatcher.targets.sql_errors import ServerError, is_rolled_back, outcome_of
from dispatcher.writeback import Refused, Unavailable

TABLE = [
    ("08006", "TARGET_AWAY", True),
    ("08P01", "TARGET_AWAY", True),
    ("22001", "TOO_LONG", None),
    ("22003", "BAD_VALUE", None),
    ("22007", "BAD_TYPE", None),
    ("22021", "BAD_VALUE", None),
    ("22P02", "BAD_TYPE", None),
    ("23502", "NOT_NULL", None),
    ("23503", "CONSTRAINT", None),
    ("23505", "CONSTRAINT", None),
    ("23514", "CONSTRAINT", None),
    ("23P01", "CONSTRAINT", None),
    ("25006", "TARGET_AWAY", True),
    ("28P01", "LOGIN_REFUSED", True),
    ("3D000", "LOGIN_REFUSED", True),
    ("40001", "TARGET_BUSY", False),
    ("40P01", "TARGET_BUSY", False),
    ("42501", "PERMISSION_DENIED", False),
    ("42703", "TARGET_CHANGED", True),
    ("42P01", "TARGET_CHANGED", True),
    ("44000", "CONSTRAINT", None),
    ("53100", "TARGET_BUSY", False),
    ("53300", "TARGET_BUSY", False),
    ("54000", "BAD_VALUE", None),
    ("55P03", "RECORD_LOCKED", False),
    ("57014", "TIMEOUT", False),
    ("57P01", "TARGET_AWAY", True),
    ("57P03", "TARGET_AWAY", True),
    ("58030", "TARGET_AWAY", True),
    ("P0001", "TARGET_REFUSED", None),
    ("MYERR", "TARGET_REFUSED", None),
    ("0A000", "TARGET_REFUSED", None),
    ("XX000", "TARGET_BUSY", False),
]


@pytest.mark.parametrize(("sqlstate", "code", "whole_target"), TABLE)
def test_each_sqlstate_has_its_outcome(
    sqlstate: str, code: str, *, whole_target: bool | None
) -> None:
    outcome = outcome_of(ServerError(sqlstate=sqlstate, constraint="c1", column="answer"))
    assert outcome.code == code
    assert sqlstate in outcome.detail
    if whole_target is None:
        assert isinstance(outcome, Refused)
    else:
        assert isinstance(outcome, Unavailable)
        assert outcome.whole_target is whole_target


@pytest.mark.parametrize(
    ("severity", "sqlstate", "proof"),
    [
        ("ERROR", "23503", True),
        ("ERROR", "MYERR", True),
        ("ERROR", "40001", True),
        ("ERROR", "40003", False),
        ("FATAL", "57P01", False),
        ("FATAL", "23503", False),
        ("ERROR", "08006", False),
        ("ERROR", None, False),
        (None, None, False),
    ],
)
def test_only_an_error_before_the_commit_record_proves_that_nothing_happened(
    severity: str | None, sqlstate: str | None, *, proof: bool
) -> None:
    assert is_rolled_back(severity, sqlstate) is proof
