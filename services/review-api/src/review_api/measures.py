"""The six measures as numbers, for people without Prometheus. At most 15 s old."""

import asyncio
import time
from collections.abc import Mapping
from typing import Any, Final

from prometheus_client import REGISTRY

from review_api.store import Row, Store

_SECONDS: Final = 15.0


class Measures:
    """Counts the last 24 hours, never twice at once."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = asyncio.Lock()
        self._known: Mapping[str, Any] = {}
        self._at = -_SECONDS
        self._hours: list[Row] = []
        self._hours_at = -_SECONDS

    async def read(self) -> Mapping[str, Any]:
        """Return the measures: counts, rates in [0, 1] or None, seconds."""
        async with self._lock:
            if time.monotonic() - self._at >= _SECONDS:
                row = await self._store.one("measures")
                assert row is not None  # aggregates answer with one row
                self._known = _shaped(row)
                self._at = time.monotonic()
        return self._known

    async def by_hour(self) -> list[Row]:
        """Return the last 24 hours, oldest first: what the charts draw."""
        async with self._lock:
            if time.monotonic() - self._hours_at >= _SECONDS:
                self._hours = await self._store.all("measures_by_hour")
                self._hours_at = time.monotonic()
        return self._hours


def _rate(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _shaped(row: Mapping[str, Any]) -> dict[str, Any]:
    decided, written, failed = row["decided"], row["written"], row["not_written"]
    return {
        "window_seconds": 86_400,
        "pending": row["pending"],
        "review_seconds": {"p50": row["review_p50"], "p95": row["review_p95"]},
        "decided": decided,
        "approval_rate": _rate(row["approved"], decided),
        "rejection_rate": _rate(row["rejected"], decided),
        "write_backs": {
            "written": written,
            "not_written": failed,
            "success_rate": _rate(written, written + failed),
            "error_rate": _rate(failed, written + failed),
            "retries": row["retries"],
            "delay_seconds_p95": row["write_p95"],
        },
        "idempotency_hits": int(REGISTRY.get_sample_value("placet_idempotency_hits_total") or 0),
    }
