"""Targets are read strictly: a typo in configuration stops the start, not a write."""

import pytest

from contract.targets import (
    LIMITS,
    SETTINGS,
    STEPS,
    SYSTEMS,
    ConfigError,
    TargetConfig,
    parse_targets,
)

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
        ('columns = ["answer"]', 'columns = ["answer"]\nretry = ["1"]'),
        ('columns = ["answer"]', 'columns = ["answer"]\nretry = 5'),
        ('columns = ["answer"]', 'columns = ["answer"]\ntimeout = "10"'),
        ('columns = ["answer"]', 'columns = ["answer"]\ntimeout = true'),
        ('"[a-z0-9-]{1,64}"', '"["'),
        ("[[target]]", "[[target"),
    ],
)
def test_a_mistake_is_named(line, instead):
    with pytest.raises(ConfigError):
        parse_targets(GOOD.replace(line, instead))


HTTP = """
[[target]]
name = "{kind}"
kind = "{kind}"
dispatcher_url = "http://127.0.0.1:9000"
url = "https://example.test"
secret_file = "secret"
columns = ["Title"]
"""


@pytest.mark.parametrize(
    ("kind", "setting"),
    [
        ("postgresql", "concurrency = 4"),
        ("postgresql", "rate = 5"),
        ("postgresql", "settle = 5"),
        ("postgresql", 'url = "https://example.test"'),
        ("postgresql", 'secret_file = "s"'),
        ("jira", 'dsn_file = "d"'),
        ("jira", 'table = "t"'),
        ("jira", 'key_column = "id"'),
        ("jira", 'version_column = "v"'),
        ("sharepoint", 'dsn_file = "d"'),
        ("sharepoint", 'key_column = "id"'),
        ("sharepoint", 'version_column = "v"'),
    ],
)
def test_a_setting_that_a_kind_does_not_know_is_refused_and_not_ignored(kind, setting):
    entry = GOOD if kind == "postgresql" else HTTP.format(kind=kind)
    assert parse_targets(entry)
    with pytest.raises(
        ConfigError, match=f"kind '{kind}' has no {setting.split()[0]}; it has .*url"
    ):
        parse_targets(f"{entry}\n{setting}\n")


def test_every_setting_there_is_has_a_kind_that_knows_it():
    assert set(SETTINGS) == set(SYSTEMS)
    assert set().union(*SETTINGS.values()) == set(TargetConfig.__dataclass_fields__)


def test_every_kind_has_its_steps_and_says_what_it_cannot_promise():
    assert set(STEPS) == set(LIMITS) == set(SYSTEMS.values())
    assert all(LIMITS.values())


def test_a_name_is_used_once():
    with pytest.raises(ConfigError, match="twice"):
        parse_targets(GOOD + GOOD)
