"""A claim: who is at an item, until when, under which fencing token. Pure.

Owns the rules. A claim is a lease of 90 seconds by PostgreSQL's clock. One person has one claim,
whatever tabs they hold: claiming again returns it, with its token. A token that is not the newest,
or whose lease is over, decides nothing; its holder may renew it until somebody else has claimed.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from contract.statement import timestamp_text
from review_api.problems import Code, ProblemError

LEASE: Final = timedelta(seconds=90)


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """The latest claim of an item, live or not. Nobody's: released, decided, or never claimed."""

    token: int
    person_id: UUID | None = None
    name: str = ""
    until: datetime | None = None

    def live(self, now: datetime) -> bool:
        """Tell whether somebody holds the item at `now`."""
        return self.person_id is not None and self.until is not None and self.until > now

    def held_by_another(self, person_id: UUID, now: datetime) -> bool:
        """Tell whether somebody else holds it."""
        return self.live(now) and self.person_id != person_id


def next_token(claim: Claim, person_id: UUID, token: int | None, now: datetime) -> int:
    """Return the token that `person_id` gets who claims, or renews the claim `token`.

    Raises:
        ProblemError: CLAIMED, CLAIM_STALE.
    """
    refuse_another(claim, person_id, now)
    if token is not None:
        if token != claim.token or claim.person_id != person_id:
            raise stale()
        return token
    return claim.token if claim.live(now) else claim.token + 1


def check_decision(claim: Claim, person_id: UUID, token: int | None, now: datetime) -> None:
    """Refuse a decision on what somebody else holds, and one under a claim that is over.

    Raises:
        ProblemError: CLAIMED, CLAIM_STALE.
    """
    refuse_another(claim, person_id, now)
    if token is not None and (token != claim.token or not claim.live(now)):
        raise stale()


def refuse_another(claim: Claim, person_id: UUID, now: datetime) -> None:
    """Refuse while somebody else holds it, naming them.

    Raises:
        ProblemError: CLAIMED.
    """
    if claim.held_by_another(person_id, now) and claim.until is not None:
        raise ProblemError(
            Code.CLAIMED,
            f"{claim.name} holds it until {claim.until:%H:%M:%S} UTC, or until they leave.",
            by=claim.name,
            until=timestamp_text(claim.until),
            retry_after=max(1, round((claim.until - now).total_seconds())),
        )


def stale() -> ProblemError:
    """Return the answer to a token that is not the newest, or whose lease is over."""
    return ProblemError(Code.CLAIM_STALE, "Your claim is over. Nothing was decided.")
