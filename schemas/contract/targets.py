"""The configured targets, as values. Owns nothing but the reading of `targets.toml`.

Secrets are never in it: `dsn_file` and `secret_file` name files, resolved by whoever opens them.
"""

import re
import tomllib
from dataclasses import dataclass
from typing import Any, Final

SYSTEMS: Final = {"postgresql": "sql", "jira": "jira", "sharepoint": "sharepoint"}
"""What a change's `target.system` says for each kind."""
STEPS: Final = {"sql": ("fields",), "sharepoint": ("fields",), "jira": ("fields", "comment")}
"""The steps of a write to each system, in order: what is signed is what is planned."""
LIMITS: Final = {
    "sql": (
        "What triggers of the database do because of the change is not undone by an undo.",
        "Your comment stays in Placet: a table has no place for it.",
    ),
    "sharepoint": (
        "Alerts and flows that SharePoint starts because of the change are not undone by an undo.",
        "Your comment stays in Placet: a list item has no place for it.",
    ),
    "jira": (
        "An edit that somebody makes between our reading and our writing is overwritten, and told.",
        "Mail that Jira sends about the change cannot be taken back by an undo.",
        "An undo leaves the comment there, marked as superseded.",
        "If Jira answers a comment late, two copies can be seen until the second is removed.",
    ),
}
"""What a write to each system cannot promise, in words for whoever approves it."""

_EVERY: Final = frozenset(
    {
        "name",
        "kind",
        "dispatcher_url",
        "columns",
        "identifier_pattern",
        "hold",
        "retry",
        "timeout",
    }
)
_OVER_HTTP: Final = frozenset({"url", "secret_file", "concurrency", "rate", "settle"})
SETTINGS: Final = {
    "postgresql": _EVERY | {"dsn_file", "table", "key_column", "version_column"},
    "jira": _EVERY | _OVER_HTTP,
    "sharepoint": _EVERY | _OVER_HTTP | {"table"},
}
"""What an entry of each kind may say: all of it is used."""
_NUMBERS: Final = ("hold", "concurrency", "rate", "timeout", "settle")

_DEFAULT_HOLD: Final = 5.0
_DEFAULT_RETRY: Final = (60.0, 300.0, 900.0)
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


class ConfigError(ValueError):
    """The configuration cannot be used. Its message names the entry and what to write instead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetConfig:
    """One target instance: one SQL table, one SharePoint list or one Jira site.

    `hold` and `retry` are seconds. `identifier_pattern` must match a whole identifier, so that one
    record has one name. None means the adapter's own for the rest: `timeout`: seconds for an
    answer; and for HTTP targets `concurrency`: records written at once; `rate`: most writes begun
    per second; `settle`: seconds after which a request without an answer can do nothing more. What
    a kind does not know (`SETTINGS`) is refused, not ignored.
    """

    name: str
    kind: str
    dispatcher_url: str
    dsn_file: str | None = None
    url: str | None = None
    secret_file: str | None = None
    table: str | None = None
    key_column: str | None = None
    version_column: str | None = None
    columns: tuple[str, ...] = ()
    identifier_pattern: str = r"[^\x00-\x1f]+"
    hold: float = _DEFAULT_HOLD
    retry: tuple[float, ...] = _DEFAULT_RETRY
    concurrency: int | None = None
    rate: float | None = None
    timeout: float | None = None
    settle: float | None = None

    @property
    def system(self) -> str:
        """Return what `target.system` says for this target."""
        return SYSTEMS[self.kind]

    def names(self, identifier: str) -> bool:
        """Tell whether `identifier` is in the one canonical form a record has here."""
        return re.fullmatch(self.identifier_pattern, identifier) is not None


def parse_targets(text: str) -> dict[str, TargetConfig]:
    """Return the targets in `text` (TOML, a `[[target]]` each) by name.

    Raises:
        ConfigError: not TOML, an unknown or missing key, a name used twice.
    """
    try:
        entries = tomllib.loads(text).get("target", [])
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"targets: not TOML: {error}") from error
    targets: dict[str, TargetConfig] = {}
    for entry in entries:
        target = _target(entry)
        if target.name in targets:
            raise ConfigError(f"target {target.name!r}: the name is used twice")
        targets[target.name] = target
    return targets


def _target(entry: dict[str, Any]) -> TargetConfig:
    name = entry.get("name", "(unnamed)")
    try:
        values: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in entry.items()
        }
        target = TargetConfig(**values)
        re.compile(target.identifier_pattern)
    except (TypeError, re.error) as error:
        raise ConfigError(f"target {name!r}: {error}") from error
    _check(target)
    unknown = sorted(set(entry) - SETTINGS[target.kind])
    if unknown:
        raise ConfigError(
            f"target {name!r}: a target of kind {target.kind!r} has no {', '.join(unknown)}; "
            f"it has {', '.join(sorted(SETTINGS[target.kind]))}"
        )
    return target


def _check(target: TargetConfig) -> None:
    if not _NAME.fullmatch(target.name):
        raise ConfigError(f"target {target.name!r}: a name has lower-case letters, digits, hyphens")
    if target.kind not in SYSTEMS:
        raise ConfigError(f"target {target.name!r}: kind is one of {', '.join(SYSTEMS)}")
    if target.kind == "postgresql":
        missing = [
            key for key in ("dsn_file", "table", "key_column") if getattr(target, key) is None
        ]
        if missing:
            raise ConfigError(f"target {target.name!r}: {', '.join(missing)} is missing")
    odd = [
        key
        for key in _NUMBERS
        if (value := getattr(target, key)) is not None and not _is_number(value)
    ]
    if not isinstance(target.retry, tuple) or not all(map(_is_number, target.retry)):
        odd.append("retry")
    if odd or not isinstance(target.concurrency, int | None):
        raise ConfigError(
            f"target {target.name!r}: {', '.join(odd) or 'concurrency'} is no number, "
            "or no whole one"
        )
    wrong = [
        key
        for key, least in (("concurrency", 1), ("rate", 0.01), ("timeout", 0.1), ("settle", 0))
        if (value := getattr(target, key)) is not None and value < least
    ]
    if wrong:
        raise ConfigError(f"target {target.name!r}: {', '.join(wrong)} is too small")
    if target.hold < 0 or not target.retry or min(target.retry) < 0:
        raise ConfigError(f"target {target.name!r}: hold and retry are seconds, not negative")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
