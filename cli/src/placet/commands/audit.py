"""`placet audit`: audit-sink's own commands, told where this stack keeps its log and its keys."""

import os
from pathlib import Path

from audit_sink.cli import Defaults, build
from placet import databases
from placet.home import Home
from placet.keys import Keys
from placet.state import State

LEDGER_ROLE = "placet_ledger"
AUDIT_ROLE = "placet_audit"
VAULT_ROLE = "placet_vault_audit"


def find_defaults() -> Defaults:
    """What the environment says, else the local stack's log, key and ledger."""
    home = Home.of()
    keys = Keys(home.keys)
    return Defaults(
        log_dir=Path(os.environ.get("PLACET_AUDIT_DIR") or home.audit),
        key=os.environ.get("PLACET_AUDIT_KEY") or str(keys.audit_public),
        ledger=os.environ.get("PLACET_LEDGER") or _dsn(home, keys, databases.LEDGER, LEDGER_ROLE),
        database=os.environ.get("PLACET_AUDIT_DATABASE")
        or _dsn(home, keys, databases.PLACET, AUDIT_ROLE),
        vault=os.environ.get("PLACET_VAULT") or _dsn(home, keys, databases.VAULT, VAULT_ROLE),
        vault_key_file=Path(os.environ.get("PLACET_VAULT_KEY_FILE") or keys.vault),
        cold=os.environ.get("PLACET_COLD") or str(home.cold),
        signing_key=Path(os.environ.get("PLACET_AUDIT_KEY_FILE") or keys.audit),
        decision_keys=Path(os.environ.get("PLACET_DECISION_PUBLIC_KEYS") or keys.decision_public),
    )


def _dsn(home: Home, keys: Keys, database: str, role: str) -> str | None:
    state = State.load(home)
    if state is None or state.postgres is None or not keys.database_passwords.exists():
        return None
    password = keys.passwords().get(role)
    if password is None:  # of an older release; the next `up` draws it
        return None
    return databases.with_role(state.postgres, database, role, password)


app = build(find_defaults)
