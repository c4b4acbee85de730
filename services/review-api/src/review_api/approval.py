"""Two people approve what is critical, and two undo it: which of them somebody is. Pure.

Owns the rule. Nobody gives both, whatever accounts and roles they hold: people are compared, not
accounts. The second approval is of the very fields of the first, over the same values seen;
anything else is a first approval again, and the one before is void.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from contract.statement import FieldChange, from_text
from review_api.problems import Code, ProblemError
from review_api.review import Happening
from review_api.roles import Role


@dataclass(frozen=True, slots=True, kw_only=True)
class First:
    """The first approval of two that counts: who gave it, and the statement they gave it for."""

    approval_id: UUID
    person_id: UUID
    name: str
    role: str
    at: datetime
    text: str

    @property
    def fields(self) -> dict[str, str]:
        """Return what it approved, edits and all: what is on the table now."""
        return {one.name: one.value for one in from_text(self.text).fields}


def which_of_two(
    first: First | None,
    written: list[FieldChange],
    person_id: UUID,
    roles: Collection[Role],
    both: tuple[Happening, Happening] = (Happening.FIRST_APPROVE, Happening.APPROVE),
) -> tuple[Happening, First | None]:
    """Return which of two approvals `person_id` gives, and the first one where it is the second.

    `both`: what the first and the second of them are.

    Raises:
        ProblemError: SECOND_APPROVAL_REQUIRED (theirs is the first), WRONG_ROLE.
    """
    if first is None:
        return both[0], None
    if first.person_id == person_id:
        raise ProblemError(
            Code.SECOND_APPROVAL_REQUIRED,
            "You gave the first approval. The second one is somebody else's to give.",
        )
    if from_text(first.text).fields != written:
        return both[0], None
    if Role.APPROVER not in roles:
        raise ProblemError(
            Code.WRONG_ROLE,
            "The first approval is given; the second one takes an approver. You may reject or ask.",
        )
    return both[1], first
