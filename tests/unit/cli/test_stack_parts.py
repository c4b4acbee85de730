"""What the local stack is made of: its home, its programs, supervisord's configuration."""

import configparser
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from contract.targets import TargetConfig
from placet import configuration, databases, leftovers, programs
from placet.crashes import crashes, last_reasons
from placet.home import Home, HomeError
from placet.keys import ROLES, Keys
from placet.programs import Setting, UnknownRoleError
from placet.supervision import Program, socket_path
from placet.supervision import configuration as supervisord_text


def target() -> TargetConfig:
    return TargetConfig(
        name="support-faq", kind="postgresql", dispatcher_url="http://127.0.0.1:20001"
    )


def setting(home: Home) -> Setting:
    home.make()
    Keys(home.keys).make()
    names = [*programs.names(programs.SERVICES, ["support-faq"], 2), programs.REVIEW_PORT]
    names.append(programs.AUDIT_PORT)
    return Setting(
        home=home,
        stack_id="id",
        bin=Path("/venv/bin"),
        kafka="127.0.0.1:19092",
        dsns={role: f"postgresql://{role}@127.0.0.1/placet" for role in ROLES},
        ports={name: 20_100 + number for number, name in enumerate(names)},
        targets=[target()],
        targets_file=home.targets_file,
        policy_file=home.policy_file,
        intakes=2,
    )


def test_processes_are_named_as_operations_says() -> None:
    assert programs.names((*programs.SERVERS, *programs.SERVICES), ["support-faq"], 1) == [
        "kafka",
        "postgres",
        "intake-1",
        "review-api",
        "review-worker",
        "dispatcher-support-faq",
        "audit-sink",
    ]


def test_a_role_nobody_knows_is_refused_with_those_there_are() -> None:
    with pytest.raises(UnknownRoleError, match=r"zookeeper.*kafka, postgres"):
        programs.names(["kafka", "zookeeper"], [], 1)


def test_every_service_connects_as_its_own_role(tmp_path: Path) -> None:
    made = programs.service_programs(setting(Home(tmp_path / "home")), programs.SERVICES)
    role = {p.name: p.environment["PLACET_DATABASE"].split("//")[1].split("@")[0] for p in made}
    assert role["review-api"] == role["review-worker"] == "placet_review"
    assert role["dispatcher-support-faq"] == "placet_dispatch"
    assert role["audit-sink"] == "placet_audit"


def test_only_review_api_is_told_where_the_signing_key_is(tmp_path: Path) -> None:
    made = programs.service_programs(setting(Home(tmp_path / "home")), programs.SERVICES)
    told = {p.name for p in made if "PLACET_DECISION_KEY_FILE" in p.environment}
    assert told == {"review-api", "review-worker"}


def test_dispatcher_serves_where_its_target_says(tmp_path: Path) -> None:
    made = programs.service_programs(setting(Home(tmp_path / "home")), ["dispatcher"])
    assert [p.environment["PLACET_PORT"] for p in made] == ["20001"]
    assert [list(p.command) for p in made] == [["/venv/bin/placet-dispatcher"]]


