"""What the desk is told by its environment. Validated before anything is served or consumed."""

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from contract.targets import TargetConfig, parse_targets
from conveyor.settings import ServiceSettings
from review_api.oidc import Company
from review_api.policy import Policy, parse_policy
from review_api.roles import Role


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
    audit_url: str = ""
    """Where audit-sink answers `/internal/…`; empty: the desk has no `/audit` pages to show."""
    pool: int = 8
    """Connections to PostgreSQL."""
    proof_seconds: float = 300
    """How long a password that was entered again counts in critical lanes."""

    oidc_issuer: str = ""
    """The company's provider; empty: accounts of this desk alone."""
    oidc_client_id: str = ""
    oidc_client_secret_file: Path | None = None
    """Text of the secret; none for a public client."""
    oidc_name: str = "your company"
    """What people call it, on the button."""
    oidc_scope: str = "openid profile email"
    oidc_roles_claim: str = "groups"
    oidc_roles: Mapping[str, tuple[str, ...]] = Field(default_factory=dict)
    """JSON: which roles each value of the claim gives, `{"desk-reviewers": ["reviewer"]}`."""
    oidc_hosts: tuple[str, ...] = ()
    """JSON: other hosts that the provider's addresses may be on."""

    @model_validator(mode="after")
    def _check_oidc(self) -> Self:
        if self.oidc_issuer:
            self.company()
        return self

    def company(self) -> Company | None:
        """Return the provider that people sign in at; None: none is configured.

        Raises:
            ValueError: something of it is missing or cannot be used.
        """
        if not self.oidc_issuer:
            return None
        parts = urlsplit(self.oidc_issuer)
        if parts.scheme != "https" and parts.hostname not in {"127.0.0.1", "::1", "localhost"}:
            raise ValueError("oidc_issuer begins with https://")
        if not self.oidc_client_id or not self.oidc_roles:
            raise ValueError("oidc_issuer needs oidc_client_id and oidc_roles beside it")
        secret = self.oidc_client_secret_file
        return Company(
            issuer=self.oidc_issuer,
            client_id=self.oidc_client_id,
            roles={value: tuple(map(Role, names)) for value, names in self.oidc_roles.items()},
            roles_claim=self.oidc_roles_claim,
            secret=None if secret is None else secret.read_text("utf-8").strip(),
            name=self.oidc_name,
            scope=self.oidc_scope,
            hosts=frozenset(self.oidc_hosts),
        )

    @cached_property
    def secure(self) -> bool:
        """Tell whether browsers come over https."""
        return self.public_url.startswith("https://")


class AccountSettings(ServiceSettings):
    """What `placet-review-api add-account` needs."""

    kafka: str = ""
    ops_port: int = 0
