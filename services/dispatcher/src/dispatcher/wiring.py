"""Which adapter works for which kind of target. A new kind is one entry here.

A process works for one target, so it loads one adapter: with the clients of all of them it would
take four times as long to start, and twice the memory.
"""

# ruff: noqa: PLC0415 - imports inside functions, for the reason above

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from contract.targets import ConfigError, TargetConfig
from dispatcher.settings import DispatcherSettings
from dispatcher.targets.target import StartRefusedError, Target, TwoPhase


def _sql(config: TargetConfig, settings: DispatcherSettings) -> Target:
    from dispatcher.targets.sql import SqlTarget

    return SqlTarget(config, settings.dsn(), **_given(limit=config.timeout))


def _jira(config: TargetConfig, settings: DispatcherSettings) -> TwoPhase:
    from dispatcher.targets.jira import JiraTarget

    options = _given(limit=config.timeout, settle=config.settle, workers=config.concurrency)
    return JiraTarget(config, _secret(config, settings), **options)


def _sharepoint(config: TargetConfig, settings: DispatcherSettings) -> TwoPhase:
    from dispatcher.targets.sharepoint import SharePointTarget

    options = _given(limit=config.timeout, settle=config.settle, workers=config.concurrency)
    return SharePointTarget(config, _secret(config, settings), **options)


_ADAPTERS: Final[Mapping[str, Callable[[TargetConfig, DispatcherSettings], Target]]] = {
    "postgresql": _sql,
    "jira": _jira,
    "sharepoint": _sharepoint,
}


def make_target(settings: DispatcherSettings, config: TargetConfig) -> Target:
    """Return the adapter for the target's kind. Connects to nothing.

    Raises:
        StartRefusedError, ConfigError: it must not be worked with as it is configured.
    """
    adapter = _ADAPTERS.get(config.kind)
    if adapter is None:
        raise StartRefusedError("NOT_SUPPORTED", f"targets of kind {config.kind!r} come later")
    return adapter(config, settings)


def _secret(config: TargetConfig, settings: DispatcherSettings) -> Path:
    """Return the file of the target's secret; a relative path is from `targets.toml`."""
    if config.secret_file is None:
        raise ConfigError(f"target {config.name!r}: secret_file is missing")
    return settings.targets.parent / config.secret_file


def _given(**options: Any) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}
