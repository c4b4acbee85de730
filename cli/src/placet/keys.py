"""Keys and secrets of the local stack, made once, each a file only its owner can read.

Owns which there are. Formats of signing keys belong to `conveyor.keys` and `audit_sink`.
"""

# ruff: noqa: PLC0415 - imported when the command runs, so that help is quick
# Imports inside functions: each command starts quickly and loads what it alone needs.

import base64
import hashlib
import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROLES: Final = (
    *("placet_review", "placet_dispatch", "placet_audit", "placet_ledger"),
    *("placet_vault", "placet_vault_audit"),
)
DEMO_ROLES: Final = ("support_owner", "support_writer")
_C2SP_ED25519: Final = b"\x01"


@dataclass(frozen=True, slots=True)
class Keys:
    """Paths in the keys folder."""

    folder: Path

    @property
    def decision(self) -> Path:
        return self.folder / "decision.key"

    @property
    def decision_public(self) -> Path:
        return self.folder / "public"

    @property
    def audit(self) -> Path:
        return self.folder / "audit.key"

    @property
    def audit_public(self) -> Path:
        return self.folder / "audit.vkey"

    @property
    def installation(self) -> Path:
        return self.folder / "installation.key"

    @property
    def vault(self) -> Path:
        """Key-encryption keys: without them nothing in the vault opens anything."""
        return self.folder / "vault.key"

    @property
    def service_token(self) -> Path:
        return self.folder / "service.token"

    @property
    def database_passwords(self) -> Path:
        return self.folder / "database-passwords.json"

    def dsn_file(self, target: str) -> Path:
        """What the dispatcher of a demo target connects with."""
        return self.folder / f"{target}.dsn"

    @property
    def audit_origin(self) -> str:
        """The name of the log, as its public key tells it."""
        return self.audit_public.read_text("ascii").split("+", 1)[0]

    def passwords(self) -> Mapping[str, str]:
        """The database roles' passwords by role."""
        known: dict[str, str] = json.loads(self.database_passwords.read_text("utf-8"))
        return known

    def make(self) -> None:
        """Make what is missing; never replaces a key, because data depend on each."""
        from conveyor import keys as key_files
        from vault.keys import KeyFile

        if not self.decision.exists():
            key_files.generate(self.decision, self.decision_public / "decision.pem")
        if not self.audit.exists():
            private, public = note_key(f"placet.local/{secrets.token_hex(4)}")
            self.audit_public.write_text(public + "\n", "ascii")
            key_files.write_secret(self.audit, (private + "\n").encode())
        self._secret(self.installation, base64.b64encode(secrets.token_bytes(32)).decode())
        self._secret(self.service_token, secrets.token_urlsafe(32))
        if not self.vault.exists():
            KeyFile.make(self.vault)
        self._make_passwords()

    def _make_passwords(self) -> None:
        """Draw the passwords of roles that have none: all at first, new ones of a newer release."""
        from placet.servers.ports import write_atomically

        roles: Sequence[str] = (*ROLES, *DEMO_ROLES)
        known = self.passwords() if self.database_passwords.exists() else {}
        drawn = {role: secrets.token_urlsafe(18) for role in roles if role not in known}
        if drawn:
            write_atomically(
                self.database_passwords, json.dumps({**known, **drawn}, indent=1) + "\n"
            )

    @staticmethod
    def _secret(path: Path, text: str) -> None:
        from conveyor.keys import write_secret

        if not path.exists():
            write_secret(path, (text + "\n").encode())


def note_key(name: str) -> tuple[str, str]:
    """A new Ed25519 key pair of C2SP signed notes: signing key and verifier key as text."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = Ed25519PrivateKey.generate()
    public = key.public_key().public_bytes_raw()
    digest = hashlib.sha256(name.encode() + b"\n" + _C2SP_ED25519 + public).digest()[:4].hex()
    encoded = base64.b64encode(_C2SP_ED25519 + public).decode()
    seed = base64.b64encode(_C2SP_ED25519 + key.private_bytes_raw()).decode()
    return f"PRIVATE+KEY+{name}+{digest}+{seed}", f"{name}+{digest}+{encoded}"
