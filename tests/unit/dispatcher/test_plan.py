"""What a decision asks of a target, without any I/O. (Forgeries: tests/integration.)"""

from dataclasses import replace
from typing import Any

import pytest
from tests.support.decisions import DIGESTER, Desk
from tests.support.faq import CONFIG

from contract.events import Action
from contract.reasons import Reason
from contract.statement import Statement
from dispatcher.consume import named_instance
from dispatcher.plan import Nothing, Plan, Problem, TakeBack, check, plan, write_back

UUID = "00000000-0000-4000-8000-000000000000"


def judge(desk: Desk, statement: Statement, ordinal: int = 1, **changes: Any) -> Any:
    decision = desk.decision(statement, ordinal, **changes)
    checked = check(
        decision,
        desk.record(decision).key,
        verify=desk.verifier.verify,
        digest=DIGESTER.of_bytes,
    )
    if isinstance(checked, Problem):
        return checked
    return plan(decision, checked, system="sql", names=CONFIG.names)


def test_an_approval_is_a_plan_of_its_signed_steps() -> None:
    desk = Desk()
    statement = desk.statement("a", {"answer": ('"new"', '"old"')})
    planned = judge(desk, statement, 7)
    assert isinstance(planned, Plan)
    assert planned.ordinal == 7
    assert [step.write_back_id for step in planned.steps] == [statement.steps[0].write_back_id]
    one = write_back(statement, "fields")
    assert one.write_back_id == statement.steps[0].write_back_id
    assert (one.fields, one.seen) == ({"answer": '"new"'}, {"answer": '"old"'})
    assert one.audit.reviewers == ("Rita",)


@pytest.mark.parametrize("action", [Action.REJECT, Action.NEED_INFO])
def test_a_rejection_is_nothing_to_do(action: Action) -> None:
    desk = Desk()
    assert isinstance(judge(desk, desk.statement("a", {}, action=action), 0), Nothing)


@pytest.mark.parametrize("ordinal", [0, -1])
def test_a_write_without_an_ordinal_is_parked(ordinal: int) -> None:
    desk = Desk()
    found = judge(desk, desk.statement("a", {"answer": ("1", "2")}), ordinal)
    assert isinstance(found, Problem)
    assert found.reason is Reason.BAD_VALUE


def test_a_take_back_says_which_decision_it_takes() -> None:
    desk = Desk()
    one = judge(desk, desk.statement("a", {}, action=Action.TAKE_BACK, undoes=UUID), 3)
    assert isinstance(one, TakeBack)
    assert (one.taken, one.ordinal) == (UUID, 3)
    rejection = desk.statement("a", {}, action=Action.TAKE_BACK, undoes=UUID)
    assert isinstance(judge(desk, rejection, 0), Nothing)  # there was nothing to write
    silent = judge(desk, desk.statement("a", {}, action=Action.TAKE_BACK), 3)
    assert isinstance(silent, Problem)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"decision_id": "no-uuid"}, Reason.BAD_VALUE),
        ({"decision_id": UUID.upper().replace("0000000000", "ABCDEFABCD")}, Reason.BAD_VALUE),
        ({"undoes": "x"}, Reason.BAD_VALUE),
    ],
)
def test_ids_that_are_no_uuids_are_parked(changes: dict[str, Any], reason: Reason) -> None:
    desk = Desk()
    found = judge(desk, desk.statement("a", {"answer": ("1", "2")}, **changes))
    assert isinstance(found, Problem)
    assert found.reason is reason


def test_a_nul_in_an_identifier_is_parked_because_no_ledger_can_hold_it() -> None:
    desk = Desk()
    found = judge(desk, desk.statement("a\0b", {"answer": ("1", "2")}))
    assert isinstance(found, Problem)
    assert found.reason is Reason.BAD_TEXT


def test_another_system_under_our_name_is_a_refusal_that_closes_its_ordinal() -> None:
    desk = Desk(system="jira")
    found = judge(desk, desk.statement("a", {"answer": ("1", "2")}))
    assert isinstance(found, Plan)
    assert found.steps[0].refusal is not None
    assert found.steps[0].refusal.code == "NOT_SUPPORTED"


def test_a_statement_that_is_not_canonical_is_parked_although_it_is_signed() -> None:
    desk = Desk()
    decision = desk.approve("a", "1", "2")
    text = decision.statement.replace('","', '", "', 1)
    signature = replace_signature(desk, decision.signatures[0], text)
    found = check(
        type(decision)(
            **{name: getattr(decision, name) for name in decision.__struct_fields__}
            | {"statement": text, "signatures": [signature]}
        ),
        None,
        verify=desk.verifier.verify,
        digest=DIGESTER.of_bytes,
    )
    assert isinstance(found, Problem)
    assert found.reason is Reason.BAD_VALUE


def replace_signature(desk: Desk, signature: Any, text: str) -> Any:
    return type(signature)(key_id=signature.key_id, signature=desk.signer.sign(text.encode()))


@pytest.mark.parametrize(
    ("key", "instance"),
    [
        (b"sql/support-faq/q-1", "support-faq"),
        (b"sql/a%2Fb/q%20", "a/b"),
        (b"sql/support-faq", None),
        (b"a/b/c/d", None),
        (b"\xff/x/y", None),
        (None, None),
    ],
)
def test_a_key_names_its_instance(key: bytes | None, instance: str | None) -> None:
    assert named_instance(key) == instance


def test_an_identifier_must_be_canonical() -> None:
    narrow = replace(CONFIG, identifier_pattern="[0-9]+")
    assert narrow.names("12")
    assert not narrow.names("12\n")
