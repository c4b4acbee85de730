"""The correlation audit finds every planted gap and nothing else, in whatever order facts come."""

import json
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from audit_sink.cli import Defaults, build
from audit_sink.covered import multirange
from audit_sink.gaps import Chains, Kind, Seen, Terms, moment

RUN = CliRunner()
APP = build(Defaults)
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
Facts = list[dict[str, object]]


def at(hours: float) -> str:
    return (NOW - timedelta(hours=hours)).isoformat()


def chain(number: int, hours: float = 48) -> Facts:
    """One whole chain, that long ago."""
    ids = {"item_id": f"item-{number}", "decision_id": f"decision-{number}"}
    common = {"correlation_id": f"trace-{number}"}
    item = common | {"item_id": ids["item_id"], "revision": 1}
    return [
        {"type": "ModelOutput", "timestamp": at(hours), **common},
        {"type": "ReviewItem", "timestamp": at(hours), "due_at": at(hours - 24), **item},
        {"type": "ReviewActivity", "timestamp": at(hours), "action_type": "OPENED", **item},
        {
            "type": "ReviewDecision",
            "timestamp": at(hours - 1),
            "action_type": "APPROVE",
            "revision": 1,
            **common,
            **ids,
        },
        {"type": "WriteBack", "timestamp": at(hours - 1), "write_status": "SENDING", **ids},
        {"type": "WriteBack", "timestamp": at(hours - 1), "write_status": "APPLIED", **ids},
        {"type": "Outcome", "timestamp": at(hours - 1), **common, **ids},
    ]


def numbered(facts: Facts) -> Facts:
    return [fact | {"sequence": number} for number, fact in enumerate(facts)]


def found(facts: Facts, **terms: object) -> list[tuple[Kind, str]]:
    chains = Chains()
    names = set(Seen.__struct_fields__)
    chains.add(
        Seen(**{name: value for name, value in fact.items() if name in names})  # type: ignore[arg-type]
        for fact in facts
    )
    return [
        (gap.kind, gap.name)
        for gap in chains.gaps(Terms(now=NOW, **terms))  # type: ignore[arg-type]
    ]


def test_a_control_item_that_was_answered_lacks_no_decision() -> None:
    facts = chain(1)[:3]
    assert [kind for kind, _ in found(facts)] != []
    answered = facts[2] | {"action_type": "CONTROL_ITEM_ANSWERED"}
    assert found([*facts, answered]) == []


def test_whole_chains_have_no_gap() -> None:
    facts = numbered([fact for number in range(50) for fact in chain(number)])
    assert found(facts) == []
    random.Random(1).shuffle(facts)
    assert found(facts) == []


PLANTED = {
    "no item": ([1, 2, 3, 4, 5, 6], Kind.OUTPUT, "trace-7"),
    "no decision": ([3, 4, 5, 6], Kind.ITEM, "item-7"),
    "no write-back": ([4, 5], Kind.DECISION, "decision-7"),
    "no cause": ([3], Kind.WRITE_BACK, "decision-7"),
}


@pytest.mark.parametrize("case", PLANTED)
def test_a_link_that_is_missing_is_named(case: str) -> None:
    missing, kind, name = PLANTED[case]
    broken = [fact for place, fact in enumerate(chain(7)) if place not in missing]
    facts = [fact for number in range(20) if number != 7 for fact in chain(number)]
    for mixed in (facts + broken, broken + facts):
        assert (kind, name) in found(mixed)


def test_an_outcome_without_anything_before_it_is_named() -> None:
    assert found([*chain(1), chain(2)[6]]) == [(Kind.OUTCOME, "decision-2")]


def test_a_decision_about_nothing_is_named() -> None:
    facts = [*chain(1), *chain(2)[3:]]
    assert found(facts) == [(Kind.CAUSE, "decision-2")]


