"""What a dispatcher is told by its environment. Validated before anything is consumed."""

from pathlib import Path

from contract.targets import ConfigError, TargetConfig, parse_targets
from conveyor.settings import ServiceSettings


class DispatcherSettings(ServiceSettings):
    """`PLACET_*`; one process works for one target instance."""

    target: str
    """Name of the target instance in `targets.toml`."""
    targets: Path
    host: str = "127.0.0.1"
    port: int
    """Where snapshots and state are served; the desk finds it by the target's `dispatcher_url`."""
    decision_public_keys: Path
    """A PEM file, or a folder of them: the only keys whose decisions are carried out."""
    service_token_file: Path
    """Text that review-api sends as a bearer token."""
    order_gap: float = 300.0
    """Seconds a write waits for an earlier one that did not come, before a person is asked."""

    def target_config(self) -> TargetConfig:
        """Return this process's entry of `targets.toml`.

        Raises:
            ConfigError: there is none.
        """
        configured = parse_targets(self.targets.read_text("utf-8"))
        config = configured.get(self.target)
        if config is None:
            raise ConfigError(
                f"{self.targets} has no target {self.target!r}; it has "
                + ", ".join(sorted(configured))
            )
        return config

    def dsn(self) -> str:
        """Return the target's DSN from its `dsn_file`, relative to `targets.toml`."""
        config = self.target_config()
        if config.dsn_file is None:
            raise ConfigError(f"target {config.name!r}: dsn_file is missing")
        return (self.targets.parent / config.dsn_file).read_text("utf-8").strip()

    def service_token(self) -> str:
        """Return the token that callers of the snapshot endpoint present."""
        token = self.service_token_file.read_text("utf-8").strip()
        if not token:
            raise ConfigError(f"{self.service_token_file} is empty")
        return token
