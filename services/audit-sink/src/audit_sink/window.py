"""Stretches of time as people type them: `14d`, `36h`, `2026-11-01/2026-11-15`. Pure."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

_AGE: Final = re.compile(r"(\d{1,6})\s*([smhdw])")
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


class WindowError(ValueError):
    """This text is no stretch of time. The message says which forms are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """From `since` on, and before `until`. Aware; None is without end."""

    since: datetime | None = None
    until: datetime | None = None


def parse_window(text: str, now: datetime) -> Window:
    """Return the window that `text` means at `now`. Raises WindowError."""
    if "/" in text:
        start, _, end = text.partition("/")
        return Window(
            since=parse_moment(start) if start else None, until=parse_moment(end) if end else None
        )
    try:
        return Window(since=now - parse_age(text))
    except OverflowError as error:
        raise WindowError(f"{text!r}: longer ago than any calendar goes") from error


def parse_age(text: str) -> timedelta:
    """Return the length of `14d`, `36h`, `90m`, `30s` or `2w`. Raises WindowError."""
    match = _AGE.fullmatch(text.strip())
    if match is None:
        raise WindowError(f"{text[:40]!r}: say 14d, 36h, 90m, or START/END in ISO 8601")
    return timedelta(**{_UNITS[match[2]]: int(match[1])})


def parse_moment(text: str) -> datetime:
    """Return an ISO 8601 date or time; UTC where it does not say. Raises WindowError."""
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError as error:
        raise WindowError(f"{text[:40]!r} is no date or time in ISO 8601") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
