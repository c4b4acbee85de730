"""The configuration files of the local stack: `targets.toml` and `policy.toml`.

Owns their place and the demonstration's text. A file named by PLACET_TARGETS or PLACET_POLICY
is used as it is; one in the home that somebody edited stays, but for the demonstration's targets.
"""

from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Final

from contract.targets import TargetConfig, parse_targets
from placet.home import Home
from placet.servers.ports import LOOPBACK, write_atomically

_NO_TARGETS: Final = "# No targets yet: see config/targets.toml of the repository for the form.\n"


def targets_file(home: Home, environment: Mapping[str, str]) -> Path:
    return Path(environment.get("PLACET_TARGETS") or home.targets_file).absolute()


def policy_file(home: Home, environment: Mapping[str, str]) -> Path:
    return Path(environment.get("PLACET_POLICY") or home.policy_file).absolute()


def make(home: Home) -> None:
    """Write the files that are missing."""
    if not home.policy_file.exists():
        write_atomically(home.policy_file, packaged("policy.toml"))
    if not home.targets_file.exists():
        write_atomically(home.targets_file, _NO_TARGETS)


def demo_targets(dsn_file: Path, port: int, hold: float) -> str:
    """The text of the demonstration's `targets.toml`."""
    url = f"http://{LOOPBACK}:{port}"
    values = {"dsn_file": dsn_file, "dispatcher_url": url, "hold": f"{hold:g}"}
    return packaged("targets.toml", values)


def read_targets(file: Path) -> list[TargetConfig]:
    """Raises ConfigError."""
    return list(parse_targets(file.read_text("utf-8")).values())


def packaged(name: str, values: Mapping[str, object] | None = None) -> str:
    """A text of the demonstration with its `$names` replaced by values, where it has any."""
    text = files("placet.demo").joinpath(name).read_text("utf-8")
    return text if values is None else Template(text).substitute(values)
