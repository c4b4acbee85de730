"""Where the local stack keeps its things: `.placet/`, or `PLACET_HOME`.

Owns the names of files and folders in it. Refuses to adopt a folder that holds somebody
else's files, because `reset` deletes what it finds here.
"""

import os
import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from placet.servers.ports import write_atomically

_MARKER: Final = "stack-id"
# Characters that supervisor's configuration cannot carry in a path.
_UNUSABLE: Final = frozenset("\"'%;#\n\r\\")
_FOLDERS: Final = ("keys", "logs", "run", "kafka", "postgres", "audit", "cold", "config", "sandbox")


class HomeError(Exception):
    """The folder cannot be used; the message says what to do instead."""


@dataclass(frozen=True, slots=True)
class Home:
    """The folder of one local stack."""

    folder: Path

    @classmethod
    def of(cls, folder: Path | str | None = None) -> "Home":
        """The given folder, else `PLACET_HOME`, else `.placet` here."""
        named = folder or os.environ.get("PLACET_HOME") or ".placet"
        return cls(Path(named).expanduser().absolute())

    @property
    def marker(self) -> Path:
        return self.folder / _MARKER

    @property
    def keys(self) -> Path:
        return self.folder / "keys"

    @property
    def logs(self) -> Path:
        return self.folder / "logs"

    @property
    def run(self) -> Path:
        return self.folder / "run"

    @property
    def kafka(self) -> Path:
        return self.folder / "kafka"

    @property
    def postgres(self) -> Path:
        return self.folder / "postgres"

    @property
    def audit(self) -> Path:
        return self.folder / "audit"

    @property
    def cold(self) -> Path:
        return self.folder / "cold"

    @property
    def sandbox(self) -> Path:
        return self.folder / "sandbox"

    @property
    def targets_file(self) -> Path:
        return self.folder / "config" / "targets.toml"

    @property
    def policy_file(self) -> Path:
        return self.folder / "config" / "policy.toml"

    @property
    def accounts_file(self) -> Path:
        return self.folder / "accounts.json"

    @property
    def state_file(self) -> Path:
        return self.folder / "stack.json"

    @property
    def ports_file(self) -> Path:
        return self.folder / "ports.json"

    def log(self, process: str) -> Path:
        return self.logs / f"{process}.log"

    @property
    def stack_id(self) -> str | None:
        """Drawn once; every process of this stack carries it, so that none is lost sight of."""
        return self.marker.read_text("ascii").strip() if self.marker.exists() else None

    def make(self) -> str:
        """Make the folder, private, and return its stack id.

        Raises:
            HomeError: the path cannot be used, or the folder holds other things.
        """
        if unusable := _UNUSABLE.intersection(str(self.folder)):
            named = " ".join(sorted(unusable))
            raise HomeError(f"{self.folder}: set PLACET_HOME to a path without {named}")
        known = self.stack_id
        if known is None:
            if self.folder.exists() and any(self.folder.iterdir()):
                raise HomeError(
                    f"{self.folder} holds other files; set PLACET_HOME to a folder of its own"
                )
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            known = secrets.token_hex(16)
            write_atomically(self.marker, known + "\n")
        for name in _FOLDERS:
            (self.folder / name).mkdir(exist_ok=True, mode=0o700)
        return known

    def delete(self) -> None:
        """Delete the stack's own things and, if nothing else is left, the folder.

        The processes must be down; PostgreSQL's data are removed by `servers.postgres.remove`.
        """
        if self.stack_id is None:
            return
        for name in _FOLDERS:
            shutil.rmtree(self.folder / name, ignore_errors=True)
        for file in (self.accounts_file, self.state_file, self.ports_file, self.marker):
            file.unlink(missing_ok=True)
        if not any(self.folder.iterdir()):
            self.folder.rmdir()
