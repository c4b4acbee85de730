"""Put `policy.toml` in force when a process starts, where nobody has saved another policy.

The file is the first policy of an installation, and stays the one in force, edits and all, as long
as it is the only source. Once an administrator has saved a policy the file counts no more: what a
person decided is not undone by a restart.
"""

import hashlib
from contextlib import closing

import structlog
from psycopg.rows import dict_row

from conveyor.database import connect
from review_api.commands.policing import columns, policy_changed
from review_api.policy import parse_policy
from review_api.queries import QUERIES
from review_api.settings import DeskSettings

log = structlog.get_logger()

FILE = "policy.toml"


def install(settings: DeskSettings) -> None:
    """Store the file's policy where it is another than the one in force, and may be. Durable.

    Raises:
        PolicyError: the file cannot be used.
        psycopg.Error: the database is away, or refuses a statement.
    """
    text = settings.policy_text()
    policy = parse_policy(text)
    with (
        closing(connect(settings.database, "review-policy", row_factory=dict_row)) as connection,
        connection.transaction(),
    ):
        connection.execute(QUERIES["lock_policy"])
        found = connection.execute(QUERIES["policy"], {"ordinal": None}).fetchone()
        if found is not None and found["digest"] == hashlib.sha256(text.encode()).digest():
            return
        if found is not None and found["person_id"] is not None:
            log.info("policy_file_not_in_force", policy=found["version"], file=policy.version)
            return
        added = connection.execute(QUERIES["add_policy"], columns(text, policy)).fetchone()
        assert added is not None  # the insert returns its row
        name, told = policy_changed(
            added["ordinal"],
            policy,
            text,
            "" if found is None else found["version"],
            actor_id=FILE,
            role="",
            digester=settings.digester(),
        )
        connection.execute(QUERIES[name], told)
    log.info("policy_in_force", policy=policy.version)
