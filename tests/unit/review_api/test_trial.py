"""A policy tried on what waits: counts, and the first that change."""

from uuid import UUID

import pytest

from review_api.pages.policy import words
from review_api.policy import Lane, parse_policy
from review_api.trial import Held, Trial

O, C = Lane.ORDINARY, Lane.CRITICAL  # noqa: E741 - a table


def one(number: int, now: Lane, new: Lane) -> Held:
    return Held(item_id=UUID(int=number), title="t", instance="i", identifier="1", now=now, new=new)


@pytest.mark.parametrize(("now", "new", "then"), [(O, O, O), (O, C, C), (C, O, C), (C, C, C)])
def test_lane_only_rises(now: Lane, new: Lane, then: Lane) -> None:
    assert one(1, now, new).then is then


def test_everything_is_counted_and_the_first_are_kept_rising_ones_before() -> None:
    trial = Trial(policy=parse_policy(""), shown=3)
    trial.add([one(1, O, O), one(2, C, O), one(3, C, C)])
    trial.add(one(number, O, C) for number in range(4, 6))
    trial.add([one(6, C, O)])
    assert (trial.examined, trial.rising, trial.staying) == (6, 2, 2)
    assert trial.now == {O: 3, C: 3}
    assert trial.then == {O: 1, C: 5}
    assert [held.item_id.int for held in trial.changing] == [4, 5, 2]


@pytest.mark.parametrize(
    ("when", "said"),
    [
        ("{}", "always"),
        ('{ target = "pay" }', "the target is pay"),
        ("{ risk_at_least = 0.8 }", "the risk is at least 0.8"),
        ("{ amount_over = 1000 }", "any field becomes more than 1,000"),
        (
            '{ target = "pay", field = "sum", amount_over = 10.50, risk_at_least = 1 }',
            "the target is pay and sum becomes more than 10.50 and the risk is at least 1",
        ),
    ],
)
def test_rule_in_words(when: str, said: str) -> None:
    (rule,) = parse_policy(f'[[rule]]\nwhen = {when}\nlane = "critical"').rules
    assert words(rule) == said
