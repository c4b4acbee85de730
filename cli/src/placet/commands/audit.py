"""`placet audit`: audit-sink's own commands, told where this stack keeps its log."""

import os
from pathlib import Path

from audit_sink.cli import Defaults, build
from placet import databases
from placet.home import Home
from placet.keys import Keys
from placet.state import State

LEDGER_ROLE = "placet_ledger"


def find_defaults() -> Defaults:
    """What the environment says, else the local stack's log, key and ledger."""
    home = Home.of()
    keys = Keys(home.keys)
    return Defaults(
        log_dir=Path(os.environ.get("PLACET_AUDIT_DIR") or home.audit),
        key=os.environ.get("PLACET_AUDIT_KEY") or str(keys.audit_public),
        ledger=os.environ.get("PLACET_LEDGER") or _ledger(home, keys),
    )


def _ledger(home: Home, keys: Keys) -> str | None:
    state = State.load(home)
    if state is None or state.postgres is None or not keys.database_passwords.exists():
        return None
    password = keys.passwords()[LEDGER_ROLE]
    return databases.with_role(state.postgres, databases.LEDGER, LEDGER_ROLE, password)


app = build(find_defaults)
