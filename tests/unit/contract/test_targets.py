"""Targets are read strictly: a typo in configuration stops the start, not a write."""

import pytest

from contract.targets import LIMITS, STEPS, SYSTEMS, ConfigError, parse_targets

GOOD = """
[[target]]
name = "support-faq"
kind = "postgresql"
dsn_file = "faq.dsn"
table = "faq_answer"
key_column = "id"
columns = ["answer"]
identifier_pattern = "[a-z0-9-]{1,64}"
dispatcher_url = "http://127.0.0.1:9000"
"""


def test_a_target_is_read_with_its_defaults():
    target = parse_targets(GOOD)["support-faq"]
    assert (target.system, target.hold, target.retry) == ("sql", 5.0, (60.0, 300.0, 900.0))
    assert target.names("q-1")
    assert not target.names("q-1\n")
    assert not target.names("Q 1")


@pytest.mark.parametrize(
    ("line", "instead"),
    [
        ('kind = "postgresql"', 'kind = "oracle"'),
        ('table = "faq_answer"', ""),
        ('name = "support-faq"', 'name = "Support FAQ"'),
        ('dispatcher_url = "http://127.0.0.1:9000"', ""),
        ('key_column = "id"', 'key_colum = "id"'),
        ('columns = ["answer"]', 'columns = ["answer"]\nhold = -1'),
        ('columns = ["answer"]', 'columns = ["answer"]\nretry = []'),
        ('"[a-z0-9-]{1,64}"', '"["'),
        ("[[target]]", "[[target"),
    ],
)
def test_a_mistake_is_named(line, instead):
    with pytest.raises(ConfigError):
        parse_targets(GOOD.replace(line, instead))


def test_every_kind_has_its_steps_and_says_what_it_cannot_promise():
    assert set(STEPS) == set(LIMITS) == set(SYSTEMS.values())
    assert all(LIMITS.values())


def test_a_name_is_used_once():
    with pytest.raises(ConfigError, match="twice"):
        parse_targets(GOOD + GOOD)
