"""What each service of a deployment is given: its environment, its files. Pure.

Owns who gets which secret: a service's folder holds what that service needs and nothing else.
Refuses to know where services run; bind addresses, ports and public names are the place's own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from placet.keys import Keys

_TARGETS: Final = "PLACET_TARGETS"
_POLICY: Final = "PLACET_POLICY"
TARGETS_FILE: Final = Path("/etc/placet/targets.toml")
POLICY_FILE: Final = Path("/etc/placet/policy.toml")
AUDIT_FOLDER: Final = Path("/var/lib/placet/audit-log")
"""Where the images and the chart put them."""

INSTALLATION: Final = "installation.key"
DECISION: Final = "decision.key"
TOKEN: Final = "service.token"  # noqa: S105 - a file's name
AUDIT: Final = "audit.key"
VAULT: Final = "vault.key"
PASSWORDS: Final = "pgpass"


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """What one service is given."""

    roles: Mapping[str, str]
    """Database role by the variable that carries its DSN."""
    files: Mapping[str, str]
    """File name by the variable that carries its path; "" is the folder itself."""
    places: Mapping[str, Path]
    """Configuration and data that prepare does not make, by variable."""


SHARES: Final[Mapping[str, Share]] = {
    "intake": Share(
        roles={},
        files={"PLACET_INSTALLATION_KEY_FILE": INSTALLATION},
        places={_TARGETS: TARGETS_FILE},
    ),
    "review-api": Share(
        roles={"PLACET_DATABASE": "placet_review"},
        files={
            "PLACET_INSTALLATION_KEY_FILE": INSTALLATION,
            "PLACET_DECISION_KEY_FILE": DECISION,
            "PLACET_SERVICE_TOKEN_FILE": TOKEN,
        },
        places={_TARGETS: TARGETS_FILE, _POLICY: POLICY_FILE},
    ),
    "review-worker": Share(
        roles={"PLACET_DATABASE": "placet_review"},
        files={"PLACET_INSTALLATION_KEY_FILE": INSTALLATION},
        places={_TARGETS: TARGETS_FILE, _POLICY: POLICY_FILE},
    ),
    "dispatcher": Share(
        roles={"PLACET_DATABASE": "placet_dispatch"},
        files={
            "PLACET_INSTALLATION_KEY_FILE": INSTALLATION,
            "PLACET_SERVICE_TOKEN_FILE": TOKEN,
            # The folder: every *.pem in it is a key whose decisions are carried out.
            "PLACET_DECISION_PUBLIC_KEYS": "",
        },
        places={_TARGETS: TARGETS_FILE},
    ),
    "audit-sink": Share(
        roles={
            "PLACET_DATABASE": "placet_audit",
            "PLACET_LEDGER": "placet_ledger",
            "PLACET_VAULT": "placet_vault_audit",
        },
        files={
            "PLACET_INSTALLATION_KEY_FILE": INSTALLATION,
            "PLACET_AUDIT_KEY_FILE": AUDIT,
            "PLACET_VAULT_KEY_FILE": VAULT,
            "PLACET_SERVICE_TOKEN_FILE": TOKEN,
            # The folder: signatures are checked against every *.pem in it.
            "PLACET_DECISION_PUBLIC_KEYS": "",
        },
        places={"PLACET_AUDIT_DIR": AUDIT_FOLDER},
    ),
}


def environment(
    service: str, folder: Path, kafka: str, dsns: Mapping[str, str], origin: str
) -> dict[str, str]:
    """The variables of `service`, whose files are in `folder`."""
    share = SHARES[service]
    own = {"PLACET_AUDIT_ORIGIN": origin} if service == "audit-sink" else {}
    return {
        "PLACET_KAFKA": kafka,
        **{variable: dsns[role] for variable, role in share.roles.items()},
        **{variable: str(folder / name) for variable, name in share.files.items()},
        **{variable: str(place) for variable, place in share.places.items()},
        **own,
    }


def environment_text(variables: Mapping[str, str]) -> str:
    """In the form that `docker --env-file`, systemd and `kubectl --from-env-file` read."""
    return "".join(f"{name}={value}\n" for name, value in variables.items())


def passwords_text(service: str, passwords: Mapping[str, str]) -> str:
    """The service's passwords for libpq (PGPASSFILE): its DSNs then need none."""
    roles: Sequence[str] = tuple(SHARES[service].roles.values())
    return "".join(f"*:*:*:{role}:{passwords[role]}\n" for role in roles)


def sources(service: str, keys: Keys) -> dict[str, Path]:
    """Which key goes into the service's folder, by the name it has there."""
    made = {
        INSTALLATION: keys.installation,
        DECISION: keys.decision,
        TOKEN: keys.service_token,
        AUDIT: keys.audit,
        VAULT: keys.vault,
    }
    found = {name: made[name] for name in SHARES[service].files.values() if name}
    if "" in SHARES[service].files.values():
        found |= {key.name: key for key in sorted(keys.decision_public.glob("*.pem"))}
    return found
