"""Finding comments page by page, on a Jira that gives less than ours does."""

from collections.abc import Mapping
from typing import Any, cast

import pytest

from dispatcher.targets.jira_client import Client, ReadFailedError
from dispatcher.targets.jira_comments import PROPERTY, decided_at, listed, of
from dispatcher.targets.jira_site import Site
from dispatcher.writeback import Code, Refused

SITE = Site(cloud=True, me="me", fields={})


def comment(number: int, author: str = "me", **more: Any) -> dict[str, Any]:
    return {
        "id": str(number),
        "author": {"accountId": author},
        "body": "x",
        "created": f"2026-11-24T10:{number:02}:00.000+0000",
        "updated": "2026-11-24T12:00:00.000+0000",
        **more,
    }


def marked(number: int, key: str, **more: Any) -> dict[str, Any]:
    value = {"write_back_id": key, **more}
    return comment(number, properties=[{"key": PROPERTY, "value": value}])


class FewPerPage:
    """Answers two comments a page, newest first, whatever was asked for."""

    def __init__(self, comments: list[dict[str, Any]], lookup: Mapping[str, Any] = {}) -> None:
        self.comments = sorted(comments, key=lambda one: -int(one["id"]))
        self.lookup = lookup
        self.asked: list[str] = []
        self.remove_after: int | None = None

    def get(self, path: str, parameters: Mapping[str, str] | None = None) -> Any:
        self.asked.append(path)
        if "/properties/" in path:
            number = path.split("/")[1]
            if number not in self.lookup:
                raise ReadFailedError(Refused(code=Code.RECORD_NOT_FOUND, detail="none"), 404)
            return {"key": PROPERTY, "value": self.lookup[number]}
        assert parameters is not None
        start = int(parameters["startAt"])
        page = self.comments[start : start + 2]
        answer = {"total": len(self.comments), "comments": page}
        if self.remove_after is not None and len(self.asked) == self.remove_after:
            self.comments = self.comments[1:]
        return answer


def found(client: FewPerPage, after: str = "") -> list[str]:
    return [one.id for one in listed(cast("Client", client), SITE, "SUP-1", decided_at(after))]


def test_every_page_is_read_however_few_there_are_on_one() -> None:
    client = FewPerPage([marked(1, "k"), *[comment(n, "dana") for n in range(2, 7)]])
    assert found(client) == ["1"]
    assert len(client.asked) == 3


def test_reading_ends_a_day_before_the_decision() -> None:
    client = FewPerPage([comment(n, "dana", properties=[]) for n in range(1, 9)])
    assert found(client, "2026-11-25T10:07:30Z") == []
    assert len(client.asked) == 1


def test_a_list_that_gives_no_properties_is_asked_comment_by_comment() -> None:
    client = FewPerPage([comment(1), comment(2), comment(3, "dana")], {"1": {"write_back_id": "k"}})
    assert found(client) == ["1"]
    assert [path for path in client.asked if "properties" in path] == [
        f"comment/2/properties/{PROPERTY}",
        f"comment/1/properties/{PROPERTY}",
    ]


def test_a_comment_removed_while_they_are_read_hides_none() -> None:
    client = FewPerPage([marked(1, "k"), marked(2, "l"), *[comment(n, "dana") for n in (3, 4, 5)]])
    client.remove_after = 1
    assert found(client) == ["1", "2"]


def test_copies_are_sorted_by_age_and_marked_ones_are_none() -> None:
    client = FewPerPage([marked(9, "k"), marked(10, "k"), marked(2, "k", duplicate_of="1")])
    comments = listed(cast("Client", client), SITE, "SUP-1", None)
    assert [one.id for one in of(comments, "k")] == ["9", "10"]


@pytest.mark.parametrize("moment", ["", "t", "2026-11-24T10:00:00"])
def test_a_moment_that_cannot_be_read_ends_nothing(moment: str) -> None:
    assert decided_at(moment) is None
