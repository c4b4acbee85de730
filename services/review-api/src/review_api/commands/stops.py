"""The stop switch: nothing more is written to a target, or to any; decisions are taken and wait.

Owns who has stopped what, and which targets a resume lets go: one that was stopped by itself stays
stopped when everything is let go. What a dispatcher hears is always about its own target, under its
name as the key, so that a stop and the resume after it reach it in that order.
"""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import psycopg
import structlog

from contract.controls import PAUSED, RESUMED
from contract.identity import Digester
from contract.targets import TargetConfig
from review_api.commands.controls import Step, control
from review_api.hint import Hint
from review_api.problems import Code, ProblemError
from review_api.queries import QUERIES
from review_api.roles import Permission, acting_role
from review_api.store import Actor, Row, Store

log = structlog.get_logger()

EVERYTHING: Final = "*"
_LONGEST_REASON: Final = 1_000
_EVERY: Final = 1.0  # seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """What is stopped (a target's name, or everything), by whom, since when, and why."""

    scope: str
    name: str
    role: str
    reason: str
    at: datetime

    @property
    def everything(self) -> bool:
        """Tell whether all targets are meant: those there were when it was said."""
        return self.scope == EVERYTHING


class Stops:
    """The use cases, and what is known of them for every page."""

    def __init__(
        self,
        *,
        store: Store,
        hint: Hint,
        digester: Digester,
        targets: Mapping[str, TargetConfig],
    ) -> None:
        self._store = store
        self._hint = hint
        self._digester = digester
        self._targets = targets
        self._task: asyncio.Task[None] | None = None
        self.known: Sequence[Stop] = ()
        """As of a second ago at most: another process may have stopped it."""

    @property
    def targets(self) -> Sequence[str]:
        """Return the names of the configured targets, sorted."""
        return sorted(self._targets)

    def open(self) -> None:
        """Begin to watch."""
        self._task = asyncio.get_running_loop().create_task(self._watch())

    async def close(self) -> None:
        """Watch no more."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def read(self) -> Sequence[Stop]:
        """Return what is stopped now, the oldest first.

        Raises:
            ProblemError: UNAVAILABLE.
        """
        self.known = [_stop(row) for row in await self._store.all("stops")]
        return self.known

    async def stop(self, actor: Actor, scope: str, reason: str) -> None:
        """Have nothing more written to `scope`: a target's name, or EVERYTHING.

        Durable on return; the dispatchers hear of it within seconds. What is stopped already stays
        in the name of whoever did it first.

        Raises:
            ProblemError: NOT_FOUND, BAD_VALUE (no reason), UNAVAILABLE.
        """
        targets = self._meant(scope, reason)
        role = acting_role(actor.roles, Permission.PAUSE).value
        stopped = {
            "scope": scope,
            "actor": actor.account_id,
            "name": actor.name,
            "role": role,
            "reason": reason[:_LONGEST_REASON],
        }
        told = [self._told(PAUSED, one, actor, role, scope=scope, reason=reason) for one in targets]
        await self._store.run(("lock_stops", {}), ("add_stop", stopped), *told)
        await self._changed()

    async def resume(self, actor: Actor, scope: str, reason: str) -> None:
        """Let `scope` go: what waited is written, in order.

        Raises:
            ProblemError: NOT_FOUND, BAD_VALUE (no reason), UNAVAILABLE; NOT_POSSIBLE, everything is
                stopped, or is not.
        """
        targets = self._meant(scope, reason)
        role = acting_role(actor.roles, Permission.RESUME).value
        async with self._store.connection() as connection, connection.transaction():
            await connection.execute(QUERIES["lock_stops"])
            rows = await (await connection.execute(QUERIES["stops"])).fetchall()
            held = {one.scope: one for one in map(_stop, rows)}
            _check_resume(scope, held)
            if scope == EVERYTHING:
                targets = [one for one in targets if one not in held]
            steps: list[Step] = [("end_stop", {"scope": scope})]
            steps += [
                self._told(RESUMED, one, actor, role, scope=scope, reason=reason) for one in targets
            ]
            for name, values in steps:
                await connection.execute(QUERIES[name], values)
        await self._changed()

    def _meant(self, scope: str, reason: str) -> Sequence[str]:
        if not reason.strip():
            raise ProblemError(Code.BAD_VALUE, "reason says why, for whoever asks later.")
        if scope == EVERYTHING:
            return self.targets
        if scope not in self._targets:
            raise ProblemError(Code.NOT_FOUND, "There is no target of that name.")
        return [scope]

    def _told(
        self, kind: str, target: str, actor: Actor, role: str, *, scope: str, reason: str
    ) -> Step:
        return control(
            kind,
            scope=target,
            actor_id=str(actor.account_id),
            role=role,
            at=datetime.now(UTC),
            digester=self._digester,
            reason=reason[:_LONGEST_REASON],
            detail={"stop": "everything"} if scope == EVERYTHING else None,
        )

    async def _changed(self) -> None:
        self._hint()
        with suppress(ProblemError):  # it is done; the watch shows it a moment later
            await self.read()

    async def _watch(self) -> None:
        while True:
            try:
                await self.read()
            except (ProblemError, psycopg.Error) as error:
                log.warning("stops_unknown", error=repr(error))  # pages show what was known
            await asyncio.sleep(_EVERY)


def _check_resume(scope: str, held: Mapping[str, Stop]) -> None:
    everything = held.get(EVERYTHING)
    if scope != EVERYTHING and everything is not None:
        raise ProblemError(
            Code.NOT_POSSIBLE,
            f"{everything.name} has stopped everything: {everything.reason} Let everything go "
            "first; what was stopped by itself stays stopped.",
            by=everything.name,
        )
    if scope == EVERYTHING and everything is None:
        named = f" Stopped by itself: {', '.join(sorted(held))}." if held else ""
        raise ProblemError(Code.NOT_POSSIBLE, f"Nobody has stopped everything.{named}")


def _stop(row: Row | Mapping[str, Any]) -> Stop:
    return Stop(
        scope=row["scope"],
        name=row["name"],
        role=row["role"],
        reason=row["reason"],
        at=row["stopped_at"],
    )
