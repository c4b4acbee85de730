"""What a conflict shows: what was seen, is there, and was wanted, of the fields that moved."""

from datetime import UTC, datetime

from tests.support.decisions import Desk

from contract.events import Action
from contract.statement import Statement, to_text
from review_api.conflict import conflict_of
from review_api.proposal import Baseline

AT = datetime(2026, 11, 24, 10, tzinfo=UTC)


def statement(action: Action = Action.APPROVE) -> Statement:
    changes = {"answer": ('"Delhi."', '""'), "status": ('"final"', '"draft"')}
    return Desk().statement("faq-1", changes, action=action)


def write_back(state: str, *conflicting: str) -> dict[str, object]:
    return {"state": state, "conflicting": list(conflicting)}


def now(**fields: str) -> Baseline:
    return Baseline(fields=fields, read_at=AT, expires_at=AT)


def test_each_field_has_its_three_values_and_says_whether_it_moved():
    found = conflict_of(
        to_text(statement()),
        [write_back("CONFLICT", "answer"), write_back("CANCELLED")],
        now(answer='"Mumbai."', status='"draft"'),
    )
    assert found is not None
    assert [(one.name, one.seen, one.now, one.wanted, one.moved) for one in found.fields] == [
        ("answer", '""', '"Mumbai."', '"Delhi."', True),
        ("status", '"draft"', '"draft"', '"final"', False),
    ]
    assert found.by == "Rita"


def test_of_an_undo_it_says_so():
    found = conflict_of(to_text(statement(Action.UNDO)), [write_back("CONFLICT", "answer")], None)
    assert found is not None
    assert found.action is Action.UNDO
    assert found.fields[0].now is None, "nothing was read: nothing is made up"


def test_what_was_written_is_no_conflict():
    assert conflict_of(to_text(statement()), [write_back("APPLIED")], None) is None
