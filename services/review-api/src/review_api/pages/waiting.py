"""What a write waits for, in words: what, until when, and what goes first. Looks nothing up."""

from typing import Final

from review_api.pages.render import clock
from review_api.waiting import Cause, Wait

_HEADS: Final = {
    Cause.PAUSED: "Waiting: {target} is paused",
    Cause.SILENT: "Waiting: nobody writes to {target} just now",
    Cause.AWAY: "Waiting: {target} does not answer",
    Cause.TURN: "Waiting for its turn at the target",
    Cause.RETRY: "The target did not answer; it is tried again",
    Cause.PROBE: "The target's answer was lost; Placet is finding out",
}
_UNTIL: Final = {
    Cause.PAUSED: "Written once somebody resumes it.",
    Cause.SILENT: "Written once its dispatcher is back.",
}


def words(wait: Wait) -> tuple[str, str, str | None]:
    """Return tone, one line, and the rest."""
    head = _HEADS[wait.cause].format(target=wait.target)
    rest = [_until(wait), _before(wait.ahead), _paused(wait), wait.last]
    tone = "plain" if wait.cause is Cause.TURN else "warn"
    return tone, head, " ".join(one for one in rest if one) or None


def _until(wait: Wait) -> str | None:
    at = None if wait.until is None else f"{clock(wait.until)} UTC"
    if wait.cause is Cause.AWAY:
        return f"Next try at {at}, or as soon as it answers." if at else "Written once it answers."
    return f"Next try at {at}." if at else _UNTIL.get(wait.cause)


def _before(ahead: int) -> str | None:
    if not ahead:
        return None
    which = "An earlier decision" if ahead == 1 else f"{ahead} earlier decisions"
    return f"{which} on this record {'goes' if ahead == 1 else 'go'} first."


def _paused(wait: Wait) -> str | None:
    if wait.by is None:
        return None
    return f"Paused by {wait.by}: {wait.why}" if wait.why else f"Paused by {wait.by}."
