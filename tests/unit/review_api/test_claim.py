"""Who may claim and decide, as a table: holder, lease, token."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from review_api.claim import Claim, check_decision, next_token
from review_api.problems import ProblemError

NOW = datetime(2026, 11, 24, 14, tzinfo=UTC)
ME, OTHER = UUID(int=1), UUID(int=2)
LIVE, LAPSED = NOW + timedelta(seconds=1), NOW
NEVER = Claim(token=0)
RELEASED = Claim(token=3)


def held(person: UUID, until: datetime) -> Claim:
    return Claim(token=3, person_id=person, name="Ana", until=until)


CLAIMING: dict[str, tuple[Claim, int | None, int | str]] = {
    "never claimed": (NEVER, None, 1),
    "released": (RELEASED, None, 4),
    "mine": (held(ME, LIVE), None, 3),
    "mine, renewed": (held(ME, LIVE), 3, 3),
    "mine, lapsed": (held(ME, LAPSED), None, 4),
    "mine, lapsed, renewed": (held(ME, LAPSED), 3, 3),
    "mine, with a token of before": (held(ME, LIVE), 2, "CLAIM_STALE"),
    "released, renewed": (RELEASED, 3, "CLAIM_STALE"),
    "another's": (held(OTHER, LIVE), None, "CLAIMED"),
    "another's, with its token": (held(OTHER, LIVE), 3, "CLAIMED"),
    "another's, lapsed": (held(OTHER, LAPSED), None, 4),
    "another's, lapsed, with its token": (held(OTHER, LAPSED), 3, "CLAIM_STALE"),
}


@pytest.mark.parametrize("name", CLAIMING)
def test_claiming(name: str) -> None:
    claim, token, expected = CLAIMING[name]
    if isinstance(expected, int):
        assert next_token(claim, ME, token, NOW) == expected
    else:
        with pytest.raises(ProblemError) as refused:
            next_token(claim, ME, token, NOW)
        assert refused.value.code == expected


DECIDING: dict[str, tuple[Claim, int | None, str | None]] = {
    "never claimed": (NEVER, None, None),
    "never claimed, with a token": (NEVER, 1, "CLAIM_STALE"),
    "released, with its token": (RELEASED, 3, "CLAIM_STALE"),
    "mine": (held(ME, LIVE), None, None),
    "mine, with its token": (held(ME, LIVE), 3, None),
    "mine, lapsed": (held(ME, LAPSED), None, None),
    "mine, lapsed, with its token": (held(ME, LAPSED), 3, "CLAIM_STALE"),
    "another's": (held(OTHER, LIVE), None, "CLAIMED"),
    "another's, with its token": (held(OTHER, LIVE), 3, "CLAIMED"),
    "another's, lapsed": (held(OTHER, LAPSED), None, None),
}


@pytest.mark.parametrize("name", DECIDING)
def test_deciding(name: str) -> None:
    claim, token, code = DECIDING[name]
    if code is None:
        check_decision(claim, ME, token, NOW)
    else:
        with pytest.raises(ProblemError) as refused:
            check_decision(claim, ME, token, NOW)
        assert refused.value.code == code


def test_a_refusal_names_the_holder_and_the_end() -> None:
    with pytest.raises(ProblemError) as refused:
        check_decision(held(OTHER, LIVE), ME, None, NOW)
    assert refused.value.extra == {"by": "Ana", "until": "2026-11-24T14:00:01.000000Z"}
