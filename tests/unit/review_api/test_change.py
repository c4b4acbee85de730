"""What stands side by side on an item's page: a proposal until it is decided, then the decision."""

from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast
from uuid import uuid4

import pytest
from tests.support.decisions import Desk

from contract.events import Action
from contract.statement import to_text
from review_api.commands.look import Decision, Sight
from review_api.pages import change
from review_api.proposal import Baseline
from review_api.review import State

AT = datetime(2026, 11, 24, 10, tzinfo=UTC)
CHANGES: dict[str, tuple[str, str | None]] = {"answer": ('"Delhi."', '"Mumbai."')}


def sight(state: State, action: Action = Action.APPROVE, now: str = '"Delhi."') -> Sight:
    statement = to_text(Desk().statement("faq-1", CHANGES, action=action))
    row = {"action": action.value, "statement": statement}
    item = SimpleNamespace(change=SimpleNamespace(fields={"answer": '"Delhi, it says."'}))
    baseline = Baseline(fields={"answer": now}, read_at=AT, expires_at=AT)
    plain: Any = SimpleNamespace(
        state=state,
        decision=Decision(row=cast("Any", row), write_backs=[]),
        item=item,
        fields=item.change.fields,
        baseline=baseline,
        item_id=uuid4(),
    )
    return cast("Sight", plain)


def test_a_written_change_shows_what_was_there_before_it():
    shown = change.decided(sight(State.COMPLETED))
    assert shown is not None
    (one,) = shown
    assert (one.current, one.draft, one.now) == ("Mumbai.", "Delhi.", None)
    assert one.edited_before, "not what the model proposed"
    assert change.captions(sight(State.COMPLETED)).title == "What was written"


def test_what_somebody_wrote_since_is_shown_beside_it():
    shown = change.decided(sight(State.COMPLETED, now='"New Delhi."'))
    assert shown is not None
    assert shown[0].now == "New Delhi."


@pytest.mark.parametrize("state", [State.APPROVED, State.WRITING, State.STUCK])
def test_until_it_is_written_nobody_says_it_was(state):
    assert change.captions(sight(state)).title == "What is to be written"


def test_an_undo_speaks_of_putting_back():
    assert change.captions(sight(State.UNDOING, Action.UNDO)).after == "To be put back"
    assert change.captions(sight(State.UNDONE, Action.UNDO)).after == "Put back"


@pytest.mark.parametrize(
    ("state", "action"),
    [(State.CONFLICT, Action.APPROVE), (State.REJECTED, Action.REJECT)],
)
def test_what_wrote_nothing_is_still_a_proposal(state, action):
    assert change.decided(sight(state, action)) is None
    assert change.captions(sight(state, action)) == change.Captions()


def test_a_draft_is_kept_beside_what_was_proposed():
    draft = change.Draft(key="k", fields={"answer": "Delhi!"})
    (one,) = change.fields(sight(State.PENDING), draft)
    assert (one.proposed, one.draft, one.edited) == ("Delhi, it says.", "Delhi!", True)
    assert not replace(one, draft=one.proposed).edited
