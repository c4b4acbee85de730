"""Lanes and reasons from policy.toml."""

import pytest

from review_api.policy import DEFAULT_REASONS, Lane, PolicyError, parse_policy

RULES = """
version = "7"
reasons = ["A", "B"]
[[rule]]
when = { target = "pay", field = "amount", amount_over = 1000.00 }
lane = "critical"
[[rule]]
when = { risk_at_least = 0.8 }
lane = "critical"
[[rule]]
when = { target = "pay" }
lane = "ordinary"
"""
CASES = [
    ("pay", 0.1, {"amount": "1000"}, Lane.ORDINARY),
    ("pay", 0.1, {"amount": "1000.01"}, Lane.CRITICAL),
    ("pay", 0.1, {"amount": '"1000.01"'}, Lane.CRITICAL),
    ("pay", 0.1, {"amount": "null"}, Lane.ORDINARY),
    ("pay", 0.1, {"amount": '"NaN"'}, Lane.ORDINARY),
    ("pay", 0.1, {"amount": "1e400"}, Lane.CRITICAL),
    ("pay", 0.1, {"other": "5000"}, Lane.ORDINARY),
    ("faq", 0.1, {"amount": "5000"}, Lane.ORDINARY),
    ("faq", 0.8, {}, Lane.CRITICAL),
    ("pay", 0.9, {"amount": "1"}, Lane.CRITICAL),
]


@pytest.mark.parametrize(("target", "risk", "fields", "lane"), CASES)
def test_strictest_rule_that_holds_wins(
    target: str, risk: float, fields: dict[str, str], lane: Lane
) -> None:
    assert parse_policy(RULES).lane(target, risk, fields) is lane


def test_version_names_the_text() -> None:
    policy = parse_policy(RULES)
    assert policy.version.startswith("7+")
    assert policy.reasons == ("A", "B")
    assert parse_policy(RULES + "\n# changed").version != policy.version
    assert parse_policy("").reasons == DEFAULT_REASONS


@pytest.mark.parametrize(
    "text",
    [
        "not toml",
        "speed = 3",
        "reasons = []",
        '[[rule]]\nlane = "fast"',
        '[[rule]]\nlane = "critical"\nwhen = { moon = 1 }',
        '[[rule]]\nlane = "critical"\nwhen = { risk_at_least = "high" }',
        '[[rule]]\nlane = "critical"\nwhen = { amount_over = "much" }',
    ],
)
def test_what_cannot_be_meant_is_refused(text: str) -> None:
    with pytest.raises(PolicyError):
        parse_policy(text)
