"""The list of topics, as values. Owns nothing but the reading of `topics.toml`."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from types import MappingProxyType
from typing import Any, Final

MODEL_OUTPUTS: Final = "placet.model-outputs"
REVIEW_ITEMS: Final = "placet.review-items"
DECISIONS: Final = "placet.decisions"
REVIEW_ACTIVITY: Final = "placet.review-activity"
WRITE_BACKS: Final = "placet.write-backs"
OUTCOMES: Final = "placet.outcomes"
CONTROLS: Final = "placet.controls"
DEAD_LETTERS: Final = "placet.dead-letters"

_DAY_MS: Final = 86_400_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """One topic as every environment must create it (`replication` may be lowered locally)."""

    name: str
    about: str
    key: str
    written_by: str
    read_by: tuple[str, ...]
    partitions: int
    replication: int
    min_insync_replicas: int
    retention_ms: int
    max_message_bytes: int
    timestamp_type: str


def _topic(name: str, settings: dict[str, Any]) -> Topic:
    days = str(settings.pop("retention"))
    if not days.endswith("d"):
        message = f"{name}: retention is given in days, like '3d', not {days!r}"
        raise ValueError(message)
    settings["read_by"] = tuple(settings["read_by"])
    return Topic(name=name, retention_ms=int(days[:-1]) * _DAY_MS, **settings)


def _load() -> Mapping[str, Topic]:
    table = tomllib.loads(files("contract").joinpath("topics.toml").read_text("utf-8"))
    defaults = table["defaults"]
    return MappingProxyType(
        {name: _topic(name, {**defaults, **own}) for name, own in table["topic"].items()}
    )


TOPICS: Final[Mapping[str, Topic]] = _load()