@pytest.mark.parametrize("action", ["REJECT", "NEED_INFO", "TAKE_BACK"])
def test_what_writes_nothing_needs_no_write_back(action: str) -> None:
    facts = chain(1)[:4]
    facts[3]["action_type"] = action
    waits = [(Kind.ITEM, "item-1")] if action == "TAKE_BACK" else []
    assert found(facts) == waits


def test_an_item_is_overdue_after_its_due_date_or_after_a_week() -> None:
    item = chain(1, hours=200)[1]
    assert found([item | {"due_at": at(1)}]) == [(Kind.ITEM, "item-1")]
    assert found([item | {"due_at": at(-1)}]) == []
    assert found([item | {"due_at": None}]) == [(Kind.ITEM, "item-1")]
    assert found([item | {"due_at": None}], overdue=timedelta(days=30)) == []


def test_a_new_revision_waits_for_a_decision_of_its_own() -> None:
    first = chain(1)
    second = first[1] | {"revision": 2}
    assert found([*first, second]) == [(Kind.ITEM, "item-1")]
    superseded = [first[0], first[1], second, *first[3:]]
    superseded[3] = first[3] | {"revision": 2}
    assert found(superseded) == []


def test_what_is_still_under_way_is_no_gap() -> None:
    assert found(chain(1, hours=0.2)[:1]) == []
    assert found(chain(1, hours=1.2)[:4]) == []
    assert found(chain(1, hours=1.2)[:4], grace=timedelta(minutes=1)) == [
        (Kind.DECISION, "decision-1")
    ]


def test_what_lies_outside_the_window_is_not_reported_but_counts_as_a_cause() -> None:
    facts = [*chain(1, hours=400)[:4], *chain(2)]
    assert found(facts, since=NOW - timedelta(days=14)) == []
    late = chain(3, hours=400)
    late[4]["timestamp"] = late[5]["timestamp"] = at(5)
    assert found(late, since=NOW - timedelta(days=14)) == []


def test_every_hole_in_the_sequence_is_named() -> None:
    facts = numbered([fact for number in range(100) for fact in chain(number)])
    rng = random.Random(3)
    gone = set(rng.sample(range(1, 699), 40)) | {300, 301, 302}
    left = [fact for fact in facts if fact["sequence"] not in gone]
    named: set[int] = set()
    for mixed in (left, rng.sample(left, len(left))):
        holes = [name for kind, name in found(mixed) if kind is Kind.HOLE]
        named = set()
        for hole in holes:
            first, _, last = hole.partition(" to ")
            named |= set(range(int(first), int(last or first) + 1))
        assert named == gone


def test_a_log_without_our_ids_is_linked_by_correlation_id() -> None:
    facts = [
        {key: value for key, value in fact.items() if key not in {"item_id", "decision_id"}}
        for number in range(5)
        for fact in chain(number)
    ]
    bare = [one | {"correlation_id": f"trace-{place // 7}"} for place, one in enumerate(facts)]
    assert found(bare) == []
    assert found([one for one in bare if one["type"] != "WriteBack"]) == [
        (Kind.DECISION, f"trace-{number}") for number in range(5)
    ]


def test_ten_thousand_chains_with_planted_gaps_have_exactly_those() -> None:
    rng = random.Random(11)
    facts, planted = [], set()
    for number in range(10_000):
        links = chain(number)
        if rng.random() < 0.01:
            _, (missing, kind, _) = rng.choice(list(PLANTED.items()))
            links = [one for place, one in enumerate(links) if place not in missing]
            name = {Kind.OUTPUT: "trace", Kind.ITEM: "item"}.get(kind, "decision")
            planted.add((kind, f"{name}-{number}"))
            if kind is Kind.WRITE_BACK:  # then the item waits for its decision, too
                planted.add((Kind.ITEM, f"item-{number}"))
        facts += links
    rng.shuffle(facts)
    assert set(found(facts)) == planted


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2026-11-24T12:00:00Z", NOW),
        ("2026-11-24T13:00:00+01:00", NOW),
        ("2026-11-24 12:00:00", NOW),
        (NOW.timestamp(), NOW),
        (int(NOW.timestamp() * 1e3), NOW),
        (int(NOW.timestamp() * 1e6), NOW),
        (int(NOW.timestamp() * 1e9), NOW),
        ("yesterday", None),
        (1e300, None),
        (None, None),
    ],
)
def test_times_are_read_as_logs_write_them(value: str | float | None, expected: datetime) -> None:
    assert moment(value) == expected


