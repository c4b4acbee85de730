"""What the audit sink is told by its environment."""

from pathlib import Path

from audit_sink.checkpoint import KeyTextError, PrivateKey, parse_private_key
from conveyor.settings import ServiceSettings


class Settings(ServiceSettings):
    """Read from `PLACET_*`; validated before anything is consumed."""

    ledger: str
    """DSN of the ledger: another database, another role."""
    audit_dir: Path
    """Folder that `checkpoint` and `tile/` are published into. Nobody else writes there."""
    audit_key_file: Path
    """The log's signing key, one line: `PRIVATE+KEY+name+id+base64`."""
    audit_origin: str
    """The log's name, the first line of every checkpoint. Never changes."""

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
