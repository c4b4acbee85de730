"""What an administrator may do to an account, as a table."""

from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import pytest

from review_api.account import Account, changed
from review_api.problems import Code, ProblemError
from review_api.roles import Role

ADA, BEN, EVE = (UUID(int=number) for number in (1, 2, 3))


def account(account_id: UUID, *roles: Role, enabled: bool = True, version: int = 4) -> Account:
    return Account(
        account_id=account_id,
        person_id=account_id,
        username=f"user{account_id.int}",
        roles=roles,
        enabled=enabled,
        version=version,
        changed_at=datetime(2026, 11, 25, tzinfo=UTC),
        changed_by="Somebody Else",
    )


def disabled(one: Account) -> Account:
    return replace(one, enabled=False)


def reviewing(one: Account) -> Account:
    return replace(one, roles=(Role.REVIEWER,))


def same(one: Account) -> Account:
    return one


ada, ben = account(ADA, Role.ADMIN), account(BEN, Role.ADMIN)
eve = account(EVE, Role.REVIEWER)
CASES = [
    ("another's account", eve, [ada, ben], disabled, None),
    ("another administrator", ben, [ada, ben], disabled, None),
    ("another administrator's role", ben, [ada, ben], reviewing, None),
    ("one's own, changing nothing that counts", ada, [ada, ben], same, None),
    ("no such account", None, [ada, ben], disabled, Code.NOT_FOUND),
    ("seen at another version", replace(eve, version=5), [ada], disabled, Code.ACCOUNT_CHANGED),
    ("one's own", ada, [ada, ben], disabled, Code.OWN_ACCOUNT),
    ("one's own role", ada, [ada, ben], reviewing, Code.OWN_ACCOUNT),
    ("the last one", ada, [ada], disabled, Code.LAST_ADMIN),
    ("the last one's role", ada, [ada, disabled(ben)], reviewing, Code.LAST_ADMIN),
    ("by one who was disabled meanwhile", ben, [disabled(ada), ben], disabled, Code.WRONG_ROLE),
    ("by one who has another role now", eve, [reviewing(ada), ben], disabled, Code.WRONG_ROLE),
    ("by one who was deleted", eve, [ben], disabled, Code.WRONG_ROLE),
]


@pytest.mark.parametrize(
    ("found", "able", "change", "code"), [case[1:] for case in CASES], ids=[c[0] for c in CASES]
)
def test_what_may_be_done(found, able, change, code) -> None:
    if code is None:
        assert changed(ADA, found, 4, able, change) == (found, change(found))
        return
    with pytest.raises(ProblemError) as refused:
        changed(ADA, found, 4, able, change)
    assert refused.value.code is code


def test_who_was_faster_is_named_with_what_they_did() -> None:
    with pytest.raises(ProblemError) as refused:
        changed(ADA, replace(disabled(eve), version=9), 4, [ada], same)
    assert "Somebody Else" in refused.value.detail
    assert refused.value.extra["version"] == 9
    assert refused.value.extra["disabled"] is True
