"""What the audit sink is told by its environment."""

from pathlib import Path

from audit_sink.checkpoint import KeyTextError, PrivateKey, parse_private_key
from audit_sink.cold.settings import ColdSettings
from conveyor.settings import ServiceSettings


class Settings(ServiceSettings, ColdSettings):
    """Read from `PLACET_*`; validated before anything is consumed."""

    ledger: str
    """DSN of the ledger: another database, another role."""
    vault: str
    """DSN of the vault: another database again, and a role that may call its functions."""
    vault_key_file: Path
    """The key-encryption keys, base64 text, the one in use first."""
    audit_dir: Path
    """Folder that `checkpoint` and `tile/` are published into. Nobody else writes there."""
    audit_key_file: Path
    """The log's signing key, one line: `PRIVATE+KEY+name+id+base64`."""
    audit_origin: str
    """The log's name, the first line of every checkpoint. Never changes."""

    host: str = "127.0.0.1"
    port: int = 0
    """Where the desk's `/audit` pages read the log; 0: nowhere."""
    service_token_file: Path | None = None
    """Text that review-api sends as a bearer token."""
    decision_public_keys: Path | None = None
    """A PEM file, or a folder of them: who may sign decisions. None: not checked."""

    def service_token(self) -> str:
        """Return the token that the desk presents.

        Raises:
            ValueError: there is none, but a port to serve at.
        """
        file = self.service_token_file
        token = "" if file is None else file.read_text("utf-8").strip()
        if not token:
            raise ValueError("port needs service_token_file, a file that is not empty")
        return token

    def signing_key(self) -> PrivateKey:
        """Return the key.

        Raises:
            KeyTextError: the file holds no key, or the key of another log.
        """
        key = parse_private_key(self.audit_key_file.read_text("utf-8"))
        if key.name != self.audit_origin:
            raise KeyTextError(
                f"{self.audit_key_file} is the key of {key.name!r}, not of {self.audit_origin!r}"
            )
        return key
