"""What the desk is told by its environment. Validated before anything is served or consumed."""

from functools import cached_property
from pathlib import Path

from contract.targets import TargetConfig, parse_targets
from conveyor.settings import ServiceSettings
from review_api.policy import Policy, parse_policy


class DeskSettings(ServiceSettings):
    """What the web process and the worker share."""

    targets: Path
    """`targets.toml`."""
    policy: Path
    """`policy.toml`."""

    def read_targets(self) -> dict[str, TargetConfig]:
        """Return the configured targets by name."""
        return parse_targets(self.targets.read_text("utf-8"))

    def policy_text(self) -> str:
        """Return the text of the policy file."""
        return self.policy.read_text("utf-8")

    def read_policy(self) -> Policy:
        """Return the policy in the file: in force until one is stored."""
        return parse_policy(self.policy_text())


class WorkerSettings(DeskSettings):
    """The process that reads Kafka and runs the relay."""


class ApiSettings(DeskSettings):
    """The process that people and scripts talk to. Its operational endpoints share its port."""

    host: str = "127.0.0.1"
    port: int
    public_url: str
    """Where browsers find it; `https` makes cookies Secure."""
    ops_port: int = 0
    kafka: str = ""
    decision_key_file: Path
    """PEM (PKCS#8) of the Ed25519 key that signs decisions."""
    service_token_file: Path
    """Text that the dispatcher's snapshot endpoint knows."""
    pool: int = 8
    """Connections to PostgreSQL."""

    @cached_property
    def secure(self) -> bool:
        """Tell whether browsers come over https."""
        return self.public_url.startswith("https://")


class AccountSettings(ServiceSettings):
    """What `placet-review-api add-account` needs."""

    kafka: str = ""
    ops_port: int = 0
