"""How the targets are doing, as their dispatchers say. Kept for a second at most."""

import asyncio
import time
from collections.abc import Mapping
from typing import Any, Final

import httpx
import structlog

from contract.targets import TargetConfig

log = structlog.get_logger()

_TIMEOUT: Final = httpx.Timeout(2.0)
_OK: Final = 200
_KEPT: Final = 1.0  # seconds: every open page that waits for a write asks


class TargetStates:
    """Asks every dispatcher at once."""

    def __init__(self, *, targets: Mapping[str, TargetConfig], token: str) -> None:
        """`token` is what dispatchers know the desk by."""
        self._targets = targets
        self._client = httpx.AsyncClient(
            timeout=_TIMEOUT,
            headers={"Authorization": f"Bearer {token}"},
            trust_env=False,
            follow_redirects=False,
        )
        self._known: dict[str, tuple[float, str]] = {}

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def read(self) -> list[dict[str, Any]]:
        """Return each target's name, kind, state and open write-backs by state.

        `state`: running, paused, away (the target does not answer), standby, or unknown, where the
        dispatcher does not answer; `open` is then null.
        """
        return list(await asyncio.gather(*map(self._ask, self._targets.values())))

    async def state(self, name: str) -> str:
        """Return one target's state, a second old at most; unknown where it is not configured."""
        until, known = self._known.get(name, (0.0, ""))
        target = self._targets.get(name)
        if target is None:
            return "unknown"
        if time.monotonic() > until:
            known = str((await self._ask(target))["state"])
            self._known[name] = (time.monotonic() + _KEPT, known)
        return known

    async def _ask(self, target: TargetConfig) -> dict[str, Any]:
        known: dict[str, Any] = {"name": target.name, "kind": target.kind}
        try:
            answer = await self._client.get(f"{target.dispatcher_url.rstrip('/')}/internal/status")
            said = answer.json() if answer.status_code == _OK else {}
            return known | {"state": str(said.get("state", "unknown")), "open": said.get("open")}
        except (httpx.HTTPError, ValueError, AttributeError) as error:
            log.warning("dispatcher_silent", target=target.name, error=repr(error))
            return known | {"state": "unknown", "open": None}
