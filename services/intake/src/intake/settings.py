"""What intake is told by its environment. Validated before anything is consumed."""

from pathlib import Path

from contract.targets import TargetConfig, parse_targets
from conveyor.settings import ServiceSettings


class IntakeSettings(ServiceSettings):
    """`PLACET_*`. Intake owns no tables, so the database address is not needed."""

    database: str = ""
    targets: Path
    """`targets.toml`: a change of a target that is not in it is refused."""
    schema_registry_url: str | None = None
    """A Confluent-compatible registry, for records in Confluent's wire format."""

    def read_targets(self) -> dict[str, TargetConfig]:
        """Return the configured targets by name; raises `contract.targets.ConfigError`."""
        return parse_targets(self.targets.read_text("utf-8"))
