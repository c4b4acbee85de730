"""Lanes and reasons from policy.toml."""

import pytest

from review_api.policy import (
    DEFAULT_REASONS,
    Lane,
    PolicyError,
    parse_policy,
    unknown_targets,
)

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


LINES = [
    ("", None),
    ("x =", 1),
    ('version = "1"\nreasons = "WRONG"', 2),
    ('reasons = ["A", "A"]', 1),
    ('reasons = ["A", " B"]', 1),
    ("\n\nspeed = 3", 3),
    ('version = ""', 1),
    ("version = true", 1),
    ('version = "a\\u0000"', 1),
    ("rule = 5", 1),
    ("rule = [5]", 1),
    ('[rule]\nlane = "critical"', 1),
    ('[[rule]]\n# lane\nwhen = {}\nlane = "fast"', 4),
    ("[[rule]]\nwhen = {}", 1),
    ('[[rule]]\nlane = ["critical"]', 2),
    ('[[rule]]\nlane = "critical"\n\n[[ rule ]]\nlane = "critical"\nwhen = { target = 5 }', 6),
    ('[[rule]]\nlane = "critical"\nwhen = { field = "" }', 3),
    ('[[rule]]\nlane = "critical"\nwhen = { risk_at_least = 1.01 }', 3),
    ('[[rule]]\nlane = "critical"\nwhen = { risk_at_least = nan }', 3),
    ('[[rule]]\nlane = "critical"\nwhen = { risk_at_least = true }', 3),
    ('[[rule]]\nlane = "critical"\n[rule.when]\n\namount_over = inf', 5),
    ('[[rule]]\nlane = "critical"\nwhen = 5', 3),
    ('[[rule]]\nlane = "critical"\nwhy = "so"', 3),
    ("x = 1e99999999999999999999", 1),
    ("x = " + "9" * 5_000, 1),
    ("x = " + "[" * 100_000, 1),
    ('x = """\n\n', 2),
]


@pytest.mark.parametrize(("text", "line"), LINES, ids=[repr(text[:40]) for text, _ in LINES])
def test_fault_is_told_with_its_line(text: str, line: int | None) -> None:
    if line is None:
        assert parse_policy(text).rules == ()
        return
    with pytest.raises(PolicyError) as refused:
        parse_policy(text)
    assert refused.value.line == line
    assert str(refused.value) == f"policy: line {line}: {refused.value.said}"


@pytest.mark.parametrize(
    ("assigned", "risk", "lane"),
    [
        (Lane.ORDINARY, 0.1, Lane.ORDINARY),
        (Lane.ORDINARY, 0.8, Lane.CRITICAL),
        (Lane.CRITICAL, 0.1, Lane.CRITICAL),
    ],
)
def test_lane_of_what_waits_only_rises(assigned: Lane, risk: float, lane: Lane) -> None:
    assert parse_policy(RULES).lane_again(assigned, "faq", risk, {}) is lane


def test_rules_for_targets_that_nobody_has_are_told() -> None:
    assert unknown_targets(parse_policy(RULES), ["faq"]) == ["pay"]
    assert unknown_targets(parse_policy(RULES), ["pay"]) == []
