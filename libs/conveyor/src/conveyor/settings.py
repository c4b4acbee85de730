"""What every service is told by its environment. Each service adds its own fields."""

from pathlib import Path

from pydantic_settings import BaseSettings, SettingsConfigDict

from contract.identity import Digester
from conveyor.keys import load_secret


class ServiceSettings(BaseSettings):
    """Read from `PLACET_*`; validated before anything is consumed."""

    model_config = SettingsConfigDict(env_prefix="PLACET_", frozen=True, extra="ignore")

    kafka: str
    """Bootstrap servers, `host:port[,host:port]`."""
    database: str
    """DSN of this service's own role."""
    installation_key_file: Path
    """32 bytes as base64 text: keys `content_digest`, never rotates."""
    ops_host: str = "127.0.0.1"
    ops_port: int
    """Where `/healthz`, `/readyz` and `/metrics` are served."""
    log_level: str = "info"

    def digester(self) -> Digester:
        """Return the maker of content digests."""
        return Digester(load_secret(self.installation_key_file))