def test_secrets_are_files_only_their_owner_can_read(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    home.make()
    keys = Keys(home.keys)
    keys.make()
    secret = [keys.decision, keys.audit, keys.installation, keys.service_token]
    secret.append(keys.database_passwords)
    assert {stat.S_IMODE(file.stat().st_mode) for file in secret} == {0o600}
    before = {file: file.read_bytes() for file in secret}
    keys.make()
    assert {file: file.read_bytes() for file in secret} == before


def test_audit_key_is_a_signed_note_key_of_the_same_name(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    home.make()
    keys = Keys(home.keys)
    keys.make()
    name, digest, _ = keys.audit_public.read_text().strip().split("+", 2)
    assert keys.audit.read_text().startswith(f"PRIVATE+KEY+{name}+{digest}+")
    assert keys.audit_origin == name


def test_supervisord_reads_back_what_was_meant(tmp_path: Path) -> None:
    home = Home(tmp_path / "a home, ours")
    program = Program(
        name="x", command=["/bin/echo", "two words", "5%"], environment={"A": "b%c, d e"}
    )
    parsed = configparser.RawConfigParser(inline_comment_prefixes=(";", "#"))
    parsed.read_string(supervisord_text(home, [program]))
    section = parsed["program:x"]
    assert section["command"] == "/bin/echo 'two words' 5%%"
    assert section["environment"] == 'A="b%%c, d e"'
    assert section["autostart"] == "false"
    assert section["autorestart"] == "true"


def test_a_deep_home_still_gets_a_socket_path_that_fits() -> None:
    deep = Home(Path("/" + "deep/" * 40 + ".placet"))
    path = os.fsencode(socket_path(deep))
    assert len(path) + len(".4194304") < 107
    assert socket_path(Home(Path("/x/.placet"))) == Path("/x/.placet/run/supervisord.sock")


def test_home_does_not_adopt_a_folder_of_somebody_else(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(HomeError, match="PLACET_HOME"):
        Home(tmp_path).make()


def test_deleting_a_home_leaves_what_is_not_ours(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    home.make()
    (home.folder / "notes.txt").write_text("mine")
    home.delete()
    assert [path.name for path in home.folder.iterdir()] == ["notes.txt"]


def test_a_path_supervisord_cannot_carry_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(HomeError, match="path without"):
        Home(tmp_path / "a;b").make()


def test_demo_target_is_valid_configuration(tmp_path: Path) -> None:
    file = tmp_path / "targets.toml"
    file.write_text(configuration.demo_targets(tmp_path / "dsn", 20_001, 0.0))
    (found,) = configuration.read_targets(file)
    assert (found.name, found.system, found.columns) == ("support-faq", "sql", ("answer",))
    assert found.hold == 0.0
    assert found.names("halueval-qa-0001")
    assert not found.names("halueval-qa-0001 ")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (
            "postgresql://postgres:a%40b@127.0.0.1:5555/postgres",
            "postgresql://r:p%2F%40@127.0.0.1:5555/support",
        ),
        ("host=/run/pg user=me dbname=x", "postgresql://r:p%2F%40@%2Frun%2Fpg:5432/support"),
        (
            "postgresql://me@db.example/x?sslmode=require",
            "postgresql://r:p%2F%40@db.example:5432/support?sslmode=require",
        ),
    ],
)
def test_a_roles_dsn_keeps_the_server_and_changes_the_person(given: str, expected: str) -> None:
    assert databases.with_role(given, "support", "r", "p/@") == expected


def test_processes_of_a_stack_are_found_by_their_mark_and_ended() -> None:
    mark = {**os.environ, programs.STACK_ID: "test-of-leftovers"}
    sleep = [sys.executable, "-c", "import sys; print(1, flush=True); sys.stdin.read()"]
    with (
        subprocess.Popen(sleep, env=mark, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as ours,
        subprocess.Popen(sleep, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other,
    ):
        for process in (ours, other):
            assert process.stdout
            process.stdout.readline()
        assert leftovers.end("test-of-leftovers") == [ours.pid]
        assert other.poll() is None
        other.kill()
    assert leftovers.find("test-of-leftovers") == []


LOG = """
2026-01-01 10:00:00,000 INFO supervisord started with pid 1
2026-01-01 10:00:01,000 WARN exited: kafka (exit status 1; not expected)
2026-01-02 10:00:00,000 INFO supervisord started with pid 2
2026-01-02 10:00:01,000 WARN exited: intake-1 (exit status 3; not expected)
2026-01-02 10:00:02,000 WARN exited: intake-1 (terminated by SIGKILL; not expected)
2026-01-02 10:00:03,000 INFO exited: postgres (exit status 0; expected)
"""


def test_crashes_are_counted_since_the_last_start() -> None:
    assert crashes(LOG) == {"intake-1": 2}
    assert last_reasons(LOG) == {"intake-1": "terminated by SIGKILL"}
