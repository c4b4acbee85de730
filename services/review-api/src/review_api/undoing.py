"""What an UNDO writes: the values that were there, where ours still are. Pure.

Owns the turning round of an approved statement. That nobody's later edit is overwritten is the
dispatcher's to see: it compares what is there with `seen`, as with any write.
"""

from collections.abc import Iterable

from contract.events import Action
from contract.statement import FieldChange, Statement
from review_api.problems import Code, ProblemError
from review_api.roles import Role


def check_undo(roles: Iterable[Role], undone: Statement | None) -> Statement:
    """Return what is undone, where somebody with `roles` may undo it.

    Raises:
        ProblemError: WRONG_ROLE, NOT_POSSIBLE.
    """
    if Role.APPROVER not in roles:
        raise ProblemError(Code.WRONG_ROLE, "Undoing takes an approver.")
    if undone is None or undone.action is not Action.APPROVE:
        raise ProblemError(Code.NOT_POSSIBLE, "There is no approved change to undo.")
    return undone


def turned_round(undone: Statement) -> list[FieldChange]:
    """Return the fields of `undone` with their old values, expecting ours.

    Raises:
        ProblemError: NOT_POSSIBLE, an old value was never read.
    """
    changes = []
    for one in undone.fields:
        if one.seen is None:
            raise ProblemError(Code.NOT_POSSIBLE, "What was there before is not known.")
        changes.append(FieldChange(name=one.name, value=one.seen, seen=one.value))
    return changes
