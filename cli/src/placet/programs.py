"""Which process needs which command and which environment. Pure: values in, values out.

Owns the names of the processes. Refuses to start anything.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from contract.targets import TargetConfig
from placet.demo import stand_ins
from placet.home import Home
from placet.keys import Keys
from placet.servers.ports import LOOPBACK
from placet.supervision import Program

STACK_ID: Final = "PLACET_STACK_ID"
"""Every process carries it in its environment; by it none is ever lost sight of."""
PROCESS_NAME: Final = "PLACET_PROCESS"
KAFKA: Final = "kafka"
POSTGRES: Final = "postgres"
SERVERS: Final = (KAFKA, POSTGRES)
ENDED_LAST: Final = (*SERVERS, *stand_ins.PROCESSES)
"""Services finish what they have begun, and need these for it."""
# One that ends sooner is started again with growing back-off, and after ten tries has failed.
_START_SECONDS: Final = 3
# Soon, so that a demonstration shows archives; elsewhere records are a day old by then.
_ARCHIVE_AFTER: Final = "10m"
REVIEW_PORT: Final = "review-api-http"
AUDIT_PORT: Final = "audit-sink-http"
SERVICES: Final = ("intake", "review-api", "review-worker", "dispatcher", "audit-sink")
"""Roles of ours; `intake` and `dispatcher` may be several processes."""


class UnknownRoleError(ValueError):
    """A role was asked for that the stack does not have; the message lists those it has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """Everything the commands depend on."""

    home: Home
    stack_id: str
    bin: Path
    """Where the console scripts of the services are."""
    kafka: str
    dsns: Mapping[str, str]
    """Connection string per database role."""
    ports: Mapping[str, int]
    """Ops port per process (a stand-in's only port), REVIEW_PORT, AUDIT_PORT."""
    targets: Sequence[TargetConfig]
    targets_file: Path
    policy_file: Path
    intakes: int = 1
    demo: bool = False
    """Whether the demonstration's stand-ins are ours to run."""
    extra: Mapping[str, str] | None = None
    """Passed on to every service, such as PLACET_LOG_LEVEL."""


def names(roles: Sequence[str], targets: Sequence[str], intakes: int) -> list[str]:
    """The processes of these roles, in the order in which they are shown."""
    if unknown := set(roles) - {*SERVERS, *SERVICES}:
        known = ", ".join((*SERVERS, *SERVICES))
        raise UnknownRoleError(f"no such role: {', '.join(sorted(unknown))}; there are {known}")
    found = [role for role in SERVERS if role in roles]
    for role in SERVICES:
        if role not in roles:
            continue
        if role == "intake":
            found += [f"intake-{number}" for number in range(1, intakes + 1)]
        elif role == "dispatcher":
            found += [f"dispatcher-{target}" for target in targets]
        else:
            found.append(role)
    return found


def service_programs(setting: Setting, roles: Sequence[str]) -> list[Program]:
    """The programs of our own services among `roles`."""
    chosen = [role for role in roles if role in SERVICES]
    targets = {f"dispatcher-{target.name}": target for target in setting.targets}
    wanted = names(chosen, [target.name for target in setting.targets], setting.intakes)
    return [_program(setting, name, targets.get(name)) for name in wanted]


def _program(setting: Setting, name: str, target: TargetConfig | None) -> Program:
    common = _common(setting, name)
    if target:
        return Program(
            name=name,
            command=[str(setting.bin / "placet-dispatcher")],
            environment={**common, **_dispatcher(setting, target)},
            start_seconds=_START_SECONDS,
        )
    role = "intake" if name.startswith("intake-") else name
    own: Mapping[str, str] = {}
    if role.startswith("review-"):
        own = review_environment(setting)
    if role == "audit-sink":
        own = _audit(setting)
    script = str(setting.bin / f"placet-{role}")
    return Program(
        name=name,
        command=[script],
        environment={**common, **own},
        start_seconds=_START_SECONDS,
    )


