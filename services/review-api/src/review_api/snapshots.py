"""What targets hold now, asked of their dispatchers. Owns HTTP to them, and how long it may take.

A reading is kept in the table `baseline` and serves for 30 s. When the dispatcher or its target is
away the last known reading is used, and said to be old. Several people who open the same record at
once cost one request.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import aiohttp
import msgspec
import orjson
import structlog

from contract.targets import TargetConfig
from review_api.proposal import Baseline, ValueRefusedError, parse
from review_api.store import Store

log = structlog.get_logger()

FRESH_SECONDS: Final = 30.0
_TIMEOUT: Final = aiohttp.ClientTimeout(total=2.0)
_NOT_FOUND: Final = 404
_OK: Final = 200


class SnapshotError(Exception):
    """The dispatcher did not answer, or not as agreed. The last known reading is used."""


class _Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    fields: dict[str, str]
    version: str | None = None
    read_at: datetime
    age_seconds: float = 0.0
    stale: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What is known of a record. `stale`: nobody could be asked just now."""

    baseline: Baseline | None
    stale: bool


class Snapshots:
    """Asks, keeps, and falls back."""

    def __init__(self, *, store: Store, targets: Mapping[str, TargetConfig], token: str) -> None:
        """`token` is what dispatchers know the desk by."""
        self._store = store
        self._targets = targets
        self._token = token
        self._client: aiohttp.ClientSession | None = None
        self._asking: dict[tuple[str, str], asyncio.Future[Reading]] = {}

    async def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            await self._client.close()

    async def current(
        self, instance: str, identifier: str, known: Baseline | None, now: datetime
    ) -> Reading:
        """Return what the record holds, asking only where `known` is too old at `now`."""
        if known is not None and known.expires_at > now:
            return Reading(baseline=known, stale=False)
        place = (instance, identifier)
        asking = self._asking.get(place)
        if asking is None:
            asking = asyncio.ensure_future(self._ask(instance, identifier, known))
            self._asking[place] = asking
            asking.add_done_callback(lambda _: self._asking.pop(place, None))
        # Shielded: somebody who closes the page must not take the answer from the others.
        return await asyncio.shield(asking)

    async def _ask(self, instance: str, identifier: str, known: Baseline | None) -> Reading:
        try:
            snapshot = await self._fetch(instance, identifier)
        except SnapshotError as error:
            log.warning("snapshot_failed", instance=instance, error=str(error))
            return Reading(baseline=known, stale=True)
        # What the dispatcher itself calls old is asked for again at the next look.
        fresh = 0.0 if snapshot is not None and snapshot.stale else FRESH_SECONDS
        read_at = datetime.now(UTC) if snapshot is None else snapshot.read_at
        fields = {} if snapshot is None else snapshot.fields
        values: dict[str, Any] = {
            "instance": instance,
            "identifier": identifier,
            "fields": orjson.dumps(fields).decode(),
            "version": None if snapshot is None else snapshot.version,
            "missing": snapshot is None,
            "read_at": read_at,
            "fresh": fresh,
        }
        saved = await self._store.one("save_baseline", values)
        if saved is None:  # somebody has a newer reading already
            return Reading(baseline=known, stale=True)
        baseline = Baseline(
            fields=fields,
            version=values["version"],
            read_at=read_at,
            expires_at=saved["expires_at"],
            missing=snapshot is None,
        )
        return Reading(baseline=baseline, stale=snapshot is not None and snapshot.stale)

    async def _fetch(self, instance: str, identifier: str) -> _Snapshot | None:
        """Return the dispatcher's answer; None where the target has no such record."""
        target = self._targets.get(instance)
        if target is None:
            raise SnapshotError(f"no target {instance!r} is configured")
        try:
            async with self._session().get(
                f"{target.dispatcher_url.rstrip('/')}/internal/snapshot",
                params={"instance": instance, "identifier": identifier},
                allow_redirects=False,
            ) as answer:
                status, body = answer.status, await answer.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise SnapshotError(f"no answer: {error!r}") from error
        if status == _NOT_FOUND and _code(body) == "RECORD_NOT_FOUND":
            return None
        if status != _OK:
            raise SnapshotError(f"HTTP {status}")
        return _checked(body)

    def _session(self) -> aiohttp.ClientSession:
        """Return the connections; made at first use, because they belong to the running loop."""
        if self._client is None:
            self._client = aiohttp.ClientSession(
                timeout=_TIMEOUT,
                headers={"Authorization": f"Bearer {self._token}"},
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._client


def _code(body: bytes) -> Any:
    try:
        problem = orjson.loads(body)
    except ValueError:
        return None
    return problem.get("code") if isinstance(problem, dict) else None


def _checked(body: bytes) -> _Snapshot:
    try:
        snapshot = msgspec.json.decode(body, type=_Snapshot)
        for text in snapshot.fields.values():
            parse(text)
    except (msgspec.MsgspecError, UnicodeDecodeError, ValueRefusedError) as error:
        raise SnapshotError(f"not a snapshot: {error}") from error
    return snapshot
