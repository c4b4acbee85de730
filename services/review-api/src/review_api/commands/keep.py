"""Leave a change as it is: what one person asked to undo, another one does not agree to.

Owns that the item is as if nobody had asked. Nothing is written and nothing is decided by it; it is
an activity, with who said so. Undoing can be asked for again.
"""

from typing import Any, Final
from uuid import UUID

from contract.identity import Digester
from review_api import review
from review_api.commands.activity import About, activity
from review_api.commands.claims import Admit
from review_api.problems import Code, ProblemError
from review_api.review import Happening, State
from review_api.roles import Role
from review_api.store import Store, actor_of

_TRIES: Final = 4


class Keep:
    """The use case, with what it needs."""

    def __init__(self, *, store: Store, digester: Digester) -> None:
        self._store = store
        self._digester = digester

    async def __call__(self, session: bytes, admit: Admit, item_id: UUID) -> None:
        """Say no to an undo that waits for its second person; whoever asked may take it back so.

        Raises:
            ProblemError: NOT_FOUND, WRONG_ROLE, NOT_POSSIBLE (nobody has asked, or it is decided).
        """
        for _ in range(_TRIES):
            row = await self._store.one("keep_context", {"token": session, "item": item_id})
            actor = admit(None if row is None else actor_of(row))
            assert row is not None  # admit refuses nobody
            if row["state"] is None:
                raise ProblemError(Code.NOT_FOUND, f"There is no item {item_id}.")
            if Role.APPROVER not in actor.roles:
                raise ProblemError(Code.WRONG_ROLE, "Undoing, and not undoing, takes an approver.")
            try:
                state = review.after(State(row["state"]), Happening.KEEP)
            except review.IllegalTransitionError as error:
                raise ProblemError(Code.NOT_POSSIBLE, f"{error}.", state=row["state"]) from error
            about = About(
                item_id=str(row["item_id"]),
                revision=row["revision"],
                correlation_id=row["correlation_id"],
                event_id=str(row["first_approval"]),
            )
            told = activity("UNDO_DECLINED", about, actor, at=row["now"], digester=self._digester)
            kept: dict[str, Any] = {
                "item": item_id,
                "version": row["version"],
                "state": state.value,
            }
            if await self._store.one("keep", told | kept) is not None:
                return
        raise ProblemError(Code.UNAVAILABLE, "The item kept changing.", retry_after=1)
