"""What `up` shall bring, and what it wrote down for the next `up` and every other command."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from placet.home import Home
from placet.servers.ports import write_atomically


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What one `up` shall bring. `hold` None: as last time."""

    roles: Sequence[str]
    demo: bool
    publish: bool
    hold: float | None
    intakes: int
    environment: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """The last `up`. `complete`: it came to its end; a crash in between leaves it False."""

    complete: bool = False
    kafka: str | None = None
    postgres: str | None = None
    """The superuser's DSN of database `placet`."""
    review: str | None = None
    targets: Sequence[Mapping[str, str | None]] = ()
    """`name`; of the demonstration's also the owner's `dsn`, or None and the stand-in's `url`."""
    processes: Sequence[str] = ()
    demo: bool = False
    """The business database is there: later runs keep its target without being told."""
    hold: float = 5.0
    accounts: bool = False
    """The demonstration's accounts are in this database."""
    published: bool = False

    @property
    def target_names(self) -> list[str]:
        return [str(target["name"]) for target in self.targets]

    @classmethod
    def load(cls, home: Home) -> "State | None":
        """None before the first `up` of this home."""
        if not home.state_file.exists():
            return None
        return cls(**json.loads(home.state_file.read_text("utf-8")))

    def save(self, home: Home) -> None:
        """Durable on return."""
        write_atomically(home.state_file, json.dumps(asdict(self), indent=1) + "\n")

    def now(self, home: Home, **changes: Any) -> "State":
        """The same with changes; durable on return."""
        changed = replace(self, **changes)
        changed.save(home)
        return changed
