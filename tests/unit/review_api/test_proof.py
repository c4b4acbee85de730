"""When somebody has to prove again who they are: a table."""

import uuid
from datetime import UTC, datetime, timedelta

import pytest

from contract.events import Action
from contract.statement import from_text
from review_api.commands.statements import approver_of
from review_api.policy import Lane
from review_api.problems import Code, ProblemError
from review_api.proof import WINDOW, Proof, check, needed
from review_api.roles import Role
from review_api.store import Actor

NOW = datetime(2026, 11, 24, 10, tzinfo=UTC)
FRESH = Proof(by="password", at=NOW - WINDOW)
OLD = Proof(by="password", at=NOW - WINDOW - timedelta(microseconds=1))
NEVER = Proof(by="password")
IDLE = Proof(by="password", at=NOW, idle=True)

TABLE = [
    (Action.APPROVE, FRESH, False),
    (Action.APPROVE, OLD, True),
    (Action.APPROVE, NEVER, True),
    (Action.APPROVE, IDLE, True),
    (Action.UNDO, FRESH, False),
    (Action.UNDO, NEVER, True),
    (Action.REJECT, NEVER, False),
    (Action.REJECT, IDLE, True),
    (Action.NEED_INFO, OLD, False),
    (Action.NEED_INFO, IDLE, True),
]


@pytest.mark.parametrize(("action", "proof", "asked"), TABLE)
def test_a_critical_lane_asks(action: Action, proof: Proof, *, asked: bool) -> None:
    assert needed(Lane.CRITICAL, action, proof, NOW, WINDOW) is asked
    if asked:
        with pytest.raises(ProblemError) as refused:
            check(Lane.CRITICAL, action, proof, NOW, WINDOW)
        assert refused.value.code is Code.PASSWORD_NEEDED
        assert refused.value.extra["prove"] == "password"


@pytest.mark.parametrize("proof", [FRESH, OLD, NEVER, IDLE])
@pytest.mark.parametrize("action", list(Action))
def test_an_ordinary_lane_never_asks(action: Action, proof: Proof) -> None:
    check(Lane.ORDINARY, action, proof, NOW, WINDOW)


def test_a_statement_without_a_proof_keeps_its_bytes() -> None:
    ids = [uuid.UUID(int=1), uuid.UUID(int=2)]
    actor = Actor(
        account_id=ids[0], person_id=ids[1], username="a", name="A", roles=(Role.REVIEWER,)
    )
    before = (
        '{"action":"REJECT","approvers":[{"actor_id":"1","at":"x","name":"A","person_id":"2",'
        '"role":"reviewer"}],"at":"x","comment":null,"correlation_id":"c","decision_id":"d",'
        '"fields":[],"item_id":"i","policy_version":"1","reason_code":"WRONG","revision":1,'
        '"seen_digest":"s","steps":[],"target":{"identifier":"q","instance":"f","system":"sql"},'
        '"undoes":null,"v":1}'
    )
    assert from_text(before).approvers[0].name == "A"  # in canonical form, or it would be refused
    assert approver_of(actor, NOW, FRESH).proved_at == "2026-11-24T09:55:00.000000Z"
