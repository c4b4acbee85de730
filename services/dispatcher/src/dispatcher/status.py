"""How it goes: is this target written to, and what waits. For operators, by way of the desk.

Owns a session on the ledger of its own, so that looking never waits for work.
"""

import threading
from typing import Any

from contract.targets import TargetConfig
from conveyor.errors import UnavailableError
from dispatcher.ledger import Ledger
from dispatcher.ledger_controls import counts
from dispatcher.work import Engine


class Status:
    """Answers `GET /internal/status`. Thread safe."""

    def __init__(self, *, config: TargetConfig, engine: Engine, ledger: Ledger) -> None:
        """`ledger` is used by nobody else."""
        self._config = config
        self._engine = engine
        self._ledger = ledger
        self._lock = threading.Lock()

    def read(self) -> dict[str, Any]:
        """Return the state, and the write-backs that are not closed by state (None: not known)."""
        with self._lock:
            try:
                open_ones: dict[str, int] | None = counts(self._ledger)
            except UnavailableError:
                open_ones = None
        return {
            "instance": self._config.name,
            "kind": self._config.kind,
            "state": self._state(),
            "open": open_ones,
        }

    def _state(self) -> str:
        if not self._engine.leading.is_set():
            return "standby"
        if self._engine.paused:
            return "paused"
        return "running" if self._engine.target_answers else "away"
