"""How the stack comes up: one ordered protocol, every step harmless when repeated.

A crash at any point leaves files that the next run reuses and processes that it stops first.
"""

import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from placet import accounts, configuration, databases, programs
from placet.demo import publishing, support
from placet.demo import targets as demo_targets
from placet.demo.outputs import TARGET, questions
from placet.demo.stand_ins import HEALTH, PROCESSES, address, of_target
from placet.home import Home
from placet.keys import ROLES, Keys
from placet.progress import Report
from placet.readiness import Question, serves, wait_for
from placet.servers import jars, kafka, postgres, topics
from placet.servers.ports import LOOPBACK, kept_ports
from placet.servers.process import ServerError
from placet.state import State, Wanted
from placet.supervision import Program, Supervision

# Of the caller's PLACET_ variables only these reach the services.
_PASSED_ON: Final = ("PLACET_LOG_LEVEL", "PLACET_SCHEMA_REGISTRY_URL")


@dataclass(frozen=True, slots=True, kw_only=True)
class Servers:
    """Where Kafka and PostgreSQL are, and what to run for it; None where they are not ours."""

    kafka: str | None
    postgres: str | None
    programs: Sequence[Program]
    questions: Mapping[str, Question]
    fresh: bool
    """PostgreSQL is ours and was made just now: what is known about its rows is void."""


def bring_up(
    wanted: Wanted, home: Home, stack_id: str, supervision: Supervision, report: Report
) -> State:
    """Do all of it and return what was written down.

    Raises:
        ServerError: something did not come up; the message says what and shows its log.
        JarError, ConfigError, psycopg.Error, KafkaException.
    """
    keys = Keys(home.keys)
    keys.make()
    servers = _servers(wanted, home, stack_id, report)
    state = _state(wanted, home, servers)
    setting = _setting(wanted, home, stack_id, servers, state)
    stand_ins = programs.stand_in_programs(setting, wanted.roles)
    services = programs.service_programs(setting, wanted.roles)
    everything = [*servers.programs, *stand_ins, *services]
    state = _with_processes(state, setting, everything, wanted.roles)
    state.save(home)  # from here on `status` and `down` know what there is

    supervision.start(everything, _inherited(wanted.environment, stack_id))
    with report.step("Kafka and PostgreSQL answer") as step:
        _start([*servers.programs, *stand_ins], supervision)
        wait_for(servers.questions, supervision, home, step)
    with report.step("Topics, databases and roles"):
        _prepare(servers, state, keys)
    if services:
        with report.step("Services are ready") as step:
            _start(services, supervision)
            asked = {one.name: _ready(setting, one.name) for one in [*stand_ins, *services]}
            wait_for(asked, supervision, home, step)
    if "review-api" in wanted.roles and not state.accounts:
        with report.step("Accounts, one per role"):
            drawn = accounts.draw(home.accounts_file)
            accounts.create(drawn, setting.dsns["placet_review"], keys.installation)
        state = state.now(home, accounts=True)
    if state.demo and wanted.publish and state.review and not state.published:
        publishing.publish_demo(home, state, report)
        state = state.now(home, published=True)
    return state.now(home, complete=True)


def _servers(wanted: Wanted, home: Home, stack_id: str, report: Report) -> Servers:
    bootstrap = wanted.environment.get("PLACET_KAFKA") or None
    superuser = wanted.environment.get("PLACET_POSTGRES") or None
    watched: list[Program] = []
    asked: dict[str, Question] = {}
    fresh = False
    if "kafka" in wanted.roles and not bootstrap:
        program, bootstrap = _kafka(home, stack_id, report)
        watched.append(program)
    if "postgres" in wanted.roles and not superuser:
        program, superuser, fresh = _postgres(home, stack_id, report)
        watched.append(program)
    if bootstrap:
        asked["kafka"] = lambda: kafka.answers(bootstrap)
    if superuser:
        asked["postgres"] = lambda: postgres.answers(superuser)
    if {*wanted.roles} & {*programs.SERVICES} and not (bootstrap and superuser):
        raise ServerError(
            "our services need Kafka and PostgreSQL: add those roles, or set PLACET_KAFKA and "
            "PLACET_POSTGRES to your own"
        )
    return Servers(
        kafka=bootstrap, postgres=superuser, programs=watched, questions=asked, fresh=fresh
    )


def _kafka(home: Home, stack_id: str, report: Report) -> tuple[Program, str]:
    with report.step("Kafka's jars, checked against kafka.lock") as step:
        classpath = jars.ensure_jars(step.advance)
    with report.step("Kafka's storage"):
        broker = kafka.load(home.kafka)
        kafka.prepare(broker, classpath)
    mark = {programs.STACK_ID: stack_id, programs.PROCESS_NAME: programs.KAFKA}
    command = kafka.start_command(broker, classpath)
    program = Program(name=programs.KAFKA, command=command, environment=mark, stop_seconds=20)
    return program, broker.bootstrap