def test_ranges_are_joined() -> None:
    assert multirange([5, 1, 2, 3, 9, 2]) == "{[1,4),[5,6),[9,10)}"
    assert multirange([]) == "{}"


# on files


def write(path: Path, facts: Facts) -> str:
    path.write_text("".join(json.dumps(fact) + "\n" for fact in facts))
    return str(path)


def test_somebody_elses_log_is_audited_with_a_mapping(tmp_path: Path) -> None:
    facts = [fact for number in range(30) for fact in chain(number) if number != 4]
    facts += chain(4)[:4]
    theirs = [
        {
            "trace": {"id": fact.get("correlation_id")},
            "kind": {"ReviewItem": "proposed"}.get(str(fact["type"]), fact["type"]),
            "ts": fact["timestamp"],
            "task": fact.get("item_id"),
            "verdict": fact.get("decision_id"),
            "act": fact.get("action_type"),
            "due_at": fact.get("due_at"),
            "noise": {"deep": [1, 2, {"x": None}]},
        }
        for fact in facts
    ]
    options = ["--from", write(tmp_path / "a.jsonl", theirs[:100]), "--at", NOW.isoformat()]
    options += ["--from", write(tmp_path / "b.jsonl", theirs[100:])]
    names = "correlation_id=trace.id type=kind timestamp=ts item_id=task decision_id=verdict"
    for name in [*names.split(), "action_type=act"]:
        options += ["--map", name]
    result = RUN.invoke(APP, ["gaps", *options, "--type", "ReviewItem=proposed", "--json"])
    assert result.exit_code == 6, result.output
    answer = json.loads(result.stdout)
    assert answer["events"] == len(theirs)
    assert [(gap["kind"], gap["name"]) for gap in answer["first"]] == [
        ("decision without write-back", "decision-4")
    ]
    whole = write(tmp_path / "c.jsonl", [one for one in theirs if one["task"] != "item-4"])
    result = RUN.invoke(
        APP, ["gaps", "--from", whole, *options[2:4], *options[6:], "--type", "ReviewItem=proposed"]
    )
    assert "output without item" in result.stdout  # the one output whose item was left out


def test_lines_that_are_none_are_counted_and_named(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    good = "".join(json.dumps(fact) + "\n" for fact in chain(1))
    path.write_bytes(good.encode() + b'\n{"type": 7}\n[' + b"[" * 5_000 + b"\n\xff\xfe\n{}\nnull\n")
    result = RUN.invoke(APP, ["gaps", "--from", str(path), "--json"])
    assert result.exit_code == 0, result.output
    answer = json.loads(result.stdout)
    assert answer["unread"]["lines"] == 4
    assert answer["unread"]["first"].startswith("a.jsonl:9:")


def test_a_file_of_nothing_readable_fails(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"\x00" * 1_000)
    assert RUN.invoke(APP, ["gaps", "--from", str(tmp_path / "a")]).exit_code == 1
    assert RUN.invoke(APP, ["gaps", "--from", str(tmp_path)]).exit_code == 1


@pytest.mark.parametrize(
    "options",
    [
        ["--map", "nonsense"],
        ["--map", "hair=colour"],
        ["--map", "type=a..b"],
        ["--type", "Cat=dog"],
        ["--grace", "soon"],
        ["--at", "noon"],
        ["--window", "x"],
    ],
)
def test_options_that_say_nothing_are_usage_errors(tmp_path: Path, options: list[str]) -> None:
    path = write(tmp_path / "a.jsonl", chain(1))
    assert RUN.invoke(APP, ["gaps", "--from", path, *options]).exit_code == 2