def _common(setting: Setting, name: str) -> dict[str, str]:
    keys = Keys(setting.home.keys)
    return {
        **(setting.extra or {}),
        STACK_ID: setting.stack_id,
        PROCESS_NAME: name,
        "PLACET_KAFKA": setting.kafka,
        "PLACET_DATABASE": setting.dsns["placet_review"],
        "PLACET_INSTALLATION_KEY_FILE": str(keys.installation),
        "PLACET_TARGETS": str(setting.targets_file),
        "PLACET_POLICY": str(setting.policy_file),
        "PLACET_OPS_PORT": str(setting.ports[name]),
        "PLACET_INSTANCE_NAME": name.rsplit("-", 1)[-1] if name.startswith("intake-") else "1",
    }


def stand_in_programs(setting: Setting, roles: Sequence[str]) -> list[Program]:
    """The stand-ins behind the demonstration's targets, where something writes to them."""
    behind = [stand_ins.of_target(target.name) for target in setting.targets]
    if not setting.demo or "dispatcher" not in roles:
        return []
    return [_stand_in(setting, one) for one in behind if one is not None]


def _stand_in(setting: Setting, stand_in: stand_ins.StandIn) -> Program:
    arguments = stand_in.arguments(setting.home, setting.ports[stand_in.process])
    return Program(
        name=stand_in.process,
        command=[str(setting.bin / "placet-sandbox"), *arguments],
        environment={STACK_ID: setting.stack_id, PROCESS_NAME: stand_in.process},
    )


def review_url(setting: Setting) -> str:
    return f"http://{LOOPBACK}:{setting.ports[REVIEW_PORT]}"


def review_environment(setting: Setting) -> dict[str, str]:
    """What review-api and its commands need, besides what all services do."""
    keys = Keys(setting.home.keys)
    return {
        "PLACET_HOST": LOOPBACK,
        "PLACET_PORT": str(setting.ports[REVIEW_PORT]),
        "PLACET_PUBLIC_URL": review_url(setting),
        "PLACET_DECISION_KEY_FILE": str(keys.decision),
        "PLACET_SERVICE_TOKEN_FILE": str(keys.service_token),
        "PLACET_AUDIT_URL": f"http://{LOOPBACK}:{setting.ports[AUDIT_PORT]}",
    }


def _dispatcher(setting: Setting, target: TargetConfig) -> dict[str, str]:
    keys = Keys(setting.home.keys)
    url = urlsplit(target.dispatcher_url)
    return {
        "PLACET_TARGET": target.name,
        "PLACET_DATABASE": setting.dsns["placet_dispatch"],
        "PLACET_DECISION_PUBLIC_KEYS": str(keys.decision_public),
        "PLACET_SERVICE_TOKEN_FILE": str(keys.service_token),
        "PLACET_HOST": url.hostname or LOOPBACK,
        "PLACET_PORT": str(url.port or 80),
    }


def _audit(setting: Setting) -> dict[str, str]:
    keys = Keys(setting.home.keys)
    return {
        "PLACET_DATABASE": setting.dsns["placet_audit"],
        "PLACET_LEDGER": setting.dsns["placet_ledger"],
        "PLACET_VAULT": setting.dsns["placet_vault_audit"],
        "PLACET_VAULT_KEY_FILE": str(keys.vault),
        "PLACET_AUDIT_DIR": str(setting.home.audit),
        "PLACET_AUDIT_KEY_FILE": str(keys.audit),
        "PLACET_AUDIT_ORIGIN": keys.audit_origin,
        "PLACET_COLD": str(setting.home.cold),
        "PLACET_ARCHIVE_AFTER": _ARCHIVE_AFTER,
        "PLACET_HOST": LOOPBACK,
        "PLACET_PORT": str(setting.ports[AUDIT_PORT]),
        "PLACET_SERVICE_TOKEN_FILE": str(keys.service_token),
        "PLACET_DECISION_PUBLIC_KEYS": str(keys.decision_public),
    }
