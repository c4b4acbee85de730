"""Undo of many writes over the three targets: what was there is back, and nobody is overwritten."""

import html
import re
import uuid
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from tests.support.desk import Person, Placet, wait_for
from tests.support.proposing import Proposal, everybody, in_state, publish
from tests.support.target_people import Done, Jira, System, at_targets

Systems = tuple[System, ...]
EACH = [4, pytest.param(100, marks=pytest.mark.long)]


@pytest.fixture(scope="module")
def systems(placet: Placet) -> Iterator[Systems]:
    with at_targets(placet) as made:
        yield made


@pytest.fixture(scope="module")
def approver(placet: Placet) -> Person:
    return placet.person("approver")


def word(kind: str) -> str:
    return f"{kind}-{uuid.uuid4().hex[:12]}"


def first(name: str, number: int) -> Any:
    """What a field of the `number`-th record holds at first. Some hold nothing, where they may."""
    empty = number % 3 == 0
    return {
        "answer": "" if empty else word("before"),
        "summary": word("before"),
        "description": None if empty else f"{word('before')}\n\n{word('second')}",
        "priority": ["Lowest", "Low", "Medium"][number % 3],
        "labels": [] if empty else sorted([word("before"), word("before")]),
        "Title": word("before"),
        "Answer": None if empty else f"{word('before')}\n{word('second')}",
        "Category": None if empty else "Billing",
        "Published": [None, True, False][number % 3],
    }[name]


def ours(name: str, number: int) -> Any:
    """What Placet is asked to write there: always something else."""
    return {
        "priority": "Highest",
        "labels": sorted([word("ours"), word("ours")]),
        "Category": "Account",
        "Published": number % 3 != 1,
    }.get(name, word("ours"))


def theirs(name: str) -> Any:
    """What somebody makes of it meanwhile: neither of the two."""
    return {
        "priority": "High",
        "labels": [word("theirs")],
        "Category": "Delivery",
    }.get(name, word("theirs"))


def written(placet: Placet, systems: Systems, reviewer: Person, each: int) -> list[Proposal]:
    """`each` changes per target, approved and completed; every one of a record of its own."""
    proposals = []
    for system in systems:
        before = [{f: first(f, number) for f in system.fields} for number in range(each)]
        for number, record in enumerate(system.create(before)):
            wanted = {f: ours(f, number) for f in system.fields}
            assert system.read(record) == before[number]
            proposals.append(
                Proposal(at=system, record=record, wanted=wanted, before=before[number])
            )
    publish(placet, reviewer, proposals)
    everybody(lambda one: reviewer.decide_surely(one.item_id), proposals)
    everybody(lambda one: in_state(reviewer, one, "COMPLETED"), proposals)
    for one in proposals:
        assert one.at.read(one.record) == one.wanted, one
    return proposals


def log(proposals: Sequence[Proposal]) -> list[tuple[Proposal, list[Done]]]:
    """What Placet did to each record, as the targets say."""
    done: dict[tuple[str, str], list[Done]] = {}
    for system in {one.at.instance: one.at for one in proposals}.values():
        records = [one.record for one in proposals if one.at is system]
        done |= {(system.instance, record): found for record, found in system.done(records).items()}
    return [(one, done[one.at.instance, one.record]) for one in proposals]


def edits(done: Sequence[Done], system: System) -> list[set[str]]:
    """Which of the record's own fields each edit wrote."""
    return [set(one.fields) & set(system.fields) for one in done if one.operation == "edit"]


@pytest.mark.parametrize("each", EACH)
def test_undo_puts_back_what_was_there_field_by_field(placet, systems, reviewer, approver, each):
    proposals = written(placet, systems, reviewer, each)
    undone = everybody(lambda one: approver.decide_surely(one.item_id, "UNDO"), proposals)
    everybody(lambda one: in_state(approver, one, "UNDONE"), proposals)

    restored = 0
    for one in proposals:
        now = one.at.read(one.record)
        for name, value in one.before.items():
            assert now[name] == value, f"{one}: {name}"
            restored += 1
    assert restored == each * sum(len(system.fields) for system in systems)
    for (one, done), undo in zip(log(proposals), undone, strict=True):
        assert edits(done, one.at) == [set(one.wanted)] * 2, one
        if isinstance(one.at, Jira):
            _superseded(one.at, one, done, undo["decision_id"])


def _superseded(jira: Jira, one: Proposal, done: Sequence[Done], undo: str) -> None:
    """The comment says that it holds no more; it is neither gone nor joined by another."""
    kinds = [each.operation for each in done if each.operation.startswith("comment")]
    assert kinds == ["comment", "comment-edit"], one
    [comment] = jira.comments(one.record)
    assert "Superseded" in comment, one
    assert undo in comment, one
    assert "Approved by Rosa Lind" in comment, f"{one}: what it said is kept"


@pytest.mark.parametrize("each", EACH)
def test_an_undo_overwrites_nobodys_later_edit_and_says_which_field(
    placet, systems, reviewer, approver, each
):
    proposals = written(placet, systems, reviewer, each)
    moved: list[tuple[Proposal, str, Any]] = []
    for number, one in enumerate(proposals):
        # Published has no third value: somebody empties it.
        name = one.at.fields[number % len(one.at.fields)]
        value = None if name == "Published" else theirs(name)
        one.at.edit(one.record, **{name: value})
        moved.append((one, name, value))
    everybody(lambda one: approver.decide_surely(one.item_id, "UNDO"), proposals)
    everybody(lambda one: in_state(approver, one, "CONFLICT"), proposals)

    for one, name, value in moved:
        assert one.at.read(one.record) == one.wanted | {name: value}, f"{one}: overwritten"
    for one, done in log(proposals):
        assert len(edits(done, one.at)) == 1, f"{one}: Placet wrote after the approval"
        assert not [each for each in done if each.operation in {"comment-edit", "comment-delete"}]
    everybody(lambda found: _said(approver, *found), moved)


def _said(person: Person, one: Proposal, name: str, value: Any) -> None:
    """API and page tell the field: what we wrote, what is there now, what was to be put back."""
    expected = {"seen": one.wanted[name], "now": value, "wanted": one.before[name], "moved": True}

    def told() -> bool:
        found = person.item(one.item_id)["conflict"]["fields"]
        still = [other for other, each in found.items() if not each["moved"]]
        return found[name] == expected and set(still) == set(one.wanted) - {name}

    wait_for(f"{one}: {name} told over the API", told, seconds=60)
    decision = person.item(one.item_id)["decision"]
    [fields] = [step for step in decision["write_backs"] if step["step"] == "fields"]
    assert (fields["state"], fields["conflicting"]) == ("CONFLICT", [name]), one
    page = person.http.get(f"/review/items/{one.item_id}").text
    section = re.search(r'<section aria-labelledby="h-moved">.*?</section>', page, re.DOTALL)
    assert section, f"{one}: the page does not say what stood in the way"
    assert re.findall(r"<h3><bdi>(.*?)</bdi></h3>", section[0]) == [name], one
    for shown in (one.wanted[name], value, one.before[name]):
        if isinstance(shown, str) and shown:
            for line in shown.split():
                assert html.escape(line) in section[0], f"{one}: {line} is not on the page"
