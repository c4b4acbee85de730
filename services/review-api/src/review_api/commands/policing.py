"""Try another policy, and save it. One transaction: the text and the control that tells of it.

From the commit on it is in force, in every process: whoever decides or takes items in holds the
policy that they read until their own commit, and saving waits for them (`policy_in_force`). What
waits already keeps its lane or rises: the worker holds it against the new policy afterwards, page
by page (`sweep`), and a decision draws the lane anew whether or not that is done. No policy lowers
the lane of something that waits; `preview` says which items a laxer one would have let be ordinary.
"""

import asyncio
import hashlib
from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any, Final

from contract.identity import Digester
from contract.statement import timestamp_text
from review_api.commands.controls import Step, control
from review_api.hint import Hint
from review_api.policy import Policy, PolicyError, parse_policy, unknown_targets
from review_api.problems import Code, ProblemError
from review_api.queries import QUERIES
from review_api.roles import Permission, acting_role
from review_api.store import Actor, Row, Store
from review_api.sweep import FIRST, WAITING, after
from review_api.trial import Trial, held

LONGEST: Final = 65_536
"""Characters of a policy's text."""
SHOWN: Final = 50
_PAGE: Final = 500
_MOST: Final = 10_000


class Policing:
    """The use cases, with what they need."""

    def __init__(
        self,
        *,
        store: Store,
        hint: Hint,
        digester: Digester,
        targets: Collection[str],
        initial: str,
    ) -> None:
        """`initial`: the text of `policy.toml`, which is in force while none was ever stored."""
        self._store = store
        self._hint = hint
        self._digester = digester
        self._targets = targets
        self._initial = initial

    async def policy(self, ordinal: int | None = None) -> Row:
        """Return a policy with its text; without an ordinal the one in force.

        Raises:
            ProblemError: NOT_FOUND.
        """
        row = await self._store.one("policy", {"ordinal": ordinal})
        if row is None and not ordinal:
            return _never_stored(self._initial)
        if row is None:
            raise ProblemError(Code.NOT_FOUND, "There is no such policy.")
        return row

    async def history(self) -> list[Row]:
        """Return the newest fifty policies, without their texts."""
        return await self._store.all("policies")

    async def preview(self, text: str) -> Trial:
        """Return what saving `text` would do to what waits now. Changes nothing.

        Looks at ten thousand items, those that are decided next first.

        Raises:
            ProblemError: BAD_POLICY, TEXT_TOO_LONG.
        """
        trial = Trial(policy=read_policy(text), shown=SHOWN)
        for state in WAITING:
            place = dict(FIRST)
            while trial.complete:
                asked = {"state": state.value, "all": True, "limit": _PAGE, **place}
                rows = await self._store.all("waiting_items", asked)
                trial.add(await asyncio.to_thread(held, trial.policy, rows))
                if len(rows) < _PAGE:
                    break
                place = after(rows[-1])
                trial.complete = trial.examined < _MOST
        return trial

    def warnings(self, policy: Policy) -> list[str]:
        """Return the targets that rules name and nobody has configured."""
        return unknown_targets(policy, self._targets)

    async def save(self, actor: Actor, text: str, base: int, reason: str | None) -> int:
        """Put `text` in force for who saw the policy of ordinal `base`, and return its ordinal.

        Raises:
            ProblemError: BAD_POLICY, TEXT_TOO_LONG; BAD_VALUE, no reason, or nothing is different;
                POLICY_CHANGED, somebody else was faster.
        """
        policy = read_policy(text)
        if reason is None:
            raise ProblemError(Code.BAD_VALUE, "reason says why, for whoever asks later.")
        async with self._store.connection() as connection, connection.transaction():
            await connection.execute(QUERIES["lock_policy"])
            found = await (
                await connection.execute(QUERIES["policy"], {"ordinal": None})
            ).fetchone()
            if found is None:  # so that history begins with what was in force before
                initial = columns(self._initial, parse_policy(self._initial))
                await connection.execute(QUERIES["add_policy"], initial)
                found = _never_stored(self._initial) | {"ordinal": 1}
                base = base or 1
            if found["ordinal"] != base:
                raise _changed(found)
            if found["text"] == text:
                raise ProblemError(
                    Code.BAD_VALUE, "This is the policy in force. Nothing was saved."
                )
            added = await (
                await connection.execute(
                    QUERIES["add_policy"], columns(text, policy, actor, reason)
                )
            ).fetchone()
            assert added is not None
            name, told = policy_changed(
                added["ordinal"],
                policy,
                text,
                found["version"],
                actor_id=str(actor.account_id),
                role=acting_role(actor.roles, Permission.POLICY).value,
                digester=self._digester,
                reason=reason,
            )
            await connection.execute(QUERIES[name], told)
        self._hint()
        ordinal: int = added["ordinal"]
        return ordinal


def read_policy(text: str) -> Policy:
    """Return the policy in `text`.

    Raises:
        ProblemError: BAD_POLICY with the line, TEXT_TOO_LONG.
    """
    if len(text) > LONGEST:
        raise ProblemError(Code.TEXT_TOO_LONG, f"A policy has at most {LONGEST:,} characters.")
    try:
        return parse_policy(text)
    except PolicyError as error:
        place = "" if error.line is None else f"Line {error.line}: "
        raise ProblemError(Code.BAD_POLICY, f"{place}{error.said}.", line=error.line) from error


def policy_changed(
    ordinal: int, policy: Policy, text: str, before: str, *, digester: Digester, **by: Any
) -> Step:
    """Return the statement that tells of a policy; `by` is who put it in force, and why."""
    return control(
        "POLICY_CHANGED",
        scope="policy",
        at=datetime.now(UTC),
        digester=digester,
        detail={
            "ordinal": str(ordinal),
            "version": policy.version,
            "version_before": before,
            "digest": _digest(text).hex(),
            "rules": str(len(policy.rules)),
        },
        **by,
    )


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def columns(
    text: str, policy: Policy, actor: Actor | None = None, reason: str | None = None
) -> dict[str, object]:
    """Return the values of query `add_policy`; without an actor it comes from `policy.toml`."""
    return {
        "version": policy.version,
        "digest": _digest(text),
        "text": text,
        "person": None if actor is None else actor.person_id,
        "actor": None if actor is None else actor.account_id,
        "name": None if actor is None else actor.name,
        "reason": reason,
    }


def _never_stored(text: str) -> Row:
    return {
        "ordinal": 0,
        "version": parse_policy(text).version,
        "digest": _digest(text),
        "text": text,
        "saved_at": None,
        "name": None,
        "person_id": None,
        "reason": None,
        "examined": None,
        "raised": None,
        "finished_at": None,
    }


def _changed(found: Row) -> ProblemError:
    who = found["name"] or "Whoever runs Placet, in policy.toml,"
    return ProblemError(
        Code.POLICY_CHANGED,
        f"{who} has put {found['version']} in force since you looked. Yours was not saved.",
        by=found["name"],
        at=None if found["saved_at"] is None else timestamp_text(found["saved_at"]),
        ordinal=found["ordinal"],
        version=found["version"],
    )
