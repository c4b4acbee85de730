"""What the changelog proves: whose edit is ours, and which one we overwrote unseen."""

from dataclasses import replace
from typing import Any

import pytest

from dispatcher.targets.jira_fields import Field, Kind
from dispatcher.targets.jira_history import Entry, Verdict, entries, judge

KEY = "k"
ME, DANA = "me", "dana"


def entry(number: int, author: str, *fields: str, key: str | None = None) -> Entry:
    return Entry(id=str(number), author=author, write_back_id=key, fields=frozenset(fields))


def judged(*history: Entry, since: str | None = "1") -> Verdict:
    return judge(history, ["a", "b"], write_back_id=KEY, me=ME, since=since)


READ = entry(1, DANA, "a")
OURS = entry(5, ME, "a", "b", key=KEY)


@pytest.mark.parametrize(
    ("history", "overwritten", "later"),
    [
        ([READ, OURS], set(), set()),
        ([READ, entry(2, DANA, "a"), OURS], {"a"}, set()),
        ([READ, entry(2, DANA, "c"), OURS], set(), set()),
        ([READ, OURS, entry(6, DANA, "b")], set(), {"b"}),
        ([READ, entry(2, DANA, "a"), OURS, entry(6, DANA, "a")], {"a"}, {"a"}),
        # a late copy of our request, over somebody's edit
        ([READ, OURS, entry(6, DANA, "a"), entry(7, ME, "a", key=KEY)], {"a"}, set()),
        # a late copy of another write-back of ours is not ours
        ([READ, entry(2, ME, "a", key="other"), OURS], {"a"}, set()),
        # they made the same change to b before us: we changed a alone
        ([READ, entry(2, DANA, "b"), entry(5, ME, "a", key=KEY)], set(), {"b"}),
        # nothing of ours: we changed nothing
        ([READ, entry(2, DANA, "a")], set(), {"a"}),
        # a Jira that drops metadata: by author
        ([READ, entry(2, DANA, "a"), entry(3, ME, "a")], {"a"}, set()),
    ],
)
def test_an_edit_that_nobody_had_read_is_found(
    history: list[Entry], overwritten: set[str], later: set[str]
) -> None:
    verdict = judged(*history)
    assert verdict.overwritten == overwritten
    assert verdict.later == later


def test_what_was_overwritten_is_what_our_edit_found() -> None:
    def found(number: int, author: str, was: str, key: str | None = None) -> Entry:
        one = entry(number, author, "a", key=key)
        return replace(one, was={"a": was})

    ours = found(5, ME, '"theirs"', KEY)
    assert judged(READ, found(2, DANA, '"seen"'), ours).lost == {"a": '"theirs"'}
    assert judged(READ, ours).lost == {}
    late = found(7, ME, '"and theirs again"', KEY)
    assert judged(READ, ours, found(6, DANA, '"ours"'), late).lost == {"a": '"and theirs again"'}
    assert judged(READ, entry(2, DANA, "a"), OURS).lost == {}  # a history that does not say it


def test_where_the_newest_hundred_hide_what_was_read_all_of_them_count() -> None:
    assert judged(entry(9, DANA, "a"), OURS, since="1").overwritten == {"a"}


def test_without_a_marker_only_metadata_prove_that_an_entry_is_ours() -> None:
    assert not judged(READ, entry(2, ME, "a"), since=None).found
    assert judged(READ, OURS, since=None).found


def history(number: int, minute: int, **more: Any) -> dict[str, Any]:
    return {
        "id": str(number),
        "author": {"accountId": DANA, "name": DANA},
        "created": f"2026-11-24T10:{minute:02}:00.000+0000",
        "items": [{"field": "Answer", "fieldId": "customfield_1"}],
        **more,
    }


def test_cloud_gives_the_newest_first_and_data_center_the_oldest() -> None:
    old, new = history(1, 1), history(2, 2)
    for given, cloud in (([new, old], True), ([old, new], False), ([old, new], True)):
        assert [one.id for one in entries(given, {}, cloud=cloud)] == ["1", "2"]
    same = [history(4, 1), history(3, 1)]
    assert [one.id for one in entries(same, {}, cloud=True)] == ["3", "4"]


def test_metadata_authors_and_names_of_fields_are_read() -> None:
    fields = {"customfield_1": Field(id="customfield_1", name="Answer", kind=Kind.TEXT)}
    meta = {"type": "placet", "extraData": {"write_back_id": KEY}}
    nameless = [{"field": "Answer", "fromString": "old"}]
    [one] = entries(
        [history(1, 1, historyMetadata=meta, items=nameless, author=None)], fields, cloud=False
    )
    assert one == Entry(
        id="1",
        author="None",
        write_back_id=KEY,
        fields=frozenset({"customfield_1"}),
        was={"customfield_1": '"old"'},
    )
