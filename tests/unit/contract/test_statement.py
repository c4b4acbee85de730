"""A statement has one text, and nothing else passes for it."""

import msgspec
import orjson
import pytest
import rfc8785

from contract.events import Action, Target
from contract.statement import (
    Approver,
    FieldChange,
    Statement,
    StatementError,
    Step,
    from_text,
    to_text,
)

STATEMENT = Statement(
    decision_id="d",
    item_id="i",
    revision=1,
    correlation_id="c",
    action=Action.APPROVE,
    target=Target(system="sql", instance="faq", identifier="ä\u2028"),
    fields=[FieldChange(name="größe", value="1.10", seen=None)],
    comment='quote " and \\ and \U0001f600',
    reason_code=None,
    seen_digest="00",
    approvers=[Approver(person_id="p", actor_id="a", name="n", role="reviewer", at="t")],
    policy_version="1",
    steps=[Step(step="fields", write_back_id="w")],
    at="2026-11-24T10:00:00.000000Z",
)


def test_the_text_is_rfc_8785():
    text = to_text(STATEMENT)
    assert text.encode() == rfc8785.dumps(orjson.loads(text))


def test_the_text_says_the_statement():
    assert from_text(to_text(STATEMENT)) == STATEMENT


def test_a_statement_without_grounds_keeps_the_text_it_had_before_there_were_any():
    assert "note" not in to_text(STATEMENT)
    assert "citations" not in to_text(STATEMENT)
    grounded = msgspec.structs.replace(STATEMENT, note="n", citations=["kb-1"])
    assert from_text(to_text(grounded)) == grounded
    with pytest.raises(StatementError):
        from_text(to_text(STATEMENT).replace('"v":1', '"note":null,"v":1'))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: text + " ",
        lambda text: text.replace(":1,", ": 1,", 1),
        lambda text: text[1:],
        lambda text: text.replace('"v":1', '"v":2'),
        lambda text: text.replace('"v":1', '"v":1,"w":1'),
        lambda text: text.replace('"action":"APPROVE"', '"action":"PERHAPS"'),
        lambda text: text.replace("ä", "\\u00e4"),
        lambda _: "",
        lambda _: "[" * 100_000,
        lambda _: "\ud800",
    ],
)
def test_any_other_text_is_refused(spoil):
    with pytest.raises(StatementError):
        from_text(spoil(to_text(STATEMENT)))
