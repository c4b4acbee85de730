"""The demonstration's stand-ins: targets, secrets, processes, and what is proposed to them."""

import json
import re
import stat
from collections import Counter
from pathlib import Path

import pytest

from contract.codec import decode_model_output
from placet import configuration, programs
from placet.demo import outputs, stand_in_outputs, targets
from placet.demo.stand_ins import JIRA, PROCESSES, SHAREPOINT, STAND_INS, of_target
from placet.demo.support import WRITER
from placet.home import Home
from placet.keys import ROLES, Keys
from placet.programs import Setting
from placet.servers.ports import kept_ports

SUPERUSER = "postgresql://postgres:x@127.0.0.1:5432/postgres"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    made = Home(tmp_path / "home")
    made.make()
    Keys(made.keys).make()
    targets.write(made, SUPERUSER, 0.5)
    return made


def setting(home: Home, *, demo: bool = True) -> Setting:
    found = configuration.read_targets(home.targets_file)
    names = programs.names(programs.SERVICES, [target.name for target in found], 1)
    return Setting(
        home=home,
        stack_id="id",
        bin=Path("/venv/bin"),
        kafka="127.0.0.1:19092",
        dsns=dict.fromkeys(ROLES, "postgresql://x"),
        ports=kept_ports(
            home.ports_file, [*names, programs.REVIEW_PORT, programs.AUDIT_PORT, *PROCESSES]
        ),
        targets=found,
        targets_file=home.targets_file,
        policy_file=home.policy_file,
        demo=demo,
    )


def test_the_demonstration_has_one_target_of_each_system(home: Home) -> None:
    found = {target.name: target for target in configuration.read_targets(home.targets_file)}
    assert {name: target.system for name, target in found.items()} == {
        "support-faq": "sql",
        "jira-demo": "jira",
        "sharepoint-demo": "sharepoint",
    }
    assert {target.hold for target in found.values()} == {0.5}
    assert len({target.dispatcher_url for target in found.values()}) == 3
    assert found["jira-demo"].names("SUP-12")
    assert not found["jira-demo"].names("sup-12")
    assert not found["sharepoint-demo"].names("08")


def test_writing_the_targets_again_changes_nothing(home: Home) -> None:
    files = [home.targets_file, *sorted(home.keys.glob("*-demo.json"))]
    before = [file.read_bytes() for file in files]
    targets.write(home, SUPERUSER, 0.5)
    assert [file.read_bytes() for file in files] == before


def test_every_target_has_a_secret_of_its_own_that_only_its_owner_can_read(home: Home) -> None:
    names = [*(one.secret_name() for one in STAND_INS), "support-faq.dsn"]
    files = [home.keys / name for name in names]
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    assert WRITER in files[-1].read_text()
    assert len({file.read_text() for file in files}) == 3
    token_url = json.loads(files[1].read_text())["token_url"]
    found = {one.name: one for one in configuration.read_targets(home.targets_file)}
    assert token_url.startswith(str(found[SHAREPOINT.target].url).removesuffix("/sites/support"))


def test_stand_ins_run_where_something_writes_to_them(home: Home) -> None:
    made = programs.stand_in_programs(setting(home), programs.SERVICES)
    assert [program.name for program in made] == ["sandbox-jira", "sandbox-sharepoint"]
    for program, one in zip(made, STAND_INS, strict=True):
        assert list(program.command[:2]) == ["/venv/bin/placet-sandbox", one.system]
        assert str(home.sandbox) in program.command
        assert program.environment[programs.STACK_ID] == "id"
    assert programs.stand_in_programs(setting(home), ["kafka", "postgres"]) == []
    assert programs.stand_in_programs(setting(home, demo=False), programs.SERVICES) == []


def test_a_target_of_somebody_else_has_no_stand_in() -> None:
    assert of_target(JIRA.target) is JIRA
    assert of_target("support-faq") is None


def test_proposals_are_valid_the_same_every_time_and_not_those_of_the_table() -> None:
    lines = stand_in_outputs.lines(stand_in_outputs.proposals())
    assert lines == stand_in_outputs.lines(stand_in_outputs.proposals())
    found = [decode_model_output(line)[0] for line in lines]
    assert Counter(one.change.target.instance for one in found) == {
        JIRA.target: 12,
        SHAREPOINT.target: 8,
    }
    table = [decode_model_output(line)[0] for line in outputs.lines()]
    ids = [(one.source, one.external_id) for one in [*found, *table]]
    assert len(set(ids)) == len(ids)


def test_proposals_name_records_the_stand_ins_have_and_fields_that_may_be_written(
    home: Home,
) -> None:
    configured = {one.name: one for one in configuration.read_targets(home.targets_file)}
    for one in stand_in_outputs.proposals():
        target = configured[one.stand_in.target]
        assert target.names(one.identifier)
        assert set(one.fields) | set(one.asked) <= set(target.columns)
        assert int(re.sub(r"\D", "", one.identifier)) <= (12 if one.stand_in is JIRA else 8)
        titles = [str(values.get("summary", "")) for values in (one.fields, one.asked)]
        assert all(len(title) <= 255 and "\n" not in title for title in titles)