def _postgres(home: Home, stack_id: str, report: Report) -> tuple[Program, str, bool]:
    with report.step("PostgreSQL's cluster"):
        server = postgres.load(home.postgres)
        fresh = postgres.prepare(server)
    mark = {programs.STACK_ID: stack_id, programs.PROCESS_NAME: programs.POSTGRES}
    program = Program(
        name=programs.POSTGRES,
        command=postgres.start_command(server),
        environment={**mark, "LC_ALL": "C.UTF-8"},
        user=None if server.uid is None else postgres.ROOTS_USER,
        stop_signal="INT",
        stop_seconds=20,
    )
    return program, server.dsn(), fresh


def _state(wanted: Wanted, home: Home, servers: Servers) -> State:
    known = State.load(home) or State()
    # With an own server nobody knows whose rows are in it: accounts are made again, harmlessly.
    ours = any(program.name == programs.POSTGRES for program in servers.programs)
    same = ours and not servers.fresh
    return State(
        kafka=servers.kafka,
        postgres=servers.postgres and databases.with_database(servers.postgres, databases.PLACET),
        demo=(wanted.demo or known.demo) and servers.postgres is not None,
        hold=known.hold if wanted.hold is None else wanted.hold,
        accounts=same and known.accounts,
        published=same and known.published,
    )


def _setting(
    wanted: Wanted, home: Home, stack_id: str, servers: Servers, state: State
) -> programs.Setting:
    keys = Keys(home.keys)
    configuration.make(home)
    if state.demo and servers.postgres:
        if servers.fresh:  # whatever was written to the stand-ins, nobody knows of it any more
            shutil.rmtree(home.sandbox, ignore_errors=True)
            home.make()
        demo_targets.write(home, servers.postgres, state.hold)
    targets_file = configuration.targets_file(home, wanted.environment)
    targets = configuration.read_targets(targets_file)
    processes = programs.names(programs.SERVICES, [t.name for t in targets], wanted.intakes)
    return programs.Setting(
        home=home,
        stack_id=stack_id,
        bin=Path(sys.executable).parent,
        kafka=servers.kafka or "",
        dsns=databases.dsns(servers.postgres, keys.passwords(), ROLES) if servers.postgres else {},
        ports=kept_ports(
            home.ports_file, [*processes, programs.REVIEW_PORT, *PROCESSES, programs.AUDIT_PORT]
        ),
        targets=targets,
        targets_file=targets_file,
        policy_file=configuration.policy_file(home, wanted.environment),
        intakes=wanted.intakes,
        demo=state.demo,
        extra={name: wanted.environment[name] for name in _PASSED_ON if name in wanted.environment},
    )


def _with_processes(
    state: State, setting: programs.Setting, watched: Sequence[Program], roles: Sequence[str]
) -> State:
    passwords = Keys(setting.home.keys).passwords()
    running = {program.name for program in watched}
    targets: list[dict[str, str | None]] = []
    for target in setting.targets:
        entry: dict[str, str | None] = {"name": target.name}
        stand_in = of_target(target.name)
        if target.name == TARGET and state.demo and state.postgres:
            entry["dsn"] = support.dsn(state.postgres, passwords, support.OWNER)
        elif stand_in and stand_in.process in running:
            entry |= {"dsn": None, "url": address(setting.ports[stand_in.process])}
        targets.append(entry)
    return replace(
        state,
        review=programs.review_url(setting) if "review-api" in roles else None,
        targets=targets,
        processes=[program.name for program in watched],
    )


def _prepare(servers: Servers, state: State, keys: Keys) -> None:
    if servers.kafka:
        topics.create_topics(servers.kafka)
    if servers.postgres:
        passwords = keys.passwords()
        databases.prepare(servers.postgres, passwords)
        if state.demo:
            support.prepare(servers.postgres, passwords, questions())


def _start(watched: Sequence[Program], supervision: Supervision) -> None:
    for program in watched:
        supervision.start_process(program.name)


def _ready(setting: programs.Setting, name: str) -> Question:
    port = setting.ports[programs.REVIEW_PORT if name == "review-api" else name]
    path = HEALTH if name in PROCESSES else "/readyz"
    return lambda: serves(LOOPBACK, port, path)


def _inherited(environment: Mapping[str, str], stack_id: str) -> dict[str, str]:
    """What every process of the stack gets: the caller's environment without what is Placet's."""
    kept = {name: text for name, text in environment.items() if not name.startswith("PLACET_")}
    return {**kept, programs.STACK_ID: stack_id}
