"""Where a log, its keys and its databases are, when the command line does not say."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Defaults:
    """Places; None where there is none."""

    log_dir: Path | None = None
    key: str | None = None
    """A vkey, or the path of a file that holds one."""
    ledger: str | None = None
    """DSN of the ledger."""
    database: str | None = None
    """DSN of the hot store."""
    vault: str | None = None
    """DSN of the vault, and in `vault_key_file` what wraps its keys: payloads are under them."""
    vault_key_file: Path | None = None
    cold: str | None = None
    """Folder or `s3://bucket/prefix` of the cold store."""
    signing_key: Path | None = None
    """File with the log's signing key: what archives by hand are signed with."""
    decision_keys: Path | None = None
    """PEM file, or folder of them: the public keys that sign decisions."""


FindDefaults = Callable[[], Defaults]


def environment_defaults() -> Defaults:
    """Return what the environment says, else the places in the local stack's folder."""
    home = Path(os.environ.get("PLACET_HOME") or ".placet").expanduser()
    return Defaults(
        log_dir=Path(os.environ.get("PLACET_AUDIT_DIR") or home / "audit"),
        key=os.environ.get("PLACET_AUDIT_KEY") or str(home / "keys" / "audit.vkey"),
        ledger=os.environ.get("PLACET_LEDGER") or None,
        database=os.environ.get("PLACET_AUDIT_DATABASE") or None,
        vault=os.environ.get("PLACET_VAULT") or None,
        vault_key_file=Path(os.environ.get("PLACET_VAULT_KEY_FILE") or home / "keys/vault.key"),
        cold=os.environ.get("PLACET_COLD") or _there(home / "cold"),
        signing_key=Path(os.environ.get("PLACET_AUDIT_KEY_FILE") or home / "keys" / "audit.key"),
        decision_keys=Path(os.environ.get("PLACET_DECISION_PUBLIC_KEYS") or home / "keys/public"),
    )


def _there(folder: Path) -> str | None:
    return str(folder) if folder.is_dir() else None
