"""Our side's surroundings: a stack of its own in a temporary folder, with the bench's target.

Owns the business database, its narrow role and `targets.toml`. Nothing of the caller's stack or
environment is used.
"""

import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Final, LiteralString

import psycopg
from psycopg import sql

from bench.driver import Driver
from bench.ours import Ours
from bench.records import INSTANCE
from bench.systems import System
from bench.target import TABLE, Target
from placet.databases import (
    connect,
    ensure_database,
    ensure_role,
    grant_connect,
    with_database,
    with_role,
)
from placet.progress import Report
from placet.servers.ports import LOOPBACK, free_port
from placet.stack import ROLES, Stack

_DATABASE: Final = "bench_target"
_WRITER: Final = "bench_writer"
_INTAKES: Final = 2
"""The second one is stopped but for the measure that asks what it adds."""
_GRANTS: Final[LiteralString] = """
GRANT SELECT, UPDATE ON faq_answer TO bench_writer;
GRANT SELECT, INSERT ON placet_write_back TO bench_writer
"""
_TARGETS: Final = """\
[[target]]
name = "{name}"
kind = "postgresql"
dsn_file = "{dsn_file}"
table = "faq_answer"
key_column = "id"
version_column = "version"
columns = ["answer"]
identifier_pattern = "[a-z0-9-]{{1,64}}"
dispatcher_url = "http://{host}:{port}"
hold = 0
retry = [60, 300, 900]
"""


@contextmanager
def ours(
    folder: Path,
    superuser: str,
    driver: Driver,
    *,
    people: int,
    report: Report,
    systems: Sequence[System] = (),
) -> Iterator[Ours]:
    """Bring the whole stack up on the server of `superuser`, and down and away afterwards."""
    folder.mkdir()
    targets = _make_target(folder, superuser, systems)
    environment = {name: v for name, v in os.environ.items() if not name.startswith("PLACET_")}
    environment |= {
        "PLACET_POSTGRES": superuser,
        "PLACET_TARGETS": str(targets),
        "PLACET_LOG_LEVEL": "warning",
    }
    roles = [role for role in ROLES if role != "postgres"]
    stack = Stack(folder / "home", roles=roles, intakes=_INTAKES, environment=environment)
    target = Target(with_database(superuser, _DATABASE))
    try:
        stack.up(report)
        side = Ours(stack=stack, superuser=superuser, target=target, driver=driver, systems=systems)
        try:
            with report.step(f"{people} people sign in"):
                side.sign_in(people)
            side.stop("intake-2")
            for system in systems:  # started for the measures that are about them
                side.stop(f"dispatcher-{system.instance}")
            yield side
        finally:
            side.close()
    finally:
        target.close()
        stack.reset(report)


def _make_target(folder: Path, superuser: str, systems: Sequence[System]) -> Path:
    """Make the business database as its owner would, and return the path of `targets.toml`."""
    password = secrets.token_urlsafe(18)
    with connect(superuser) as server:
        ensure_role(server, _WRITER, password)
        ensure_database(server, _DATABASE, owner=None)
        grant_connect(server, _DATABASE, _WRITER)
    with psycopg.connect(with_database(superuser, _DATABASE), autocommit=True) as database:
        database.execute(TABLE)
        keys = files("dispatcher").joinpath("targets", "key_table.sql").read_text("utf-8")
        database.execute(sql.SQL(keys))
        database.execute(_GRANTS)
    dsn_file = folder / "target.dsn"
    dsn_file.touch(mode=0o600)
    dsn_file.write_text(with_role(superuser, _DATABASE, _WRITER, password), "utf-8")
    targets = folder / "targets.toml"
    text = _TARGETS.format(name=INSTANCE, dsn_file=dsn_file, host=LOOPBACK, port=free_port())
    targets.write_text(text + "".join(system.entry for system in systems), "utf-8")
    return targets
