"""What takes a look at the evidence, what looks like a rubber stamp, what draws a control item."""

from dataclasses import replace
from typing import Any

import pytest
from tests.support.review import review_item

from contract.events import Risk
from review_api.control_items import draws
from review_api.oversight import Conduct, Oversight, signals, wants_evidence
from review_api.policy import PolicyError, parse_policy

RULES = Oversight()
CALM = Conduct(decided=40, approved=30, edited=3, dwell=42.0, looked=25, controls=3, missed=0)


@pytest.mark.parametrize(
    ("least", "risk", "critical", "wanted"),
    [
        (None, 0.99, False, False),
        (None, 0.1, True, True),
        (0.7, 0.69, False, False),
        (0.7, 0.7, False, True),
        (0.0, 0.0, False, True),
    ],
)
def test_which_approvals_take_a_look(
    least: float | None, risk: float, *, critical: bool, wanted: bool
) -> None:
    rules, item = Oversight(evidence_at_risk=least), review_item(risk=Risk(score=risk))
    assert wants_evidence(rules, item, critical=critical) is wanted


def test_without_evidence_there_is_nothing_to_open() -> None:
    bare = review_item(retrieval=[], evidence=[])
    assert not wants_evidence(RULES, bare, critical=True)


PATTERNS: list[tuple[dict[str, Any], int]] = [
    ({}, 0),
    ({"missed": 1}, 1),
    ({"missed": 1, "decided": 2, "approved": 2}, 1),
    ({"approved": 40}, 0),  # always yes alone is no pattern: the model may be right
    ({"dwell": 1.0}, 0),
    ({"approved": 40, "dwell": 1.0}, 2),
    ({"approved": 40, "dwell": 1.0, "looked": 0}, 3),
    ({"approved": 40, "dwell": 1.0, "looked": 0, "missed": 2}, 4),
    ({"decided": 19, "approved": 19, "dwell": 1.0, "looked": 0}, 0),  # too few to tell
    ({"approved": 40, "dwell": None, "looked": 0}, 2),
    ({"approved": 0, "edited": 0, "looked": 0, "dwell": 1.0}, 0),
]


@pytest.mark.parametrize(("changes", "many"), PATTERNS)
def test_what_looks_like_a_rubber_stamp(changes: dict[str, Any], many: int) -> None:
    found = signals(RULES, replace(CALM, **changes))
    assert len(found) == many
    assert all(any(letter.isdigit() for letter in one) for one in found)  # with the numbers


def test_rates() -> None:
    assert CALM.edit_share == pytest.approx(0.1)
    assert CALM.override_share == pytest.approx(13 / 40)
    nobody = Conduct(decided=0, approved=0, edited=0, dwell=None, looked=0, controls=0, missed=0)
    assert (nobody.approve_share, nobody.edit_share, nobody.override_share) == (0, 0, 0)
    assert signals(RULES, nobody) == []


def test_a_policy_says_so() -> None:
    text = "[oversight]\nevidence_at_risk = 0.7\ncontrol_rate = 0.02\nleast_decisions = 50\n"
    read = parse_policy(text).oversight
    assert (read.evidence_at_risk, read.control_rate, read.least_decisions) == (0.7, 0.02, 50)
    assert parse_policy("").oversight == Oversight()


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("control_rate = 1.1", "from 0 to 1"),
        ('control_rate = "0.1"', "is a number"),
        ("least_decisions = 0", "at least 1"),
        ("least_decisions = 2.5", "whole number"),
        ("dwell_seconds = -1", "from 0 to 86400"),
        ("evidence_at_risk = nan", "from 0 to 1"),
        ("evidence_at_risk = true", "is a number"),
        ("moon = 1", "unknown 'moon'"),
    ],
)
def test_what_a_policy_cannot_say(line: str, said: str) -> None:
    with pytest.raises(PolicyError, match=said) as refused:
        parse_policy(f"version = '1'\n[oversight]\n{line}\n")
    assert refused.value.line == 3


def test_oversight_is_a_table() -> None:
    with pytest.raises(PolicyError, match="is a table"):
        parse_policy("oversight = 1")


def test_a_rate_draws_its_share_and_the_same_ones_again() -> None:
    ids = [review_item(number).item_id for number in range(2_000)]
    drawn = [one for one in ids if draws(one, 0.1)]
    assert 140 <= len(drawn) <= 260
    assert drawn == [one for one in ids if draws(one, 0.1)]
    assert not any(draws(one, 0.0) for one in ids)
    assert all(draws(one, 1.0) for one in ids)
